"""The coaching group, as it happens: sessions with timed feedback, the coach that learns from them, and its report."""

from typing import Any

import dagster as dg

from posellm_assets.coaching.streaming.config import CoachJob, FeedbackJob, StreamingReportJob
from posellm_assets.coaching.streaming.sessions import read_dataset_record
from posellm_assets.defs.common import every_video, page, table
from posellm_assets.defs.program_assets import Ran, program_asset, promoted, trained
from posellm_assets.files import read_json
from posellm_assets.footage.splits import SPLITS
from posellm_assets.jobs.coaching import coach_job, coach_report_job, feedback_job
from posellm_assets.lake import METRICS
from posellm_assets.reports.plain import visible


@program_asset("coaching", job=feedback_job, deps=every_video("footage", "poses", "motion_tokens"), kinds={"numpy"})
def feedback_dataset(ran: Ran[FeedbackJob]) -> dg.MaterializeResult:
    """The videos of a snapshot with timed feedback, as windows of live motion under the snapshot's tokenizer."""
    record = read_dataset_record(ran.out)
    for key, reason in record.refused.items():
        ran.context.log.warning(visible(f"{key}: {reason}"))
    splits: dict[str, Any] = {}
    for split in SPLITS:
        own = [session for session in record.sessions if session.split == split]
        splits[split] = {
            "sessions": len(own),
            "messages": sum(not one.transition for session in own for one in session.feedback),
            "minutes": round(sum(session.duration_s for session in own) / 60, 1),
        }
    return dg.MaterializeResult(
        metadata={
            "sessions": len(record.sessions),
            "refused": len(record.refused),
            "splits": splits,
            "folder": ran.out,
        }
    )


@program_asset("coaching", job=coach_job, deps=["feedback_dataset"], kinds={"pytorch"})
def streaming_coach(ran: Ran[CoachJob]) -> dg.MaterializeResult:
    """A causal model that says the right thing at the right moment, or nothing; a killed run resumes."""
    return dg.MaterializeResult(metadata=trained(ran, model="coach"))


@program_asset("coaching", job=coach_report_job, deps=["streaming_coach"], kinds={"html"})
def streaming_report(ran: Ran[StreamingReportJob]) -> dg.MaterializeResult:
    """T-F-Score on participants that it has not seen, beside silence, chatter and random times; one that beats them,
    and is not worse than the coach in use, is promoted."""
    metrics = read_json(ran.out / METRICS)
    rows = [
        (name, f"{one['published']['value']:.3f}", f"{one['optimal']['value']:.3f}", one["optimal"]["n"])
        for name, one in metrics["speakers"].items()
    ]
    return dg.MaterializeResult(
        metadata={
            **page(ran.lake, ran.out),
            "summary": table(("", "T-F-Score, published", "best matching", "sessions"), rows),
            **promoted(ran, "coach", ran.job.coach, metrics["provenance"]["lineage"]),
        }
    )
