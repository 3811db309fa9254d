"""Who labels clips: one interface for rules, endpoints and several of them together."""

from dataclasses import dataclass
from typing import Any, Protocol

from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.schema import Rejected


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
