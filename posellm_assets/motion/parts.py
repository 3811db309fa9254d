"""A motion by body part: trunk and head, two arms and two legs, each limb in the axes of the trunk.

A limb so written says what it does whatever the rest of the body does, and a right one is written as its mirror image:
one network knows both arms, another both legs, and a combination of limbs need not have been seen. The inverse is
exact.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import heading
from posellm_assets.motion.skeletons import Skeleton

KINDS = ("trunk", "arm", "leg")
# Of the trunk, before its joints: cosine and sine of the heading, speed over the floor, height, two axes.
HEADING, SPEED, HEIGHT, AXES = slice(0, 2), slice(2, 4), slice(4, 5), slice(5, 11)
JOINTS = 11
TRUNK_GROUPS = (HEADING, SPEED, HEIGHT, AXES, slice(JOINTS, None))


@dataclass(frozen=True)
class Part:
    """Some joints of a skeleton that are written together, from the joint `anchor`, mirrored where `sign` is -1."""

    name: str
    kind: str
    joints: tuple[int, ...]
    anchor: int = 0
    sign: float = 1.0

    @property
    def features(self) -> int:
        """How many numbers describe it in a frame."""
        return 3 * len(self.joints) + (JOINTS if self.kind == "trunk" else 0)


@cache
def parts_of(skeleton: Skeleton) -> tuple[Part, ...]:
    """The trunk, then of arms and legs those that the skeleton has on both sides, left before right.

    A limb's joints are those below its shoulder or hip that have their like on the other side; all others are the
    trunk's.
    """
    mirrored = dict(skeleton.mirror_pairs)
    limbs: list[Part] = []
    for kind, (left, right) in (("arm", skeleton.shoulders), ("leg", skeleton.hips)):
        below = tuple(j for j in _below(skeleton, left) if mirrored.get(j) in _below(skeleton, right))
        if below:
            limbs.append(Part(f"left {kind}", kind, below, left))
            limbs.append(Part(f"right {kind}", kind, tuple(mirrored[j] for j in below), right, -1.0))
    taken = {joint for limb in limbs for joint in limb.joints}
    trunk = tuple(joint for joint in range(1, len(skeleton)) if joint not in taken)
    return (Part("trunk", "trunk", trunk), *limbs)


def _below(skeleton: Skeleton, joint: int) -> list[int]:
    below = {joint}
    for child, parent in enumerate(skeleton.parents):
        if parent in below:
            below.add(child)
    return sorted(below - {joint})


def split(joints: Tensor, yaw: Tensor, skeleton: Skeleton, first_yaw: float | None = None) -> list[Tensor]:
    """The features of each of `parts_of(skeleton)`, (..., T, features), of (..., T, J, 3) metres and (..., T) headings.

    Headings (radians, `representation.heading`) are written against the first frame's, or of a piece of a motion
    against `first_yaw`, that of the motion's first frame.
    """
    steps = turned(functional.pad(joints[..., 1:, 0, :] - joints[..., :-1, 0, :], (0, 0, 0, 1)), -yaw)
    height = joints[..., :1, 1]
    local = turned(joints - joints[..., :1, :], -yaw[..., None])
    axes = _axes(local, skeleton)
    seen = local @ axes
    parts = []
    for part in parts_of(skeleton):
        if part.kind == "trunk":
            turns = yaw - (yaw[..., :1] if first_yaw is None else first_yaw)
            faces = torch.stack([turns.cos(), turns.sin()], dim=-1)
            trunk = [
                faces,
                steps[..., [0, 2]],
                height,
                axes[..., 0],
                axes[..., 1],
                seen[..., part.joints, :].flatten(-2),
            ]
            parts.append(torch.cat(trunk, dim=-1))
        else:
            limb = (seen[..., part.joints, :] - seen[..., [part.anchor], :]) * _sign(part, joints)
            parts.append(limb.flatten(-2))
    return parts


def join(parts: list[Tensor], skeleton: Skeleton) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The inverse of `split`, in metres and radians.

    (..., T, J, 3) joints from the root and seen from the heading, (..., T) headings, (..., T) heights of the root and
    (..., T, 3) its steps, seen from the heading.
    """
    trunk = parts[0]
    left = functional.normalize(trunk[..., AXES][..., :3], dim=-1, eps=1e-6)
    up = _upright(trunk[..., AXES][..., 3:], left)
    axes = torch.stack([left, up, torch.cross(left, up, dim=-1)], dim=-1)
    places: list[Tensor] = [torch.zeros_like(left)] * len(skeleton)
    for part, features in zip(parts_of(skeleton), parts, strict=True):
        joints = features[..., JOINTS:] if part.kind == "trunk" else features
        for number, joint in enumerate(part.joints):
            place = joints[..., 3 * number : 3 * number + 3]
            places[joint] = place if part.kind == "trunk" else place * _sign(part, place) + places[part.anchor]
    local = torch.stack(places, dim=-2) @ axes.transpose(-1, -2)
    cos, sin = trunk[..., HEADING].unbind(-1)
    x, z = trunk[..., SPEED].unbind(-1)
    return local, torch.atan2(sin, cos), trunk[..., HEIGHT.start], torch.stack([x, torch.zeros_like(x), z], dim=-1)


