"""The language group: examples frozen by a snapshot, and one training stage after the other."""

from collections.abc import Sequence
from functools import partial

import dagster as dg

from posellm_assets.defs.common import columns, every_video, snapshot_asset
from posellm_assets.defs.program_assets import Ran, program_asset, trained
from posellm_assets.defs.resources import LakeResource
from posellm_assets.files import read_json, sha256_of
from posellm_assets.footage.splits import SPLITS
from posellm_assets.generations.snapshots import (
    EXAMPLE_COLUMNS,
    EXAMPLE_SCHEMA,
    build_examples,
    read_snapshot,
    split_table,
)
from posellm_assets.jobs.language import stage_job
from posellm_assets.lake import RESULT
from posellm_assets.language.config import StageConfig, StageJob
from posellm_assets.next_generation import freeze_snapshot


@snapshot_asset("language", deps=every_video("motion_tokens", "captions"), kinds={"parquet"}, pool="train")
def stage_dataset(context: dg.AssetExecutionContext, lake: dg.ResourceParam[LakeResource]) -> dg.MaterializeResult:
    """Examples of a snapshot: captions and motion tokens, split by participant, nobody on both sides.

    The next snapshot of a scope is frozen here first: which videos, and which versions of their data.
    """
    here, settings = lake.opened()
    if not here.snapshot(context.partition_key).exists():
        frozen = freeze_snapshot(here, settings, context.partition_key)
        context.log.info(f"froze {frozen.snapshot}, {len(frozen.videos)} videos: {frozen.reason}")
    snapshot = read_snapshot(here, context.partition_key)
    counts = build_examples(here, snapshot)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(counts.values()),
            "dagster/column_schema": columns(EXAMPLE_SCHEMA, EXAMPLE_COLUMNS),
            **{f"{split} examples": counts[split] for split in SPLITS},
            "splits": split_table(snapshot),
            "tokenizer": snapshot.lineage,
            "reason": snapshot.reason,
            "parent": snapshot.parent or "none",
            "folder": here.snapshot(snapshot.snapshot).parent,
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
    @program_asset(
        "language",
        job=partial(stage_job, name=name),
        deps=["stage_dataset", *([before] if before else [])],
        kinds={"pytorch", "huggingface"},
        name=name,
        description=f"The model after {name}, trained in a process of its own; a killed run resumes where it stopped.",
    )
    def stage(ran: Ran[StageJob]) -> dg.MaterializeResult:
        replayed = read_json(ran.out / RESULT).get("replayed_per_epoch", {})
        return dg.MaterializeResult(metadata={**trained(ran), "replayed_per_epoch": replayed})

    return stage
