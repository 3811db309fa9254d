"""Who labels clips: one interface for rules, endpoints and two of them who must agree."""

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.quantities import QUANTITIES
from posellm_assets.coaching.labels.schema import FeedbackPoint, Rejected

AGREE_WITHIN_S = 1.0


@dataclass(frozen=True)
class Answer:
    """What a teacher said of a clip: `points` are JSON values, none of them believed yet.

    `rejected` is what several teachers did not agree on.
    """

    positive_note: str
    points: tuple[Any, ...]
    rejected: tuple[Rejected, ...] = ()


class BrokenAnswer(ValueError):
    """An answer that is no label at all; `said` is what came instead."""

    def __init__(self, reason: str, said: Any):
        super().__init__(reason)
        self.said = said


class Teacher(Protocol):
    """Somebody who says what an athlete could do better."""

    @property
    def name(self) -> str:
        """How labels name the teacher."""

    def teach(self, clip: MeasuredClip) -> Answer:
        """What the teacher says of a clip. Raises BrokenAnswer for an answer that cannot be a label."""


def asked(teacher: Teacher) -> list[Teacher]:
    """Those who are asked where this one is: both of two who must agree, else the teacher alone."""
    return [teacher.first, teacher.second] if isinstance(teacher, Consensus) else [teacher]


class Consensus:
    """Keeps the first teacher's points that the second makes too: same quantity and side, near in time and value."""

    def __init__(self, first: Teacher, second: Teacher):
        self.first, self.second = first, second

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.first.name} and {self.second.name}"

    def teach(self, clip: MeasuredClip) -> Answer:
        """What both say. Raises what either of them raises: with one answer there is nothing to agree with."""
        first, second = self.first.teach(clip), self.second.teach(clip)
        others = [typed for point in second.points if (typed := _typed(point))]
        kept: list[Any] = []
        rejected = [*first.rejected, *second.rejected]
        for point in first.points:
            typed = _typed(point)
            partner = None if typed is None else next((other for other in others if _agree(typed, other)), None)
            if partner is not None:
                others.remove(partner)
            if partner is None and typed is not None:
                rejected.append(_alone(point, self.first))
            else:
                kept.append(point)  # one that is no point at all is for verification to reject
        rejected += [_alone(other.model_dump(mode="json"), self.second) for other in others]
        kept += [point for point in second.points if _typed(point) is None]
        return Answer(first.positive_note, tuple(kept), tuple(rejected))


def _agree(one: FeedbackPoint, other: FeedbackPoint) -> bool:
    quantity = QUANTITIES.get(one.measured.quantity)
    return (
        quantity is not None
        and (one.measured.quantity, one.side) == (other.measured.quantity, other.side)
        and abs(one.mistake_timestamp_ms - other.mistake_timestamp_ms) <= 1000 * AGREE_WITHIN_S
        and abs(one.measured.value - other.measured.value) <= quantity.tolerance
    )


def _typed(point: Any) -> FeedbackPoint | None:
    try:
        return FeedbackPoint.model_validate(point)
    except ValidationError:
        return None


def _alone(point: Any, teacher: Teacher) -> Rejected:
    return Rejected(reasons=(f"consensus: only {teacher.name} says so",), said=point)
