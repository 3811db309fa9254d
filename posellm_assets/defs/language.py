"""The language group: examples frozen by a snapshot, and one training stage after the other.

Training happens in a process of its own (`posellm_assets.language.train`); an asset only says what is to be trained.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from posellm_assets.defs.common import OWNERS, columns, every_video, picture, stored
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource, Programs, retrying_transient_faults
from posellm_assets.files import read_json, sha256_of
from posellm_assets.footage.splits import SPLITS
from posellm_assets.generations.champion import read_release
from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA, build_examples, read_snapshot, split_table
from posellm_assets.lake import Lake
from posellm_assets.language.config import Replay, StageConfig, StageJob
from posellm_assets.language.plan import find_hardware, settled
from posellm_assets.language.replay import new_videos, shortened
from posellm_assets.motion.codebook import Codebook
from posellm_assets.settings import Settings
from posellm_assets.training import store
from posellm_assets.training.curves import entries_of, training_png


@dg.asset(
    group_name="language",
    partitions_def=snapshots,
    deps=every_video("motion_tokens", "captions"),
    kinds={"parquet"},
    owners=OWNERS,
    code_version="1",
    pool="train",
)
def stage_dataset(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """Examples of a snapshot: captions and motion tokens, split by participant, nobody on both sides."""
    here = lake.lake()
    snapshot = read_snapshot(here, context.partition_key)
    counts = build_examples(here, snapshot)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(counts.values()),
            "dagster/column_schema": columns(EXAMPLE_SCHEMA),
            **{f"{split} examples": counts[split] for split in SPLITS},
            "splits": dg.MetadataValue.json(split_table(snapshot)),
            "tokenizer": snapshot.lineage,
            "reason": snapshot.reason,
            "parent": snapshot.parent or "none",
            "folder": dg.MetadataValue.path(str(here.snapshot(snapshot.snapshot).parent)),
        },
        data_version=dg.DataVersion(
            "-".join(sha256_of(here.examples(snapshot.snapshot, split))[:12] for split in SPLITS)
        ),
    )


def stage_assets(stages: Sequence[StageConfig]) -> list[dg.AssetsDefinition]:
    """An asset for each stage; each starts from the one before, the first from the champion or the base model."""
    names = [stage.name for stage in stages]
    return [_stage_asset(name, before) for name, before in zip(names, [None, *names], strict=False)]


def _stage_asset(name: str, before: str | None) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        group_name="language",
        partitions_def=snapshots,
        deps=["stage_dataset", *([before] if before else [])],
        kinds={"pytorch", "huggingface"},
        owners=OWNERS,
        code_version="1",
        pool="train",
        description=f"The model after {name}, trained in a process of its own; a killed run goes on where it stopped.",
    )
    def stage(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
        here, settings = lake.lake(), lake.load_settings()
        out = here.stage(context.partition_key, name)
        job = stage_job(here, settings, context.partition_key, name, before)
        with retrying_transient_faults():
            programs.run(context, "posellm_assets.language.train", job, out, partial(training_progress, out))
        return dg.MaterializeResult(metadata=_stage_metadata(out) | stored(context, read_json(out / "result.json")))

    return stage


def stage_job(lake: Lake, settings: Settings, snapshot_key: str, name: str, before: str | None) -> StageJob:
    """What the training process of one stage is given."""
    snapshot = read_snapshot(lake, snapshot_key)
    parent = lake.finished_model(snapshot_key, before) if before else None
    if snapshot.parent and not before:
        parent = read_release(lake, snapshot.parent).model(lake)
    stage = next(stage for stage in settings.language.stages if stage.name == name)
    new = new_videos(snapshot, read_snapshot(lake, snapshot.parent)) if snapshot.parent else []
    replay, generation = None, settings.language.generation
    # Where nothing is new to the parent, all clips are trained on once more.
    if new:
        stage = shortened(stage, generation, len(new), len(snapshot.keys("train")) - len(new))
        replay = Replay(new=new, share=generation.replay, weights=generation.replay_weights)
    model, stage = settled(settings.language.model, stage, find_hardware())
    codebook = Codebook.of(lake, snapshot.lineage)
    return StageJob(
        train=lake.examples(snapshot_key, "train"),
        val=lake.examples(snapshot_key, "val"),
        out=lake.stage(snapshot_key, name),
        stage=stage,
        replay=replay,
        model=model,
        parent=parent,
        codebook_size=codebook.size,
        layers=codebook.layers,
        lineage=snapshot.lineage,
        tokenizer=lake.tokenizer(snapshot.lineage),
        snapshot=snapshot_key,
        hub=store.url_of(settings.hub, lake, name, snapshot_key),
        seed=settings.seed,
    )


def training_progress(out: Path) -> dict[str, Any]:
    """The newest step of a stage and its curves so far; nothing before the first step."""
    entries = entries_of(out / "losses.jsonl")
    return {**entries[-1], "losses": picture(training_png(entries), "png")} if entries else {}


def _stage_metadata(out: Path) -> dict[str, Any]:
    result = read_json(out / "result.json")
    return {
        **{key: value for key, value in result.items() if isinstance(value, int | float | str)},
        "replayed_per_epoch": dg.MetadataValue.json(result.get("replayed_per_epoch", {})),
        "losses": picture(training_png(entries_of(out / "losses.jsonl")), "png"),
        "model": dg.MetadataValue.path(str(out / "final")),
    }
