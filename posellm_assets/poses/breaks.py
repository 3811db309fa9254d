"""Where a subject's movement is broken: at the cuts of the video, and where the landmarks jump as no body does.

Landmarks jump where a tracker changes over to something else, and at the cuts of a video of which only landmarks are
at hand.
"""

from dataclasses import dataclass

import numpy as np

from posellm_assets.poses.landmarks import ANKLES, SHOULDERS
from posellm_assets.poses.poses import SubjectPoses

# Half of the landmarks move by this share of the body's size from one frame to the next, and by so many times as much
# as around: 10 m/s at 30 frames/s. The fastest of 60 real clips without a cut reach 0.18.
_JUMP = 0.2
_SUDDEN = 7.0
_BEFORE, _AFTER = 12, 6  # frames around
_MAX_GAP_S = 0.25
_AT_ONCE_S = 0.15  # a body is elsewhere for longer
_BODY_M = 1.7


@dataclass(frozen=True)
class Breaks:
    """`at_s`: the times (s) of the first frames behind a cut or a jump, in order; `stray` (T,) bool: the frames between
    two jumps that follow each other at once, in which the landmarks were elsewhere or left was taken for right."""

    at_s: tuple[float, ...]
    stray: np.ndarray


def breaks(subject: SubjectPoses) -> Breaks:
    """Where a subject's movement is broken. Landmarks that jump away and back again at once leave it whole."""
    frames, stray = np.flatnonzero(subject.seen), np.zeros(len(subject.time_s), bool)
    if len(frames) < 2:
        return Breaks(subject.cuts_s, stray)
    time_s, body = subject.time_s[frames], slice(SHOULDERS[0], ANKLES[1] + 1)
    pixels, world = subject.pixels[frames, body].astype(np.float64), subject.world[frames, body, :2]
    size_px = np.maximum(_BODY_M * _spread(pixels) / np.maximum(_spread(world), 0.05), 1.0)
    moved = _apart(pixels[1:], pixels[:-1]) / size_px[:-1]
    near = np.diff(time_s) <= _MAX_GAP_S
    jumps = [
        index + 1
        for index in np.flatnonzero((moved >= _JUMP) & near).tolist()
        if moved[index] >= _SUDDEN * np.median(_around(moved, index))
    ]
    at_s = set(subject.cuts_s)
    for first, last in _at_once(jumps, time_s):
        stray[frames[first:last]] = True
        if first == last or _apart(pixels[last : last + 1], pixels[first - 1 : first])[0] >= _JUMP * size_px[last]:
            at_s.add(float(time_s[last]))
    return Breaks(tuple(sorted(at_s)), stray)


def _at_once(jumps: list[int], time_s: np.ndarray) -> list[tuple[int, int]]:
    """The first and the last of each group of jumps that follow each other at once."""
    groups: list[tuple[int, int]] = []
    for jump in jumps:
        if groups and time_s[jump] - time_s[groups[-1][1]] <= _AT_ONCE_S:
            groups[-1] = groups[-1][0], jump
        else:
            groups.append((jump, jump))
    return groups


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(T,) how far half of the points (T, N, 2) lie apart at least."""
    return np.asarray(np.median(np.linalg.norm(one - other, axis=-1), axis=1))


def _around(values: np.ndarray, index: int) -> np.ndarray:
    around = np.concatenate([values[max(0, index - _BEFORE) : index], values[index + 1 : index + 1 + _AFTER]])
    return around if len(around) else np.zeros(1)


def _spread(points: np.ndarray) -> np.ndarray:
    """(T,) how far the points (T, N, 2) lie apart."""
    return np.asarray(np.sqrt(points.var(axis=1).sum(axis=-1)))
