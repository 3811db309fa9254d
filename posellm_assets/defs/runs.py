"""Runs of this project's jobs, as the Dagster instance knows them: which are in flight, which failed and why."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from filelock import Timeout

from posellm_assets.defs.jobs import train_generation
from posellm_assets.defs.partitions import PARTITION
from posellm_assets.files import lock_at
from posellm_assets.generations.retraining import ATTEMPTS, Generation
from posellm_assets.generations.snapshots import snapshot_keys
from posellm_assets.lake import METRICS, Lake
from posellm_assets.settings import Settings

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
ENDED_BADLY = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
LOCK = "posellm/lock"
"""Tag of a run in a process that nobody watches: the file that the process holds a lock of for as long as it lives."""


def running(instance: dg.DagsterInstance, jobs: Sequence[str]) -> str | None:
    """The job of an unfinished run, if there is one. Runs whose process was killed are reported as failed first."""
    for job in jobs:
        for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED)):
            if LOCK not in run.tags or _held(Path(run.tags[LOCK])):
                return job
            instance.report_run_failed(run, "The process that this run was in has been killed.")
    return None


def failures_of(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> int:
    """How many runs of `job` with these tags ended without success."""
    return instance.get_runs_count(dg.RunsFilter(job_name=job, tags=dict(tags), statuses=ENDED_BADLY))


def why_it_failed(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> str:
    """What the newest such run says of its end, in one line."""
    (run,) = instance.get_runs(dg.RunsFilter(job_name=job, tags=dict(tags), statuses=ENDED_BADLY), limit=1)
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failure = entry.get_dagster_event().step_failure_data
        said = failure.user_failure_data.description if failure.user_failure_data else None
        said = said or (failure.error.message if failure.error else None) or "no reason is given"
        return f"{entry.step_key}: {' '.join(said.split())} (run {run.run_id})"
    return f"run {run.run_id} ended as {run.status.value.lower()}"


def newest_generations(lake: Lake, settings: Settings, instance: dg.DagsterInstance) -> dict[str, Generation]:
    """The newest snapshot of each scope with a rule, and what became of it."""
    newest = {scope: snapshot_keys(lake, scope)[-1:] for scope in settings.automation.rules}
    return {scope: _generation(lake, instance, keys[0]) for scope, keys in newest.items() if keys}


def _generation(lake: Lake, instance: dg.DagsterInstance, snapshot: str) -> Generation:
    runs = instance.get_runs(dg.RunsFilter(job_name=train_generation.name, tags={PARTITION: snapshot}))
    ends = [run.status for run in runs]
    if not runs:  # a new Dagster instance, perhaps, for a lake that is not new
        return Generation(snapshot, finished=(lake.report(snapshot) / METRICS).exists())
    failures = ATTEMPTS if dg.DagsterRunStatus.CANCELED in ends else ends.count(dg.DagsterRunStatus.FAILURE)
    return Generation(snapshot, dg.DagsterRunStatus.SUCCESS in ends, failures)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of `path`, which ends with the process however that ends.

    Raises RuntimeError where another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        held = lock_at(path).acquire(timeout=0)
    except Timeout as error:
        raise RuntimeError(f"another process is at work here (it holds {path}); wait for its end") from error
    with held:
        yield


def _held(path: Path) -> bool:
    if not path.exists():  # on another machine, or moved: nobody can tell
        return True
    try:
        with locked(path):
            return False
    except RuntimeError:
        return True
