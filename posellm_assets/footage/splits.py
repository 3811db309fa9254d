"""Which split a clip belongs to: a pure function of who moves in it, so that no clip ever changes sides."""

import hashlib
from typing import Literal

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

TRAIN_SHARE = 0.65
VAL_SHARE = 0.10
TEST_SHARE = 0.25


def split_of(group: str) -> Split:
    """The split of `group`: a participant, or the key of a video in which nobody is named.

    A stable hash spread evenly over [0, 1) and cut at the shares. It has no state and knows no order, so that nobody is
    ever on both sides and new footage moves nobody.
    """
    position = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") / 2**64
    if position < TRAIN_SHARE:
        return "train"
    return "val" if position < TRAIN_SHARE + VAL_SHARE else "test"
