"""How often an exercise is repeated, whatever moves in it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.texts.fact import Side
from posellm_assets.texts.repetition import both_ways, repetitions, self_similarity
from posellm_assets.texts.signals import FULL_DEG, NEUTRAL_DEG, PAIRED, Signals, angle_signals

_SMALLEST_DEG = 12.0  # of a range under this the landmarks' error makes as much
# How a joint that moves irregularly counts against one that moves in time, for the same share of its range.
_IRREGULAR = 0.25
# Of the range that a movement must go through to be a repetition: knees that are raised quickly differ in height.
_EXCURSION = 0.45
_IN_TURN = -0.3  # correlation of left and right over which they take no turns
# How much two postures that mirror each other may differ, mirrored, against as they are.
_MIRRORED = 0.25


@dataclass(frozen=True)
class Count:
    """Repetitions and their usual period; `period_s` is None where the movement is not periodic."""

    repetitions: int
    period_s: float | None


def count(motion: Motion) -> Count:
    """Repetitions in a motion without gaps.

    Counted on the joint that goes through most of its range most regularly: legs that rise in turn count one each time.
    """
    best, score = Count(0, None), 0.0
    signals = angle_signals(motion)
    for joint, sides in _joints(signals):
        ranges = [float(np.ptp(np.nanpercentile(signal, (3, 97)))) for signal in sides]
        if max(ranges) < _SMALLEST_DEG:
            continue
        signal, range_deg = sides[int(np.argmax(ranges))], max(ranges)
        worth = range_deg / FULL_DEG[joint] * (_IRREGULAR + self_similarity(signal, motion.fps))
        if worth <= score:
            continue
        found, times = both_ways(signal, motion.fps, 0.0, _EXCURSION)
        period_s = found.period_s
        if len(sides) == 2 and min(ranges) > max(ranges) / 2 and _take_turns(joint, signals, motion.fps):
            times = sum(both_ways(one, motion.fps, 0.0, _EXCURSION)[1] for one in sides)
            period_s = period_s / 2 if period_s else None
        best, score = Count(times, period_s), worth
    return best


def _take_turns(joint: str, signals: Signals, fps: float) -> bool:
    """Whether left and right do the same by turns: each has its posture at the other's turning points, mirrored.

    Else the two are halves of one repetition, as of a lunge from which the rear knee is raised.
    """
    left, right = signals[joint, "left"], signals[joint, "right"]
    if np.corrcoef(left, right)[0, 1] > _IN_TURN:
        return False
    away = [repetitions(np.abs(one - NEUTRAL_DEG[joint]), fps, 0.0, _EXCURSION).peaks for one in (left, right)]
    if not all(map(len, away)):
        return False
    pairs = [
        (signals[name, "left"], signals[name, "right"])
        for name in ("hip", "knee", "shoulder", "elbow")
        if (name, "left") in signals and (name, "right") in signals
    ]
    at_left, at_right = (np.array([[np.median(one[peaks]) for one in pair] for pair in pairs]) for peaks in away)
    return bool(np.abs(at_left - at_right[:, ::-1]).mean() < _MIRRORED * np.abs(at_left - at_right).mean())


def _joints(signals: Signals) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Each joint with the angles of the sides that were seen."""
    for joint in FULL_DEG:
        sides: tuple[Side, ...] = ("left", "right") if joint in PAIRED else (None,)
        seen = [signals[joint, side] for side in sides if (joint, side) in signals]
        if seen:
            yield joint, seen
