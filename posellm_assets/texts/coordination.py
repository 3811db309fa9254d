"""How movements go together: whether left and right do the same, and which of two joints moves first.

Measured on the angle signals and the movements found in them; a difference that the landmarks' error can make is not
told.
"""

from itertools import combinations

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.texts.fact import Fact, frame_times, new_fact
from posellm_assets.texts.repetition import repetitions
from posellm_assets.texts.signals import Signals

# Of one camera the far limb's angles err by about 10 degrees more than the near one's; two sides are called alike
# within that and different well beyond it.
ALIKE_DEG = 15.0
DIFFERENT_DEG = 35.0
# Joints that begin within a fifth of a second, or a tenth of a repetition, begin together for a viewer; landmarks are
# smoothed over 0.3 s.
LATER_S = 0.25
LATER_SHARE = 0.12
ONE_ACT_S = 3.0  # movements done once that lie further apart are told by their times
LATEST_SHARE = 0.25  # of a repetition: later than that it may as well be the other that came first
SAME_PERIOD = 1.15  # of two movements that belong to one another, the longer over the shorter
AGREEING = 0.8  # share of the repetitions that must keep the order
ORDERED = 3  # how many of the largest movements are compared

_Moving = tuple[Fact, list[Fact], np.ndarray]  # a movement's angle, all its facts, and how far from neutral it is


def symmetry(joint: str, left: np.ndarray, right: np.ndarray, start_s: float, end_s: float) -> Fact | None:
    """How far left and right, which move together, differ: alike, or one side going further; else None.

    Alike gives the median difference of the two angles (degrees), different the difference of their ranges, with the
    side that goes further.
    """
    difference = float(np.nanmedian(np.abs(left - right)))
    ranges = {side: np.subtract(*np.nanpercentile(signal, (98, 2))) for side, signal in (("l", left), ("r", right))}
    further = float(ranges["l"] - ranges["r"])
    if abs(further) >= DIFFERENT_DEG:
        return new_fact("asymmetry", joint, "left" if further > 0 else "right", abs(further), "degrees", start_s, end_s)
    if difference <= ALIKE_DEG and abs(further) <= ALIKE_DEG:
        return new_fact("symmetry", joint, "both", difference, "degrees", start_s, end_s)
    return None


def orders(groups: list[list[Fact]], signals: Signals, neutral: dict[str, float], motion: Motion) -> list[Fact]:
    """Which of the largest movements begins first, where that is clear in nearly every repetition.

    `groups` are the facts of each movement, the largest first; two movements are compared where both are repeated or
    both are done once. `value` is the median time between them (s), `times` in how many repetitions the order was kept.
    """
    moving = []
    for group in groups[:ORDERED]:
        angle = group[0]
        if any(one.kind == "alternation" for one in group):
            continue
        if angle.side == "both":
            signal = (signals[angle.joint, "left"] + signals[angle.joint, "right"]) / 2
        else:
            signal = signals[angle.joint, angle.side]
        moving.append((angle, group, np.abs(signal - neutral[angle.joint])))
    found = [_order(first, second, motion) for first, second in combinations(moving, 2)]
    return [one for one in found if one]


def _order(one: _Moving, two: _Moving, motion: Motion) -> Fact | None:
    (first, first_group, _), (second, second_group, _) = one, two
    repeated = [any(fact.kind == "repetition" for fact in group) for group in (first_group, second_group)]
    if first.joint == second.joint or repeated[0] != repeated[1]:
        return None
    begins = [_begins(angle, group, away, motion) for angle, group, away in (one, two)]
    if not len(begins[0]) or not len(begins[1]):
        return None
    # A repetition that the clip cuts off on one side has no partner: the shorter list is matched to the longer.
    fewer, more = sorted(begins, key=len)
    lags = [float(more[np.argmin(np.abs(more - at))] - at) * (1 if fewer is begins[0] else -1) for at in fewer]
    typical = float(np.median(lags))
    least, most = LATER_S, ONE_ACT_S
    if repeated[0]:
        if abs(len(begins[0]) - len(begins[1])) > 1 or min(map(len, begins)) < 2:
            return None
        periods = [float(np.median(np.diff(times))) for times in begins]
        period_s = min(periods)
        if max(periods) > SAME_PERIOD * period_s:
            return None
        least, most = max(LATER_S, LATER_SHARE * period_s), LATEST_SHARE * period_s
    kept = sum(np.sign(lag) == np.sign(typical) and abs(lag) >= least / 2 for lag in lags)
    if not least <= abs(typical) <= most or kept < AGREEING * len(lags):
        return None
    if typical < 0:
        first, second = second, first
    start_s, end_s = min(first.start_s, second.start_s), max(first.end_s, second.end_s)
    order = new_fact(
        "order", first.joint, first.side, abs(typical), "s", start_s, end_s,
        other=second.joint, other_side=second.side, times=int(kept),
    )  # fmt: skip
    return order.model_copy(update={"certainty": min(first.certainty, second.certainty)})


def _begins(angle: Fact, group: list[Fact], away: np.ndarray, motion: Motion) -> np.ndarray:
    """When each repetition of a movement, or the movement done once, is half way out: times in seconds."""
    times = frame_times(motion)
    if not any(one.kind == "repetition" for one in group):
        seen = np.flatnonzero(np.isfinite(away))
        out = away[seen] >= (away[seen].min() + away[seen].max()) / 2
        passed = np.flatnonzero(out[1:] != out[:-1])
        # Only a movement that passes its middle once has a time at which it is made.
        return times[seen[passed + 1]] if len(passed) == 1 else np.array([])
    found = repetitions(away, motion.fps, smallest=abs((angle.to_value or 0.0) - angle.value) / 2)
    if not len(found.peaks):
        return np.array([])
    low, high = np.nanmedian(away[found.valleys]), np.nanmedian(away[found.peaks])
    begins = []
    for peak in found.peaks:
        below = np.flatnonzero(away[:peak] < (low + high) / 2)
        if len(below):
            begins.append(times[below[-1]])
    return np.array(begins)
