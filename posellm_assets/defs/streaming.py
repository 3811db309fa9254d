"""The coaching group, as it happens: sessions with timed feedback, the coach that learns from them, and its report."""

from typing import Any

import dagster as dg

from posellm_assets.coaching.streaming.config import CoachJob, FeedbackItem, FeedbackJob, StreamingReportJob
from posellm_assets.defs.common import OWNERS, every_video, picture, stored
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource, Programs, retrying_transient_faults
from posellm_assets.files import read_json, write_json
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.splits import SPLITS
from posellm_assets.generations.snapshots import Snapshot, read_snapshot
from posellm_assets.lake import Lake
from posellm_assets.training import store
from posellm_assets.training.curves import entries_of, training_png

STREAMING_ASSET: dict[str, Any] = {
    "group_name": "coaching",
    "partitions_def": snapshots,
    "owners": OWNERS,
    "pool": "train",
    "code_version": "1",
}


@dg.asset(deps=every_video("footage", "poses", "motion_tokens"), kinds={"numpy"}, **STREAMING_ASSET)
def feedback_dataset(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """The videos of a snapshot with timed feedback, as windows of live motion under the snapshot's tokenizer."""
    here, settings = lake.lake(), lake.load_settings()
    snapshot = read_snapshot(here, context.partition_key)
    out = here.feedback_dataset(snapshot.snapshot)
    job = FeedbackJob(
        items=items_of(here, snapshot),
        tokenizer=here.tokenizer(snapshot.lineage),
        motion=settings.motion,
        out=out,
    )
    with retrying_transient_faults():
        programs.run(context, "posellm_assets.coaching.streaming.dataset", job, out)
    record = read_json(out / "dataset.json")
    sessions = record["sessions"]
    said = {key: sum(not one["transition"] for one in session["feedback"]) for key, session in _by_key(sessions)}
    splits: dict[str, Any] = {
        split: {
            "sessions": sum(one["split"] == split for one in sessions),
            "messages": sum(said[one["key"]] for one in sessions if one["split"] == split),
            "minutes": round(sum(one["duration_s"] for one in sessions if one["split"] == split) / 60, 1),
        }
        for split in SPLITS
    }
    for key, reason in record["refused"].items():
        context.log.warning(f"{key}: {reason}")
    return dg.MaterializeResult(
        metadata={
            "sessions": len(sessions),
            "refused": len(record["refused"]),
            "splits": dg.MetadataValue.json(splits),
            "folder": dg.MetadataValue.path(str(out)),
        }
    )


@dg.asset(deps=["feedback_dataset"], kinds={"pytorch"}, **STREAMING_ASSET)
def streaming_coach(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """A causal model that says the right thing at the right moment, or nothing; a killed run goes on."""
    here, settings = lake.lake(), lake.load_settings()
    out = here.streaming_coach(context.partition_key)
    job = CoachJob(
        dataset=here.feedback_dataset(context.partition_key),
        out=out,
        config=settings.streaming,
        hub=store.url_of(settings.hub, here, "coach", context.partition_key),
        seed=settings.seed,
    )
    with retrying_transient_faults():
        programs.run(context, "posellm_assets.coaching.streaming.train", job, out)
    result = read_json(out / "result.json")
    return dg.MaterializeResult(
        metadata={
            **{key: value for key, value in result.items() if isinstance(value, int | float | str)},
            **stored(context, result),
            "losses": picture(training_png(entries_of(out / "losses.jsonl")), "png"),
            "coach": dg.MetadataValue.path(str(out / "final")),
        }
    )


@dg.asset(deps=["streaming_coach"], kinds={"html"}, **STREAMING_ASSET)
def streaming_report(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """T-F-Score on participants that it has not seen, beside silence, chatter and random times; one that beats them,
    and is not worse than the coach in use, comes into use."""
    here, settings = lake.lake(), lake.load_settings()
    snapshot = context.partition_key
    out = here.streaming_report(snapshot)
    in_use = read_json(here.current_coach)["snapshot"] if here.current_coach.exists() else None
    job = StreamingReportJob(
        coach=here.streaming_coach(snapshot) / "final",
        dataset=here.feedback_dataset(snapshot),
        rival=here.streaming_coach(in_use) / "final" if in_use not in (None, snapshot) else None,
        out=out,
        text_metrics=settings.coaching.text_metrics,
        ledger=here.endpoint_spending,
        seed=settings.seed,
    )
    with retrying_transient_faults():
        programs.run(context, "posellm_assets.coaching.streaming.report", job, out)
    metrics = read_json(out / "metrics.json")
    if metrics["decision"]["use"]:
        write_json(here.current_coach, {"snapshot": snapshot})
    lines = [
        f"| {name} | {one['published']['value']:.3f} | {one['optimal']['value']:.3f} | {one['optimal']['n']} |"
        for name, one in metrics["speakers"].items()
    ]
    table = ["| | T-F-Score, published | best matching | sessions |", "| --- | --- | --- | --- |", *lines]
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.path(str(out / "index.html")),
            "summary": dg.MetadataValue.md("\n".join(table)),
            "in use": metrics["decision"]["use"],
            "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in metrics["decision"]["reasons"])),
        }
    )


def items_of(lake: Lake, snapshot: Snapshot) -> list[FeedbackItem]:
    """The videos of a snapshot in which a coach speaks."""
    items = []
    for video in snapshot.videos:
        manifest = read_manifest(lake, video.key)
        if manifest.feedback:
            items.append(
                FeedbackItem(
                    key=video.key,
                    participant=video.participant,
                    split=video.split,
                    poses=lake.poses(video.key),
                    duration_s=manifest.video.duration_s,
                    language=manifest.language,
                    feedback=manifest.feedback,
                )
            )
    return items


def _by_key(sessions: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    return [(session["key"], session) for session in sessions]
