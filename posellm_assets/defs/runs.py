"""Runs of this project's jobs, as the Dagster instance knows them: which are in flight, which failed and why."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psutil
from filelock import Timeout

from posellm_assets.defs.jobs import train_generation
from posellm_assets.defs.partitions import PARTITION
from posellm_assets.files import lock_at
from posellm_assets.generations.retraining import ATTEMPTS, Generation
from posellm_assets.generations.snapshots import next_snapshot, snapshot_keys
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
LAUNCHED = ".dagster/grpc_info"
"""Tag of a run that Dagster's default launcher started, as a process of this machine."""
FAILED_BY, ITSELF = "dagster/failure_reason", ("STEP_FAILURE", "RUN_EXCEPTION", "JOB_INITIALIZATION_FAILURE")
"""Tag of a run that failed, and what it says where that was not done to it from outside."""
DEATHS = 5
"""So many runs that were ended from outside count as one that failed by itself."""
DEAD = "The process of this run is no more: it, or its machine, was stopped or ran out of memory."


def in_flight(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The unfinished runs. Those whose process is no more are ended first: their machine or its memory gave out.

    Dagster's own monitor ends only runs that never started: its default launcher cannot tell whether a run lives.
    """
    unfinished = []
    for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
        if _lives(instance, run):
            unfinished.append(run)
        elif run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, DEAD)
        else:
            instance.report_run_failed(run, DEAD)
    return unfinished


def _lives(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    if LOCK in run.tags:
        return _held(Path(run.tags[LOCK]))
    if LAUNCHED not in run.tags:  # waits for its turn, or was started by a launcher that watches its runs itself
        return True
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        pid = entry.get_dagster_event().engine_event_data.metadata.get("pid")
        if pid is not None and str(pid.value).isdigit():
            return _is_there(int(str(pid.value)), entry.timestamp)
    return True  # it starts just now


def _is_there(pid: int, since_s: float) -> bool:
    """Whether the process lives that said at `since_s` that it is `pid`; a number is given again to others."""
    try:
        process = psutil.Process(pid)
        return process.create_time() <= since_s + 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def attempts_at(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> tuple[int, int]:
    """How many runs of `job` with these tags there were, and how often they failed.

    A run that a person cancelled counts as `ATTEMPTS` failures. Of those that were ended from outside (the machine, its
    memory) `DEATHS` count as one, so that what kills its own process is not tried for ever.
    """
    runs = instance.get_runs(dg.RunsFilter(job_name=job, tags=dict(tags)))
    failed = [run for run in runs if run.status == dg.DagsterRunStatus.FAILURE]
    own = sum(run.tags.get(FAILED_BY) in ITSELF for run in failed)
    canceled = ATTEMPTS * any(run.status == dg.DagsterRunStatus.CANCELED for run in runs)
    return len(runs), canceled + own + (len(failed) - own) // DEATHS


def why_it_failed(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str]) -> str:
    """What the newest run of `job` with these tags that ended badly says of its end, in one line."""
    (run,) = instance.get_runs(dg.RunsFilter(job_name=job, tags=dict(tags), statuses=ENDED_BADLY), limit=1)
    return why_it_ended(instance, run)


def why_it_ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """What a run that ended badly says of its end, in one line."""
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE):
        failure = entry.get_dagster_event().step_failure_data
        said = failure.user_failure_data.description if failure.user_failure_data else None
        said = said or (failure.error.message if failure.error else None) or "no reason is given"
        return f"{entry.step_key}: {' '.join(said.split())} (run {run.run_id})"
    for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE):
        if said := entry.get_dagster_event().message:
            return f"{' '.join(said.split())} (run {run.run_id})"
    return f"run {run.run_id} ended as {run.status.value.lower()}"


def newest_generations(lake: Lake, settings: Settings, instance: dg.DagsterInstance) -> dict[str, Generation]:
    """The newest generation of each scope with a rule, and what became of it."""
    newest = {}
    for scope in settings.automation.rules:
        coming = next_snapshot(lake, scope)
        if attempts_at(instance, train_generation.name, {PARTITION: coming})[0]:
            newest[scope] = _generation(lake, instance, coming, frozen=False)
        elif keys := snapshot_keys(lake, scope)[-1:]:
            newest[scope] = _generation(lake, instance, keys[0], frozen=True)
    return newest


def _generation(lake: Lake, instance: dg.DagsterInstance, snapshot: str, frozen: bool) -> Generation:
    tags = {PARTITION: snapshot}
    runs, failures = attempts_at(instance, train_generation.name, tags)
    if not runs:  # a new Dagster instance, perhaps, for a lake that is not new
        return Generation(snapshot, finished=(lake.report(snapshot) / METRICS).exists(), frozen=frozen)
    succeeded = dg.RunsFilter(job_name=train_generation.name, tags=tags, statuses=[dg.DagsterRunStatus.SUCCESS])
    return Generation(snapshot, instance.get_runs_count(succeeded) > 0, failures, runs, frozen)


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
