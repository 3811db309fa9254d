"""What to do next when footage has landed: one pure decision, which the sensor and the demo both carry out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainTokenizer:
    """There is no tokenizer lineage yet and enough motion to train one."""

    reason: str


@dataclass(frozen=True)
class Tokenise:
    """These videos have no tokens of the current lineage."""

    keys: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class TrainGeneration:
    """Freeze these videos in a snapshot and train on them."""

    keys: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Wait:
    """Nothing to do, and why."""

    reason: str


Step = TrainTokenizer | Tokenise | TrainGeneration | Wait


def next_step(
    *,
    ready: Collection[str],
    tokenised: Collection[str],
    in_snapshot: Collection[str],
    lineage: str | None,
    busy: str | None,
    min_new_videos: int,
) -> Step:
    """The next step towards a model that knows all usable footage.

    `ready` are the videos with captions, `tokenised` those with tokens of `lineage`, `in_snapshot` those of the newest
    snapshot; `busy` says what is running already, if anything is.
    """
    if busy:
        return Wait(f"{busy} is running")
    untrained = sorted(set(ready) - set(in_snapshot))
    if len(untrained) < min_new_videos and (lineage is None or not in_snapshot):
        return Wait(f"{len(untrained)} usable videos; the first generation starts at {min_new_videos}")
    if lineage is None:
        return TrainTokenizer(f"{len(untrained)} usable videos and no tokenizer yet")
    missing = tuple(sorted(set(ready) - set(tokenised)))
    if missing:
        return Tokenise(missing, f"{len(missing)} videos have no tokens of {lineage}")
    if len(untrained) < min_new_videos:
        return Wait(f"{len(untrained)} usable videos since the last snapshot; a generation starts at {min_new_videos}")
    return TrainGeneration(tuple(sorted(ready)), f"{len(untrained)} usable videos are in no snapshot yet")


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
