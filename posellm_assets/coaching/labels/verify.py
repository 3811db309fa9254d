"""Every point of every label is verified against the measured pose before it is kept, whoever said it.

What fails is rejected with all its reasons, each led by the name of the check: schema, timestamp, quantity,
visible, side, angle, mistake, script, vectors, focus.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.overlays import CURRENT, LIMB_END, TARGET, shown_side
from posellm_assets.coaching.labels.picture import body_px
from posellm_assets.coaching.labels.quantities import QUANTITIES, measure_quantity, median_time_s, said
from posellm_assets.coaching.labels.rules import rules_of
from posellm_assets.coaching.labels.schema import FeedbackPoint, Point, Rejected

NEAR = 0.15  # of the body's height in the picture: how far from its joint a mark may be
SAME_START = 0.01
AT_A_REPETITION_S = 0.2
SIDE_WORDS = re.compile(r"\b(left|right)\b(?! (?:away|after|now|before|at|through|up)\b)", re.IGNORECASE)
DEGREES = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:°|deg\b|degrees?\b)", re.IGNORECASE)
PERCENT = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:%|percent\b|per cent\b)", re.IGNORECASE)


def verify(clip: MeasuredClip, point: Any, repetitions: Sequence[Repetition]) -> FeedbackPoint | Rejected:
    """The point (JSON values), typed, where the measured pose verifies it; else what was rejected and why."""
    try:
        typed = FeedbackPoint.model_validate(point)
    except ValidationError as error:
        reasons = [f"schema: {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:3]]
        return Rejected(reasons=tuple(reasons), said=point)
    reasons = list(_reasons(clip, typed, repetitions))
    return Rejected(reasons=tuple(reasons), said=point) if reasons else typed


def _reasons(clip: MeasuredClip, point: FeedbackPoint, repetitions: Sequence[Repetition]) -> Iterator[str]:
    time_s = point.mistake_timestamp_ms / 1000
    if time_s > clip.duration_s:
        yield f"timestamp: {time_s:.2f} s lies past the clip's end at {clip.duration_s:.2f} s"
        return
    if wrong := [number for number in point.repetitions if not 1 <= number <= len(repetitions)]:
        yield f"timestamp: there is no repetition {wrong[0]}, only {len(repetitions)}"
    quantity = QUANTITIES.get(point.measured.quantity)
    if quantity is None:
        yield f"quantity: nothing measures {point.measured.quantity!r}; there are {', '.join(QUANTITIES)}"
        return
    if point.joint != quantity.joint or point.side not in quantity.sides or point.measured.unit != quantity.unit:
        yield (
            f"quantity: {point.measured.quantity} is of the {quantity.joint} {quantity.sides} in {quantity.unit}, "
            f"not of the {point.joint} ({point.side}) in {point.measured.unit}"
        )
        return
    where = _where(clip, point, time_s)
    if where is None:
        yield f"visible: the {point.side or ''} {point.joint or 'body'} cannot be seen at {time_s:.2f} s"
    yield from _measured(clip, point, _moment(clip, time_s, repetitions), repetitions)
    yield from _script(point)
    if where is not None:
        yield from _visuals(clip, point, where, time_s)


def _where(clip: MeasuredClip, point: FeedbackPoint, time_s: float) -> Point | None:
    """Where the joint of a point is in the picture; the middle of the hips where the whole body is meant."""
    if point.joint is None or point.joint == "trunk":
        return clip.landmark("hip", "both", time_s)
    return clip.landmark(point.joint, shown_side(clip, point.joint, point.side, time_s), time_s)


def _moment(clip: MeasuredClip, time_s: float, repetitions: Sequence[Repetition]) -> Repetition:
    """The repetition at a time, or the moment itself where there is none."""
    for one in repetitions:
        if one.start_s - AT_A_REPETITION_S <= time_s <= one.end_s + AT_A_REPETITION_S:
            return one
    return clip.around(time_s)


def _measured(
    clip: MeasuredClip, point: FeedbackPoint, moment: Repetition, repetitions: Sequence[Repetition]
) -> Iterator[str]:
    """Whether the quantity has the value that is said, on the side that is said, and whether that is a mistake."""
    name, quantity, claim = point.measured.quantity, QUANTITIES[point.measured.quantity], point.measured.value
    if name == "repetition_s" and moment.number == 0:
        yield f"timestamp: there is no repetition at {moment.peak_s:.2f} s to take {claim:.1f} s"
        return
    value = measure_quantity(clip, name, point.side, moment)
    if value is None:
        yield f"angle: {name} cannot be measured at {moment.peak_s:.2f} s"
        return
    if abs(value - claim) > quantity.tolerance:
        other = {"left": "right", "right": "left"}.get(point.side or "")
        of_other = measure_quantity(clip, name, other, moment) if other else None
        told, is_so = said(claim, quantity.unit), said(value, quantity.unit)
        if of_other is not None and abs(of_other - claim) <= quantity.tolerance:
            yield f"side: {told} is measured on the {other} {point.joint}, not on the {point.side} ({is_so})"
        else:
            yield f"angle: said {told}, measured {is_so} ({name}, {point.side})"
        return
    rules = rules_of(clip.exercise)
    limits = [rule for rule in rules.rules if rule.quantity == name and rule.is_about(moment)] if rules else []
    scales = [median_time_s(repetitions) if rule.of_median else 1.0 for rule in limits]
    if limits and all(rule.excess(value, scale) <= 0 for rule, scale in zip(limits, scales, strict=True)):
        yield f"mistake: {name} of {said(value, quantity.unit)} is within the limits of the {rules and rules.exercise}"
    if not limits and abs(value - point.measured.target) <= quantity.tolerance:
        yield f"mistake: {said(value, quantity.unit)} is what it should be ({name})"


def _script(point: FeedbackPoint) -> Iterator[str]:
    """Whether the words name the side first of all, and no other numbers than those measured."""
    sides = [word.lower() for word in SIDE_WORDS.findall(point.coaching_script)]
    if point.side in ("left", "right") and (not sides or sides[0] != point.side):
        yield f"side: the point is about the {point.side}, its script says {sides[0] if sides else 'no side'}"
    quantity, measured = QUANTITIES[point.measured.quantity], point.measured
    for unit, pattern, factor in (("degrees", DEGREES, 1.0), ("share", PERCENT, 0.01)):
        for number in map(float, pattern.findall(point.coaching_script)):
            near = min(abs(abs(number) * factor - abs(known)) for known in (measured.value, measured.target))
            if quantity.unit != unit or near > quantity.tolerance:
                yield f"script: it says {number:g} {unit}, and nothing measured is that"


def _visuals(clip: MeasuredClip, point: FeedbackPoint, where: Point, time_s: float) -> Iterator[str]:
    visuals, reach = point.visuals, NEAR * body_px(clip.subject)
    size = np.array([clip.subject.width, clip.subject.height], float)

    def apart(first: Point, second: Point) -> float:
        return float(np.linalg.norm((np.array(first) - second) * size))

    if visuals.focus_point and apart((visuals.focus_point.x, visuals.focus_point.y), where) > reach:
        yield f"focus: the focus point is not on the {point.side or ''} {point.joint or 'body'}"
    if visuals.overlay_type != "ANGLE_CORRECTION":
        if visuals.vectors:
            yield f"vectors: {visuals.overlay_type} has none, not {len(visuals.vectors)}"
        if visuals.overlay_type == "PATH_TRACE" and len(visuals.path_points) < 2:
            yield "vectors: PATH_TRACE needs at least two path points"
        if visuals.overlay_type != "PATH_TRACE" and visuals.focus_point is None:
            yield f"focus: {visuals.overlay_type} needs a focus point"
        return
    if point.joint is None or sorted(vector.label for vector in visuals.vectors) != [CURRENT, TARGET]:
        labels = ", ".join(vector.label for vector in visuals.vectors) or "none"
        yield f"vectors: ANGLE_CORRECTION needs a joint and exactly the two vectors Current and Target, not {labels}"
        return
    current, target = sorted(visuals.vectors, key=lambda vector: vector.label)
    if float(np.abs(np.array(current.start) - target.start).max()) > SAME_START:
        yield "vectors: Current and Target do not start at the same joint"
    if apart(current.start, where) > reach:
        yield f"vectors: they do not start at the {point.side or ''} {point.joint}"
    side = shown_side(clip, point.joint, point.side, time_s)
    end = clip.landmark(LIMB_END.get(point.joint, point.joint), side, time_s)
    if end is None or apart(current.end, end) > reach:
        yield f"vectors: Current does not end at the {LIMB_END.get(point.joint, point.joint)}"
