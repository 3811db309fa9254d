"""Everything that the sensors would start, carried out here and now in this process: how the demo runs.

Runs, materializations and checks go into the same Dagster instance, so that the UI shows them afterwards.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from posellm_assets.defs import jobs
from posellm_assets.defs.partitions import PARTITION, RANGE_START, add_videos, snapshots, video_ranges, videos
from posellm_assets.defs.runs import LOCK, in_flight, locked, newest_generations
from posellm_assets.footage.config import FootageConfig
from posellm_assets.footage.intake import WatchState, look
from posellm_assets.footage.registry import registry_of
from posellm_assets.generations.inventory import unfinished_videos
from posellm_assets.generations.retraining import Freeze, Tokenise, TrainTokenizer, Wait
from posellm_assets.generations.snapshots import next_snapshot
from posellm_assets.lake import Lake
from posellm_assets.next_generation import decide
from posellm_assets.settings import Settings

AT_ONCE = FootageConfig(settle_s=0, max_files_per_tick=100_000, tick_budget_s=3600)


@dataclass(frozen=True)
class News:
    """A line of a run's log, or a job that ended after `seconds`."""

    job: str
    message: str
    seconds: float | None = None


class RunFailed(RuntimeError):
    """A job that did not succeed."""


def home_instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME, for a `with` statement: where runs and materializations are recorded."""
    return dg.DagsterInstance.get()


def bring_up_to_date(
    definitions: dg.Definitions,
    lake: Lake,
    settings: Settings,
    instance: dg.DagsterInstance,
    say: Callable[[News], None],
) -> str:
    """Register, ingest and train by the jobs of `definitions` until there is nothing left to do; returns why.

    Raises RunFailed where a training job fails; the next call resumes its generation. Videos that cannot be used fail
    with their reason, as in any ingest run. RuntimeError where another process does the same already.
    """
    lock = lake.root / ".bring_up_to_date.lock"
    in_flight(instance)  # an earlier call that was killed left its run unfinished
    with locked(lock):
        return _bring_up_to_date(lake, settings, instance, _Here(definitions, instance, say, lock))


def _bring_up_to_date(lake: Lake, settings: Settings, instance: dg.DagsterInstance, here: "_Here") -> str:
    state = look(lake, AT_ONCE, WatchState(), time.time()).state
    while state.checked:  # each look checks some of the known files again
        state = look(lake, AT_ONCE, state, time.time()).state
    there = set(instance.get_dynamic_partitions(videos.name or ""))
    missing = [key for key in registry_of(lake).sha256_of if key not in there]
    add_videos(instance, missing)
    for tags in video_ranges(instance, unfinished_videos(lake), settings.automation.max_videos_per_run):
        here.run(jobs.ingest_footage.name, tags, may_leave_videos_behind=True)
    for generation in newest_generations(lake, settings, instance).values():
        if not generation.finished:
            here.train(generation.snapshot)
    while True:
        step = decide(lake, settings, newest_generations(lake, settings, instance))
        if isinstance(step, Wait):
            return step.reason
        if isinstance(step, TrainTokenizer):
            here.run(jobs.train_tokenizer.name, {})
        elif isinstance(step, Tokenise):
            for tags in video_ranges(instance, step.keys, settings.automation.max_videos_per_run):
                here.run(jobs.tokenise_motion.name, tags)
        else:
            here.train(next_snapshot(lake, step.scope) if isinstance(step, Freeze) else step.snapshot)


class _Here:
    """Runs jobs in this process and passes on what they log."""

    def __init__(
        self, definitions: dg.Definitions, instance: dg.DagsterInstance, say: Callable[[News], None], lock: Path
    ):
        self.instance = instance
        self.say = say
        self.lock = lock
        logger = _console(say)
        self.definitions = dg.Definitions.merge(definitions, dg.Definitions(loggers={"console": logger}))

    def train(self, snapshot: str) -> None:
        self.instance.add_dynamic_partitions(snapshots.name or "", [snapshot])
        self.run(jobs.train_generation.name, {PARTITION: snapshot})

    def run(self, job: str, tags: dict[str, str], may_leave_videos_behind: bool = False) -> None:
        started = time.monotonic()
        self.say(News(job, tags.get(PARTITION) or tags.get(RANGE_START) or "started"))
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            tags={**tags, LOCK: str(self.lock.absolute())},
            raise_on_error=False,
            run_config={"loggers": {"console": {}}},
        )
        failures = list(_failures(result))
        if failures and not may_leave_videos_behind:
            raise RunFailed(f"{job} failed (run {result.run_id}): {'; '.join(failures)}")
        message = failures[0].splitlines()[0] if failures else "done"
        self.say(News(job, message, time.monotonic() - started))


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            user = failure.user_failure_data
            yield (user.description if user else None) or (failure.error.to_string() if failure.error else "unknown")


def _console(say: Callable[[News], None]) -> dg.LoggerDefinition:
    """A Dagster logger that hands what assets log to `say` instead of printing every event."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {})
            if not meta.get("dagster_event"):
                say(News(str(meta.get("job_name", "")), str(meta.get("orig_message", record.getMessage()))))

    @dg.logger
    def console(_: dg.InitLoggerContext) -> logging.Logger:
        """Progress for a person."""
        logger = logging.Logger("posellm", level=logging.INFO)
        logger.addHandler(Handler())
        return logger

    return console
