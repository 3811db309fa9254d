"""Where a subject's movement is broken: at the cuts of the video, and where the landmarks jump as no body does.

Landmarks jump where a tracker changes over to something else, and at the cuts of a video of which only landmarks are
at hand.
"""

import numpy as np

from posellm_assets.poses.landmarks import ANKLES, SHOULDERS
from posellm_assets.poses.poses import SubjectPoses

# Half of the landmarks move by this share of the body's size from one frame to the next, and by so many times as much
# as around: 10 m/s at 30 frames/s. The fastest of 60 real clips without a cut reach 0.18.
_JUMP = 0.2
_SUDDEN = 7.0
_BEFORE, _AFTER = 12, 6  # frames around
_MAX_GAP_S = 0.25
_BODY_M = 1.7


def breaks_s(subject: SubjectPoses) -> list[float]:
    """The times (s) of the first frames behind a cut or a jump, in order."""
    frames = np.flatnonzero(subject.seen)
    if len(frames) < 2:
        return list(subject.cuts_s)
    body = slice(SHOULDERS[0], ANKLES[1] + 1)
    pixels, world = subject.pixels[frames, body].astype(np.float64), subject.world[frames, body, :2]
    size_px = _BODY_M * _spread(pixels) / np.maximum(_spread(world), 0.05)
    moved = np.median(np.linalg.norm(np.diff(pixels, axis=0), axis=-1), axis=1) / np.maximum(size_px[:-1], 1.0)
    near = np.diff(subject.time_s[frames]) <= _MAX_GAP_S
    jumps = [
        index
        for index in np.flatnonzero((moved >= _JUMP) & near).tolist()
        if moved[index] >= _SUDDEN * np.median(_around(moved, index))
    ]
    return sorted({*subject.cuts_s, *subject.time_s[frames[1:]][jumps].tolist()})


def _around(values: np.ndarray, index: int) -> np.ndarray:
    around = np.concatenate([values[max(0, index - _BEFORE) : index], values[index + 1 : index + 1 + _AFTER]])
    return around if len(around) else np.zeros(1)


def _spread(points: np.ndarray) -> np.ndarray:
    """(T,) how far the points (T, N, 2) lie apart."""
    return np.asarray(np.sqrt(points.var(axis=1).sum(axis=-1)))
