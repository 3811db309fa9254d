"""The quantities that rules and teachers speak of: what each is called, and its value over a repetition."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from posellm_assets.coaching.labels.measurements import AT_DEPTH_S, MeasuredClip, Repetition

MOMENT = 0.4  # of the time of a hold

Unit = Literal["degrees", "s", "share"]
Value = Callable[[MeasuredClip, str, Repetition], float | None]


@dataclass(frozen=True)
class Quantity:
    """`error` is how far the measured value may lie from the true one: so far past its limit a rule is silent.

    `tolerance` is how far a claim may lie from the measured value; `sides` are those it can be said of.
    """

    unit: Unit
    error: float
    tolerance: float
    joint: str | None
    sides: tuple[str | None, ...]
    value: Value
    means: str


def _least(signal: str) -> Value:
    return lambda clip, side, repetition: _extreme(clip, signal, side, repetition, np.nanmin)


def _most(signal: str) -> Value:
    return lambda clip, side, repetition: _extreme(clip, signal, side, repetition, np.nanmax)


def _usual(signal: str) -> Value:
    return lambda clip, side, repetition: _extreme(clip, signal, side, repetition, np.nanmedian)


def _extreme(
    clip: MeasuredClip, signal: str, side: str, repetition: Repetition, of: Callable[[np.ndarray], float]
) -> float | None:
    values = clip.signals.get((signal, side or "both"))
    inside = None if values is None else values[repetition.start : repetition.end + 1]
    if inside is None or not np.isfinite(inside).any():
        return None
    if repetition.held:  # what is seen for a moment, as while somebody lies down, is not how it is held
        inside = np.nanpercentile(inside, (100 * MOMENT, 100 - 100 * MOMENT))
    return float(of(inside))


def _at_depth(signal: str) -> Value:
    return lambda clip, side, repetition: _at_peak(clip, signal, side, repetition)


def _at_peak(clip: MeasuredClip, signal: str, side: str, repetition: Repetition) -> float | None:
    reach = max(1, round(AT_DEPTH_S * clip.motion.fps))
    around = clip.signals[signal, side][max(repetition.peak - reach, 0) : repetition.peak + reach + 1]
    return float(np.nanmedian(around)) if np.isfinite(around).any() else None


def _lag(clip: MeasuredClip, side: str, repetition: Repetition) -> float | None:
    if repetition.side:
        return None  # the other arm was not to be raised
    other = "right" if side == "left" else "left"
    own, others = (_most("arm_raise")(clip, one, repetition) for one in (side, other))
    return None if own is None or others is None else others - own


def _swing(clip: MeasuredClip, side: str, repetition: Repetition) -> float | None:
    least, most = (one("trunk_lean")(clip, side, repetition) for one in (_least, _most))
    return None if least is None or most is None else most - least


def _hips_first(clip: MeasuredClip, side: str, repetition: Repetition) -> float | None:
    lean = clip.signals["trunk_lean", "both"][repetition.start : repetition.peak + 1]
    return float(np.nanmax(lean) - lean[0]) if np.isfinite(lean[:1]).any() else None


QUANTITIES: dict[str, Quantity] = {
    "knee_angle": Quantity("degrees", 15, 10, "knee", ("left", "right", "both"), _least("knee_angle"),
        "the smallest angle of the knee, 180 straight; both is their mean"),
    "hip_angle": Quantity("degrees", 15, 10, "hip", ("left", "right", "both"), _least("hip_angle"),
        "the smallest angle between trunk and thigh, 180 straight"),
    "elbow_angle": Quantity("degrees", 15, 10, "elbow", ("left", "right", "both"), _least("elbow_angle"),
        "the smallest angle of the elbow, 180 straight"),
    "arm_raise": Quantity("degrees", 6, 10, "shoulder", ("left", "right", "both"), _most("arm_raise"),
        "how high the hand gets, by its height over the shoulder: 0 hanging, 90 level, 180 straight up; both is the "
        "higher arm"),
    "arm_lag": Quantity("degrees", 6, 12, "shoulder", ("left", "right"), _lag,
        "how much lower this arm gets than the other (difference of arm_raise)"),
    "trunk_angle": Quantity("degrees", 10, 10, "trunk", ("both",), _most("trunk_angle"),
        "how far the trunk leans from upright at most"),
    "side_bend": Quantity("degrees", 2, 4, "trunk", ("both",), _most("side_bend"),
        "how far the trunk leans to a side at most"),
    "hip_drop": Quantity("share", 0.04, 0.06, "knee", ("both",), _most("hip_drop"),
        "how far the hips sink, as a share of their height over the ankles when standing"),
    "knee_in": Quantity("degrees", 8, 8, "knee", ("left", "right"), _at_depth("knee_in"),
        "how far inward of straight ahead the knee points at the farthest point, negative where it points outward"),
    "trunk_lean": Quantity("degrees", 5, 10, "trunk", ("both",), _most("trunk_lean"),
        "how far the trunk leans at most, by the height of the shoulders over the hips: 0 upright, 90 level"),
    "trunk_raise": Quantity("degrees", 5, 10, "trunk", ("both",), _most("trunk_raise"),
        "how far the trunk is raised at most, by the height of the shoulders over the hips: 0 lying, 90 upright"),
    "trunk_swing": Quantity("degrees", 5, 10, "trunk", ("both",), _swing,
        "how much the trunk's lean changes over the repetition"),
    "hips_first": Quantity("degrees", 5, 10, "trunk", ("both",), _hips_first,
        "how much further the trunk leans on the way up than at its beginning, because the hips rise before it"),
    "hip_sag": Quantity("degrees", 5, 10, "hip", ("both",), _most("hip_sag"),
        "how far the hips are below the line from shoulder to ankle at most, as the angle that is missing to 180"),
    "hip_pike": Quantity("degrees", 5, 10, "hip", ("both",), _most("hip_pike"),
        "how far the hips are above the line from shoulder to ankle at most, as the angle that is missing to 180"),
    "head_drop": Quantity("degrees", 10, 15, "shoulder", ("both",), _usual("head_drop"),
        "how far the ear is below the line from hip to shoulder most of the time, in degrees"),
    "hip_open": Quantity("degrees", 5, 10, "hip", ("both",), _most("hip_open"),
        "the largest angle of shoulder, hip and knee in the picture, 180 straight"),
    "knee_open": Quantity("degrees", 5, 10, "knee", ("both",), _most("knee_open"),
        "the largest angle of hip, knee and ankle in the picture, 180 straight"),
    "arm_fold": Quantity("share", 0.05, 0.1, "elbow", ("left", "right", "both"), _most("arm_fold"),
        "how much nearer the hands come to the height of the shoulders than with straight arms, as a share of the arm"),
    "chin_up": Quantity("share", 0.1, 0.1, "elbow", ("both",), _most("chin_up"),
        "how far the mouth gets above the lower hand, as a share of the arm's length; negative below it"),
    "knee_lift": Quantity("degrees", 8, 10, "knee", ("left", "right", "both"), _most("knee_lift"),
        "how high the knee gets, by its height below the hip: 0 hanging, 90 level with the hip"),
    "heel_raise": Quantity("share", 0.01, 0.04, "ankle", ("both",), _most("heel_raise"),
        "how far both heels rise over the toes, as a share of the leg's length"),
    "hip_rise": Quantity("share", 0.05, 0.06, "hip", ("both",), _most("hip_rise"),
        "how far the hips rise over where they are lowest, as a share of the leg's length"),
    "hands_aside": Quantity("share", 0.05, 0.12, "wrist", ("left", "right", "both"), _most("hands_aside"),
        "how far the hands go to a side of the hips, as a share of the trunk's length"),
    "hands_low": Quantity("share", 0.05, 0.1, "wrist", ("both",), _most("hands_low"),
        "how low the higher hand gets: 0 at the height of the hips when standing, 1 at that of the ankles"),
    "elbow_flare": Quantity("degrees", 10, 12, "elbow", ("left", "right"), _at_depth("elbow_flare"),
        "how far the upper arm points away from the body at the lowest point, seen from the head: 0 along it"),
    "repetition_s": Quantity("s", 0.05, 0.25, None, (None,),
        lambda clip, side, repetition: repetition.end_s - repetition.start_s,
        "how long the repetition takes from leaving the first position to coming back"),
}  # fmt: skip


def measure_quantity(clip: MeasuredClip, quantity: str, side: str | None, repetition: Repetition) -> float | None:
    """The value of a quantity over a repetition; None where the clip does not show it, or not that limb."""
    one = QUANTITIES[quantity]
    compared = ("left", "right") if quantity == "arm_lag" else (side,)
    if not all(clip.shows(one.joint, each, repetition) for each in compared if each in ("left", "right")):
        return None
    return one.value(clip, side or "both", repetition)


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