def features_of(motion: Motion, first_yaw: float | None = None) -> list[Tensor]:
    """`split` of a motion: (T, features) float32 of each part; raises ValueError where a frame is unknown."""
    if not motion.known.all():
        raise ValueError(
            f"{np.sum(~motion.known)} of {len(motion)} frames are unknown: take motion.segments(...), without gaps"
        )
    yaw = torch.from_numpy(heading(motion.joints, motion.skeleton)).float()
    return split(torch.from_numpy(np.asarray(motion.joints, np.float32)), yaw, motion.skeleton, first_yaw)


def joined(parts: list[Tensor], skeleton: Skeleton) -> Tensor:
    """(..., T, J, 3) joints of the features of all parts, the first frame over the origin and facing +z."""
    local, yaw, height, steps = join(parts, skeleton)
    yaw = yaw - yaw[..., :1]
    root = functional.pad(turned(steps, yaw)[..., :-1, :].cumsum(-2), (0, 0, 1, 0))
    root = root + torch.stack([torch.zeros_like(height), height, torch.zeros_like(height)], dim=-1)
    return turned(local, yaw[..., None]) + root[..., None, :]


def turned(vectors: Tensor, yaw: Tensor) -> Tensor:
    """(..., 3) vectors turned about +y by (...) radians; `representation.turn` in torch."""
    cos, sin = yaw.cos(), yaw.sin()
    x, y, z = vectors.unbind(-1)
    return torch.stack([cos * x + sin * z, y.expand_as(cos * x), cos * z - sin * x], dim=-1)


def _axes(local: Tensor, skeleton: Skeleton) -> Tensor:
    """(..., 3, 3), whose columns point to the left, up the spine and out of the breast."""
    (left_hip, right_hip), (left_shoulder, right_shoulder) = skeleton.hips, skeleton.shoulders
    across = local[..., left_shoulder, :] - local[..., right_shoulder, :]
    across = across + local[..., left_hip, :] - local[..., right_hip, :]
    spine = local[..., left_shoulder, :] + local[..., right_shoulder, :]
    left = functional.normalize(across, dim=-1, eps=1e-6)
    up = _upright(spine, left)
    return torch.stack([left, up, torch.cross(left, up, dim=-1)], dim=-1)


def _upright(spine: Tensor, left: Tensor) -> Tensor:
    return functional.normalize(spine - (spine * left).sum(-1, keepdim=True) * left, dim=-1, eps=1e-6)


def _sign(part: Part, like: Tensor) -> Tensor:
    return like.new_tensor([part.sign, 1.0, 1.0])
