"""The actions group: labelled clips as a data set, and a vision-language model that names what they show.

Training happens in a process of its own (`posellm_assets.actions.train`); an asset only says what is to be trained.
"""

from typing import Any

import dagster as dg

from posellm_assets.actions.config import ActionJob
from posellm_assets.actions.dataset.sources import from_lake
from posellm_assets.actions.dataset.writing import write_dataset
from posellm_assets.defs.common import OWNERS, every_video, picture, stored
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource, PoolResource, Programs, retrying_transient_faults
from posellm_assets.files import read_json
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.training import store
from posellm_assets.training.curves import entries_of, training_png

ACTION_ASSET: dict[str, Any] = {
    "group_name": "actions",
    "partitions_def": snapshots,
    "owners": OWNERS,
    "code_version": "2",
}


@dg.asset(deps=every_video("footage", "poses"), kinds={"json"}, **ACTION_ASSET)
def action_dataset(context: dg.AssetExecutionContext, lake: LakeResource, pool: PoolResource) -> dg.MaterializeResult:
    """The labelled clips of a snapshot with questions about them, in the formats of Qwen-VL and of chat messages."""
    here, settings = lake.lake(), lake.load_settings()
    snapshot = read_snapshot(here, context.partition_key)
    found = from_lake(here, (video.key for video in snapshot.videos), snapshot.scope)
    out = here.action_dataset(snapshot.snapshot)
    dataset, refused = write_dataset(
        out, found.examples, found.refused, found.label_set, settings.actions.dataset, pool.pool(), settings.seed
    )
    for one in refused:
        context.log.warning(f"{one.what}: {one.reason}")
    stats = read_json(out / "dataset_stats.json")
    return dg.MaterializeResult(
        metadata={
            "clips": len(dataset.examples),
            "refused": len(refused),
            "motion capture left out": len(found.without_pictures),
            "splits": dg.MetadataValue.json(stats["splits"]),
            "card": dg.MetadataValue.md((out / "README.md").read_text().split("---\n", 2)[2]),
            "folder": dg.MetadataValue.path(str(out)),
        }
    )


@dg.asset(deps=["action_dataset"], kinds={"pytorch", "huggingface"}, pool="train", **ACTION_ASSET)
def action_model(context: dg.AssetExecutionContext, lake: LakeResource, programs: Programs) -> dg.MaterializeResult:
    """A vision-language model that names actions, trained in a process of its own; a killed run goes on."""
    here, settings = lake.lake(), lake.load_settings()
    out = here.action_model(context.partition_key)
    job = ActionJob(
        dataset=here.action_dataset(context.partition_key),
        out=out,
        model=settings.actions.model,
        training=settings.actions.training,
        hub=store.url_of(settings.hub, here, "actions", context.partition_key),
        seed=settings.seed,
    )
    with retrying_transient_faults():
        programs.run(context, "posellm_assets.actions.train", job, out)
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
