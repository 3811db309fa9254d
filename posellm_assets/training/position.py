"""Where a training is: what `position.json` of a checkpoint holds."""

from typing import Any

from pydantic import ConfigDict, Field

from posellm_assets.records import Record


class Best(Record):
    """The step with the best score so far; step 0 where nothing was scored yet."""

    step: int = 0
    score: float | None = None
    about: Any = None
    """What the evaluation keeps of it."""


class Position(Record):
    """How far a training is, what it belongs to, and what has come of it so far. It changes as training goes."""

    model_config = ConfigDict(frozen=False)

    identity: dict[str, Any]
    """What decides the outcome of the job: see `Plan`."""
    code: str = ""
    """Hash of the code that trained."""
    step: int = Field(default=0, ge=0)
    place: Any = None
    """Where it is in its data."""
    counts: dict[str, int] = Field(default_factory=dict)
    """What was trained on: tokens, clips."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    about: dict[str, Any] = Field(default_factory=dict)
    """What the trainer found before the first step."""
    best: Best = Best()
    evaluations_since_best: int = 0
    broke: bool = False
    """Whether the next step gave a loss that is not a number."""
    changed: list[str] = Field(default_factory=list)
    """What was changed after such steps, as sentences."""
