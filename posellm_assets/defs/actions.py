"""The actions group: labelled clips, the models that name what they show, how well, and what each video shows."""

from collections.abc import Iterator, Sequence

import dagster as dg

from posellm_assets.actions.config import ActionJob, RecogniserJob, ReportJob
from posellm_assets.actions.dataset.sources import from_lake
from posellm_assets.actions.dataset.writing import write_dataset
from posellm_assets.actions.members.ensemble import EnsembleAnswer
from posellm_assets.actions.members.opinions import NONE
from posellm_assets.actions.predict import PredictItem, PredictJob, predict_batch
from posellm_assets.actions.recognition import Recognition
from posellm_assets.actions.record import RecogniserRecord
from posellm_assets.checksums import forget_folder, record_folder
from posellm_assets.defs.common import every_video, page, snapshot_asset, spec, table
from posellm_assets.defs.poses import POSES, is_video
from posellm_assets.defs.program_assets import Ran, program_asset, promoted, trained
from posellm_assets.defs.resources import LakeResource, PoolResource
from posellm_assets.defs.videos import Done, Outcome, Tools, VideoAsset
from posellm_assets.files import read_json, sha256_of
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.generations.releases import required
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.jobs.actions import action_job, action_report_job, recogniser_job
from posellm_assets.keys import sport_of
from posellm_assets.lake import CARD, METRICS, STATS, Lake
from posellm_assets.pool import shares
from posellm_assets.problems import sentence
from posellm_assets.reports.plain import visible


@snapshot_asset("actions", deps=every_video("footage", "poses"), kinds={"json"}, code_version="2")
def action_dataset(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource], pool: dg.ResourceParam[PoolResource]
) -> dg.MaterializeResult:
    """The labelled clips of a snapshot with questions about them, in the formats of Qwen-VL and of chat messages."""
    here, settings = lake.opened()
    snapshot = read_snapshot(here, context.partition_key)
    found = from_lake(here, (video.key for video in snapshot.videos), snapshot.scope)
    out = here.action_dataset(snapshot.snapshot)
    forget_folder(out)
    dataset, refused = write_dataset(
        out, found.examples, found.refused, found.label_set, settings.actions.dataset, pool.pool(), settings.seed
    )
    record_folder(out)
    for one in refused:
        context.log.warning(visible(f"{one.what}: {one.reason}"))
    return dg.MaterializeResult(
        metadata={
            "clips": len(dataset.examples),
            "refused": len(refused),
            "left out, without pictures": len(found.without_pictures),
            "splits": read_json(out / STATS)["splits"],
            "card": dg.MetadataValue.md((out / CARD).read_text().split("---\n", 2)[2]),
            "folder": out,
        }
    )


@program_asset("actions", job=action_job, deps=["action_dataset"], kinds={"pytorch", "huggingface"}, code_version="2")
def action_model(ran: Ran[ActionJob]) -> dg.MaterializeResult:
    """A vision-language model that names actions, trained in a process of its own; a killed run resumes."""
    return dg.MaterializeResult(metadata=trained(ran))


def recogniser_asset(last_stage: str) -> dg.AssetsDefinition:
    """The recogniser of a snapshot, one of whose members is the finished model of `last_stage`."""

    @program_asset(
        "actions",
        job=recogniser_job,
        deps=["action_dataset", "action_model", last_stage, *every_video("motion")],
        kinds={"scipy"},
        code_version="3",
    )
    def action_recogniser(ran: Ran[RecogniserJob]) -> dg.MaterializeResult:
        """Who names actions: the vision-language model, the language model and a motion classifier, calibrated and
        weighted by their validation likelihood, those that add nothing left out; and what is none of the classes."""
        record = RecogniserRecord.read(ran.out)
        return dg.MaterializeResult(
            metadata={
                "members": record.ensemble.model_dump(mode="json"),
                "absent": record.absent,
                "familiarity": record.familiarity.model_dump(mode="json") if record.familiarity else None,
                "training clips": record.training_clips,
                "validation clips": record.validation_clips,
                "folder": ran.out,
            }
        )

    return action_recogniser


@program_asset("actions", job=action_report_job, deps=["action_recogniser"], kinds={"html"}, code_version="2")
def action_report(ran: Ran[ReportJob]) -> dg.MaterializeResult:
    """Every member and the ensemble on held-out clips: accuracy, calibration, confusions, worst mistakes. A recogniser
    that is not worse than the one in use on the same clips is promoted."""
    lineage = read_snapshot(ran.lake, ran.context.partition_key).lineage
    metrics = read_json(ran.out / METRICS)
    rows = [
        (name, f"{one['accuracy']['value']:.3f}", f"{one['macro_f1']['value']:.3f}", one["accuracy"]["n"])
        for name, one in metrics["members"].items()
    ]
    none_of_these = {what: metrics["none_of_these"][what] for what in ("known_named", "unknown_named", "named_right")}
    return dg.MaterializeResult(
        metadata={
            **page(ran.lake, ran.out),
            "summary": table(("", "accuracy", "macro F1", "n"), rows),
            "none of these": none_of_these,
            **promoted(ran, "recogniser", ran.job.recogniser, lineage),
        }
    )


def predict(tools: Tools, keys: Sequence[str]) -> Iterator[tuple[str, Outcome]]:
    """What many videos show, by the recogniser in use."""
    try:
        recogniser = required(tools.lake, "recogniser").path(tools.lake)
    except ValueError as error:
        yield from ((key, str(error)) for key in keys)
        return
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
            reason = sentence(failed) if isinstance(failed, Exception) else failed.get(item.key)
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
    found = Recognition.read(path)
    answers = [one.answer for one in found.segments]
    rows = [
        (f"{one.timestamp:.2f}", said.action, said.likeliest, f"{said.confidence:.2f}", _familiarity(said))
        for one, said in zip(found.segments, answers, strict=True)
    ]
    return Done(
        metadata={
            "hits": len(found.hits),
            "segments": len(found.segments),
            "method": found.method,
            "none of the classes": sum(said.action == NONE for said in answers),
            "actions": table(("s", "action", "likeliest", "confidence", "familiarity"), rows),
            "predictions": path,
        },
        data_version=sha256_of(path),
    )


def _familiarity(said: EnsembleAnswer) -> str:
    return "" if said.familiarity is None else f"{said.familiarity:.2f}"


ACTION_PREDICTIONS = VideoAsset(
    spec=spec(
        "action_predictions",
        "actions",
        "The hits or stretches of a video and the action that each shows, with every member's answer. Motion capture "
        "and landmarks have no picture, so they have none.",
        kinds={"json"},
        deps=["poses", "action_report"],
        code_version="1",
    ),
    work=predict,
    path=Lake.action_predictions,
    needs=(POSES,),
    applies=is_video,
)
