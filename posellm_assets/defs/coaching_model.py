"""The coaching group, what is learned from labels: rows to train on."""

from typing import Any

import dagster as dg

from posellm_assets.coaching.dataset import write_dataset
from posellm_assets.coaching.dataset_sources import from_lake
from posellm_assets.defs.common import OWNERS, every_video
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource
from posellm_assets.lake import local_path
from posellm_assets.language.snapshots import read_snapshot

COACHING_ASSET: dict[str, Any] = {
    "group_name": "coaching",
    "partitions_def": snapshots,
    "owners": OWNERS,
    "code_version": "1",
}


@dg.asset(deps=every_video("coaching_labels"), kinds={"json"}, **COACHING_ASSET)
def coaching_dataset(context: dg.AssetExecutionContext, lake: LakeResource) -> dg.MaterializeResult:
    """The coaching labels of a snapshot's videos as chat messages, in words and with pictures, split by participant."""
    here, settings = lake.lake(), lake.load_settings()
    snapshot = read_snapshot(here, context.partition_key)
    out = local_path(here.coaching_dataset(snapshot.snapshot))
    found = from_lake(here, (video.key for video in snapshot.videos))
    stats = write_dataset(out, *found, settings.coaching.dataset)
    for one in stats["left_out"]:
        context.log.warning(f"{one['what']}: {one['reason']}")
    return dg.MaterializeResult(
        metadata={
            "examples": sum(of_split["examples"] for of_split in stats["splits"].values()),
            "train_rows": stats["train_rows"],
            "left out": len(stats["left_out"]),
            **{name: dg.MetadataValue.json(stats[name]) for name in ("splits", "activities", "faults", "teachers")},
            "folder": dg.MetadataValue.path(str(out)),
        }
    )
