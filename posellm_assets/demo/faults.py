"""Faults that the athletes make on purpose, repetition by repetition, so that what finds them can be measured.

A clip with planted faults begins and ends standing in its first pose and shows its repetitions in order: `with_faults`
in `footage` makes one from a clip of the plan, and `read_repetitions` there reads back what was planted, and when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from posellm_assets.demo.movements import DemoMovement, Side
from posellm_assets.demo.posing import TOE_SHARE

Fault = Literal["shallow", "knee valgus", "asymmetric arms", "too fast", "truncated range"]
FAULTS_OF: dict[str, tuple[Fault, ...]] = {
    "squat": ("shallow", "knee valgus", "asymmetric arms", "too fast"),
    "lunge": ("shallow", "knee valgus", "too fast"),
    "jumping jack": ("asymmetric arms", "truncated range", "too fast"),
    "arm raise": ("asymmetric arms", "truncated range", "too fast"),
    "side bend": ("truncated range", "too fast"),
}
"""The faults that can be planted in a movement, by its name."""
STAND_S = 0.5  # standing before the first repetition and after the last

LOST_RANGE = 0.5  # share of the range that a fault of strength 1 takes away
KNEE_IN_DEG = 15.0  # how far inward of straight ahead the knee points at the lowest point, at strength 1
SPEED_UP = 1.0  # a repetition too fast, at strength 1, goes at twice the speed
ARM_ANGLES = ("arm", "abd", "elb", "rot")


@dataclass(frozen=True)
class DemoRepetition:
    """One repetition, clean where `fault` is None.

    `side` is the athlete's own: the knee that falls in, or the arm that lags. Knees alone may fall in both at once
    (side None). `strength` 1 is a plain fault; 0 would be none.
    """

    fault: Fault | None = None
    side: Side | None = None
    strength: float = 1.0


@dataclass(frozen=True)
class PlannedRepetition:
    """What was planted in a clip, and when it is seen (s of the clip)."""

    fault: Fault | None
    side: Side | None
    start_s: float
    end_s: float


def check_faults(movement: DemoMovement, side: Side, repetitions: Sequence[DemoRepetition]) -> None:
    """Raise ValueError for a fault that this movement, led by `side`, cannot show."""
    possible = FAULTS_OF.get(movement.name, ())
    for one in repetitions:
        if one.fault and one.fault not in possible:
            raise ValueError(f"{movement.name} cannot show {one.fault!r}, only {', '.join(possible) or 'no fault'}")
        if one.fault == "asymmetric arms" and one.side is None:
            raise ValueError("asymmetric arms need the side of the arm that lags")
        if one.side and one.fault not in ("asymmetric arms", "knee valgus"):
            raise ValueError(f"{one.fault or 'a clean repetition'} has no side, so not {one.side}")
        if movement.name == "lunge" and one.fault == "knee valgus" and one.side != side:
            raise ValueError(f"in this lunge it is the {side} knee, in front, that can fall in, not {one.side}")


def timed(movement: DemoMovement, tempo: float, repetitions: Sequence[DemoRepetition]) -> list[PlannedRepetition]:
    """When each repetition is seen in a clip that shows them one after the other."""
    spans, start_s = [], STAND_S
    for one in repetitions:
        faster = 1 + SPEED_UP * one.strength if one.fault == "too fast" else 1.0
        end_s = start_s + movement.cycle_s / (tempo * faster)
        spans.append(PlannedRepetition(one.fault, one.side, start_s, end_s))
        start_s = end_s
    return spans


def faulty_angles(
    movement: DemoMovement,
    side: Side,
    amplitude: float,
    tempo: float,
    repetitions: Sequence[DemoRepetition],
    time_s: np.ndarray,
) -> dict[str, np.ndarray]:
    """The joint angles and offsets (T,) by name at `time_s` (T,), as `DemoMovement.angles` has them, with faults."""
    spans = timed(movement, tempo, repetitions)
    edges = [STAND_S, *(span.end_s for span in spans)]
    cycles = np.interp(time_s, edges, np.arange(len(edges), dtype=float))
    number = np.minimum(cycles.astype(int), len(repetitions) - 1)
    angles = movement.angles(cycles, amplitude, side)
    rest = movement.angles(np.zeros(1), amplitude, side)
    deepest = movement.angles(np.linspace(0, 1, 101), amplitude, side)
    for turn, one in enumerate(repetitions):
        inside = number == turn
        if one.fault == "knee valgus":
            depth = (angles["drop"] - rest["drop"]) / (deepest["drop"].max() - rest["drop"])
            for leg in one.side[0] if one.side else "lr":
                knee_out = angles.get(f"{leg}_knee_out", 0 * cycles)
                inward = -KNEE_IN_DEG * one.strength - TOE_SHARE * angles.get(f"{leg}_toe", 0 * cycles)
                angles[f"{leg}_knee_out"] = knee_out + inside * depth * (inward - knee_out)
        elif one.fault and one.fault != "too fast":
            keep = np.where(inside, 1 - LOST_RANGE * one.strength, 1.0)
            for name in rest:
                if _is_cut(name, one) and name not in movement.fixed:
                    angles[name] = rest[name] + keep * (angles[name] - rest[name])
    return angles


def _is_cut(name: str, repetition: DemoRepetition) -> bool:
    """Whether the fault takes away range from the angle of this name."""
    is_arm = name[2:] in ARM_ANGLES
    if repetition.fault == "shallow":
        return not is_arm
    if repetition.fault == "asymmetric arms":
        return is_arm and name[0] == (repetition.side or "")[0]
    return True
