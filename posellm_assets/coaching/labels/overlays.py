"""What is drawn for a mistake: from the joint in the picture to where its limb is, and to where it should be."""

import math

import numpy as np

from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.picture import body_px
from posellm_assets.coaching.labels.quantities import QUANTITIES
from posellm_assets.coaching.labels.schema import FocusPoint, Vector, Visuals
from posellm_assets.poses.landmarks import HIPS, NAMES

CURRENT, TARGET = "Current", "Target"
RED, GREEN = "#e53935", "#43a047"
LIMB_END = {"shoulder": "elbow", "elbow": "wrist", "hip": "knee", "knee": "hip", "trunk": "shoulder"}
"""The joint that a vector from this joint points at."""
OTHER_END = {"shoulder": "hip", "elbow": "shoulder", "hip": "shoulder", "knee": "ankle"}
"""The other limb of the joint's angle."""
HIGHLIGHTED = frozenset(
    (
        *("trunk_swing", "hips_first", "head_drop", "arm_fold", "chin_up", "heel_raise", "hip_rise", "hands_aside"),
        *("hands_low", "elbow_flare"),
    )
)
"""Quantities whose target no turn of a limb in the picture shows: their joint is highlighted."""
UPWARDS = frozenset(("arm_raise", "arm_lag", "hip_pike", "knee_lift", "trunk_lean", "trunk_raise"))
"""Quantities of which the limb's end should be higher in the picture."""
KNEE_REACH = 0.2  # of the body's height to the shoulders: how far ahead of the hip a deeply bent knee is


def overlay(
    clip: MeasuredClip, quantity: str, side: str | None, value: float, target: float, time_s: float
) -> Visuals | None:
    """The overlay of a mistake; None where the joint or the end of its limb cannot be seen at `time_s`.

    The target is where the limb's end would be with the quantity at its target, as far as a picture can show it: turned
    by the missing degrees, or moved by the missing share of the hips' height in the picture.
    """
    joint = QUANTITIES[quantity].joint
    if joint is None or quantity in HIGHLIGHTED:
        if joint is None or joint == "trunk":
            focus = clip.landmark("hip", "both", time_s)
        else:
            focus = clip.landmark(joint, shown_side(clip, joint, side, time_s), time_s)
        return Visuals(overlay_type="POINT_HIGHLIGHT", focus_point=_focus(focus)) if focus else None
    shown = shown_side(clip, joint, side, time_s)
    start = clip.landmark("hip" if joint == "trunk" else joint, shown, time_s)
    end = clip.landmark(LIMB_END[joint], shown, time_s)
    if start is None or end is None:
        return None
    size = np.array([clip.subject.width, clip.subject.height], float)
    limb = (np.array(end) - start) * size
    towards = _towards(clip, quantity, shown, limb, time_s)
    if quantity == "knee_in":
        missing = math.sin(math.radians(value)) - math.sin(math.radians(target))
        aim = limb + towards * KNEE_REACH * missing * body_px(clip.subject)
    elif QUANTITIES[quantity].unit == "degrees":
        aim = _turned(limb, abs(target - value), towards)
    else:
        aim = limb + towards * abs(target - value) * body_px(clip.subject, HIPS)
    ends = np.array(start) + aim / size
    return _arrows(start, end, ends)


def turned_limb(clip: MeasuredClip, joint: str, side: str, degrees: float, time_s: float) -> Visuals | None:
    """The overlay of a joint that should be opened by `degrees`, closed where negative; None where it is hidden."""
    start, end, other = (clip.landmark(one, side, time_s) for one in (joint, LIMB_END[joint], OTHER_END[joint]))
    if start is None or end is None or other is None:
        return None
    size = np.array([clip.subject.width, clip.subject.height], float)
    limb, against = ((np.array(point) - start) * size for point in (end, other))
    away = limb / max(float(np.linalg.norm(limb)), 1e-9) - against / max(float(np.linalg.norm(against)), 1e-9)
    goal = np.array(start) + _turned(limb, abs(degrees), away if degrees > 0 else -away) / size
    return _arrows(start, end, goal)


def shown_side(clip: MeasuredClip, joint: str, side: str | None, time_s: float) -> str:
    """The side that is drawn: of both arms the one raised higher, of both legs the one seen better, of a trunk both."""
    if side != "both" or joint == "trunk":
        return side or "both"
    if joint == "shoulder":
        frame = int(np.argmin(np.abs(clip.time_s - time_s)))
        worth = [clip.signals["arm_raise", one][frame] for one in ("left", "right")]
    else:
        frame = int(np.argmin(np.abs(clip.subject.time_s - time_s)))
        worth = [clip.subject.visibility[frame, NAMES.index(f"{one}_{joint}")] for one in ("left", "right")]
    return "left" if worth[0] >= worth[1] else "right"


def _towards(clip: MeasuredClip, quantity: str, side: str, limb: np.ndarray, time_s: float) -> np.ndarray:
    """The direction (2,) in the picture in which the limb's end should move."""
    if quantity == "knee_in":  # the knee moves out, so seen from it the hip moves in
        hips = clip.subject.pixels[int(np.argmin(np.abs(clip.subject.time_s - time_s)))][list(HIPS)]
        inward = hips[1] - hips[0] if side == "left" else hips[0] - hips[1]
        return inward / max(float(np.linalg.norm(inward)), 1e-9)
    if quantity == "side_bend":  # on, to the side to which it leans
        return np.array([math.copysign(1.0, limb[0]), 0.0])
    return np.array([0.0, -1.0 if quantity in UPWARDS else 1.0])


def _turned(limb: np.ndarray, degrees: float, towards: np.ndarray) -> np.ndarray:
    """`limb` turned by `degrees` the way round that brings its end `towards` there."""
    ways = []
    for angle in (math.radians(degrees), -math.radians(degrees)):
        cos, sin = math.cos(angle), math.sin(angle)
        ways.append(np.array([[cos, -sin], [sin, cos]]) @ limb)
    return max(ways, key=lambda way: float(way @ towards))


def _arrows(start: tuple[float, float], end: tuple[float, float], goal: np.ndarray) -> Visuals:
    inside = (float(np.clip(goal[0], 0, 1)), float(np.clip(goal[1], 0, 1)))
    return Visuals(
        overlay_type="ANGLE_CORRECTION",
        focus_point=_focus(start),
        vectors=(
            Vector(start=start, end=end, color=RED, label=CURRENT),
            Vector(start=start, end=inside, color=GREEN, label=TARGET),
        ),
    )


def _focus(point: tuple[float, float]) -> FocusPoint:
    return FocusPoint(x=point[0], y=point[1])
