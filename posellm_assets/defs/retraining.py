"""Training that starts by itself: the sensor around `language.retraining.next_step`.

The demo carries out the same decisions in its own process.
"""

import hashlib
import math
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

import dagster as dg
from pydantic import BaseModel, ValidationError

from posellm_assets.defs.jobs import NAMES, tokenise_motion, train_generation, train_tokenizer
from posellm_assets.defs.partitions import snapshots, videos
from posellm_assets.defs.resources import LakeResource
from posellm_assets.defs.runs import failures_of, running, why_it_failed
from posellm_assets.generations.champion import Champion, read_champion
from posellm_assets.generations.inventory import arrival_of, stamp_of, usable_videos
from posellm_assets.generations.retraining import (
    ATTEMPTS,
    Freeze,
    Generation,
    Scope,
    Step,
    Tokenise,
    TrainTokenizer,
    Wait,
    contiguous_ranges,
    next_step,
)
from posellm_assets.generations.snapshots import Snapshot, freeze, snapshot_keys, videos_of_last_snapshot
from posellm_assets.lake import Lake
from posellm_assets.language.origin import Origin
from posellm_assets.language.plan import find_hardware, settled
from posellm_assets.motion.drift import drifting_sports
from posellm_assets.motion.lineage import current_lineage
from posellm_assets.problems import Problem, clear_problem, find_problem, record_problem
from posellm_assets.settings import Settings

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PARTITION = "dagster/partition"
WORK = "posellm/work"
"""Tag of a run: what it is about, so that runs that failed at the same are counted."""
LOOK_AGAIN_S = 600.0
"""After so long everything is looked at although it seems as it was: a file put back into the drop zone leaves no trace
in the folders that the stamp is made of."""


class Idle(BaseModel):
    """The sensor's cursor: why there was nothing to do, and how the lake and the settings looked then."""

    stamp: str
    reason: str
    until_s: float


def decide(lake: Lake, settings: Settings, generations: Mapping[str, Generation]) -> Step:
    """What is to be done next with the footage in `lake`, while nothing is running.

    A generation's reason names the sports that the codes do not express, before anything is trained on them.
    """
    try:
        usable = usable_videos(lake)
    except OSError as error:
        return Wait(f"the footage cannot be listed, so no generation is begun: {error}")
    lineage = current_lineage(lake)
    rules = settings.automation.rules
    step = next_step(
        usable=usable,
        tokenised=lake.tokenised_videos(lineage) if lineage else (),
        lineage=lineage,
        scopes={
            scope: Scope(videos_of_last_snapshot(lake, lineage, scope) if lineage else (), generations.get(scope))
            for scope in rules
        },
        rules=rules,
        arrival=lambda key: arrival_of(lake, key),
        now_s=time.time(),
    )
    if isinstance(step, Freeze) and lineage:
        drift = map(str, drifting_sports(lake, lineage, step.keys))
        return replace(step, reason="; ".join([step.reason, *drift]))
    return step


def newest_generations(lake: Lake, settings: Settings, instance: dg.DagsterInstance) -> dict[str, Generation]:
    """The newest snapshot of each scope with a rule, and what became of it."""
    newest = {scope: snapshot_keys(lake, scope)[-1:] for scope in settings.automation.rules}
    return {scope: _generation(lake, instance, keys[0]) for scope, keys in newest.items() if keys}


def _generation(lake: Lake, instance: dg.DagsterInstance, snapshot: str) -> Generation:
    runs = instance.get_runs(dg.RunsFilter(job_name=train_generation.name, tags={PARTITION: snapshot}))
    ends = [run.status for run in runs]
    if not runs:  # a new Dagster instance, perhaps, for a lake that is not new
        return Generation(snapshot, finished=(lake.report(snapshot) / "metrics.json").exists())
    failures = ATTEMPTS if dg.DagsterRunStatus.CANCELED in ends else ends.count(dg.DagsterRunStatus.FAILURE)
    return Generation(snapshot, dg.DagsterRunStatus.SUCCESS in ends, failures)


def freeze_snapshot(lake: Lake, settings: Settings, step: Freeze) -> Snapshot:
    """Freeze a snapshot that goes on from the released model of its scope, else of all sports.

    It starts from the base where there is none of the codes in use and of the base that is set; its reason says so.
    """
    lineage = current_lineage(lake)
    assert lineage, "next_step asks for a generation only when there is a tokenizer"
    champion = read_champion(lake, step.scope) or read_champion(lake)
    unfit = _unfit(lake, settings, lineage, champion) if champion else ""
    return freeze(
        lake,
        step.keys,
        lineage,
        parent=champion.snapshot if champion and not unfit else None,
        settings=settings.model_dump(mode="json"),
        scope=step.scope,
        reason="; ".join(filter(None, [step.reason, unfit])),
    )


