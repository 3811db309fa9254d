"""Motions as BVH files: rotations found from joint positions, so that reading the file gives the same positions.

Positions do not say how a bone is turned about itself. A joint with one bone is turned from the rest pose in the
shortest way; one with several is turned as their directions fit best (Kabsch, Acta Crystallographica A32, 1976). A bone
that then is not where it belongs, because its length changes or its neighbours move on their own, as shoulders do on a
spine, gets position channels beside its rotations; programs that read BVH know them.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from posellm_assets.files import write_bytes
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import Skeleton

_CM = 100.0
_ORDER = "ZXY"
_ROTATIONS = "Zrotation Xrotation Yrotation"
_POSITIONS = "Xposition Yposition Zposition"
_STIFF_M = 1e-6
_FLAT_SHARE = 0.05

# Where a bone points in a T-pose, by the joint that it ends in; x is outwards.
_T_POSE = {
    **dict.fromkeys(("spine", "chest", "neck", "head"), (0.0, 1.0, 0.0)),
    **dict.fromkeys(("hip", "collar", "shoulder", "elbow", "wrist", "hand"), (1.0, 0.0, 0.0)),
    **dict.fromkeys(("knee", "ankle"), (0.0, -1.0, 0.0)),
    "toe": (0.0, -0.4, 1.0),
    "heel": (0.0, -1.0, -0.5),
    "nose": (0.0, 0.0, 1.0),
    "eye": (0.3, 0.2, 1.0),
    "ear": (1.0, 0.2, 0.0),
}


RestPose = Literal["t-pose", "first-frame"]


def write_bvh(motion: Motion, path: Path, rest_pose: RestPose = "t-pose") -> None:
    """Write a motion without gaps as BVH: centimetres, y up, rotations in the order Z, X, Y.

    The offsets are the bones' median lengths in a standard T-pose (facing +z, arms along x, legs down), which programs
    that put a motion on another rig start from, or along the bones of the first frame. Raises ValueError where frames
    are unknown.
    """
    if not len(motion) or not motion.known.all():
        raise ValueError("BVH has no way to say that nobody was seen: write a stretch without a gap")
    joints = motion.joints.astype(np.float64)
    skeleton = motion.skeleton
    rest = _t_pose(joints, skeleton) if rest_pose == "t-pose" else _first_frame(joints, skeleton)
    turns = _world_rotations(joints, rest, skeleton)
    columns: list[np.ndarray] = []
    moves = [True] * len(skeleton)
    for joint in _as_nested(skeleton):
        parent = skeleton.parents[joint]
        above = turns[:, parent] if parent >= 0 else np.eye(3)
        local = joints[:, joint] - (joints[:, parent] if parent >= 0 else 0.0)
        offset = np.einsum("...ji,tj->ti" if parent < 0 else "tji,tj->ti", above, local)
        moves[joint] = parent < 0 or float(np.abs(offset - rest[joint]).max()) > _STIFF_M
        if moves[joint]:
            columns.append(offset * _CM)
        columns.append(_degrees(np.swapaxes(np.broadcast_to(above, turns[:, joint].shape), -1, -2) @ turns[:, joint]))
    values = np.concatenate(columns, axis=1) + 0.0
    lines = ["HIERARCHY", *_hierarchy(skeleton, rest, moves, joint=0), "MOTION"]
    lines += [f"Frames: {len(motion)}", f"Frame Time: {1 / motion.fps:.8f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values.tolist()]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def _first_frame(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(J, 3) metres from parent to joint in the first frame, stretched to the bone's median length; the root's is 0."""
    parents = list(skeleton.parents)
    bones = joints - joints[:, parents]
    bones[:, 0] = 0
    lengths = np.linalg.norm(bones, axis=-1)
    stretch = np.median(lengths, axis=0) / np.maximum(lengths[0], 1e-9)
    return bones[0] * np.where(lengths[0] > 1e-9, stretch, 0.0)[:, None]


