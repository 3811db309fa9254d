"""Partition arithmetic."""

from posellm_assets.defs.partitions import contiguous_ranges


def test_ranges_hold_only_wanted_neighbours_and_keep_to_the_limit() -> None:
    order = list("abcdefgh")
    assert contiguous_ranges(order, set("abdefh"), limit=10) == [("a", "b"), ("d", "f"), ("h", "h")]
    assert contiguous_ranges(order, set(order), limit=3) == [("a", "c"), ("d", "f"), ("g", "h")]
    assert contiguous_ranges(order, set(), limit=3) == []
