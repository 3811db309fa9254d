"""Footage that starts by itself: the sensor around `footage.intake.look`."""

import time

import dagster as dg
from pydantic import ValidationError

from posellm_assets.defs.footage import quarantine_report
from posellm_assets.defs.ingesting import Asking, asked_for, videos_of
from posellm_assets.defs.jobs import ingest_footage
from posellm_assets.defs.partitions import videos
from posellm_assets.defs.resources import LakeResource
from posellm_assets.defs.runs import in_flight
from posellm_assets.defs.unlogged import unlogged
from posellm_assets.footage.intake import Look, WatchState, look
from posellm_assets.footage.registry import registry_of
from posellm_assets.footage.scan import drop_zone
from posellm_assets.generations.inventory import stamp_of, unfinished_videos
from posellm_assets.lake import Lake
from posellm_assets.reports.plain import visible
from posellm_assets.settings import Settings
from posellm_assets.waiting import keep_waiting

NOTHING_OWED_S = 60.0
"""So long nothing is compared where the lake looks as it did when nothing was owed, as it takes longer the more videos
there are. Not for ever, because a partition that somebody deletes leaves no trace in the lake."""


class Cursor(WatchState):
    """What the sensor remembers between two ticks."""

    nothing_owed: str = ""
    """The stamp of the lake when every registered video was last found to have a partition and to be done."""
    until_s: float = 0.0


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
    runs, state, now_s = in_flight(context.instance), _state(context), time.time()
    found = look(here, settings.footage, state, now_s)
    for outcome in found.outcomes:
        context.log.info(visible(f"{outcome.path}: {outcome.status} {outcome.key or ''} {outcome.reason or ''}"))
    for key in found.relabelled:
        context.log.info(f"{key}: other words are said about it, so that it is ingested again")
    # Before the comparison, so that whatever comes during it is compared by the next tick.
    stamp = stamp_of(here, str(len(registry_of(here).sha256_of)), now_s)
    if stamp and stamp == state.nothing_owed and now_s < state.until_s:
        added, asked, until_s, late = list[str](), Asking(), state.until_s, list[dg.AssetMaterialization]()
    else:
        added, asked = _owed(context.instance, here, settings, runs)
        # What the log lacks can wait for a quiet tick: looking for it takes longer the more videos there are.
        late = [] if added or asked.requests else _late(context.instance, here, runs)
        until_s = now_s + NOTHING_OWED_S
    owed = bool(added or asked.requests or asked.said or late)
    keep_waiting(here, "ingest", asked.said)
    cursor = Cursor(**found.state.model_dump(), nothing_owed="" if owed else stamp, until_s=until_s)
    return dg.SensorResult(
        run_requests=asked.requests,
        skip_reason=None if asked.requests else dg.SkipReason("; ".join([_summary(found), *asked.said])),
        cursor=cursor.model_dump_json(),
        dynamic_partitions_requests=[videos.build_add_request(added)] if added else [],
        asset_events=[*late, *([quarantine_report(found.quarantine)] if found.quarantine_changed else [])],
    )


def _owed(
    instance: dg.DagsterInstance, lake: Lake, settings: Settings, runs: list[dg.DagsterRun]
) -> tuple[list[str], Asking]:
    """The registered videos that get a partition now, and the runs to ask for."""
    order = instance.get_dynamic_partitions(videos.name or "")
    there = set(order)
    missing = [key for key in registry_of(lake).sha256_of.copy() if key not in there]
    added = missing[: settings.footage.max_files_per_tick]
    limit = settings.automation.max_videos_per_run
    return added, asked_for(instance, [*order, *added], unfinished_videos(lake), runs, limit)


def _late(instance: dg.DagsterInstance, lake: Lake, runs: list[dg.DagsterRun]) -> list[dg.AssetMaterialization]:
    """What was made of videos on which no run is at work, and is not in the log."""
    order = instance.get_dynamic_partitions(videos.name or "")
    at_work = videos_of(runs, order, {key: number for number, key in enumerate(order)})
    return unlogged(instance, lake, set(order) - at_work)


def _state(context: dg.SensorEvaluationContext) -> Cursor:
    if not context.cursor:
        return Cursor()
    try:
        return Cursor.model_validate_json(context.cursor)
    except ValidationError as error:
        context.log.warning(f"this cursor is not mine, so the drop zone is looked at afresh: {error}")
        return Cursor()


def _summary(found: Look) -> str:
    return (
        f"nothing new: {found.known} files known, {found.waiting} settling or waiting their turn,"
        f" {len(found.quarantine)} in quarantine"
    )