def _t_pose(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(J, 3) metres from parent to joint, the bones' median lengths in the directions of `_directions`.

    Bones that leave one joint keep the angles between them, the medians over time as the T-pose sees them, so that a
    stiff pelvis stays stiff; the root's is 0.
    """
    directions = _directions(skeleton)
    rest = np.zeros((len(skeleton), 3))
    for joint in range(len(skeleton)):
        children = [child for child, above in enumerate(skeleton.parents) if above == joint]
        if not children:
            continue
        bones = joints[:, children] - joints[:, joint : joint + 1]
        lengths = np.median(np.linalg.norm(bones, axis=-1), axis=0)[:, None]
        ideal = directions[children] * lengths
        if len(children) > 1:
            turns = _best_fit(ideal, bones)
            fan = np.median(np.einsum("tji,tnj->tni", turns, bones), axis=0)
            fan = np.squeeze(_best_fit(fan, ideal[None]), 0) @ fan.T
            held = np.linalg.norm(fan, axis=0)
            ideal = np.where(held > 1e-9, fan / np.maximum(held, 1e-9), 0.0).T * lengths
        rest[children] = ideal
    return rest


def _directions(skeleton: Skeleton) -> np.ndarray:
    """(J, 3) where the bone that ends in each joint points in a T-pose. What has no known name goes on straight."""
    found = np.zeros((len(skeleton), 3))
    for joint, (name, parent) in enumerate(zip(skeleton.joints, skeleton.parents, strict=True)):
        side = {"left": 1.0, "right": -1.0}.get(name.partition("_")[0], 0.0)
        x, y, z = _T_POSE.get(name.removeprefix("left_").removeprefix("right_"), (0.0, 0.0, 0.0))
        direction = np.array([x * side, y, z])
        length = np.linalg.norm(direction)
        before = found[parent] if parent >= 0 and found[parent].any() else np.array([side, 1.0 - abs(side), 0.0])
        found[joint] = direction / length if length else before
    return found


def _world_rotations(joints: np.ndarray, rest: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """(T, J, 3, 3), each turning the bones that leave a joint from the rest pose to where they are."""
    turns = np.tile(np.eye(3), (len(joints), len(skeleton), 1, 1))
    for joint, parent in enumerate(skeleton.parents):
        before = turns[:, parent] if parent >= 0 else turns[:, joint].copy()
        children = [child for child, above in enumerate(skeleton.parents) if above == joint]
        if not children:
            turns[:, joint] = before
            continue
        bones = joints[:, children] - joints[:, joint : joint + 1]
        spread = np.linalg.svd(rest[children], compute_uv=False)
        if len(spread) > 1 and spread[1] > _FLAT_SHARE * spread[0]:
            turns[:, joint] = _best_fit(rest[children], bones)
        else:  # all in one line: nothing says how it is turned about that line
            longest = children[int(np.argmax(np.linalg.norm(rest[children], axis=-1)))]
            bone = joints[:, longest] - joints[:, joint]
            turns[:, joint] = _shortest_turn(before @ rest[longest], bone) @ before
    return turns


def _best_fit(rest: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """The rotations (T, 3, 3) that bring `rest` (N, 3) closest to `bones` (T, N, 3)."""
    left, _, right = np.linalg.svd(np.einsum("tni,nj->tij", bones, rest))
    mirrored = np.linalg.det(left @ right) < 0
    left[mirrored, :, -1] *= -1
    return np.asarray(left @ right)


def _shortest_turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The rotations (T, 3, 3) that turn the direction of `start` (T, 3) to that of `end` in the shortest way."""
    start = start / np.maximum(np.linalg.norm(start, axis=-1, keepdims=True), 1e-12)
    end = end / np.maximum(np.linalg.norm(end, axis=-1, keepdims=True), 1e-12)
    axis = np.cross(start, end)
    sine, cosine = np.linalg.norm(axis, axis=-1, keepdims=True), (start * end).sum(-1, keepdims=True)
    # straight back, any axis across the bone will do
    across = np.cross(start, np.eye(3)[np.abs(start).argmin(axis=-1)])
    axis = np.where(sine > 1e-9, axis, across)
    axis = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-12)
    return Rotation.from_rotvec(axis * np.arctan2(sine, cosine)).as_matrix()


def _degrees(turns: np.ndarray) -> np.ndarray:
    """(T, 3) Euler angles in the order of the channels, without jumps of a whole turn."""
    return np.unwrap(Rotation.from_matrix(turns).as_euler(_ORDER, degrees=True), period=360, axis=0)


def _as_nested(skeleton: Skeleton, joint: int = 0) -> list[int]:
    """The joints in the order in which a hierarchy names them: each limb to its end before the next."""
    children = [child for child, above in enumerate(skeleton.parents) if above == joint]
    return [joint, *(inner for child in children for inner in _as_nested(skeleton, child))]


def _hierarchy(skeleton: Skeleton, rest: np.ndarray, moves: list[bool], joint: int) -> list[str]:
    children = [child for child, above in enumerate(skeleton.parents) if above == joint]
    inner = [f"OFFSET {_offset(rest[joint])}"]
    inner += [f"CHANNELS 6 {_POSITIONS} {_ROTATIONS}" if moves[joint] else f"CHANNELS 3 {_ROTATIONS}"]
    lines = [f"{'JOINT' if joint else 'ROOT'} {skeleton.joints[joint]}", "{", *(f"  {line}" for line in inner)]
    for child in children:
        lines += [f"  {line}" for line in _hierarchy(skeleton, rest, moves, child)]
    if not children:
        lines += ["  End Site", "  {", f"    OFFSET {_offset(0.3 * rest[joint])}", "  }"]
    return [*lines, "}"]


def _offset(metres: np.ndarray) -> str:
    return " ".join(f"{value + 0.0:.6f}" for value in (metres * _CM).tolist())
