"""What is in use of each kind of model, and how it came to be: one history for each kind, replaced in one atomic write.

There are four kinds: the language model, the recogniser of actions, the streaming coach and the tokenizer. Language
models are released by scope (`all`, or a sport that has generations of its own); of the others a lake has one in use.

Whoever is killed while a model is promoted leaves the file as it was before or as it is after. Rolling back is an entry
too, of the model that was replaced, so that nothing is ever taken out of the history.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, get_args

from pydantic import ConfigDict

from posellm_assets.checksums import SUMS, forget, record_folder, record_with_copy
from posellm_assets.files import lock_at, read_record, write_json
from posellm_assets.generations.gate import GateOutcome, Rival
from posellm_assets.generations.snapshots import read_snapshot, snapshot_keys
from posellm_assets.keys import ALL_SPORTS, snapshot_scope
from posellm_assets.lake import FINAL, METRICS, Lake, ModelKind
from posellm_assets.motion.codebook import Codebook
from posellm_assets.records import Record

KINDS: tuple[ModelKind, ...] = get_args(ModelKind)


@dataclass(frozen=True)
class About:
    """What is particular to a kind: what it is called, how a lake comes to one, and where it lies."""

    noun: str
    how: str
    folder: Callable[[Lake, str], Path]
    """Where the finished model of a name lies."""
    report: Callable[[Lake, str], Path] | None
    """The folder of the report (`index.html`, `metrics.json`) that a gate decides upon; None where there is no gate."""


def _language_model(lake: Lake, snapshot: str) -> Path:
    return lake.finished_model(snapshot, read_snapshot(lake, snapshot).last_stage)


def _coach(lake: Lake, snapshot: str) -> Path:
    return lake.streaming_coach(snapshot) / FINAL


ABOUT: dict[ModelKind, About] = {
    "language": About(
        "language model",
        "run `make demo`, or add footage and run the job train_generation",
        _language_model,
        Lake.report,
    ),
    "recogniser": About(
        "recogniser of actions",
        "label some footage and run the job train_actions",
        Lake.recogniser,
        Lake.action_report,
    ),
    "coach": About(
        "streaming coach",
        "add footage with timed feedback and run the job train_coach",
        _coach,
        Lake.streaming_report,
    ),
    "tokenizer": About("tokenizer", "run the job train_tokenizer", Lake.tokenizer, None),
}


class Release(Record):
    """A model that was put in use: why, when, and by whom or what."""

    kind: ModelKind
    name: str
    """The snapshot that it was made from; of a tokenizer its lineage."""
    folder: str
    """Where it lies, from the root of the lake."""
    lineage: str
    """The codes that it reads or writes."""
    gate: Literal["passed", "refused", "none"] = "none"
    """What the gate said of it; none where none was asked."""
    reasons: tuple[str, ...]
    promoted_at: str
    promoted_by: str
    change: Literal["promotion", "rollback"] = "promotion"

    @property
    def scope(self) -> str:
        """What it is for: `all`, or a sport."""
        return scope_of(self.kind, self.name)

    def path(self, lake: Lake) -> Path:
        """The folder of the model."""
        return lake.root / self.folder

    def as_rival(self, lake: Lake) -> Rival:
        """As a report is given it, to measure it beside another."""
        return Rival(name=self.name, folder=self.path(lake))


class Releases(Record):
    """Everything that was released of a kind, oldest first: the file."""

    releases: tuple[Release, ...] = ()


def scope_of(kind: ModelKind, name: str) -> str:
    """The scope in which a model stands to be in use."""
    return snapshot_scope(name) if kind == "language" else ALL_SPORTS


def history(lake: Lake, kind: ModelKind, scope: str | None = None) -> list[Release]:
    """All releases of a kind, or those of a scope, oldest first."""
    path = lake.releases(kind)
    found = (
        read_record(path, Releases, "put a copy back: it is the history of what was in use")
        if path.exists()
        else Releases()
    )
    return [release for release in found.releases if scope in (None, release.scope)]


def in_use(lake: Lake, kind: ModelKind, scope: str = ALL_SPORTS) -> Release | None:
    """The model in use, or None where none was promoted yet."""
    return _last(standing(history(lake, kind, scope)))


def required(lake: Lake, kind: ModelKind) -> Release:
    """The model in use; ValueError, which says how to come to one, where there is none."""
    release = in_use(lake, kind)
    if release is None:
        about = ABOUT[kind]
        waiting = (
            f"; `posellm release show --kind {kind}` says why others were refused" if candidates(lake, kind) else ""
        )
        raise ValueError(f"no {about.noun} is in use in {lake.root}: {about.how}{waiting}")
    return release


def newest_release(lake: Lake, kind: ModelKind, name: str) -> Release:
    """The newest release of `name`, in use or not any more; ValueError where it was never released."""
    for release in reversed(history(lake, kind)):
        if release.name == name:
            return release
    raise ValueError(f"{lake.releases(kind)} knows no release of {name}")


def rival(lake: Lake, kind: ModelKind, name: str) -> Release | None:
    """What `name` is measured against: the model in use, or where that is `name` itself, the one that it replaced."""
    return rival_of(history(lake, kind, scope_of(kind, name)), name)


def candidates(lake: Lake, kind: ModelKind, scope: str = ALL_SPORTS) -> dict[str, GateOutcome]:
    """The models that were measured and never released, with what the gate said of them, oldest first."""
    if ABOUT[kind].report is None:
        return {}
    released = {release.name for release in history(lake, kind, scope)}
    names = snapshot_keys(lake, scope if kind == "language" else None)
    outcomes = {name: outcome_of(lake, kind, name) for name in names if name not in released}
    return {name: outcome for name, outcome in outcomes.items() if outcome}


def outcome_of(lake: Lake, kind: ModelKind, name: str) -> GateOutcome | None:
    """What the gate said in the report of `name`; None where there is no report."""
    report = ABOUT[kind].report
    path = report(lake, name) / METRICS if report else None
    if path is None or not path.exists():
        return None
    return read_record(path, _Decided, f"make the report of {name} again").decision


class _Decided(Record):
    """The part of every report that a gate has written."""

    model_config = ConfigDict(extra="ignore")

    decision: GateOutcome


def standing(releases: Sequence[Release]) -> list[Release]:
    """The releases of a scope that no rollback has taken back, oldest first: the last one is in use."""
    left: list[Release] = []
    for release in releases:
        if release.change == "rollback":
            # What it took back goes, and it stands in the place of the model that it put in use again.
            del left[-2:]
        left.append(release)
    return left


def rival_of(releases: Sequence[Release], name: str) -> Release | None:
    """`rival` of what was released in a scope so far."""
    left = standing(releases)
    return _last(left[:-1] if left and left[-1].name == name else left)


def rolled_back(releases: Sequence[Release], name: str) -> Release | None:
    """The rollback that took `name` out of use, unless it was promoted again later."""
    found = None
    for number, release in enumerate(releases):
        if release.change == "promotion":
            found = None if release.name == name else found
        elif standing(releases[:number])[-1].name == name:
            found = release
    return found


def ruling(releases: Sequence[Release], name: str, outcome: GateOutcome) -> tuple[bool, tuple[str, ...]]:
    """Whether a gate's outcome promotes `name`, after the releases of its scope so far, and why or why not.

    What is in use already is not promoted again, nor what a person rolled back. Raises ValueError where the outcome
    compares with another model than the one that `name` would replace by now.
    """
    against = rival_of(releases, name)
    if (against and against.name) != outcome.against:
        raise ValueError(
            f"the report of {name} compares it with {outcome.against or 'no model'}, but "
            f"{against.name if against else 'none'} is in use by now: make the report again"
        )
    now = _last(standing(releases))
    if now and now.name == name:
        return False, (f"It is in use already, since {now.promoted_at} by {now.promoted_by}.",)
    if back := rolled_back(releases, name):
        return False, (
            f"It was rolled back on {back.promoted_at} by {back.promoted_by}, so a person has to promote it.",
        )
    return outcome.promote, outcome.reasons


def promote_if_passed(
    lake: Lake, kind: ModelKind, name: str, *, folder: Path, lineage: str, by: str
) -> tuple[bool, tuple[str, ...]]:
    """Do what the gate said in the report of `name`; returns whether it was promoted, and why or why not.

    Raises FileNotFoundError where it has no report, else as `ruling` and `promote` do.
    """
    outcome = outcome_of(lake, kind, name)
    if outcome is None:
        raise FileNotFoundError(f"{name} has no report yet, so it cannot be promoted: {ABOUT[kind].how}")
    passed, reasons = ruling(history(lake, kind, scope_of(kind, name)), name, outcome)
    if passed:
        promote(
            lake,
            kind,
            name,
            folder=folder,
            lineage=lineage,
            reasons=reasons,
            by=by,
            instead_of=outcome.against,
            gate="passed",
        )
    return passed, reasons


def promote_by_hand(lake: Lake, kind: ModelKind, name: str, *, by: str, why: str | None = None) -> Release:
    """Put a model in use that was measured, whatever the gate said of it, or a tokenizer that was trained.

    Raises ValueError where it was not measured, or the tokenizer is no finished one, else as `promote` does.
    """
    outcome = outcome_of(lake, kind, name)
    if outcome is None and ABOUT[kind].report:
        raise ValueError(f"{name} has no report in {lake.root}: a {ABOUT[kind].noun} is measured before it is in use")
    refused = outcome.reasons if outcome and not outcome.promote else ()
    now = in_use(lake, kind, scope_of(kind, name))
    return promote(
        lake,
        kind,
        name,
        folder=ABOUT[kind].folder(lake, name),
        lineage=(Codebook.of if kind == "tokenizer" else read_snapshot)(lake, name).lineage,
        reasons=(*([why] if why else []), *(f"The gate had said: {reason}" for reason in refused)),
        by=by,
        instead_of=now.name if now else None,
        gate="none" if outcome is None else "passed" if outcome.promote else "refused",
    )


def promote(
    lake: Lake,
    kind: ModelKind,
    name: str,
    *,
    folder: Path,
    lineage: str,
    reasons: Sequence[str],
    by: str,
    instead_of: str | None,
    gate: Literal["passed", "refused", "none"] = "none",
) -> Release:
    """Put the finished model in `folder` in use, in the place of the release `instead_of`.

    Raises FileNotFoundError where there is no such folder, ValueError where `name` is in use already or another than
    `instead_of` is by now.
    """

    def next_release(releases: list[Release]) -> Release:
        now = _last(standing(releases))
        if now and now.name == name:
            raise ValueError(f"{name} is in use already, since {now.promoted_at}")
        if (now and now.name) != instead_of:
            raise ValueError(
                f"{name} was to replace {instead_of or 'no model'}, but {now.name if now else 'none'} is in use by now"
            )
        return Release(
            kind=kind,
            name=name,
            folder=folder.relative_to(lake.root).as_posix(),
            lineage=lineage,
            gate=gate,
            reasons=tuple(reasons),
            promoted_at=_now(),
            promoted_by=by,
        )

    return _append(lake, kind, scope_of(kind, name), next_release)


def roll_back(lake: Lake, kind: ModelKind, *, by: str, scope: str = ALL_SPORTS, why: str | None = None) -> Release:
    """Put the model in use again that the one in use replaced.

    Raises ValueError where it replaced none, FileNotFoundError where that model is gone.
    """

    def next_release(releases: list[Release]) -> Release:
        left = standing(releases)
        if len(left) < 2:
            said = f"{left[0].name} is the first one" if left else "none has been promoted yet"
            raise ValueError(f"there is no {ABOUT[kind].noun} to go back to: {said}")
        about = {
            "reasons": (f"In the place of {left[-1].name}.", *([why] if why else [])),
            "promoted_at": _now(),
            "promoted_by": by,
            "change": "rollback",
        }
        return left[-2].model_copy(update=about)

    return _append(lake, kind, scope, next_release)


def _append(lake: Lake, kind: ModelKind, scope: str, next_release: Callable[[list[Release]], Release]) -> Release:
    """Add a release, made of those of its scope so far, while nobody else writes. The lock of a process that dies is
    free at once."""
    path = lake.releases(kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock_at(path.with_name(f".{path.name}.lock")):
        releases = history(lake, kind)
        release = next_release([one for one in releases if one.scope == scope])
        if not release.path(lake).exists():
            raise FileNotFoundError(
                f"{release.path(lake)} does not exist: the training of {release.name} has not finished, or its model "
                "was removed"
            )
        if not (release.path(lake) / SUMS).exists():
            record_folder(release.path(lake))
        forget(lake, [path])
        write_json(path, Releases(releases=(*releases, release)).model_dump(mode="json"))
        record_with_copy(lake, path)
    return release


def _last(releases: Sequence[Release]) -> Release | None:
    return releases[-1] if releases else None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
