"""What the coach sees of a window: where the joints are, how fast they move, and a few angles that coaches look at."""

import numpy as np

from posellm_assets.motion.representation import layout, turn
from posellm_assets.motion.skeletons import BODY

_AT = {name: BODY.index(name) for name in BODY.joints}
_SIDES = ("left", "right")
# Angles at the second joint of three.
_ANGLES = [
    *((f"{side}_hip", f"{side}_knee", f"{side}_ankle") for side in _SIDES),
    *(("neck", f"{side}_hip", f"{side}_knee") for side in _SIDES),
    *((f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist") for side in _SIDES),
    *((f"{side}_hip", f"{side}_shoulder", f"{side}_elbow") for side in _SIDES),
    *((f"{side}_hip", f"{side}_shoulder", f"{side}_wrist") for side in _SIDES),
]
_MOVING = ("pelvis", "left_wrist", "right_wrist", "left_knee", "right_knee", "left_ankle", "right_ankle")
_PLACES = ("pelvis", "neck", "left_wrist", "right_wrist", "left_knee", "right_knee", "left_ankle", "right_ankle")
_SPANS_S = (1.2, 3.2)
# How little a speed counts against a position: joints move by 1 to 2 m/s in exercises.
_SPEED_UNIT_M_PER_S = 2.0


def bodies(features: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """Joints and their speeds, each the mean over a window and seen from the heading.

    features: (N, F, D) of `representation.encode`. Returns (N, J, 3) metres and (N, J, 3) metres per second.
    """
    parts, count = layout(BODY), len(features)
    means = np.asarray(features, np.float32).mean(axis=1)
    joints = np.zeros((count, len(BODY), 3), np.float32)
    joints[:, 0, 1] = means[:, parts.height.start]
    joints[:, 1:] = means[:, parts.positions].reshape(count, len(BODY) - 1, 3)
    return joints, means[:, parts.velocities].reshape(count, len(BODY), 3) * np.float32(fps)


def mirrored(vectors: np.ndarray) -> np.ndarray:
    """Joints or speeds (N, J, 3) of the mirror image."""
    return vectors[:, BODY.mirror_order] * np.array([-1, 1, 1], np.float32)


def disturbed(joints: np.ndarray, speeds: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The session of a slightly other body before a slightly other camera, seen with other errors: for training."""
    scale = rng.uniform(0.95, 1.05)
    yaw = rng.normal(0, 0.08)
    offset = rng.normal(0, 0.012, (1, len(BODY), 3))
    noise = rng.normal(0, 0.008, joints.shape)
    return (
        (turn(joints * scale, yaw) + offset + noise).astype(np.float32),
        (turn(speeds * scale, yaw) + rng.normal(0, 0.03, speeds.shape)).astype(np.float32),
    )


def described(joints: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """The measures (N, M) float32 of each window, of the order of 1."""
    angles = [_cosine(joints, *names) for names in _ANGLES]
    knees_in = [5 * _knee_in(joints, side) for side in _SIDES]
    knees, ankles, wrists = (
        joints[:, _AT[f"left_{name}"]] - joints[:, _AT[f"right_{name}"]] for name in ("knee", "ankle", "wrist")
    )
    apart = [2 * (knees[:, 0] - ankles[:, 0]), 2 * np.linalg.norm(ankles, axis=1), wrists[:, 1]]
    moving = [np.linalg.norm(speeds[:, _AT[name]], axis=1) / _SPEED_UNIT_M_PER_S for name in _MOVING]
    places = [joints[:, _AT[name]][:, axis] for name in _PLACES for axis in (0, 1, 2)]
    ups = [speeds[:, _AT[name]][:, 1] / _SPEED_UNIT_M_PER_S for name in _MOVING]
    return np.stack([*angles, *knees_in, *apart, *moving, *places, *ups], axis=1).astype(np.float32)


def recent(measures: np.ndarray, window_s: float) -> np.ndarray:
    """The inputs (N, K) of the coach: the measures of each window, and their least, greatest and mean value lately.

    A window's row depends on it and the windows before it only, as far back as `look_back`.
    """
    rows = [measures]
    for length in _spans(window_s):
        padded = np.concatenate([np.repeat(measures[:1], length - 1, axis=0), measures])
        windows = np.lib.stride_tricks.sliding_window_view(padded, length, axis=0)
        rows += [windows.min(-1), windows.max(-1), windows.mean(-1)]
    return np.concatenate(rows, axis=1).astype(np.float32)


def look_back(window_s: float) -> int:
    """On how many windows the inputs of one depend, itself among them."""
    return max(_spans(window_s))


def _spans(window_s: float) -> list[int]:
    return [max(1, round(span_s / window_s)) for span_s in _SPANS_S]


def _cosine(joints: np.ndarray, first: str, middle: str, last: str) -> np.ndarray:
    one, other = joints[:, _AT[first]] - joints[:, _AT[middle]], joints[:, _AT[last]] - joints[:, _AT[middle]]
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(1) / np.maximum(lengths, 1e-6))


def _knee_in(joints: np.ndarray, side: str) -> np.ndarray:
    """How far (N,) a knee is to the inside of the line from hip to ankle, in metres to the athlete's middle."""
    hip, knee, ankle = (joints[:, _AT[f"{side}_{name}"]] for name in ("hip", "knee", "ankle"))
    line = ankle - hip
    along = ((knee - hip) * line).sum(1) / np.maximum((line**2).sum(1), 1e-6)
    off = knee - hip - along[:, None] * line
    return np.asarray(off[:, 0] * (-1 if side == "left" else 1))
