"""What can be measured of a movement: which joints move, how far, how often, how fast, on which side, and when not.

A fact is a number with its unit and the time span that it was measured over, so that every sentence made from it can be
traced to frames. How the signals are taken from the joints is in `signals.py`; words are in `captions.py` and
`describe.py`.
"""

import numpy as np

from posellm_assets.motion.motion import Motion, runs
from posellm_assets.texts.certainty import judged_movements, judged_relation, judged_speed
from posellm_assets.texts.coordination import orders, symmetry
from posellm_assets.texts.fact import Fact, Side, frame_times, new_fact
from posellm_assets.texts.relations import relation_facts
from posellm_assets.texts.repetition import both_ways
from posellm_assets.texts.signals import (
    FULL_DEG,
    MOVES_DEG,
    NEUTRAL_DEG,
    PAIRED,
    Signals,
    angle_signals,
    axes,
    in_picture,
    limb_speeds,
    stillness_speed,
)

SHORTEST_S = 1.0  # of a shorter stretch nothing is measured
BACK_SHARE = 0.65  # of its range that a single movement must come back
ONCE_PERCENTILES = (10, 90)
MOVES_SPEED = 0.25  # body lengths per second
STILL_SPEED = 0.12  # body lengths per second, over a whole second
STILL_S = 2.0
POSTURE: tuple[tuple[str, Side], ...] = (
    ("trunk", None), ("knee", "left"), ("knee", "right"), ("hip", "left"), ("hip", "right")
)  # fmt: skip
TOGETHER = 0.6  # correlation above which two sides are one movement
IN_TURN = -0.3


def measure_stretches(motion: Motion) -> list[tuple[Motion, list[Fact]]]:
    """Each stretch without a gap or a cut and its facts: how often somebody squats in one says nothing of the next."""
    return [(stretch, measure(stretch)) for stretch in motion.segments(SHORTEST_S)]


def measure(motion: Motion) -> list[Fact]:
    """Facts of a motion, the joint that moves most first; gaps (NaN) are left out, nothing is guessed across them.

    A joint that the skeleton lacks, or that is seen for less than a second, gives no fact.
    """
    signals = angle_signals(motion)
    moving = [facts for joint in MOVES_DEG for facts in _movement(joint, signals, motion)]
    if any(group[0].joint == "side" for group in moving):  # the same lean, told with its direction
        moving = [group for group in moving if group[0].joint != "trunk"]
    moving = judged_movements(sorted(moving, key=_prominence, reverse=True), motion, signals)
    facts = [one for group in moving for one in group]
    facts += orders(moving, signals, NEUTRAL_DEG, motion)
    facts += [judged_relation(one, motion) for one in relation_facts(motion)]
    return facts + _speeds(motion) + _holds(motion, signals)


def _movement(joint: str, signals: Signals, motion: Motion) -> list[list[Fact]]:
    """Facts of one joint, a group for each side that moves (or one group for both)."""
    if joint not in PAIRED:
        return _groups(_one_side(joint, None, signals.get((joint, None)), motion))
    left, right = signals.get((joint, "left")), signals.get((joint, "right"))
    sides: dict[Side, list[Fact]] = {"left": _one_side(joint, "left", left, motion)}
    sides["right"] = _one_side(joint, "right", right, motion)
    if left is None or right is None or not (sides["left"] and sides["right"]):
        return _groups(sides["left"], sides["right"])
    correlation = _correlation(left, right)
    if correlation >= TOGETHER:
        both = _one_side(joint, "both", (left + right) / 2, motion)
        if both:
            directions = axes(motion)
            # Of somebody seen from the side the far limb is guessed: nothing is said of how it compares.
            seen = directions is not None and in_picture(motion, directions[0])[np.isfinite(left + right)].mean() > 0.5
            alike = symmetry(joint, left, right, both[0].start_s, both[0].end_s) if seen else None
            return [[*both, alike] if alike else both]
    repeated = all(any(fact.kind == "repetition" for fact in facts) for facts in sides.values())
    if correlation <= IN_TURN and repeated:
        start_s, end_s = _span(np.isfinite(left + right), motion)
        turns = Fact(
            kind="alternation", joint=joint, side="both", value=round(correlation, 2), unit="correlation",
            start_s=start_s, end_s=end_s,
        )  # fmt: skip
        return [[*_outwards(sides["left"]), *_outwards(sides["right"]), turns]]
    return _groups(sides["left"], sides["right"])


def _groups(*groups: list[Fact]) -> list[list[Fact]]:
    return [group for group in groups if group]


