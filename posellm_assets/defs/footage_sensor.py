"""Footage that starts by itself: the sensor around `footage.intake.look`."""

import time

import dagster as dg
from pydantic import ValidationError

from posellm_assets.defs.footage import quarantine_report
from posellm_assets.defs.ingesting import asked_for
from posellm_assets.defs.jobs import ingest_footage
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.resources import LakeResource
from posellm_assets.defs.runs import in_flight
from posellm_assets.footage.intake import Look, WatchState, look
from posellm_assets.footage.registry import registry_of
from posellm_assets.footage.scan import drop_zone
from posellm_assets.generations.inventory import unfinished_videos
from posellm_assets.reports.plain import visible
from posellm_assets.waiting import keep_waiting


@dg.sensor(
    job_name=ingest_footage.name,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
    description="Registers footage dropped into raw/<sport>/ once it has settled, and ingests it.",
)
def new_footage_sensor(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[LakeResource]
) -> dg.SensorResult | dg.SkipReason:
    """Register what has settled, and ask for runs of all registered videos that are neither ready nor troubled.

    What is asked for follows from the lake and the runs, not from what earlier ticks did: a run that was killed, a
    partition that somebody deleted and a new Dagster instance are made up for by the next tick.
    """
    here, settings = lake.opened()
    if not drop_zone(here).exists():
        return dg.SkipReason(f"there is no drop zone yet; make {here.raw}/<sport>/ and put clips there")
    runs = in_flight(context.instance)
    found = look(here, settings.footage, _state(context), time.time())
    for outcome in found.outcomes:
        context.log.info(visible(f"{outcome.path}: {outcome.status} {outcome.key or ''} {outcome.reason or ''}"))
    order = context.instance.get_dynamic_partitions(videos.name or "")
    there = set(order)
    missing = [key for key in registry_of(here).sha256_of if key not in there]
    added = missing[: settings.footage.max_files_per_tick]
    asked = asked_for(
        context.instance, [*order, *added], unfinished_videos(here), runs, settings.automation.max_videos_per_run
    )
    keep_waiting(here, "ingest", asked.said)
    return dg.SensorResult(
        run_requests=asked.requests,
        skip_reason=None if asked.requests else dg.SkipReason("; ".join([_summary(found), *asked.said])),
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
        context.log.warning(f"this cursor is not mine, so the drop zone is looked at afresh: {error}")
        return WatchState()


def _summary(found: Look) -> str:
    return (
        f"nothing new: {found.known} files known, {found.waiting} settling or waiting their turn,"
        f" {len(found.quarantine)} in quarantine"
    )
