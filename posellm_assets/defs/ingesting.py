"""Which runs to ask for so that every registered video is ingested: of those that no run is at work on.

A run that failed is made up for by another over what it left. Where it fails again the next ones wait, longer each
time, and become smaller: the video that ends its run, whichever it is, is soon alone in one and holds up no other.
"""

import hashlib
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from posellm_assets.defs.jobs import ingest_footage
from posellm_assets.defs.partitions import PARTITION, RANGE_END, RANGE_START, contiguous_ranges
from posellm_assets.defs.runs import ENDED_BADLY, why_it_ended

BATCH = "posellm/footage"
"""Tag of a run: the digest of the videos that it was asked for."""
AGAIN_AFTER_S = (0.0, 0.0, 60.0, 600.0, 3600.0)
"""How long after the end of the last run, by how many failed; the last holds for all after it."""
SMALLER = 8
LOOKED_BACK = 100
"""Runs that ended badly and are looked at, newest first."""


@dataclass(frozen=True)
class Asking:
    """The runs to ask for, and what waits for what."""

    requests: list[dg.RunRequest] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@dataclass
class _Tries:
    """The runs over a video that ended badly, newest first."""

    failed: int = 0
    newest: dg.RunRecord | None = None
    canceled: bool = False


def asked_for(
    instance: dg.DagsterInstance,
    order: Sequence[str],
    unfinished: Collection[str],
    runs: Iterable[dg.DagsterRun],
    limit: int,
) -> Asking:
    """Runs of at most `limit` videos over the `unfinished`, where none of `runs` is at work on them.

    `order` is that of the partitions; a range of them is one run.
    """
    if not unfinished:
        return Asking()
    place = {key: number for number, key in enumerate(order)}
    at_work = videos_of(runs, order, place)
    left = {key for key in unfinished if key in place} - at_work
    tries = _tries(instance, left, order, place)
    now_s, due = time.time(), dict[int, list[str]]()
    canceled, later_s = 0, list[float]()
    for key in left:
        tried = tries.get(key, _Tries())
        again_s = (_ended_s(tried.newest) if tried.newest else 0.0) + AGAIN_AFTER_S[
            min(tried.failed, len(AGAIN_AFTER_S) - 1)
        ]
        if tried.canceled:
            canceled += 1
        elif again_s > now_s:
            later_s.append(again_s)
        else:
            due.setdefault(tried.failed, []).append(key)
    newest = max((tried.newest for tried in tries.values() if tried.newest), key=_ended_s, default=None)
    why = f"; the last run that ended badly: {why_it_ended(instance, newest.dagster_run)}" if newest else ""
    first = time.strftime("%H:%M:%S UTC", time.gmtime(min(later_s, default=0.0)))
    said = {
        "are in a run that works or waits for its turn": len(set(unfinished) & at_work),
        "become partitions at the next looks": len(set(unfinished) - place.keys()),
        f"have just been asked for{why}": sum(map(len, due.values())),
        f"are tried again later, the first at {first}{why}": len(later_s),
        f"wait for a person, who cancelled their run; launch {ingest_footage.name} for them": canceled,
    }
    requests = [
        _request(instance, order[place[first] : place[last] + 1])
        for failed, keys in sorted(due.items())
        for first, last in contiguous_ranges(order, set(keys), max(1, limit // SMALLER ** max(0, failed - 1)))
    ]
    return Asking(requests, [f"{count} {reason}" for reason, count in said.items() if count])


def _ended_s(record: dg.RunRecord) -> float:
    return record.end_time or 0.0


def videos_of(runs: Iterable[dg.DagsterRun], order: Sequence[str], place: Mapping[str, int]) -> set[str]:
    """The videos that `runs` are about; `place` is where each stands in `order`."""
    return {key for run in runs for key in _of(run, order, place)}


def _of(run: dg.DagsterRun, order: Sequence[str], place: Mapping[str, int]) -> Sequence[str]:
    first = run.tags.get(RANGE_START, run.tags.get(PARTITION, ""))
    last = run.tags.get(RANGE_END, first)
    return order[place[first] : place[last] + 1] if first in place and last in place else ()


def _tries(
    instance: dg.DagsterInstance, left: Collection[str], order: Sequence[str], place: Mapping[str, int]
) -> dict[str, _Tries]:
    tries: dict[str, _Tries] = {}
    if not left:
        return tries
    ended = dg.RunsFilter(job_name=ingest_footage.name, statuses=ENDED_BADLY)
    for record in instance.get_run_records(ended, limit=LOOKED_BACK):
        for key in _of(record.dagster_run, order, place):
            tried = tries.setdefault(key, _Tries())
            if tried.newest is None:
                tried.newest = record
                tried.canceled = record.dagster_run.status == dg.DagsterRunStatus.CANCELED
            tried.failed += 1
    return tries


def _request(instance: dg.DagsterInstance, keys: Sequence[str]) -> dg.RunRequest:
    digest = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
    # Dagster remembers a run key for ever: without the attempt, footage whose run failed could never run again.
    attempt = 1 + instance.get_runs_count(dg.RunsFilter(tags={BATCH: digest}))
    return dg.RunRequest(
        run_key=f"footage-{digest}-{attempt}", tags={RANGE_START: keys[0], RANGE_END: keys[-1], BATCH: digest}
    )
