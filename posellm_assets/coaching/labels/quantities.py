"""The quantities that rules and teachers speak of: what each is called, and its value over a repetition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from posellm_assets.coaching.labels.measurements import AT_DEPTH_S, MeasuredClip, Repetition

Unit = Literal["degrees", "s", "share"]
Value = Callable[[MeasuredClip, str, Repetition], float | None]


@dataclass(frozen=True)
class Quantity:
    """`tolerance` is how far a claim may lie from the measured value; `sides` are those it can be said of."""

    unit: Unit
    tolerance: float
    joint: str | None
    sides: tuple[str | None, ...]
    value: Value
    means: str


def _least(signal: str) -> Value:
    return lambda clip, side, repetition: _extreme(clip, signal, side, repetition, np.nanmin)


def _most(signal: str) -> Value:
    return lambda clip, side, repetition: _extreme(clip, signal, side, repetition, np.nanmax)


def _extreme(
    clip: MeasuredClip, signal: str, side: str, repetition: Repetition, of: Callable[[np.ndarray], float]
) -> float | None:
    values = clip.signals.get((signal, side or "both"))
    inside = None if values is None else values[repetition.start : repetition.end + 1]
    return None if inside is None or not np.isfinite(inside).any() else float(of(inside))


def _at_depth(clip: MeasuredClip, side: str, repetition: Repetition) -> float | None:
    values = clip.signals.get(("knee_in", side))
    if values is None:
        return None
    reach = max(1, round(AT_DEPTH_S * clip.motion.fps))
    around = values[max(repetition.peak - reach, 0) : repetition.peak + reach + 1]
    return float(np.nanmedian(around)) if np.isfinite(around).any() else None


def _lag(clip: MeasuredClip, side: str, repetition: Repetition) -> float | None:
    if repetition.side:
        return None  # the other arm was not to be raised
    other = "right" if side == "left" else "left"
    own, others = (_most("arm_raise")(clip, one, repetition) for one in (side, other))
    return None if own is None or others is None else others - own


QUANTITIES: dict[str, Quantity] = {
    "knee_angle": Quantity("degrees", 10, "knee", ("left", "right", "both"), _least("knee_angle"),
        "the smallest angle of the knee, 180 straight; both is their mean"),
    "hip_angle": Quantity("degrees", 10, "hip", ("left", "right", "both"), _least("hip_angle"),
        "the smallest angle between trunk and thigh, 180 straight"),
    "elbow_angle": Quantity("degrees", 10, "elbow", ("left", "right", "both"), _least("elbow_angle"),
        "the smallest angle of the elbow, 180 straight"),
    "arm_raise": Quantity("degrees", 10, "shoulder", ("left", "right", "both"), _most("arm_raise"),
        "how high the hand gets, by its height over the shoulder: 0 hanging, 90 level, 180 straight up; both is the "
        "higher arm"),
    "arm_lag": Quantity("degrees", 12, "shoulder", ("left", "right"), _lag,
        "how much lower this arm gets than the other (difference of arm_raise)"),
    "trunk_angle": Quantity("degrees", 10, "trunk", ("both",), _most("trunk_angle"),
        "how far the trunk leans from upright at most"),
    "side_bend": Quantity("degrees", 4, "trunk", ("both",), _most("side_bend"),
        "how far the trunk leans to a side at most"),
    "hip_drop": Quantity("share", 0.06, "knee", ("both",), _most("hip_drop"),
        "how far the hips sink, as a share of their height over the ankles when standing"),
    "knee_in": Quantity("degrees", 8, "knee", ("left", "right"), _at_depth,
        "how far inward of straight ahead the knee points at the farthest point, negative where it points outward"),
    "repetition_s": Quantity("s", 0.25, None, (None,),
        lambda clip, side, repetition: repetition.end_s - repetition.start_s,
        "how long the repetition takes from leaving the first position to coming back"),
}  # fmt: skip


def measure_quantity(clip: MeasuredClip, quantity: str, side: str | None, repetition: Repetition) -> float | None:
    """The value of a quantity over a repetition; None where the clip does not show it."""
    return QUANTITIES[quantity].value(clip, side or "both", repetition)


def moment_s(clip: MeasuredClip, quantity: str, side: str | None, repetition: Repetition) -> float:
    """When in the repetition the quantity has its value: of an arm that lags, when that arm is highest."""
    signal = "arm_raise" if quantity == "arm_lag" else quantity
    values = clip.signals.get((signal, side or "both"))
    inside = None if values is None else values[repetition.start : repetition.end + 1]
    if quantity == "knee_in" or inside is None or not np.isfinite(inside).any():
        return repetition.peak_s
    pick = np.nanargmin if quantity in ("knee_angle", "hip_angle", "elbow_angle") else np.nanargmax
    return round(float(clip.time_s[repetition.start + pick(inside)]), 3)


def said(value: float, unit: Unit) -> str:
    """A value as it is said: `62 degrees`, `14 %`, `0.8 s`."""
    if unit == "degrees":
        return f"{value:.0f} degrees"
    return f"{100 * value:.0f} %" if unit == "share" else f"{value:.1f} s"


def median_time_s(repetitions: Sequence[Repetition]) -> float:
    """The median time of repetitions."""
    return float(np.median([one.end_s - one.start_s for one in repetitions]))
