"""The released models: one small file that holds every release, replaced in one atomic write.

Whoever is killed while a model is released leaves the file as it was before or as it is after. Each scope (`all`, or a
sport) has a champion of its own. Rolling back is a release too, of the model that the champion had replaced, so that
nothing is ever taken out of the history.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from posellm_assets.files import read_json, write_json
from posellm_assets.generations.snapshots import snapshot_keys
from posellm_assets.keys import snapshot_scope
from posellm_assets.lake import Lake
from posellm_assets.records import Record

ALL = "all"


class Champion(Record):
    """A model that was released: why, when, and by whom or what."""

    snapshot: str
    stage: str
    lineage: str
    reasons: list[str]
    promoted_at: str
    promoted_by: str
    change: Literal["promotion", "rollback"] = "promotion"

    @property
    def scope(self) -> str:
        """What the model is for: `all`, or a sport."""
        return snapshot_scope(self.snapshot)

    def model(self, lake: Lake) -> Path:
        """The folder of the released model."""
        return lake.finished_model(self.snapshot, self.stage)


def read_history(lake: Lake, scope: str | None = None) -> list[Champion]:
    """All releases of a lake, or those of a scope, oldest first."""
    if not lake.champion.exists():
        return []
    content = read_json(lake.champion)
    # Before there was a history, the file held the champion itself.
    releases = content.get("releases", [content])
    found = [Champion.model_validate(release) for release in releases]
    return [release for release in found if scope in (None, release.scope)]


def read_champion(lake: Lake, scope: str = ALL) -> Champion | None:
    """The released model of a scope, or None where none is released yet."""
    standing = _standing(read_history(lake, scope))
    return standing[-1] if standing else None


def read_predecessor(lake: Lake, scope: str = ALL) -> Champion | None:
    """The model that the champion of a scope replaced and that a rollback would bring back, or None."""
    standing = _standing(read_history(lake, scope))
    return standing[-2] if len(standing) > 1 else None


def read_release(lake: Lake, snapshot: str) -> Champion:
    """The newest release of the model of `snapshot`; ValueError where it was never released."""
    for release in reversed(read_history(lake, snapshot_scope(snapshot))):
        if release.snapshot == snapshot:
            return release
    raise ValueError(f"{lake.champion} knows no release of {snapshot}, so its model cannot be gone on from")


def candidates(lake: Lake, scope: str = ALL) -> dict[str, list[str]]:
    """The generations of a scope that were measured and never released, with the gate's reasons, oldest first."""
    released = {release.snapshot for release in read_history(lake, scope)}
    reports = {key: lake.report(key) / "metrics.json" for key in snapshot_keys(lake, scope) if key not in released}
    return {key: read_json(path)["decision"]["reasons"] for key, path in reports.items() if path.exists()}


def rolled_back(lake: Lake, snapshot: str) -> Champion | None:
    """The rollback that took the model of `snapshot` back, unless it was released again later."""
    found = None
    standing: list[Champion] = []
    for release in read_history(lake, snapshot_scope(snapshot)):
        if release.change == "promotion":
            found = None if release.snapshot == snapshot else found
        elif standing[-1].snapshot == snapshot:
            found = release
        standing = _standing([*standing, release])
    return found


def promote(
    lake: Lake, *, snapshot: str, stage: str, lineage: str, reasons: list[str], by: str, instead_of: str | None
) -> Champion:
    """Make a stage's finished model the released one of its scope, in the place of the champion `instead_of`.

    Raises FileNotFoundError where the stage has no finished model, ValueError where it is released already or the
    champion is another one by now.
    """

    def next_release(history: list[Champion]) -> Champion:
        standing = _standing(history)
        now = standing[-1].snapshot if standing else None
        if now == snapshot:
            raise ValueError(f"{snapshot} is the champion already, since {standing[-1].promoted_at}")
        if now != instead_of:
            raise ValueError(f"{snapshot} was to replace {instead_of or 'no model'}, but the champion is {now} by now")
        return Champion(
            snapshot=snapshot,
            stage=stage,
            lineage=lineage,
            reasons=reasons,
            promoted_at=_now(),
            promoted_by=by,
        )

    return _release(lake, snapshot_scope(snapshot), next_release)


def roll_back(lake: Lake, *, by: str, scope: str = ALL, why: str | None = None) -> Champion:
    """Release the model again that the champion of a scope replaced.

    Raises ValueError where it replaced none, FileNotFoundError where that model is gone.
    """

    def next_release(history: list[Champion]) -> Champion:
        standing = _standing(history)
        if len(standing) < 2:
            raise ValueError(f"there is no model to go back to: {_in_words(standing)}")
        about = {
            "reasons": [f"In the place of {standing[-1].snapshot}.", *([why] if why else [])],
            "promoted_at": _now(),
            "promoted_by": by,
            "change": "rollback",
        }
        return standing[-2].model_copy(update=about)

    return _release(lake, scope, next_release)


def _release(lake: Lake, scope: str, next_release: Callable[[list[Champion]], Champion]) -> Champion:
    with _alone(lake):
        releases = read_history(lake)
        champion = next_release([release for release in releases if release.scope == scope])
        if not champion.model(lake).exists():
            raise FileNotFoundError(
                f"{champion.model(lake)} does not exist: {champion.stage} of {champion.snapshot} has not finished, or "
                "its model was removed"
            )
        write_json(lake.champion, {"releases": [release.model_dump() for release in (*releases, champion)]})
    return champion


def _standing(history: list[Champion]) -> list[Champion]:
    """The releases that a rollback has not taken back, oldest first: the last one is the champion."""
    standing: list[Champion] = []
    for release in history:
        if release.change == "rollback":
            # What it took back goes, and it stands in the place of the model that it released again.
            del standing[-2:]
        standing.append(release)
    return standing


@contextmanager
def _alone(lake: Lake) -> Iterator[None]:
    """Hold the file as its only writer; others wait. The lock of a process that dies is free at once."""
    path = lake.champion
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _in_words(standing: list[Champion]) -> str:
    return f"{standing[0].snapshot} is the first champion" if standing else "no model has been released yet"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
