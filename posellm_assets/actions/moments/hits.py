"""Moments at which somebody hits, throws or kicks: where the striking limb is at its fastest. Numpy and SciPy only.

A limb's speed relative to the pelvis peaks about a tenth of a second after contact, so the hit is taken to be where
it first comes near its peak. What counts as fast depends on the stroke and on the camera's frame rate, so the threshold
follows the fastest movements of the video, above a floor that walking and running do not reach. The body's motion
energy has to be above its median too: a wrist that jumps while everything else is still is a landmark gone astray.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from posellm_assets.actions.moments.config import HitConfig
from posellm_assets.motion.motion import Motion

LIMBS = {"hand": ("left_wrist", "right_wrist"), "foot": ("left_ankle", "right_ankle")}
_SOUND_REACH_S = 0.15
_NEAR_PEAK = 0.8


@dataclass(frozen=True)
class Hit:
    """A moment in the video. `confidence` is how far it stands out, from 0 to 1, with 0.5 at the threshold: a measure
    to rank by, no probability."""

    time_s: float
    confidence: float


@dataclass(frozen=True)
class Activity:
    """How much moves over time: the striking limb's speed and the body's energy (the joints' mean speed), m/s, (T,)."""

    time_s: np.ndarray
    limb_speed: np.ndarray
    energy: np.ndarray


def activity(motion: Motion, limb: str) -> Activity:
    """Speeds relative to the pelvis, NaN at gaps; `limb` is hand or foot. A skeleton without it has no speed."""
    relative = motion.joints - motion.joints[:, :1]
    if len(motion) < 2:
        return Activity(np.zeros(0), np.zeros(0), np.zeros(0))
    speed = np.linalg.norm(np.gradient(relative, axis=0), axis=-1) * motion.fps
    joints = [motion.skeleton.joints.index(name) for name in LIMBS[limb] if name in motion.skeleton.joints]
    fastest = speed[:, joints].max(axis=1) if joints else np.full(len(motion), np.nan)
    return Activity(motion.start_s + np.arange(len(motion)) / motion.fps, fastest, speed.mean(axis=1))


def find_hits(shots: Sequence[Activity], config: HitConfig, onsets: Sequence[tuple[float, float]] = ()) -> list[Hit]:
    """The hits of all shots of a video, in order, no two nearer than `min_interval_s`: the stronger one stays.

    `onsets` are sounds as (time in s, strength from 0 to 1): one at a candidate adds to its score and says when it was.
    """
    speeds = np.concatenate([shot.limb_speed for shot in shots]) if shots else np.zeros(0)
    if not np.isfinite(speeds).any():
        return []
    threshold = max(config.min_speed, config.share_of_fastest * float(np.nanpercentile(speeds, 98)))
    lively = float(np.nanmedian(np.concatenate([shot.energy for shot in shots])))
    candidates = []
    for shot in shots:
        speed = np.nan_to_num(shot.limb_speed)
        for frame in find_peaks(speed)[0]:
            if speed[frame] < threshold * (1 - config.sound_weight * bool(onsets)) or shot.energy[frame] < lively:
                continue
            slower = np.flatnonzero(speed[:frame] < _NEAR_PEAK * speed[frame])
            swing_s = float(shot.time_s[slower[-1] + 1 if len(slower) else 0])
            heard = [one for one in onsets if abs(one[0] - swing_s) <= _SOUND_REACH_S]
            sound_s, strength = max(heard, key=lambda one: one[1], default=(swing_s, 0.0))
            score = float(speed[frame]) / threshold + config.sound_weight * strength
            if score >= 1:
                candidates.append(Hit(sound_s, score**2 / (1 + score**2)))
    return without_neighbours(candidates, config.min_interval_s)


def without_neighbours(hits: Sequence[Hit], min_interval_s: float) -> list[Hit]:
    """Non-maximum suppression in time: the surest first, each clearing its neighbourhood."""
    kept: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: (-hit.confidence, hit.time_s)):
        if all(abs(hit.time_s - other.time_s) >= min_interval_s for other in kept):
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.time_s)
