"""Training that starts by itself: the sensor around `next_generation.decide`."""

import hashlib
import math
import time
from collections.abc import Iterable, Sequence

import dagster as dg
from pydantic import ValidationError

from posellm_assets.defs.ingesting import videos_of
from posellm_assets.defs.jobs import ingest_footage, tokenise_motion, train_generation, train_tokenizer
from posellm_assets.defs.partitions import PARTITION, ranges_of, snapshots, videos
from posellm_assets.defs.resources import LakeResource
from posellm_assets.defs.runs import attempts_at, in_flight, newest_generations, why_it_failed
from posellm_assets.generations.inventory import stamp_of
from posellm_assets.generations.retraining import ATTEMPTS, Busy, Freeze, Generation, Tokenise, TrainTokenizer, Wait
from posellm_assets.generations.snapshots import next_snapshot
from posellm_assets.keys import snapshot_scope
from posellm_assets.lake import Lake
from posellm_assets.next_generation import decide
from posellm_assets.problems import Problem, clear_problem, find_problem, record_problem
from posellm_assets.records import Record
from posellm_assets.waiting import keep_waiting

WORK = "posellm/work"
"""Tag of a run: what it is about, so that runs that failed at the same are counted."""
LOOK_AGAIN_S = 600.0
"""After so long everything is looked at although it seems as it was: a file put back into the drop zone leaves no trace
in the folders that the stamp is made of."""


class Idle(Record):
    """The sensor's cursor: why there was nothing to do, and how the lake and the settings looked then."""

    stamp: str
    reason: str
    until_s: float


@dg.sensor(
    jobs=[train_tokenizer, tokenise_motion, train_generation],
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=20,
    description="Trains the next generation when enough new footage has passed its checks.",
)
def retraining_sensor(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]
) -> dg.SensorResult | dg.SkipReason:
    """Start the next step towards a model that knows all usable footage, or say why not."""
    (here, settings), now_s = lake.opened(), time.time()
    # Before the look, so that whatever comes during it is looked at by the next tick.
    stamp = stamp_of(here, settings.automation.model_dump_json(), now_s)
    idle = _idle(context)
    if idle and stamp and idle.stamp == stamp and now_s < idle.until_s:
        keep_waiting(here, "training", [idle.reason])
        return dg.SkipReason(idle.reason)
    instance, limit = context.instance, settings.automation.max_videos_per_run
    runs = in_flight(instance)
    generations = newest_generations(here, settings, instance)
    _tell(here, generations.values(), instance)
    order = instance.get_dynamic_partitions(videos.name or "")
    place = {key: number for number, key in enumerate(order)}
    taken_in = videos_of([run for run in runs if run.job_name == ingest_footage.name], order, place)
    step = decide(here, settings, generations, _busy(runs), taken_in)
    context.log.info(step.reason)
    keep_waiting(here, "training", [step.reason])
    if isinstance(step, Wait):
        # What a run changes leaves no trace in the folders that the stamp is made of.
        until_s = now_s if runs else min(now_s + LOOK_AGAIN_S, step.until_s or math.inf)
        cursor = Idle(stamp=stamp, reason=step.reason, until_s=until_s).model_dump_json()
        return dg.SensorResult(skip_reason=dg.SkipReason(step.reason), cursor=cursor)
    if isinstance(step, TrainTokenizer):
        return _requests(instance, train_tokenizer.name, [{}], "tokenizer", step.reason)
    if isinstance(step, Tokenise):
        # A partition that is not there was deleted, or this Dagster instance is new.
        added = [key for key in step.keys if key not in place]
        ranges = ranges_of([*order, *added], step.keys, limit)
        about = hashlib.sha256("\n".join(step.keys).encode()).hexdigest()[:16]
        return _requests(instance, tokenise_motion.name, ranges, f"tokens-{about}", step.reason, added)
    key = next_snapshot(here, step.scope) if isinstance(step, Freeze) else step.snapshot
    before, _ = attempts_at(instance, train_generation.name, {PARTITION: key})
    request = dg.RunRequest(run_key=f"{key}-{before + 1}", job_name=train_generation.name, tags={PARTITION: key})
    return dg.SensorResult([request], dynamic_partitions_requests=[snapshots.build_add_request([key])])


def _busy(runs: Iterable[dg.DagsterRun]) -> Busy:
    partitions: dict[str, list[str]] = {}
    for run in runs:
        partitions.setdefault(run.job_name, []).append(run.tags.get(PARTITION, ""))
    in_training = partitions.get(train_generation.name, ())
    return Busy(
        scopes=frozenset(snapshot_scope(key) for key in in_training if key),
        tokenizer=train_tokenizer.name in partitions,
        tokenising=tokenise_motion.name in partitions,
    )


def _idle(context: dg.SensorEvaluationContext) -> Idle | None:
    try:
        return Idle.model_validate_json(context.cursor) if context.cursor else None
    except ValidationError:  # an earlier version's; this tick writes another
        return None


def _requests(
    instance: dg.DagsterInstance,
    job: str,
    runs: list[dict[str, str]],
    work: str,
    reason: str,
    added: Sequence[str] = (),
) -> dg.SensorResult | dg.SkipReason:
    """Runs of `job` for each of the tags in `runs`, unless the same `work` has failed too often; videos `added`
    become partitions first."""
    before, failures = attempts_at(instance, job, {WORK: work})
    if failures >= ATTEMPTS * len(runs):
        return dg.SkipReason(f"{reason}; {job} failed {failures} times at that and is left for a person to start")
    # Dagster remembers a run key for ever: without the attempt, what failed could never run again.
    return dg.SensorResult(
        [
            dg.RunRequest(run_key=f"{work}-{number}-{before}", job_name=job, tags={**tags, WORK: work})
            for number, tags in enumerate(runs)
        ],
        dynamic_partitions_requests=[videos.build_add_request(added)] if added else [],
    )


def _tell(lake: Lake, generations: Iterable[Generation], instance: dg.DagsterInstance) -> None:
    """Keep among the problems of the lake which generations are left for a person, for `posellm status`."""
    for generation in generations:
        name, snapshot = train_generation.name, generation.snapshot
        if generation.finished:
            clear_problem(lake, name, snapshot)
        elif generation.failures >= ATTEMPTS and not find_problem(lake, name, snapshot):
            why = why_it_failed(instance, name, {PARTITION: snapshot})
            record_problem(lake, Problem(key=snapshot, step=name, reason=f"failed and is left for a person: {why}"))
