"""`posellm remove --purge`: an athlete asks that what is theirs goes, here and from Dagster's list of partitions."""

from posellm_assets.commands.starting import has_home
from posellm_assets.defs.catch_up import home_instance
from posellm_assets.defs.partitions import videos
from posellm_assets.generations import purging
from posellm_assets.lake import Lake


def purge(lake: Lake, key: str) -> list[str]:
    """Delete a video, its partition and all that tells of it; returns the snapshots whose models have seen it.

    Raises FileNotFoundError where there is no such video.
    """
    seen = purging.purge(lake, key)
    if has_home():
        with home_instance() as instance:
            instance.delete_dynamic_partition(videos.name or "", key)
    return seen
