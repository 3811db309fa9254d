"""What a file of joint positions says about itself, and how its joints become a motion: metres, y up, named joints.

What a file does not say is declared in a JSON file beside it (`walk.bvh.json`) or by hand. What nobody says is judged
by the body only where it cannot be mistaken, and noted in the motion's parameters; else it is asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field

from posellm_assets.footage.capture import MAX_FPS, MAX_JOINTS, MIN_FPS
from posellm_assets.footage.labels import Labels
from posellm_assets.motion.joint_names import canonical_names
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import Skeleton, skeleton_from_tree, usual_parents
from posellm_assets.motion.takes import lost_frames, without_lost_joints
from posellm_assets.parquet import MAX_VALUES

Up = Literal["y", "z", "-y"]
UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
# Trunk, thigh and shank of a person from a child of 1.2 m to 2.1 m. The spans of the units do not overlap.
_BODY_M = (0.95, 1.65)
_FAR_M = 1e4
# What a declared unit may make of it: a child that crawls, a giant of an animation.
_ANY_BODY_M = (0.2, 6.0)
_LEAST_BONE_M = 0.02
_FPS = (MIN_FPS, MAX_FPS)
_UNDER_FLOOR_M = 0.2


class UnusableSource(ValueError):
    """A file that is damaged, or cannot become a motion as declared; the message says what to do, without the path."""


class Declaration(Labels):
    """What is said about a file of joint positions and what it shows; also the form of the sidecar beside it.

    Every value wins over what the file says or what is judged.
    """

    model_config = ConfigDict(strict=False)

    joints: tuple[str, ...] | None = Field(default=None, description="Names of the joints, in the order of the array")
    parents: tuple[int, ...] | None = Field(default=None, description="The parent of each joint, -1 for the root")
    names: dict[str, str] = Field(default={}, description='Joints named by hand, such as {"LegL": "left_hip"}')
    fps: float | None = Field(default=None, ge=_FPS[0], le=_FPS[1])
    unit: Literal["m", "cm", "mm", "in"] | Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="One of these, or metres for one unit of the file"
    )
    up: Up | None = Field(default=None, description="The axis that points up; -y is that of pictures and MediaPipe")
    handedness: Literal["right", "left"] | None = None


def declared(**values: Any) -> Declaration:
    """A declaration by hand; None leaves a value undeclared. Raises ValueError naming what does not fit."""
    unit = values.get("unit")
    if isinstance(unit, str) and unit not in UNITS_M:
        try:
            values["unit"] = float(unit)
        except ValueError as error:
            raise UnusableSource(f"the unit {unit!r} is none of {', '.join(UNITS_M)} and no number") from error
    return Declaration.checked({name: value for name, value in values.items() if value is not None}, "declared")


def read_declaration(path: Path, by_hand: Declaration) -> Declaration:
    """What is declared by hand, and what the sidecar of `path` says of the rest; LabelError where that is damaged."""
    return by_hand.over(Declaration.beside(path))


def motion_from_joints(
    positions: np.ndarray,
    names: Sequence[str],
    parents: Sequence[int] | None,
    fps: float,
    said: Declaration,
    source: str,
) -> Motion:
    """A motion of the file's own skeleton, in metres, y up, right-handed.

    positions: (T, J, 3) in the file's units and axes, NaN where a joint was not seen. Without `parents` the tree is the
    usual one of such joints, and a pelvis that is missing is the middle of the hips. `source` is kept as provenance.
    Raises UnusableSource.
    """
    if not _FPS[0] <= fps <= _FPS[1]:
        raise UnusableSource(f"its frame rate is {fps:g} frames/s, and must be from {_FPS[0]:g} to {_FPS[1]:,.0f}")
    if positions.size > MAX_VALUES or len(names) > MAX_JOINTS:
        raise UnusableSource(
            f"it has {len(positions):,} frames of {len(names):,} joints, of at most {MAX_JOINTS:,} joints and "
            f"{MAX_VALUES:,} numbers; cut it into takes"
        )
    if np.isinf(positions).any() or not np.isfinite(positions).any():
        raise UnusableSource("the joints hold infinite numbers or none at all")
    positions, names = np.asarray(positions, np.float64), list(names)
    try:
        if parents is None:
            positions, names = _with_pelvis(positions, names, said)
            parents = usual_parents(names, said.names)
        tree = skeleton_from_tree(names, parents, said.names)
    except ValueError as error:
        raise UnusableSource(str(error)) from error
    left_out = [name for number, name in enumerate(names) if number not in tree.order]
    joints = _y_up(without_lost_joints(positions[:, tree.order]), said)
    if not np.isfinite(joints).any():
        raise UnusableSource("in every frame all joints are at one place: this is no body")
    unit_m, unit = _unit(joints, tree.skeleton, said)
    joints = joints * unit_m
    _check_body(joints, tree.skeleton, unit)
    if np.nanmax(np.abs(joints)) > _FAR_M:
        raise UnusableSource(f"a joint is {np.nanmax(np.abs(joints)):.3g} m away from the origin")
    _check_axes(joints, tree.skeleton, said)
    lost, fastest = lost_frames(joints, fps, tree.skeleton)
    joints[lost] = np.nan
    first, stop = _known_ends(joints)
    joints = joints[first:stop]
    lowest_m = float(np.nanmin(joints[..., 1]))
    unknown = ["floor_height"] if lowest_m < -_UNDER_FLOOR_M else []
    if unknown:  # the floor is not at 0, so it is taken to be where the body comes down furthest
        joints[..., 1] -= lowest_m
    return Motion(
        joints=joints.astype(np.float32),
        fps=fps,
        skeleton=tree.skeleton,
        filled=np.zeros(len(joints), bool),
        unknown=tuple(unknown),
        parameters={
            "source": source,
            "unit": unit,
            "up": said.up or "y",
            "handedness": said.handedness or "right",
            "left_out": left_out,
            "cut_off_s": round(first / fps, 6),
            "lost_frames": _lost_in_words(np.flatnonzero(lost), first, len(lost) - stop, fastest),
        },
    )


def _known_ends(joints: np.ndarray) -> tuple[int, int]:
    """The frames (first, past the last) in which anything is known."""
    known = np.flatnonzero(np.isfinite(joints).any(axis=(1, 2)))
    return int(known[0]), int(known[-1]) + 1


def _lost_in_words(lost: np.ndarray, before: int, behind: int, fastest: float) -> str:
    """What was left out, for the user; nothing where nothing was."""
    ends = [f"{frames} {where}" for frames, where in ((before, "at the start"), (behind, "at the end")) if frames]
    cut = f"frames cut off: {' and '.join(ends)}" if ends else ""
    jumps = f"{len(lost)} frames taken for lost: a step of {fastest:.0f} m/s is none of a body" if len(lost) else ""
    return "; ".join(text for text in (cut, jumps) if text)


def _check_body(joints: np.ndarray, skeleton: Skeleton, unit: str) -> None:
    """Refuse what has not the size of a body, or has limbs without a length."""
    size = _size(joints, skeleton)
    if not _ANY_BODY_M[0] <= size <= _ANY_BODY_M[1]:
        raise UnusableSource(
            f"with the unit {unit} trunk, thigh and shank together are {size:.3g} m, and a person's "
            f"{_BODY_M[0]} to {_BODY_M[1]} m: another unit was used, or the file holds no lengths of bones"
        )
    for joint, parent in enumerate(skeleton.parents):
        part = skeleton.joints[joint].rpartition("_")[2]
        if part in ("knee", "ankle", "elbow", "wrist"):
            bone = np.linalg.norm(joints[:, joint] - joints[:, parent], axis=-1)
            if np.isfinite(bone).any() and np.nanmedian(bone) < _LEAST_BONE_M:
                raise UnusableSource(
                    f"{skeleton.joints[joint]} and {skeleton.joints[parent]} are at one place: the file holds no "
                    "length of that bone; export it again with the positions of all joints"
                )


def _with_pelvis(positions: np.ndarray, names: list[str], said: Declaration) -> tuple[np.ndarray, list[str]]:
    """Positions and names with a pelvis between the hips, where there is none."""
    found = canonical_names(names, said.names)
    if "pelvis" in found or "left_hip" not in found or "right_hip" not in found:
        return positions, names
    hips = positions[:, [found.index("left_hip"), found.index("right_hip")]].mean(axis=1, keepdims=True)
    return np.concatenate([hips, positions], axis=1), ["pelvis", *names]


def _y_up(joints: np.ndarray, said: Declaration) -> np.ndarray:
    x, y, z = np.moveaxis(joints, -1, 0)
    if said.handedness == "left":
        x = -x
    turned = {"y": (x, y, z), "z": (x, z, -y), "-y": (x, -y, -z)}[said.up or "y"]
    return np.stack(turned, axis=-1)


def _unit(joints: np.ndarray, skeleton: Skeleton, said: Declaration) -> tuple[float, str]:
    """Metres for one unit, and how that is known."""
    if isinstance(said.unit, float | int):
        return float(said.unit), f"{said.unit:g} m (declared)"
    if said.unit is not None:
        return UNITS_M[said.unit], f"{said.unit} (declared)"
    size = _size(joints, skeleton)
    fitting = [unit for unit, metres in UNITS_M.items() if _BODY_M[0] <= size * metres <= _BODY_M[1]]
    if not fitting:
        raise UnusableSource(
            f"trunk, thigh and shank together measure {size:.4g}, which is a person's size in no known unit; declare "
            f"the unit: {', '.join(UNITS_M)}, or metres for one unit"
        )
    return UNITS_M[fitting[0]], f"{fitting[0]} (judged: trunk, thigh and shank are {size * UNITS_M[fitting[0]]:.2f} m)"


def _size(joints: np.ndarray, skeleton: Skeleton) -> float:
    """Trunk, thigh and shank together in the file's units, the medians over time."""
    at = {name: joints[:, skeleton.index(name)] for name in skeleton.joints}
    trunk = (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]) / 2
    knee = at.get("left_knee", at["left_ankle"])
    bones = [trunk, knee - at["left_hip"], at["left_ankle"] - knee]
    return float(sum(np.nanmedian(np.linalg.norm(bone, axis=-1)) for bone in bones))


