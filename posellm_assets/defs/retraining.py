"""Training that starts by itself: the sensor around `language.retraining.next_step`.

The demo carries out the same decisions in its own process.
"""

import hashlib
from collections.abc import Collection

import dagster as dg

from posellm_assets.defs.jobs import ingest_footage, tokenise_motion, train_generation, train_tokenizer
from posellm_assets.defs.partitions import snapshots, videos
from posellm_assets.defs.resources import LakeResource
from posellm_assets.evaluation.champion import read_champion
from posellm_assets.lake import Lake
from posellm_assets.language.retraining import (
    Step,
    Tokenise,
    TrainGeneration,
    TrainTokenizer,
    Wait,
    contiguous_ranges,
    next_step,
)
from posellm_assets.language.snapshots import Snapshot, freeze, tokenised_videos, videos_of_last_snapshot
from posellm_assets.motion.lineage import current_lineage
from posellm_assets.problems import all_problems
from posellm_assets.settings import Settings

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def decide(lake: Lake, settings: Settings, busy: str | None) -> Step:
    """What is to be done next with the footage in `lake`."""
    lineage = current_lineage(lake)
    troubled = {problem.key for problem in all_problems(lake)}
    return next_step(
        ready=set(lake.captioned_videos()) - troubled,
        tokenised=tokenised_videos(lake, lineage) if lineage else (),
        in_snapshot=videos_of_last_snapshot(lake),
        lineage=lineage,
        busy=busy,
        min_new_videos=settings.automation.min_new_videos,
    )


def freeze_snapshot(lake: Lake, settings: Settings, keys: Collection[str]) -> Snapshot:
    """Freeze a snapshot of `keys` that starts from the released model, where there is one."""
    lineage = current_lineage(lake)
    assert lineage, "next_step asks for a generation only when there is a tokenizer"
    champion = read_champion(lake)
    parent = champion.snapshot if champion and champion.lineage == lineage else None
    return freeze(lake, keys, lineage, parent=parent, settings=settings.model_dump(mode="json"))


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
    here, settings = lake.lake(), lake.load_settings()
    step = decide(here, settings, _running(context.instance))
    context.log.info(step.reason)
    if isinstance(step, Wait):
        return dg.SkipReason(step.reason)
    if isinstance(step, TrainTokenizer):
        return dg.SensorResult([dg.RunRequest(run_key=f"tokenizer-{step.reason}", job_name=train_tokenizer.name)])
    if isinstance(step, Tokenise):
        ranges = video_ranges(context.instance, step.keys, settings.automation.max_videos_per_run)
        digest = hashlib.sha256("\n".join(step.keys).encode()).hexdigest()[:16]
        name = tokenise_motion.name
        return dg.SensorResult(
            [dg.RunRequest(run_key=f"tokens-{digest}-{tags[RANGE_START]}", job_name=name, tags=tags) for tags in ranges]
        )
    return _generation(here, settings, step)


def _generation(lake: Lake, settings: Settings, step: TrainGeneration) -> dg.SensorResult:
    snapshot = freeze_snapshot(lake, settings, step.keys).snapshot
    return dg.SensorResult(
        [dg.RunRequest(run_key=snapshot, job_name=train_generation.name, partition_key=snapshot)],
        dynamic_partitions_requests=[snapshots.build_add_request([snapshot])],
    )


def _running(instance: dg.DagsterInstance) -> str | None:
    """The unfinished run of a job of this project, if there is one."""
    for job in (ingest_footage, train_tokenizer, tokenise_motion, train_generation):
        if instance.get_runs(dg.RunsFilter(job_name=job.name, statuses=UNFINISHED), limit=1):
            return job.name
    return None
