"""Footage that starts by itself: the sensor around `footage.intake.look`."""

import hashlib
import time
from collections.abc import Sequence

import dagster as dg
from pydantic import ValidationError

from posellm_assets.defs.footage import FOOTAGE, quarantine_report
from posellm_assets.defs.jobs import ingest_footage
from posellm_assets.defs.partitions import RANGE_END, RANGE_START, contiguous_ranges, videos
from posellm_assets.defs.resources import LakeResource
from posellm_assets.footage.intake import Look, WatchState, look
from posellm_assets.footage.registry import Outcome
from posellm_assets.footage.scan import drop_zone
from posellm_assets.reports.plain import visible

BATCH = "posellm/footage"
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


@dg.sensor(
    job_name=ingest_footage.name,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Registers footage dropped into raw/<sport>/ once it has settled, and takes it in.",
)
def new_footage_sensor(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]
) -> dg.SensorResult | dg.SkipReason:
    """Make partitions and runs of the footage that was registered since the last tick."""
    here, settings = lake.opened()
    if not drop_zone(here).exists():
        return dg.SkipReason(f"there is no drop zone yet; make {here.raw}/<sport>/ and put clips there")
    found = look(here, settings.footage, _state(context), time.time())
    for outcome in found.outcomes:
        context.log.info(visible(f"{outcome.path}: {outcome.status} {outcome.key or ''} {outcome.reason or ''}"))
    keys = [outcome.key for outcome in found.announce if outcome.key]
    there = {key for key in keys if context.instance.has_dynamic_partition(videos.name or "", key)}
    added = [key for key in keys if key not in there]
    requests = _run_requests(context.instance, found.announce, added, there, settings.automation.max_videos_per_run)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason(_summary(found)),
        cursor=found.state.model_dump_json(),
        dynamic_partitions_requests=[videos.build_add_request(added)] if added else [],
        asset_events=[quarantine_report(found.quarantine)] if found.quarantine_changed else [],
    )


def _state(context: dg.SensorEvaluationContext) -> WatchState:
    if not context.cursor:
        return WatchState()
    try:
        return WatchState.model_validate_json(context.cursor)
    except ValidationError as error:
        context.log.warning(f"this cursor is not mine, so everything registered is announced again: {error}")
        return WatchState()


def _run_requests(
    instance: dg.DagsterInstance, announced: Sequence[Outcome], added: Sequence[str], there: set[str], limit: int
) -> list[dg.RunRequest]:
    """Runs over ranges of the videos that have no footage yet.

    Partitions are in the order of their addition, so that those added in one request are neighbours at the end. A
    partition that is there already was made by somebody else, who may have done the work, or by a tick that died.
    """
    left = there - _materialized(instance, there)
    order = [*(instance.get_dynamic_partitions(videos.name or "") if left else ()), *added]
    hashes = {outcome.key: outcome.sha256 or "" for outcome in announced}
    requests = []
    for first, last in contiguous_ranges(order, {*added, *left}, limit):
        batch = [hashes[key] for key in order[order.index(first) : order.index(last) + 1]]
        digest = hashlib.sha256("\n".join(batch).encode()).hexdigest()[:16]
        # Dagster remembers a run key for ever: without the attempt, footage whose run failed could never run again.
        attempt = 1 + instance.get_runs_count(dg.RunsFilter(tags={BATCH: digest}, statuses=FINISHED))
        tags = {RANGE_START: first, RANGE_END: last, BATCH: digest}
        requests.append(dg.RunRequest(run_key=f"footage-{digest}-{attempt}", tags=tags))
    return requests


def _materialized(instance: dg.DagsterInstance, keys: set[str]) -> set[str]:
    if not keys:
        return set()
    event_type = dg.DagsterEventType.ASSET_MATERIALIZATION
    return set(instance.get_latest_storage_id_by_partition(FOOTAGE.spec.key, event_type, keys))


def _summary(found: Look) -> str:
    return (
        f"nothing new: {found.known} files known, {found.waiting} settling or waiting their turn,"
        f" {len(found.quarantine)} in quarantine"
    )
