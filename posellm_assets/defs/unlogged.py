"""What was made and is not in Dagster's log: whoever made it was killed, or Dagster's storage was away, in between.

Nobody would make it again, because it is there; so it is logged again, as it is.
"""

from collections.abc import Collection
from functools import partial

import dagster as dg

from posellm_assets.defs.actions import ACTION_PREDICTIONS
from posellm_assets.defs.coaching import COACHING_LABELS
from posellm_assets.defs.footage import FOOTAGE
from posellm_assets.defs.motion import MOTION, MOTION_TOKENS
from posellm_assets.defs.poses import POSES
from posellm_assets.defs.texts import CAPTIONS
from posellm_assets.defs.videos import version_tags
from posellm_assets.generations.tokenizers import lineage_in_use
from posellm_assets.lake import Lake
from posellm_assets.problems import attempted

AT_ONCE = 200
"""Events for one tick of a sensor, each of which is a write to Dagster's storage."""


def unlogged(instance: dg.DagsterInstance, lake: Lake, keys: Collection[str]) -> list[dg.AssetMaterialization]:
    """At most `AT_ONCE` materializations for those of the ingested videos `keys` whose files are there without one."""
    lineage = lineage_in_use(lake)
    ingested = set(lake.captioned_videos()) & set(keys)
    tokenised = ingested & set(lake.tokenised_videos(lineage)) if lineage else set[str]()
    found: list[dg.AssetMaterialization] = []
    for asset in (FOOTAGE, POSES, MOTION, CAPTIONS, MOTION_TOKENS, ACTION_PREDICTIONS, COACHING_LABELS):
        made = tokenised if asset is MOTION_TOKENS else ingested
        for key in sorted(made - instance.get_materialized_partitions(asset.spec.key)):
            if len(found) < AT_ONCE and (path := asset.path(lake, key)).is_file():
                version = attempted(partial(asset.version, lake), key)
                if isinstance(version, str):  # else it is damaged, which its readers say
                    tags = version_tags(instance, asset.spec, key, version)
                    found.append(dg.AssetMaterialization(asset.spec.key, _SAID, {asset.name: path}, key, tags))
    return found


_SAID = "It was made earlier, and was missing in the log."