def _one_side(joint: str, side: Side, signal: np.ndarray | None, motion: Motion) -> list[Fact]:
    """Angle, repetition and period of one signal, or nothing where it does not move."""
    if signal is None or np.isfinite(signal).sum() < motion.fps:
        return []
    neutral = NEUTRAL_DEG[joint]
    away = np.abs(signal - neutral)
    low, high = np.nanpercentile(away, (2, 98))
    if high - low < MOVES_DEG[joint]:
        return []
    times = frame_times(motion)
    found, count = both_ways(away, motion.fps, smallest=MOVES_DEG[joint])
    if count == 1:  # there and back again, and not a part of the way
        found, count = both_ways(away, motion.fps, smallest=max(MOVES_DEG[joint], BACK_SHARE * (high - low)))
    if count:
        start_s, end_s = times[found.start], times[found.end]
        ends = (np.median(signal[found.valleys]), np.median(signal[found.peaks]))
        facts = [_angle(joint, side, ends, start_s, end_s)]
        facts.append(new_fact("repetition", joint, side, count, "times", start_s, end_s))
        if count > 1 and found.period_s is not None:
            facts.append(new_fact("period", joint, side, found.period_s, "s", start_s, end_s))
        return facts
    # What is passed through in a moment, as where somebody comes into view, is no posture that a movement goes to.
    low, high = np.nanpercentile(away, ONCE_PERCENTILES)
    if high - low < MOVES_DEG[joint] or _turns(away, low, high) != 1:
        return []
    first, last = sorted((int(np.nanargmin(np.abs(away - low))), int(np.nanargmin(np.abs(away - high)))))
    return [_angle(joint, side, (signal[first], signal[last]), times[first], times[last])]


def _turns(away: np.ndarray, low: float, high: float) -> int:
    """How often a signal goes from its lower third to its upper third, or back."""
    third = (high - low) / 3
    ends = np.where(away >= high - third, 1, np.where(away <= low + third, -1, 0))
    ends = ends[ends != 0]
    return int((ends[1:] != ends[:-1]).sum())


def _outwards(facts: list[Fact]) -> list[Fact]:
    """The facts of a repeated movement, told from near the neutral posture outwards, wherever the clip begins."""
    angle, neutral = facts[0], NEUTRAL_DEG[facts[0].joint]
    near, far = sorted((angle.value, angle.to_value or 0.0), key=lambda value: abs(value - neutral))
    return [angle.model_copy(update={"value": near, "to_value": far}), *facts[1:]]


def _angle(joint: str, side: Side, values: tuple[float, float], start_s: float, end_s: float) -> Fact:
    fact = new_fact("angle", joint, side, values[0], "degrees", start_s, end_s)
    return fact.model_copy(update={"to_value": round(float(values[1]), 1)})


def _prominence(group: list[Fact]) -> float:
    """How much a movement makes of the clip: its share of the joint's range, more where it is repeated or regular."""
    shares = [abs(fact.value - fact.to_value) / FULL_DEG[fact.joint] for fact in group if fact.to_value is not None]
    kinds = {fact.kind for fact in group}
    return max(shares) * (1.0 + 0.5 * ("repetition" in kinds) + 1.0 * ("period" in kinds))


def _speeds(motion: Motion) -> list[Fact]:
    """Peak speed of the fastest hand and of the fastest foot, relative to the hips."""
    facts = []
    times = frame_times(motion)
    for joint in ("wrist", "ankle"):
        best: Fact | None = None
        for side, speed in limb_speeds(motion, joint).items():
            if np.isfinite(speed).sum() < motion.fps:
                continue
            top = float(np.nanpercentile(speed, 98))
            frame = int(np.nanargmin(np.abs(speed - top)))
            if top > MOVES_SPEED and (best is None or top > best.value):
                best = new_fact("speed", joint, side, top, "body lengths/s", times[frame], times[frame])
        if best is not None:
            facts.append(judged_speed(best, motion))
    return facts


def _holds(motion: Motion, signals: Signals) -> list[Fact]:
    """The longest span in which the body holds still, and the posture that it holds."""
    still = runs(stillness_speed(motion) < STILL_SPEED)
    first, end = max(still, key=lambda run: run[1] - run[0], default=(0, 0))
    if end - first < STILL_S * motion.fps:
        return []
    times = frame_times(motion)
    span = slice(first, end)
    for (joint, _), signal in signals.items():
        held = signal[span][np.isfinite(signal[span])]
        if len(held) and np.ptp(np.percentile(held, (2, 98))) >= MOVES_DEG[joint]:
            return []  # a movement too slow to be seen in a second
    start_s, end_s = float(times[first]), float(times[end - 1])
    facts = [new_fact("hold", "body", None, end_s - start_s, "s", start_s, end_s)]
    for joint, side in POSTURE:
        posture = signals.get((joint, side))
        if posture is not None and np.isfinite(posture[span]).mean() > 0.5:
            value = float(np.nanmedian(posture[span]))
            facts.append(new_fact("posture", joint, side, value, "degrees", start_s, end_s))
    return facts


def _correlation(left: np.ndarray, right: np.ndarray) -> float:
    seen = np.isfinite(left) & np.isfinite(right)
    if seen.sum() < 3 or np.ptp(left[seen]) == 0 or np.ptp(right[seen]) == 0:
        return 0.0
    return float(np.corrcoef(left[seen], right[seen])[0, 1])


def _span(seen: np.ndarray, motion: Motion) -> tuple[float, float]:
    frames = np.flatnonzero(seen)
    times = frame_times(motion)
    return round(float(times[frames[0]]), 3), round(float(times[frames[-1]]), 3)
