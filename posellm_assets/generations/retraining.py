"""What to do next when footage has landed: one pure decision, which the sensor and the demo both carry out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from pydantic import Field, model_validator

from posellm_assets.footage.splits import Split
from posellm_assets.keys import ALL_SPORTS, sport_of
from posellm_assets.records import Record

ATTEMPTS = 2
"""Runs that a generation gets before it is left for a person."""


class RetrainingRule(Record):
    """When enough has come in for another generation. One condition that is met is enough."""

    min_new_videos: int | None = Field(default=12, ge=1, description="Usable videos that are in no snapshot yet")
    min_new_minutes: float | None = Field(default=None, gt=0, description="Minutes of motion that are in none yet")
    max_days: float | None = Field(default=None, gt=0, description="Days that anything new waits at most")

    @model_validator(mode="after")
    def _something_starts_a_generation(self) -> "RetrainingRule":
        if self.min_new_videos is None and self.min_new_minutes is None and self.max_days is None:
            raise ValueError("a rule without a condition starts nothing: set min_new_videos, or remove the rule")
        return self

    def __str__(self) -> str:
        conditions = [
            f"{self.min_new_videos} videos" if self.min_new_videos else "",
            f"{self.min_new_minutes:g} minutes" if self.min_new_minutes else "",
            f"{self.max_days:g} days" if self.max_days else "",
        ]
        return " or ".join(condition for condition in conditions if condition)


@dataclass(frozen=True)
class Arrival:
    """What a rule asks about a new video."""

    minutes: float
    since_s: float
    """When it was registered, in seconds since 1970."""
    split: Split


@dataclass(frozen=True)
class Generation:
    """The newest snapshot of a scope, and what became of its training."""

    snapshot: str
    finished: bool = True
    failures: int = 0
    """Runs that failed; as many as `ATTEMPTS` where a person stopped one."""
    runs: int = 0
    """Runs that it had, however they ended."""
    frozen: bool = True
    """Whether there is its snapshot; its first run freezes it."""


@dataclass(frozen=True)
class Scope:
    """What is there of a scope."""

    in_snapshot: Collection[str] = ()
    """The videos of its newest snapshot."""
    newest: Generation | None = None


@dataclass(frozen=True)
class Busy:
    """What runs at the moment, as far as it matters to what is begun."""

    scopes: Collection[str] = ()
    """Those of which a generation is in training."""
    tokenizer: bool = False
    tokenising: bool = False


IDLE = Busy()


@dataclass(frozen=True)
class TrainTokenizer:
    """There is no tokenizer lineage yet and footage enough for a generation."""

    reason: str


@dataclass(frozen=True)
class Tokenise:
    """These videos have no tokens of the current lineage."""

    keys: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Freeze:
    """Begin a generation of `scope`, for which these videos are there."""

    scope: str
    keys: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Train:
    """Begin another run of a generation; what is finished of it is kept."""

    snapshot: str
    reason: str


@dataclass(frozen=True)
class Wait:
    """Nothing to do, and why; nothing changes before `until_s` (seconds since 1970) unless the lake does."""

    reason: str
    until_s: float | None = None


Step = TrainTokenizer | Tokenise | Freeze | Train | Wait


def next_step(
    *,
    usable: Collection[str],
    tokenised: Collection[str],
    lineage: str | None,
    scopes: Mapping[str, Scope],
    rules: Mapping[str, RetrainingRule],
    arrival: Callable[[str], Arrival],
    now_s: float,
    busy: Busy = IDLE,
) -> Step:
    """The next step towards a model that knows all usable footage.

    `usable` are the videos that have captions, no problem, a file that is still there, and no run at work on them;
    `tokenised` those with tokens of `lineage`. `arrival` is asked about single videos, as few as will do. Only what is
    of the same kind waits for what is `busy`: footage that comes in all the time keeps no generation from beginning.
    """
    free = {scope: state for scope, state in scopes.items() if scope not in busy.scopes}
    for state in free.values():
        if state.newest and not state.newest.finished and state.newest.failures < ATTEMPTS:
            return _go_on(state.newest)
    left = [state.newest for state in free.values() if state.newest and not state.newest.finished]
    # Another run of one that could not even be frozen would be the same once more.
    open_rules = {
        scope: rule for scope, rule in rules.items() if scope in free and scopes[scope].newest not in _unfrozen(left)
    }
    missing = tuple(sorted(set(usable) - set(tokenised)))
    due = {scope: _due(scope, rule, usable, scopes[scope], arrival, now_s) for scope, rule in open_rules.items()}
    if lineage is not None:
        ready = set(usable) & set(tokenised)
        for scope, rule in open_rules.items():
            step = _due(scope, rule, ready, scopes[scope], arrival, now_s)
            # Where more waits for its tokens than has come in with tokens, it is worth waiting for.
            if isinstance(step, Freeze) and len(missing) <= len(set(step.keys) - set(scopes[scope].in_snapshot)):
                return step
    steps = [step for step in due.values() if isinstance(step, Freeze)]
    began = any(state.in_snapshot for state in scopes.values())
    waits = [step for step in due.values() if isinstance(step, Wait)]
    told = [wait.reason for wait in waits]
    if steps and lineage is None:
        if not busy.tokenizer:
            return TrainTokenizer(f"{steps[0].reason}, and there is no tokenizer yet")
        told.append(f"{steps[0].reason}, and the tokenizer is in training")
    elif lineage is not None and missing and (steps or began):
        if not busy.tokenising:
            return Tokenise(missing, f"{len(missing)} videos have no tokens of {lineage}")
        told.append(f"{len(missing)} videos are being tokenised")
    told += [f"{scope}: a generation is in training" for scope in rules if scope in busy.scopes]
    told += [
        f"{generation.snapshot} failed and is left for a person (`posellm status` says why)" for generation in left
    ]
    times = [wait.until_s for wait in waits if wait.until_s is not None]
    return Wait("; ".join(told), min(times, default=None))


def _unfrozen(generations: Sequence[Generation]) -> list[Generation]:
    return [generation for generation in generations if not generation.frozen]


def _go_on(generation: Generation) -> Train:
    said = (
        "has not come to its end and resumes from its checkpoint" if generation.runs else "is frozen and has no run yet"
    )
    return Train(generation.snapshot, f"{generation.snapshot} {said}")


def _due(
    scope: str,
    rule: RetrainingRule,
    usable: Collection[str],
    state: Scope,
    arrival: Callable[[str], Arrival],
    now_s: float,
) -> Freeze | Wait:
    """Whether `rule` asks for a generation of `scope`."""
    mine = sorted(key for key in usable if scope in (ALL_SPORTS, sport_of(key)))
    known = set(state.in_snapshot)
    new = [key for key in mine if key not in known]
    counted, waits_since_s, due = f"{scope}: {len(new)} new videos", None, False
    if new and rule.min_new_videos is not None:
        due = len(new) >= rule.min_new_videos
    if new and not due and rule.min_new_minutes is not None:
        minutes = sum(arrival(key).minutes for key in new)
        counted += f" of {minutes:.1f} minutes"
        due = minutes >= rule.min_new_minutes
    if new and not due and rule.max_days is not None:
        waits_since_s = min(arrival(key).since_s for key in new)
        counted += f", the first since {_day(waits_since_s)}"
        due = now_s - waits_since_s >= rule.max_days * 86_400
    if not due:
        until_s = waits_since_s + rule.max_days * 86_400 if waits_since_s is not None and rule.max_days else None
        return Wait(f"{counted}; a generation starts at {rule}", until_s)
    if not any(arrival(key).split == "train" for key in mine):
        return Wait(f"{counted}, but none of the {len(mine)} falls into the train split; add footage of more people")
    return Freeze(scope, tuple(mine), counted)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).date().isoformat()
