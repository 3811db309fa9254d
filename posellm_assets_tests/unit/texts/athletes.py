"""A figure moved by joint angles that the tests choose, so that what is measured can be compared with what was done."""

from collections.abc import Callable

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import BODY

FPS = 20.0
TRUNK, THIGH, SHANK, UPPER_ARM, FOREARM = 0.52, 0.43, 0.41, 0.29, 0.25


def wave(seconds: float, period_s: float, low: float, high: float, phase: float = 0.0) -> np.ndarray:
    """(T,) from `low` to `high` and back, once in each period, beginning at `low` for phase 0."""
    time_s = np.arange(round(seconds * FPS)) / FPS
    return low + (high - low) * (1 - np.cos(2 * np.pi * (time_s / period_s + phase))) / 2


def athlete(seconds: float = 6.0, size: float = 1.0, noise_m: float = 0.0, seed: int = 0, **flexion) -> Motion:
    """A motion from angles in degrees, each a number or (T,): left/right_knee and _elbow (flexion, 0 straight),
    _thigh (forward from hanging), _arm (sideways from hanging), lean (trunk, forward) or side (trunk, to the left)."""
    frames = round(seconds * FPS)
    angle = {name: np.radians(np.broadcast_to(np.asarray(value, float), frames)) for name, value in flexion.items()}

    def of(name: str) -> np.ndarray:
        return angle.get(name, np.zeros(frames))

    def vector(x, y, z) -> np.ndarray:
        return size * np.stack(np.broadcast_arrays(x, y, z, np.zeros(frames))[:3], axis=-1)

    lean = of("lean")
    up = np.stack([np.zeros(frames), np.cos(lean), np.sin(lean)], -1)
    if "side" in angle:
        up = np.stack([np.sin(angle["side"]), np.cos(angle["side"]), np.zeros(frames)], -1)
    forward = np.stack([np.zeros(frames), -np.sin(lean), np.cos(lean)], -1)
    at = {"pelvis": np.zeros((frames, 3))}
    at["neck"] = size * TRUNK * up
    at["head"] = at["neck"] + size * 0.18 * up
    at["nose"] = at["head"] + size * 0.1 * forward
    for side, x in (("left", 1.0), ("right", -1.0)):
        thigh = of(f"{side}_thigh")
        shank = thigh - of(f"{side}_knee")
        at[f"{side}_hip"] = vector(0.1 * x, 0.0, 0.0)
        at[f"{side}_knee"] = at[f"{side}_hip"] + THIGH * vector(0.0, -np.cos(thigh), np.sin(thigh))
        at[f"{side}_ankle"] = at[f"{side}_knee"] + SHANK * vector(0.0, -np.cos(shank), np.sin(shank))
        at[f"{side}_toe"] = at[f"{side}_ankle"] + vector(0.0, -0.06, 0.14)
        arm, bend = of(f"{side}_arm")[:, None], of(f"{side}_elbow")[:, None]
        sideways = np.array([x, 0.0, 0.0])
        upper = np.sin(arm) * sideways - np.cos(arm) * up
        at[f"{side}_shoulder"] = at["neck"] + vector(0.19 * x, 0.0, 0.0)
        at[f"{side}_elbow"] = at[f"{side}_shoulder"] + size * UPPER_ARM * upper
        at[f"{side}_wrist"] = at[f"{side}_elbow"] + size * FOREARM * (np.cos(bend) * upper + np.sin(bend) * forward)
    joints = np.stack([at[name] for name in BODY.joints], axis=1)
    joints[..., 1] -= joints[..., 1].min(axis=1, keepdims=True)
    joints += np.random.default_rng(seed).normal(0, noise_m, joints.shape)
    return Motion(joints.astype(np.float32), FPS, BODY, filled=np.zeros(frames, bool))


def squat(seconds: float, period_s: float, depth: float, **how) -> Motion:
    """Both knees bend by `depth` degrees in each period; the trunk leans forward a little."""
    bend = wave(seconds, period_s, 0, depth)
    return athlete(
        seconds, left_knee=bend, right_knee=bend, left_thigh=bend * 0.6, right_thigh=bend * 0.6, lean=bend * 0.3, **how
    )


def arm_raise(seconds: float, period_s: float, depth: float, **how) -> Motion:
    """Both straight arms rise sideways by `depth` degrees."""
    return athlete(
        seconds, left_arm=wave(seconds, period_s, 0, depth), right_arm=wave(seconds, period_s, 0, depth), **how
    )


def march(seconds: float, period_s: float, depth: float, **how) -> Motion:
    """Left and right thigh rise in turn, the knee below them bent."""
    left, right = wave(seconds, period_s, 0, depth), wave(seconds, period_s, 0, depth, phase=0.5)
    return athlete(seconds, left_thigh=left, right_thigh=right, left_knee=left, right_knee=right, **how)


def bow(seconds: float, period_s: float, depth: float, **how) -> Motion:
    """The trunk leans forward by `depth` degrees with straight legs."""
    return athlete(seconds, lean=wave(seconds, period_s, 0, depth), **how)


MOVEMENTS: dict[str, tuple[Callable[..., Motion], float]] = {
    "squat": (squat, 90.0),
    "arm raise": (arm_raise, 150.0),
    "march": (march, 80.0),
    "bow": (bow, 70.0),
}