def _unfit(lake: Lake, settings: Settings, lineage: str, champion: Champion) -> str:
    """Why the next generation cannot go on from a released model; empty where it can."""
    if champion.lineage != lineage:
        return f"starts from the base, because {champion.snapshot} speaks the codes of {champion.lineage}"
    model, _ = settled(settings.language.model, settings.language.stages[0], find_hardware())
    origin = Origin.read(champion.model(lake))
    if origin.fits(model):
        return ""
    return f"starts from {Origin.of_base(model)} as set, because {champion.snapshot} was made from {origin}"


def video_ranges(instance: dg.DagsterInstance, keys: Collection[str], limit: int) -> list[dict[str, str]]:
    """Run tags for each range of neighbouring partitions in `keys`."""
    order = instance.get_dynamic_partitions(videos.name or "")
    return [{RANGE_START: first, RANGE_END: last} for first, last in contiguous_ranges(order, keys, limit)]


@dg.sensor(
    jobs=[train_tokenizer, tokenise_motion, train_generation],
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=20,
    description="Trains the next generation when enough new footage has passed its checks.",
)
def retraining_sensor(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    """Start the next step towards a model that knows all usable footage, or say why not."""
    here, settings, now_s = lake.lake(), lake.load_settings(), time.time()
    # Before the look, so that whatever comes during it is looked at by the next tick.
    stamp = stamp_of(here, settings.automation.model_dump_json(), now_s)
    idle = _idle(context)
    if idle and stamp and idle.stamp == stamp and now_s < idle.until_s:
        return dg.SkipReason(idle.reason)
    if busy := running(context.instance, NAMES):
        return dg.SkipReason(f"{busy} is running")
    generations = newest_generations(here, settings, context.instance)
    _tell(here, generations.values(), context.instance)
    step = decide(here, settings, generations)
    context.log.info(step.reason)
    if isinstance(step, Wait):
        until_s = min(now_s + LOOK_AGAIN_S, step.until_s or math.inf)
        cursor = Idle(stamp=stamp, reason=step.reason, until_s=until_s).model_dump_json()
        return dg.SensorResult(skip_reason=dg.SkipReason(step.reason), cursor=cursor)
    if isinstance(step, TrainTokenizer):
        return _requests(context.instance, train_tokenizer.name, [{}], "tokenizer", step.reason)
    if isinstance(step, Tokenise):
        ranges = video_ranges(context.instance, step.keys, settings.automation.max_videos_per_run)
        about = hashlib.sha256("\n".join(step.keys).encode()).hexdigest()[:16]
        return _requests(context.instance, tokenise_motion.name, ranges, f"tokens-{about}", step.reason)
    if isinstance(step, Freeze):
        snapshot = freeze_snapshot(here, settings, step)
        context.log.info(f"{snapshot.snapshot}: {snapshot.reason}")
        key, attempt = snapshot.snapshot, 1
    else:
        key, attempt = step.snapshot, step.attempt
    request = dg.RunRequest(run_key=f"{key}-{attempt}", job_name=train_generation.name, tags={PARTITION: key})
    return dg.SensorResult([request], dynamic_partitions_requests=[snapshots.build_add_request([key])])


def _idle(context: dg.SensorEvaluationContext) -> Idle | None:
    try:
        return Idle.model_validate_json(context.cursor) if context.cursor else None
    except ValidationError:  # an earlier version's; this tick writes another
        return None


def _requests(
    instance: dg.DagsterInstance, job: str, runs: list[dict[str, str]], work: str, reason: str
) -> dg.SensorResult | dg.SkipReason:
    """Runs of `job` for each of the tags in `runs`, unless the same `work` has failed too often."""
    failures = failures_of(instance, job, {WORK: work})
    if failures >= ATTEMPTS * len(runs):
        return dg.SkipReason(f"{reason}; {job} failed {failures} times at that and is left for a person to start")
    # Dagster remembers a run key for ever: without the attempt, what failed could never run again.
    return dg.SensorResult(
        [
            dg.RunRequest(run_key=f"{work}-{number}-{failures}", job_name=job, tags={**tags, WORK: work})
            for number, tags in enumerate(runs)
        ]
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