def _check_axes(joints: np.ndarray, skeleton: Skeleton, said: Declaration) -> None:
    """Refuse what looks turned over or mirrored, unless the user has said that it is so."""
    at = {name: joints[:, skeleton.index(name)] for name in skeleton.joints}
    trunk = (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]) / 2
    up = np.nanmedian(trunk / np.linalg.norm(trunk, axis=-1, keepdims=True), axis=0)
    if said.up is None and up[1] < 0.5 and max(up[2], -up[1]) > 0.8:
        axis = "z" if up[2] > 0.8 else "-y"
        raise UnusableSource(
            f"the body's long axis is along {axis}: declare the axis that points up, {axis}, or y where somebody lies"
        )
    if said.handedness is None and "left_toe" in at and "right_toe" in at:
        to_left = at["left_hip"] - at["right_hip"]
        ahead = np.cross(to_left, trunk)
        feet = at["left_toe"] - at["left_ankle"] + at["right_toe"] - at["right_ankle"]
        backwards = float(np.mean((ahead * feet).sum(-1) < 0))
        if backwards > 0.8:
            raise UnusableSource(
                f"in {backwards:.0%} of the frames the toes point backwards if left is left: the axes seem to be "
                "left-handed, or left and right exchanged; declare the handedness, left or right"
            )
