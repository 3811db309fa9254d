"""What a trainer tells the loop: what its job is, where its data is, when to evaluate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from posellm_assets.training.curves import Entry
from posellm_assets.training.position import Position


class Place(Protocol):
    """Where a training is in its data, for data that is not a function of the step alone."""

    def place(self) -> Any:
        """The place, as JSON can hold it."""

    def seek(self, place: Any) -> None:
        """Go to a place."""


@dataclass(frozen=True)
class Plan:
    """What the loop is told of a training; all of it follows from the job."""

    name: str
    """How messages call it."""
    out: Path
    hub: str | None
    """URL of the store to which checkpoints are copied."""
    identity: dict[str, Any]
    """What decides the outcome: settings, and inputs by content. A checkpoint of another identity is refused."""
    cures: str
    """Pattern of the names in `identity` that may have been changed after a loss that was not a number."""
    remedy: str
    """What a person can do about such a loss, as the message says it: 'lower ..., or remove a clip'."""
    code: str
    """Hash of the code that trains."""
    steps: int
    learning_rate: Callable[[int], float]
    """Of a step, counted from 1."""
    max_gradient_norm: float
    seed: int
    threads: int
    card: Callable[[Position, list[Entry]], str]
    """The card beside the checkpoints in the store, from `position` and losses."""
    checkpoint_every: int | None = None
    checkpoint_minutes: float | None = None
    replaces_others: bool = False
    """Whether checkpoints of another job are passed over, with the reason reported, and not refused."""


@dataclass(frozen=True)
class Score:
    """What an evaluation found: `value` is to be low, `logged` goes to the losses, `about` is kept with the best."""

    value: float
    logged: Mapping[str, float]
    about: Any = None


@dataclass(frozen=True)
class Evaluation:
    """When held-out data is scored, and what for."""

    at: Callable[[int], bool]
    """Whether to score after a step."""
    score: Callable[[], Score]
    keep_best: bool
    """Whether the weights with the best score are the result, not the last ones."""
    patience: int | None = None
    """After so many evaluations without a better score training ends."""


# What changes memory, time and when to save, and not the result.
_OF_THE_MACHINE = {"gradient_checkpointing", "checkpoint_every", "checkpoint_minutes", "threads"}


def decisive(settings: Mapping[str, Any], rows: str | None = None) -> dict[str, Any]:
    """Of a training's settings those that decide its outcome, for `Plan.identity`.

    In how many batches a step goes through the memory is the machine's affair; how many it has in all of what `rows`
    counts for a batch, such as `rows_per_batch`, is not.
    """
    kept = {name: value for name, value in settings.items() if name not in _OF_THE_MACHINE}
    if rows:
        kept["rows_per_step"] = kept.pop(rows) * kept.pop("batches_per_step")
    return kept
