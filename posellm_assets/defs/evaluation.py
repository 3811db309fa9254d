"""The evaluation group: an evaluator of motions, the report on a generation, and the release."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from posellm_assets.defs.common import OWNERS, every_video
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource, Programs, retrying_transient_faults
from posellm_assets.evaluation.cases import FILE as CASES
from posellm_assets.evaluation.config import ChampionReport, EvaluateJob, EvaluatorJob
from posellm_assets.evaluation.report import summary_markdown
from posellm_assets.files import read_json
from posellm_assets.generations.champion import Champion, promote, read_champion, read_predecessor, rolled_back
from posellm_assets.generations.snapshots import Snapshot, motions_of, read_snapshot, snapshot_keys
from posellm_assets.lake import Lake
from posellm_assets.motion.codebook import Codebook
from posellm_assets.settings import Settings

CHAMPION = "champion"
"""Folder of a report that holds the released model's figures on the same clips."""

SNAPSHOT_ASSET: dict[str, Any] = {
    "group_name": "evaluation",
    "partitions_def": snapshots,
    "owners": OWNERS,
    "pool": "train",
    "code_version": "1",
}


@dg.asset(deps=["stage_dataset", *every_video("motion")], kinds={"pytorch"}, **SNAPSHOT_ASSET)
def motion_evaluator(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """A retrieval model that judges generated motion; it has only seen real motion of train participants."""
    here, settings = lake.lake(), lake.load_settings()
    snapshot = read_snapshot(here, context.partition_key)
    out = here.evaluator(snapshot.snapshot)
    job = EvaluatorJob(
        train=here.examples(snapshot.snapshot, "train"),
        test=here.examples(snapshot.snapshot, "test"),
        motions=motions_of(here, snapshot),
        layers=Codebook.of(here, snapshot.lineage).layers,
        out=out,
        seed=settings.seed,
        config=settings.evaluation.evaluator,
    )
    with retrying_transient_faults():
        programs.run(context, "posellm_assets.evaluation.train_evaluator", job, out)
    report = read_json(out / "report.json")
    return dg.MaterializeResult(
        metadata={"report": dg.MetadataValue.json(report), "folder": dg.MetadataValue.path(str(out))}
    )


def report_asset(last_stage: str) -> dg.AssetsDefinition:
    """The evaluation of a generation, which is the finished model of `last_stage`."""

    @dg.asset(deps=["motion_evaluator", last_stage], kinds={"html"}, **SNAPSHOT_ASSET)
    def evaluation_report(
        context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs
    ) -> dg.MaterializeResult:
        """Held-out figures beside their baselines, loss curves, generated motions beside real ones, as one HTML file.

        Where a model is released already, it is measured on the same clips by the same evaluator, and the gate says
        whether this one may take its place.
        """
        here, settings = lake.lake(), lake.load_settings()
        snapshot = read_snapshot(here, context.partition_key)
        out = here.report(snapshot.snapshot)
        losses = {stage.name: here.losses(snapshot.snapshot, stage.name) for stage in settings.language.stages}
        released = _rival(here, snapshot)
        comparable = released is not None and released.lineage == snapshot.lineage
        with retrying_transient_faults():
            if released and comparable:
                job = _evaluate_job(here, settings, snapshot, released.model(here), out / CHAMPION)
                programs.run(context, "posellm_assets.evaluation.evaluate", job, out / CHAMPION)
            job = _evaluate_job(
                here, settings, snapshot, here.finished_model(snapshot.snapshot, last_stage), out
            ).model_copy(
                update={
                    "losses": losses,
                    "earlier": _earlier_reports(here, snapshot),
                    "champion": released
                    and ChampionReport(
                        snapshot=released.snapshot,
                        manifest=here.snapshot(released.snapshot),
                        report=out / CHAMPION if comparable else None,
                    ),
                }
            )
            programs.run(context, "posellm_assets.evaluation.evaluate", job, out)
        return dg.MaterializeResult(
            metadata={
                "report": dg.MetadataValue.path(str(out / "index.html")),
                "summary": dg.MetadataValue.md(summary_markdown(read_json(out / "metrics.json"))),
            }
        )

    return evaluation_report


@dg.asset(deps=["evaluation_report"], kinds={"huggingface"}, **SNAPSHOT_ASSET)
def champion(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """The released model. It moves to this generation only if the generation is not worse than what it replaces."""
    here, settings = lake.lake(), lake.load_settings()
    snapshot = read_snapshot(here, context.partition_key)
    decision = read_json(here.report(snapshot.snapshot) / "metrics.json")["decision"]
    rival = _rival(here, snapshot)
    if (rival.snapshot if rival else None) != decision["against"]:
        raise dg.Failure(
            f"the report of {snapshot.snapshot} compares it with {decision['against'] or 'no model'}, but the champion "
            f"is {rival.snapshot if rival else 'none'} by now: materialize evaluation_report again",
            allow_retries=False,
        )
    released, reasons = read_champion(here, snapshot.scope), decision["reasons"]
    promoted = False
    if released and released.snapshot == snapshot.snapshot:
        reasons = [f"It is the champion already, since {released.promoted_at} by {released.promoted_by}."]
    elif back := rolled_back(here, snapshot.snapshot):
        reasons = [f"It was rolled back on {back.promoted_at} by {back.promoted_by}, so a person has to promote it."]
    elif decision["promote"]:
        promoted = True
        released = promote(
            here,
            snapshot=snapshot.snapshot,
            stage=settings.language.stages[-1].name,
            lineage=snapshot.lineage,
            reasons=reasons,
            by=f"gate, run {context.run.run_id}",
            instead_of=decision["against"],
        )
    return dg.MaterializeResult(metadata=_release_metadata(here, released, promoted, reasons))


def _rival(lake: Lake, snapshot: Snapshot) -> Champion | None:
    """The model that a snapshot's has to stand up to: the champion of its scope, or where that is its own, the one
    before."""
    released = read_champion(lake, snapshot.scope)
    if released and released.snapshot == snapshot.snapshot:
        return read_predecessor(lake, snapshot.scope)
    return released


def _earlier_reports(lake: Lake, snapshot: Snapshot) -> dict[str, Path]:
    """The report folders of the earlier generations of a scope that speak the same codes and were measured by case."""
    keys = snapshot_keys(lake, snapshot.scope)
    reports = {key: lake.report(key) for key in keys[: keys.index(snapshot.snapshot)]}
    return {
        key: folder
        for key, folder in reports.items()
        if (folder / CASES).is_file() and read_snapshot(lake, key).lineage == snapshot.lineage
    }


def _evaluate_job(lake: Lake, settings: Settings, snapshot: Snapshot, model: Path, out: Path) -> EvaluateJob:
    return EvaluateJob(
        model=model,
        tokenizer=lake.tokenizer(snapshot.lineage),
        evaluator=lake.evaluator(snapshot.snapshot),
        train=lake.examples(snapshot.snapshot, "train"),
        test=lake.examples(snapshot.snapshot, "test"),
        motions=motions_of(lake, snapshot),
        sampling=settings.language.sampling,
        snapshot=lake.snapshot(snapshot.snapshot),
        generation=snapshot.snapshot,
        out=out,
        seed=settings.seed,
        config=settings.evaluation,
    )


def _release_metadata(lake: Lake, released: Champion | None, promoted: bool, reasons: Sequence[str]) -> dict[str, Any]:
    return {
        "released": promoted,
        "champion": released.snapshot if released else "none",
        "reasons": dg.MetadataValue.md("\n".join(f"- {reason}" for reason in reasons)),
        "model": dg.MetadataValue.path(str(released.model(lake)) if released else ""),
    }
