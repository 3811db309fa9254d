"""The evaluation group: an evaluator of motions, the report on a generation, and the release."""

import dagster as dg

from posellm_assets.defs.common import every_video, listed, page, snapshot_asset
from posellm_assets.defs.program_assets import Ran, program_asset
from posellm_assets.defs.resources import LakeResource
from posellm_assets.evaluation.config import EvaluateJob, EvaluatorJob
from posellm_assets.evaluation.summary import summary_markdown
from posellm_assets.files import read_json
from posellm_assets.generations.releases import in_use, promote_if_passed
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.jobs.evaluation import evaluator_job, report_job, rival_job
from posellm_assets.lake import METRICS, REPORT


@program_asset("evaluation", job=evaluator_job, deps=["stage_dataset", *every_video("motion")], kinds={"pytorch"})
def motion_evaluator(ran: Ran[EvaluatorJob]) -> dg.MaterializeResult:
    """A retrieval model that judges generated motion; it has only seen real motion of train participants."""
    return dg.MaterializeResult(metadata={"report": read_json(ran.out / REPORT), "folder": ran.out})


def report_asset(last_stage: str) -> dg.AssetsDefinition:
    """The evaluation of a generation, which is the finished model of `last_stage`."""

    @program_asset("evaluation", first=rival_job, job=report_job, deps=["motion_evaluator", last_stage], kinds={"html"})
    def evaluation_report(ran: Ran[EvaluateJob]) -> dg.MaterializeResult:
        """Held-out figures beside their baselines, loss curves, generated motions beside real ones, as one HTML file.

        Where a model is released already, it is measured on the same clips by the same evaluator, and the gate says
        whether this one may take its place.
        """
        summary = summary_markdown(read_json(ran.out / METRICS))
        return dg.MaterializeResult(metadata={**page(ran.lake, ran.out), "summary": dg.MetadataValue.md(summary)})

    return evaluation_report


@snapshot_asset("evaluation", deps=["evaluation_report"], kinds={"huggingface"}, pool="train")
def champion(context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]) -> dg.MaterializeResult:
    """The released model. It moves to this generation only if the generation is not worse than what it replaces."""
    here, settings = lake.opened()
    snapshot = read_snapshot(here, context.partition_key)
    promoted, reasons = promote_if_passed(
        here,
        "language",
        snapshot.snapshot,
        folder=here.finished_model(snapshot.snapshot, settings.language.stages[-1].name),
        lineage=snapshot.lineage,
        by=f"gate, run {context.run.run_id}",
    )
    released = in_use(here, "language", snapshot.scope)
    return dg.MaterializeResult(
        metadata={
            "released": promoted,
            "champion": released.name if released else "none",
            "reasons": listed(reasons),
            "model": released.path(here) if released else dg.MetadataValue.path(""),
        }
    )
