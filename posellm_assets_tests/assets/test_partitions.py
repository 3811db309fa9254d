"""Partition arithmetic."""

import dagster as dg
import pytest

from posellm_assets.defs import partitions
from posellm_assets.defs.partitions import add_videos, contiguous_ranges


def test_ranges_hold_only_wanted_neighbours_and_keep_to_the_limit() -> None:
    order = list("abcdefgh")
    assert contiguous_ranges(order, set("abdefh"), limit=10) == [("a", "b"), ("d", "f"), ("h", "h")]
    assert contiguous_ranges(order, set(order), limit=3) == [("a", "c"), ("d", "f"), ("g", "h")]
    assert contiguous_ranges(order, set(), limit=3) == []


def test_more_videos_than_a_query_can_hold_become_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "_AT_ONCE", 3)
    keys = [f"gym.clip.{number:08x}" for number in range(8)]
    with dg.DagsterInstance.ephemeral() as instance:
        add_videos(instance, keys[:2])
        add_videos(instance, keys)
        assert sorted(instance.get_dynamic_partitions("videos")) == keys
