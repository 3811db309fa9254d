"""What two sides do, put together into repetitions: both at once, one after the other in turn, or each on its own."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

Sides = Literal["together", "pairs", "each"]
"""How the sides make repetitions: both in one movement, a pair of turns as one, or every movement of a side."""
Span = tuple[int, int, int]
"""(start, peak, end) frames of a whole rise and fall."""


class Moved(NamedTuple):
    """A repetition in frames; `side` is the only side that moves in it (None for both)."""

    start: int
    peak: int
    end: int
    side: str | None
    in_turn: bool = False
    """Both sides move in it, one after the other."""


def put_together(left: Sequence[Span], right: Sequence[Span], frames: int) -> list[Moved]:
    """The repetitions of two sides over so many frames, in order.

    Two that are up at the same time are one. Of the others, a side and the other after it are one where the sides take
    turns more often than not ("left, right, left, right"); else each counts ("five left, then five right").
    """
    both, alone = _at_once(sorted([Moved(*span, "left") for span in left] + [Moved(*span, "right") for span in right]))
    changes = [before.side != after.side for before, after in pairwise(alone)]
    if sum(changes) > len(changes) / 2:
        alone = _in_turn(alone, frames - 1)
    return sorted(both + alone)


def _at_once(spans: Sequence[Moved]) -> tuple[list[Moved], list[Moved]]:
    """Pairs of both sides that are up together, each as one, and what is left."""
    both, alone = list[Moved](), list[Moved]()
    for span in spans:
        last = alone[-1] if alone else None
        if last and last.side != span.side and last.start < span.peak < last.end and span.start < last.peak < span.end:
            both.append(Moved(last.start, max(last.peak, span.peak), max(last.end, span.end), None))
            alone.pop()
        else:
            alone.append(span)
    return both, alone


def _in_turn(spans: Sequence[Moved], last_frame: int) -> list[Moved]:
    """From the side that moves first until the other has come back; a last one without the other is left out."""
    first = [span for span in spans if span.side == spans[0].side]
    limits = [*(after.start for after in first[1:]), last_frame]
    found = []
    for one, limit in zip(first, limits, strict=True):
        others = [other.end for other in spans if other.side != one.side and one.peak < other.peak <= limit]
        if others or limit < last_frame:
            found.append(Moved(one.start, one.peak, min(max([one.end, *others]), limit), None, in_turn=True))
    return found
