"""What assets are given: the lake with its settings, the pool of workers, and a way to run a program.

They are plain objects, so that run config sets nothing of them: who may start a run says neither where the lake and the
hub are nor which endpoint is asked with which key. That is said in `posellm.yaml` and the environment alone.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from posellm_assets.files import write_json
from posellm_assets.lake import JOB, Lake
from posellm_assets.pool import LocalPool, Pool
from posellm_assets.program import PREEMPTED, Job
from posellm_assets.reports.plain import visible
from posellm_assets.settings import Settings, load_settings

RETRIES = 2
# How long a program that is asked to stop may take to save.
_SAVING_S = 60.0


@dataclass(frozen=True)
class LakeResource:
    """The data lake at `root` and the settings beside it; `settings` override posellm.yaml and POSELLM_*."""

    root: str = "data_lake"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def lake(self) -> Lake:
        """The lake at `root`."""
        return Lake(self.root)

    def load_settings(self) -> Settings:
        """The settings in force: defaults, posellm.yaml, environment, then this resource's own."""
        return load_settings(self.lake(), self.settings)

    def opened(self) -> tuple[Lake, Settings]:
        """The lake and the settings in force."""
        return self.lake(), self.load_settings()


@dataclass(frozen=True)
class PoolResource:
    """Where work over many clips is spread: worker processes of this machine; 0 means one for each core."""

    workers: int = 0

    def pool(self) -> Pool:
        """A pool that starts its workers when it is first used."""
        return LocalPool(self.workers or None)


@dataclass(frozen=True)
class Programs:
    """Runs the training and evaluation programs in processes of their own, through Dagster Pipes.

    A crash, an out-of-memory kill or a CUDA fault ends that process and fails the step; the code server lives on.
    A training first shows its progress after `progress_every_s` seconds.
    """

    progress_every_s: float = 20.0

    def run(
        self,
        context: dg.AssetExecutionContext,
        job: Job,
        progress: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        """Run the program of `job`, which is written to `job.json` in its folder.

        What `progress` tells while the program runs becomes observations of the asset. A program that was asked to
        stop and has saved, or was killed, is started again a little later. Raises Failure where it exits with an
        error, or is killed again and again.
        """
        path = job.out / JOB
        write_json(path, job.model_dump(mode="json"))
        with observed(context, progress, self.progress_every_s):
            status, told = self.carried_out(context, job, [sys.executable, "-m", job.program, str(path)])
        killed = status == -signal.SIGKILL
        if status == PREEMPTED or (killed and context.op_execution_context.retry_number < RETRIES):
            raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=10)
        if killed:
            raise dg.Failure(f"{job.program} was killed {RETRIES + 1} times; the machine may be out of memory")
        if status:
            unsaid = f"{job.program} ended with status {status}; the last lines of its standard error say why"
            raise dg.Failure(visible("; ".join(told)) or unsaid)

    def carried_out(self, context: dg.AssetExecutionContext, job: Job, command: Sequence[str]) -> tuple[int, list[str]]:
        """Run the command of a job, which reports through Pipes; its exit status, and what it told of its end.

        Where the run is cancelled meanwhile, the command is asked to stop and waited for. `dg.PipesSubprocessClient`
        does the same, but tells no exit status.
        """
        with dg.open_pipes_session(
            context=context.op_execution_context,
            context_injector=dg.PipesTempFileContextInjector(),
            message_reader=dg.PipesTempFileMessageReader(),
        ) as session:
            own = {"PYTHONUNBUFFERED": "1", **session.get_bootstrap_env_vars()}
            process = subprocess.Popen(command, env={**os.environ, **own})
            try:
                status = process.wait()
            except BaseException:  # whatever ends the step; a cancelled run raises an error of Dagster's own in here
                process.terminate()
                try:
                    process.wait(timeout=_SAVING_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                raise
        return status, [str(message) for message in session.get_custom_messages()]


@contextmanager
def observed(
    context: dg.AssetExecutionContext, progress: Callable[[], dict[str, Any]], every_s: float
) -> Iterator[None]:
    """Meanwhile, record the metadata that `progress` gives as observations of the asset, for the UI to show.

    Every `every_s`, and after ten times that less and less often, so that training for weeks leaves no heap of them.
    """
    ended = threading.Event()

    def observe() -> None:
        began_s = time.monotonic()
        while not ended.wait(max(every_s, 0.1 * (time.monotonic() - began_s))):
            if metadata := progress():
                partition = context.partition_key if context.has_partition_key else None
                seen = dg.AssetObservation(context.asset_key, partition=partition, metadata=metadata)
                context.op_execution_context.log_event(seen)

    thread = threading.Thread(target=observe, name="observed", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def retrying_transient_faults() -> Iterator[None]:
    """Ask Dagster to try the step again after a fault that may pass: a lost connection, a time-out."""
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        raise dg.RetryRequested(max_retries=RETRIES, seconds_to_wait=10) from error
