"""The two sets of partitions: videos, and the snapshots that models are trained from. Both grow as footage arrives."""

from collections.abc import Collection, Sequence

import dagster as dg

videos = dg.DynamicPartitionsDefinition(name="videos")
"""One per video content, key `<sport>.<slug>.<hash8>` (`keys.py`)."""

snapshots = dg.DynamicPartitionsDefinition(name="snapshots")
"""One per frozen list of videos, key `<scope>-<number>`."""

PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Tags of a run: its partition, or the first and last of its range."""

_AT_ONCE = 10_000
"""Keys in one query: SQLite takes at most 32,766 values, where it was not built for more."""


def add_videos(instance: dg.DagsterInstance, keys: Sequence[str]) -> None:
    """Add partitions for any number of videos; those that are there stay."""
    for first in range(0, len(keys), _AT_ONCE):
        instance.add_dynamic_partitions(videos.name or "", keys[first : first + _AT_ONCE])


def video_ranges(instance: dg.DagsterInstance, keys: Collection[str], limit: int) -> list[dict[str, str]]:
    """Run tags for each range of neighbouring partitions in `keys`."""
    return ranges_of(instance.get_dynamic_partitions(videos.name or ""), keys, limit)


def ranges_of(order: Sequence[str], keys: Collection[str], limit: int) -> list[dict[str, str]]:
    """Run tags for each range of neighbours in `order` that are all in `keys`."""
    return [{RANGE_START: first, RANGE_END: last} for first, last in contiguous_ranges(order, set(keys), limit)]


def contiguous_ranges(order: Sequence[str], wanted: Collection[str], limit: int) -> list[tuple[str, str]]:
    """The runs of neighbours in `order` that are all wanted, as (first, last), none longer than `limit`."""
    ranges: list[tuple[str, str]] = []
    length = 0
    previous_wanted = False
    for key in order:
        if key in wanted:
            if previous_wanted and length < limit:
                ranges[-1] = (ranges[-1][0], key)
                length += 1
            else:
                ranges.append((key, key))
                length = 1
        previous_wanted = key in wanted
    return ranges
