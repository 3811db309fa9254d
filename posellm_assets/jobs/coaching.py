"""The jobs of the coaching model, of the streaming coach, and of the reports on them."""

from posellm_assets.coaching.model.config import CoachingReportJob, CoachingVisionJob
from posellm_assets.coaching.model.dataset import picture_rows
from posellm_assets.coaching.streaming.config import CoachJob, FeedbackItem, FeedbackJob, StreamingReportJob
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.inventory import taken_out
from posellm_assets.generations.releases import rival
from posellm_assets.generations.snapshots import Snapshot, read_snapshot, rendered_in
from posellm_assets.lake import FINAL, Lake, split_file
from posellm_assets.language.config import StageJob
from posellm_assets.language.plan import settled, training_hardware
from posellm_assets.motion.codebook import Codebook
from posellm_assets.settings import Settings
from posellm_assets.training import store


def coaching_job(lake: Lake, settings: Settings, snapshot_key: str) -> StageJob | CoachingVisionJob:
    """The model that answers as labels do, of the kind that is set: a language model, or one that sees pictures."""
    if settings.coaching.model.kind == "vision":
        return _vision_job(lake, settings, snapshot_key)
    return _language_job(lake, settings, snapshot_key)


def coaching_report_job(lake: Lake, settings: Settings, snapshot_key: str) -> CoachingReportJob:
    """The report on a snapshot's coaching model, from the rows of its kind."""
    kind, dataset = settings.coaching.model.kind, lake.coaching_dataset(snapshot_key)
    return CoachingReportJob(
        kind=kind,
        model=lake.coaching_model(snapshot_key) / FINAL,
        train=picture_rows(dataset, "train") if kind == "vision" else split_file(dataset, "train"),
        test=picture_rows(dataset, "test") if kind == "vision" else split_file(dataset, "test"),
        rendered=rendered_in(read_snapshot(lake, snapshot_key)),
        out=lake.coaching_report(snapshot_key),
    )


def feedback_job(lake: Lake, settings: Settings, snapshot_key: str) -> FeedbackJob:
    """The sessions of a snapshot, as windows of live motion."""
    snapshot = read_snapshot(lake, snapshot_key)
    items = _items_of(lake, snapshot)
    left_out = taken_out(lake, [item.key for item in items])
    return FeedbackJob(
        items=[item for item in items if item.key not in left_out],
        left_out=left_out,
        tokenizer=lake.tokenizer(snapshot.lineage),
        motion=settings.motion,
        out=lake.feedback_dataset(snapshot_key),
    )


def coach_job(lake: Lake, settings: Settings, snapshot_key: str) -> CoachJob:
    """The streaming coach."""
    return CoachJob(
        dataset=lake.feedback_dataset(snapshot_key),
        out=lake.streaming_coach(snapshot_key),
        config=settings.streaming,
        hub=store.url_of(settings.hub, lake, "coach", snapshot_key),
        seed=settings.seed,
    )


def coach_report_job(lake: Lake, settings: Settings, snapshot_key: str) -> StreamingReportJob:
    """The report on a snapshot's streaming coach, beside the one in use."""
    in_use = rival(lake, "coach", snapshot_key)
    return StreamingReportJob(
        coach=lake.streaming_coach(snapshot_key) / FINAL,
        dataset=lake.feedback_dataset(snapshot_key),
        rival=in_use.as_rival(lake) if in_use else None,
        rendered=rendered_in(read_snapshot(lake, snapshot_key)),
        out=lake.streaming_report(snapshot_key),
        text_metrics=settings.coaching.text_metrics,
        ledger=lake.endpoint_spending,
        seed=settings.seed,
    )


def _language_job(lake: Lake, settings: Settings, snapshot_key: str) -> StageJob:
    snapshot, config = read_snapshot(lake, snapshot_key), settings.coaching.model
    model, stage = settled(config.model, config.stage, training_hardware(settings.cluster))
    codebook = Codebook.of(lake, snapshot.lineage)
    dataset = lake.coaching_dataset(snapshot_key)
    return StageJob(
        train=split_file(dataset, "train"),
        val=split_file(dataset, "val"),
        out=lake.coaching_model(snapshot_key),
        stage=stage,
        model=model,
        codebook_size=codebook.size,
        codes_per_step=codebook.codes_per_step,
        lineage=snapshot.lineage,
        tokenizer=lake.tokenizer(snapshot.lineage),
        snapshot=snapshot_key,
        hub=store.url_of(settings.hub, lake, "coaching", snapshot_key),
        seed=settings.seed,
    )


def _vision_job(lake: Lake, settings: Settings, snapshot_key: str) -> CoachingVisionJob:
    config = settings.coaching.model.vision
    return CoachingVisionJob(
        dataset=lake.coaching_dataset(snapshot_key),
        out=lake.coaching_model(snapshot_key),
        model=config.model,
        training=config.training,
        hub=store.url_of(settings.hub, lake, "coaching", snapshot_key),
        seed=settings.seed,
    )


def _items_of(lake: Lake, snapshot: Snapshot) -> list[FeedbackItem]:
    """The videos of a snapshot in which a coach speaks."""
    spoken = ((video, manifest) for video in snapshot.videos if (manifest := read_manifest(lake, video.key)).feedback)
    return [
        FeedbackItem(
            key=video.key,
            participant=video.participant,
            split=video.split,
            poses=lake.poses(video.key),
            duration_s=manifest.video.duration_s,
            language=manifest.language,
            feedback=manifest.feedback,
        )
        for video, manifest in spoken
    ]
