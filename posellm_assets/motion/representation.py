"""Motion as features that a network learns easily, with an exact inverse, for any skeleton.

HumanML3D's layout (Guo et al., "Generating Diverse and Natural 3D Human Motions from Text", CVPR 2022) without its 6-D
rotations, which joint positions alone do not determine.
"""

from dataclasses import dataclass, replace

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import Skeleton

CONTACT_SPEED_M_PER_S = 0.2
# Below this share of its length over the floor, the line from right to left stands up (somebody lies on a side) and its
# direction over the floor is noise.
_MIN_FLAT_SHARE = 0.25


@dataclass(frozen=True)
class FeatureLayout:
    """Where each group of features lies in the D features of a frame."""

    yaw_velocity: slice  # radians per frame, about +y
    planar_velocity: slice  # root x and z, metres per frame, seen from the heading
    height: slice  # root y, metres
    positions: slice  # (J-1, 3) joints without the root, metres, seen from the heading; x and z from the root
    velocities: slice  # (J, 3) metres per frame, seen from the heading
    contacts: slice  # one per foot joint: 1 where it is slower than CONTACT_SPEED_M_PER_S

    @property
    def size(self) -> int:
        """D, the number of features of a frame."""
        return self.contacts.stop

    @property
    def groups(self) -> tuple[slice, ...]:
        """All groups in their order."""
        return (
            self.yaw_velocity,
            self.planar_velocity,
            self.height,
            self.positions,
            self.velocities,
            self.contacts,
        )


def layout(skeleton: Skeleton) -> FeatureLayout:
    """The layout of the features of `skeleton`."""
    stops = np.cumsum([1, 2, 1, 3 * (len(skeleton) - 1), 3 * len(skeleton), len(skeleton.feet)]).tolist()
    return FeatureLayout(*(slice(start, stop) for start, stop in zip([0, *stops[:-1]], stops, strict=True)))


def heading(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The direction that the body faces in each frame.

    joints: (T, J, 3). Returns (T,) radians about +y, 0 facing +z, without jumps of a whole turn. Where somebody lies on
    a side it is interpolated from the frames around; where it never shows it is 0.
    """
    joints = np.asarray(joints, np.float64)
    (left_hip, right_hip), (left_shoulder, right_shoulder) = skeleton.hips, skeleton.shoulders
    to_left = joints[:, left_hip] - joints[:, right_hip] + joints[:, left_shoulder] - joints[:, right_shoulder]
    shows = np.hypot(to_left[:, 0], to_left[:, 2]) > _MIN_FLAT_SHARE * np.linalg.norm(to_left, axis=1)
    if not shows.any():
        return np.zeros(len(joints))
    yaw = np.unwrap(np.arctan2(-to_left[shows, 2], to_left[shows, 0]))
    return np.interp(np.arange(len(joints)), np.flatnonzero(shows), yaw)


def turn(vectors: np.ndarray, yaw: np.ndarray | float) -> np.ndarray:
    """Turn (..., 3) vectors about +y by `yaw` radians, which is broadcast against (...)."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)


def placed(motion: Motion) -> Motion:
    """The motion moved and turned on the floor so that its first frame stands over the origin and faces +z.

    The motion must have no gap.
    """
    joints = _gapless(motion)
    joints = joints - joints[0, 0] * np.array([1.0, 0.0, 1.0])
    return replace(motion, joints=turn(joints, -heading(joints, motion.skeleton)[0]).astype(np.float32))


def encode(motion: Motion) -> np.ndarray:
    """The features of a motion without gaps: (T, D) float64, see `FeatureLayout`.

    Where the motion stands and faces at first is not in them: `decode(encode(motion))` is `placed(motion)`. The last
    frame repeats the velocities of the one before. Raises ValueError where a frame is unknown.
    """
    joints = _gapless(motion)
    yaw = heading(joints, motion.skeleton)
    local = joints - joints[:, :1] * np.array([1.0, 0.0, 1.0])
    local = turn(local, -yaw[:, None])
    steps = turn(np.diff(joints, axis=0), -yaw[:-1, None])
    steps = np.concatenate([steps, steps[-1:] if len(steps) else np.zeros_like(joints)])
    turns = np.diff(yaw)
    turns = np.concatenate([turns, turns[-1:] if len(turns) else [0.0]])
    feet_speed = np.linalg.norm(steps[:, list(motion.skeleton.feet)], axis=-1) * motion.fps
    frames = len(joints)
    return np.concatenate(
        [
            turns[:, None],
            steps[:, 0, [0, 2]],
            joints[:, 0, 1:2],
            local[:, 1:].reshape(frames, -1),
            steps.reshape(frames, -1),
            feet_speed < CONTACT_SPEED_M_PER_S,
        ],
        axis=1,
    )


def decode(features: np.ndarray, skeleton: Skeleton, fps: float, unknown: tuple[str, ...] = ()) -> Motion:
    """The motion of (T, D) features, standing over the origin and facing +z in the first frame.

    Joint velocities and contacts are not used: positions say the same without drift.
    """
    parts = layout(skeleton)
    if features.ndim != 2 or features.shape[1] != parts.size:
        raise ValueError(f"features of skeleton {skeleton.name} are (T, {parts.size}), not {features.shape}")
    features = np.asarray(features, np.float64)
    yaw = _sum_before(features[:, parts.yaw_velocity])[:, 0]
    planar = features[:, parts.planar_velocity]
    steps = turn(np.stack([planar[:, 0], np.zeros(len(planar)), planar[:, 1]], axis=-1), yaw)
    root = _sum_before(steps)
    root[:, 1] = features[:, parts.height.start]
    local = features[:, parts.positions].reshape(len(features), len(skeleton) - 1, 3)
    joints = turn(local, yaw[:, None]) + root[:, None] * np.array([1.0, 0.0, 1.0])
    joints = np.concatenate([root[:, None], joints], axis=1).astype(np.float32)
    return Motion(joints, fps, skeleton, filled=np.zeros(len(joints), bool), unknown=unknown)


def _sum_before(steps: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps[:-1], axis=0)])


def _gapless(motion: Motion) -> np.ndarray:
    if not len(motion):
        raise ValueError("a motion without frames has no features")
    if not motion.known.all():
        raise ValueError(
            f"{np.sum(~motion.known)} of {len(motion)} frames are unknown: take motion.segments(...), without gaps"
        )
    return np.asarray(motion.joints, np.float64)
