"""The noun of this room: one measured number with its unit and the time span that it was measured over."""

from typing import Literal

import numpy as np
from pydantic import Field

from posellm_assets.motion.motion import Motion
from posellm_assets.records import Record

Side = Literal["left", "right", "both"] | None
Kind = Literal[
    "angle", "repetition", "period", "alternation", "symmetry", "asymmetry", "order",
    "above", "below", "near", "beside", "ahead", "speed", "hold", "posture",
]  # fmt: skip
Unit = Literal["degrees", "times", "s", "correlation", "body lengths", "body lengths/s"]


class Fact(Record):
    """One measured number.

    For an angle, `value` is where the movement starts and `to_value` the turning point; repeated movements give the
    medians over the repetitions. `side` is "both" where the mean of left and right was measured or where both are
    meant, None for the trunk. A fact about two parts names the second as `other`. `times` says how often a relation
    held or an order was kept. `start_s` and `end_s` are times of the clip (s). `certainty`, 0 to 1, says how well it
    was seen and how far it lies beyond the error of the landmarks (`certainty.py`).
    """

    kind: Kind
    joint: str
    side: Side
    value: float
    to_value: float | None = None
    unit: Unit
    start_s: float
    end_s: float
    other: str | None = None
    other_side: Side = None
    times: int | None = None
    certainty: float = Field(default=1.0, ge=0, le=1)


def new_fact(
    kind: Kind, joint: str, side: Side, value: float, unit: Unit, start_s: float, end_s: float,
    other: str | None = None, other_side: Side = None, times: int | None = None,
) -> Fact:  # fmt: skip
    """A fact with its numbers rounded to what is worth keeping."""
    return Fact(
        kind=kind, joint=joint, side=side, value=round(float(value), 2), unit=unit,
        start_s=round(float(start_s), 3), end_s=round(float(end_s), 3),
        other=other, other_side=other_side, times=times,
    )  # fmt: skip


def frame_times(motion: Motion) -> np.ndarray:
    """The time of every frame in the source, (T,) in seconds."""
    return motion.start_s + np.arange(len(motion)) / motion.fps
