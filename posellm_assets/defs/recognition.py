"""The rest of the actions group: who names actions, how well, and what each video shows."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from posellm_assets.actions.batches import PredictItem, PredictJob, predict_batch
from posellm_assets.actions.config import RecogniserJob, ReportJob
from posellm_assets.actions.recognition import Recognition
from posellm_assets.defs.actions import ACTION_ASSET
from posellm_assets.defs.common import every_video, spec
from posellm_assets.defs.poses import POSES, is_video
from posellm_assets.defs.resources import LakeResource, Programs, retrying_transient_faults
from posellm_assets.defs.videos import Done, Outcome, Tools, VideoAsset
from posellm_assets.files import read_json, sha256_of, write_json
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.snapshots import motions_of, read_snapshot
from posellm_assets.keys import sport_of
from posellm_assets.lake import Lake
from posellm_assets.pool import shares


def recogniser_asset(last_stage: str) -> dg.AssetsDefinition:
    """The recogniser of a snapshot, one of whose members is the finished model of `last_stage`."""

    @dg.asset(
        deps=["action_dataset", "action_model", last_stage, *every_video("motion")],
        kinds={"scipy"},
        pool="train",
        **ACTION_ASSET,
    )
    def action_recogniser(
        context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs
    ) -> dg.MaterializeResult:
        """Who names actions: the vision-language model, the language model and a motion classifier, calibrated and
        weighted by their validation likelihood."""
        here, settings = lake.lake(), lake.load_settings()
        snapshot = read_snapshot(here, context.partition_key)
        out = here.recogniser(snapshot.snapshot)
        job = RecogniserJob(
            dataset=here.action_dataset(snapshot.snapshot),
            motions=motions_of(here, snapshot),
            out=out,
            language_model=_there(here.finished_model(snapshot.snapshot, last_stage)),
            tokenizer=_there(here.tokenizer(snapshot.lineage)),
            vision_model=_there(here.action_model(snapshot.snapshot) / "final"),
            config=settings.recognition,
            seed=settings.seed,
        )
        with retrying_transient_faults():
            programs.run(context, "posellm_assets.actions.train_recogniser", job, out)
        write_json(here.current_recogniser, {"snapshot": snapshot.snapshot})
        record = read_json(out / "recogniser.json")
        return dg.MaterializeResult(
            metadata={
                "members": dg.MetadataValue.json(record["ensemble"]),
                "absent": dg.MetadataValue.json(record["absent"]),
                "training clips": record["training_clips"],
                "validation clips": record["validation_clips"],
                "folder": dg.MetadataValue.path(str(out)),
            }
        )

    return action_recogniser


@dg.asset(deps=["action_recogniser"], kinds={"html"}, pool="train", **ACTION_ASSET)
def action_report(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """Every member and the ensemble on held-out clips: accuracy, calibration, confusions, worst mistakes."""
    here, settings = lake.lake(), lake.load_settings()
    snapshot = read_snapshot(here, context.partition_key)
    out = here.action_report(snapshot.snapshot)
    job = ReportJob(
        recogniser=here.recogniser(snapshot.snapshot),
        dataset=here.action_dataset(snapshot.snapshot),
        motions=motions_of(here, snapshot),
        out=out,
        config=settings.recognition,
        seed=settings.seed,
    )
    with retrying_transient_faults():
        programs.run(context, "posellm_assets.actions.evaluate", job, out)
    metrics = read_json(out / "metrics.json")
    lines = [
        f"| {name} | {one['accuracy']['value']:.3f} | {one['macro_f1']['value']:.3f} | {one['accuracy']['n']} |"
        for name, one in metrics["members"].items()
    ]
    table = ["| | accuracy | macro F1 | n |", "| --- | --- | --- | --- |", *lines]
    return dg.MaterializeResult(
        metadata={
            "report": dg.MetadataValue.path(str(out / "index.html")),
            "summary": dg.MetadataValue.md("\n".join(table)),
        }
    )


def predict(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """What many videos show, by the newest recogniser."""
    if not tools.lake.current_recogniser.exists():
        for key in keys:
            yield key, "there is no recogniser yet; materialize action_recogniser first"
        return
    recogniser = tools.lake.recogniser(read_json(tools.lake.current_recogniser)["snapshot"])
    jobs = [
        PredictJob(
            recogniser=recogniser,
            items=[_item(tools.lake, key) for key in share],
            config=tools.settings.recognition,
            motion=tools.settings.motion,
        )
        for share in shares(keys, tools.pool.workers)
    ]
    for job, failed in tools.pool.map(predict_batch, jobs):
        for item in job.items:
            reason = str(failed) if isinstance(failed, Exception) else failed.get(item.key)
            yield item.key, reason or _predicted(tools.lake, item.key)


def _item(lake: Lake, key: str) -> PredictItem:
    return PredictItem(
        key=key,
        sport=sport_of(key),
        video=lake.raw / read_manifest(lake, key).source,
        poses=lake.poses(key),
        out=lake.action_predictions(key),
    )


def _predicted(lake: Lake, key: str) -> Done:
    path = lake.action_predictions(key)
    found = Recognition.model_validate(read_json(path))
    rows = [
        f"| {one.timestamp:.2f} | {one.action_classification.action} | {one.action_classification.confidence:.2f} |"
        for one in found.segments
    ]
    return Done(
        metadata={
            "hits": found.total_hits,
            "segments": found.total_segments,
            "method": found.processing_method,
            "actions": dg.MetadataValue.md("\n".join(["| s | action | confidence |", "| --- | --- | --- |", *rows])),
            "predictions": dg.MetadataValue.path(str(path)),
        },
        data_version=sha256_of(path),
    )


def _there(path: Path) -> Path | None:
    return path if path.exists() else None


ACTION_PREDICTIONS = VideoAsset(
    spec=spec(
        "action_predictions",
        "actions",
        "The hits or stretches of a video and the action that each shows, with every member's answer. Motion capture "
        "has no picture, so it has none.",
        kinds={"json"},
        deps=["poses", "action_recogniser"],
        code_version="1",
    ),
    work=predict,
    path=Lake.action_predictions,
    needs=(POSES,),
    applies=is_video,
)
