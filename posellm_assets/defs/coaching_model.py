"""The coaching group, what is learned from labels: rows to train on, a model that gives such labels, and its report.

Training is a stage of `language`, or that of a vision-language model in `actions`, in a process of its own; an asset
only says what is to be trained.
"""

from functools import partial
from typing import Any

import dagster as dg

from posellm_assets.coaching.model.answers import write_language_rows
from posellm_assets.coaching.model.config import CoachingReportJob
from posellm_assets.coaching.model.dataset import picture_rows, write_dataset
from posellm_assets.coaching.model.dataset_sources import from_lake
from posellm_assets.defs.common import OWNERS, every_video, picture, stored
from posellm_assets.defs.language import training_progress
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource, Programs, retrying_transient_faults
from posellm_assets.files import read_json
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.lake import Lake
from posellm_assets.language.config import StageJob
from posellm_assets.language.plan import find_hardware, settled
from posellm_assets.motion.codebook import Codebook
from posellm_assets.settings import Settings
from posellm_assets.training import store
from posellm_assets.training.curves import entries_of, training_png
from posellm_assets.vision.config import VisionJob

COACHING_ASSET: dict[str, Any] = {
    "group_name": "coaching",
    "partitions_def": snapshots,
    "owners": OWNERS,
    "code_version": "1",
}


@dg.asset(deps=every_video("coaching_labels", "motion_tokens"), kinds={"json", "parquet"}, **COACHING_ASSET)
def coaching_dataset(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """The coaching labels of a snapshot's videos, split by participant: as chat messages, in words and with pictures,
    and with motion codes for a language model of our own."""
    here, settings = lake.lake(), lake.load_settings()
    snapshot, config = read_snapshot(here, context.partition_key), settings.coaching.dataset
    out = here.coaching_dataset(snapshot.snapshot)
    examples, left_out = from_lake(here, (video.key for video in snapshot.videos))
    stats = write_dataset(out, examples, left_out, config)
    without_codes = write_language_rows(here, snapshot.lineage, examples, out, config.most_repeats)
    for what, reason in [
        *((one["what"], one["reason"]) for one in stats["left_out"]),
        *((one.what, one.reason) for one in without_codes),
    ]:
        context.log.warning(f"{what}: {reason}")
    return dg.MaterializeResult(
        metadata={
            "examples": sum(of_split["examples"] for of_split in stats["splits"].values()),
            "train_rows": stats["train_rows"],
            "left out": len(stats["left_out"]),
            "without motion codes": len(without_codes),
            **{name: dg.MetadataValue.json(stats[name]) for name in ("splits", "activities", "faults", "teachers")},
            "folder": dg.MetadataValue.path(str(out)),
        }
    )


@dg.asset(deps=["coaching_dataset"], kinds={"pytorch", "huggingface"}, pool="train", **COACHING_ASSET)
def coaching_model(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """A language model that reads pose facts and motion codes and answers as labels do, or a vision-language model that
    reads the facts and sees the picture (`coaching.model.kind`); a killed run goes on."""
    here, settings = lake.lake(), lake.load_settings()
    out = here.coaching_model(context.partition_key)
    vision = settings.coaching.model.kind == "vision"
    with retrying_transient_faults():
        if vision:
            seen = vision_job(here, settings, context.partition_key)
            programs.run(context, "posellm_assets.coaching.model.vision_train", seen, out)
        else:
            job = coaching_job(here, settings, context.partition_key)
            programs.run(context, "posellm_assets.language.train", job, out, partial(training_progress, out))
    result = read_json(out / "result.json")
    return dg.MaterializeResult(
        metadata={
            **{key: value for key, value in result.items() if isinstance(value, int | float | str)},
            **stored(context, result),
            "held_out": dg.MetadataValue.json(result["val"]),
            "losses": picture(training_png(entries_of(out / "losses.jsonl")), "png"),
            "model": dg.MetadataValue.path(str(out / "final")),
        }
    )


@dg.asset(
    deps=["coaching_model"],
    kinds={"markdown"},
    pool="train",
    check_specs=[dg.AssetCheckSpec("better_than_baselines", asset="coaching_report", partitions_def=snapshots)],
    **COACHING_ASSET,
)
def coaching_report(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """How the model's answers agree with the labels of participants that it has not seen, beside baselines."""
    here, kind = lake.lake(), lake.load_settings().coaching.model.kind
    dataset = here.coaching_dataset(context.partition_key)
    out = here.coaching_report(context.partition_key)
    job = CoachingReportJob(
        kind=kind,
        model=here.coaching_model(context.partition_key) / "final",
        train=picture_rows(dataset, "train") if kind == "vision" else dataset / "train.parquet",
        test=picture_rows(dataset, "test") if kind == "vision" else dataset / "test.parquet",
        out=out,
    )
    with retrying_transient_faults():
        programs.run(context, "posellm_assets.coaching.model.report", job, out)
    metrics = read_json(out / "metrics.json")
    right = {name: one["figures"]["exactly_right"]["value"] for name, one in metrics["speakers"].items()}
    own, *others = right.values() or [0.0]
    return dg.MaterializeResult(
        metadata={
            "clips": metrics["clips"],
            "report": dg.MetadataValue.md((out / "report.md").read_text()),
            "folder": dg.MetadataValue.path(str(out)),
        },
        check_results=[
            dg.AssetCheckResult(
                passed=bool(others) and own > max(others),
                check_name="better_than_baselines",
                severity=dg.AssetCheckSeverity.WARN,
                metadata={**right, **metrics["absent"]},
            )
        ],
    )


def vision_job(lake: Lake, settings: Settings, snapshot_key: str) -> VisionJob:
    """What the training process of a vision-language model is given."""
    config = settings.coaching.model.vision
    return VisionJob(
        dataset=lake.coaching_dataset(snapshot_key),
        out=lake.coaching_model(snapshot_key),
        model=config.model,
        training=config.training,
        hub=store.url_of(settings.hub, lake, "coaching", snapshot_key),
        seed=settings.seed,
    )


def coaching_job(lake: Lake, settings: Settings, snapshot_key: str) -> StageJob:
    """What the training process of a language model is given."""
    snapshot, config = read_snapshot(lake, snapshot_key), settings.coaching.model
    model, stage = settled(config.model, config.stage, find_hardware())
    codebook = Codebook.of(lake, snapshot.lineage)
    dataset = lake.coaching_dataset(snapshot_key)
    return StageJob(
        train=dataset / "train.parquet",
        val=dataset / "val.parquet",
        out=lake.coaching_model(snapshot_key),
        stage=stage,
        model=model,
        codebook_size=codebook.size,
        layers=codebook.layers,
        lineage=snapshot.lineage,
        tokenizer=lake.tokenizer(snapshot.lineage),
        snapshot=snapshot_key,
        hub=store.url_of(settings.hub, lake, "coaching", snapshot_key),
        seed=settings.seed,
    )
