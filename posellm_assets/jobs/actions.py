"""The jobs of the models that name actions, and of the report on them."""

from pathlib import Path

from posellm_assets.actions.config import ActionJob, RecogniserJob, ReportJob
from posellm_assets.generations.releases import rival
from posellm_assets.generations.snapshots import motions_of, read_snapshot, rendered_in
from posellm_assets.lake import FINAL, Lake
from posellm_assets.settings import Settings
from posellm_assets.training import store


def action_job(lake: Lake, settings: Settings, snapshot_key: str) -> ActionJob:
    """The vision-language model that names actions."""
    return ActionJob(
        dataset=lake.action_dataset(snapshot_key),
        out=lake.action_model(snapshot_key),
        model=settings.actions.model,
        training=settings.actions.training,
        hub=store.url_of(settings.hub, lake, "actions", snapshot_key),
        seed=settings.seed,
    )


def recogniser_job(lake: Lake, settings: Settings, snapshot_key: str) -> RecogniserJob:
    """The recogniser, of the models of a snapshot that are there."""
    snapshot = read_snapshot(lake, snapshot_key)
    return RecogniserJob(
        dataset=lake.action_dataset(snapshot_key),
        motions=motions_of(lake, snapshot),
        out=lake.recogniser(snapshot_key),
        language_model=_there(lake.finished_model(snapshot_key, settings.language.stages[-1].name)),
        tokenizer=_there(lake.tokenizer(snapshot.lineage)),
        vision_model=_there(lake.action_model(snapshot_key) / FINAL),
        config=settings.recognition,
        seed=settings.seed,
    )


def action_report_job(lake: Lake, settings: Settings, snapshot_key: str) -> ReportJob:
    """The report on a snapshot's recogniser, beside the one in use."""
    snapshot, in_use = read_snapshot(lake, snapshot_key), rival(lake, "recogniser", snapshot_key)
    return ReportJob(
        recogniser=lake.recogniser(snapshot_key),
        rival=in_use.as_rival(lake) if in_use else None,
        dataset=lake.action_dataset(snapshot_key),
        motions=motions_of(lake, snapshot),
        rendered=rendered_in(snapshot),
        out=lake.action_report(snapshot_key),
        config=settings.recognition,
        seed=settings.seed,
    )


def _there(path: Path) -> Path | None:
    return path if path.exists() else None
