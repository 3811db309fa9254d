"""What was measured of a repetition: how far it went, how long it took, the angles of joints, and their curves."""

import numpy as np

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.picture import SIDES
from posellm_assets.coaching.labels.quantities import QUANTITIES, Unit, measure_quantity
from posellm_assets.coaching.labels.rules import ExerciseRules
from posellm_assets.records import Record

POINTS = 25
"""Of a curve, evenly over the repetition."""
JOINTS = ("knee", "hip", "elbow")
_MOVES_DEG = 20.0


class JointAngles(Record):
    """The least and the largest angle of a joint of one side, 180 straight (degrees)."""

    joint: str
    side: str
    least: float
    most: float


class MeasuredRepetition(Record):
    """`value` is that of the quantity by which the exercise is counted, None where it was not seen; `there_s` is how
    long the body took to its farthest point, `back_s` to return.

    `curves` are `POINTS` values each, of that quantity and of the angles that move, None where nothing was seen.
    """

    quantity: str
    unit: Unit
    value: float | None
    there_s: float
    back_s: float
    angles: tuple[JointAngles, ...]
    curves: dict[str, tuple[float | None, ...]]


def measured_of(clip: MeasuredClip, rules: ExerciseRules, one: Repetition) -> MeasuredRepetition:
    """What was measured of a repetition, or of a time for which something was held."""
    name = rules.counting.quantity
    value = measure_quantity(clip, name, one.side or "both", one)
    wanted = [(name, one.side or "both"), *((f"{joint}_angle", "both") for joint in JOINTS)]
    curves = {quantity: _curve(clip, quantity, side, one) for quantity, side in wanted}
    return MeasuredRepetition(
        quantity=name,
        unit=QUANTITIES[name].unit,
        value=None if value is None else round(value, 3),
        there_s=round(one.peak_s - one.start_s, 3),
        back_s=round(one.end_s - one.peak_s, 3),
        angles=tuple(_angles(clip, one)),
        curves={quantity: curve for quantity, curve in curves.items() if curve and (quantity == name or _moves(curve))},
    )


def _angles(clip: MeasuredClip, one: Repetition) -> list[JointAngles]:
    found = []
    for joint in JOINTS:
        for side in SIDES:
            values = clip.signals.get((f"{joint}_angle", side))
            inside = None if values is None else values[one.start : one.end + 1]
            if inside is not None and np.isfinite(inside).any() and clip.shows(joint, side, one):
                least, most = round(float(np.nanmin(inside))), round(float(np.nanmax(inside)))
                found.append(JointAngles(joint=joint, side=side, least=least, most=most))
    return found


def _curve(clip: MeasuredClip, quantity: str, side: str, one: Repetition) -> tuple[float | None, ...]:
    values = clip.signals.get((quantity, side))
    if values is None or one.end <= one.start:
        return ()
    frames = np.arange(one.start, one.end + 1)
    at = np.interp(np.linspace(one.start, one.end, POINTS), frames, values[frames])
    return tuple(round(float(value), 3) if np.isfinite(value) else None for value in at)


def _moves(curve: tuple[float | None, ...]) -> bool:
    seen = [value for value in curve if value is not None]
    return bool(seen) and max(seen) - min(seen) >= _MOVES_DEG
