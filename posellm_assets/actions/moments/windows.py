"""Long footage without hits: windows that overlap, named one by one, and merged into stretches with hysteresis."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from posellm_assets.actions.moments.config import WindowConfig
from posellm_assets.motion.motion import Motion


@dataclass(frozen=True)
class Stretch:
    """A span of the video in which one class is seen; `confidence` is its mean probability there."""

    start_s: float
    end_s: float
    class_id: str
    confidence: float

    def windows(self, spans: Sequence[tuple[float, float]]) -> list[int]:
        """The places of the windows whose middle lies in it, or of the nearest one."""
        middles = np.array([(start + end) / 2 for start, end in spans])
        inside = np.flatnonzero((middles >= self.start_s) & (middles <= self.end_s))
        nearest = int(np.abs(middles - (self.start_s + self.end_s) / 2).argmin())
        return [int(place) for place in inside] or [nearest]


def window_spans(start_s: float, end_s: float, config: WindowConfig) -> list[tuple[float, float]]:
    """Windows of `length_s` every `hop_s` from `start_s` on, the last one flush with the end; one where it is short."""
    length = min(config.length_s, end_s - start_s)
    last = end_s - length
    starts = [*np.arange(start_s, last - 1e-6, config.hop_s).tolist(), last]
    return [(start, start + length) for start in starts]


def parts_of(motion: Motion, config: WindowConfig) -> list[Motion]:
    """A motion in windows; one where it is no longer than that."""
    spans = window_spans(0.0, motion.duration_s, config)
    return [motion.cut(round(start * motion.fps), round(end * motion.fps)) for start, end in spans]


def merged(
    spans: Sequence[tuple[float, float]], probabilities: Sequence[dict[str, float]], config: WindowConfig
) -> list[Stretch]:
    """The stretches of windows that lie in one shot, in order.

    The probability of a class at a moment is its mean over the windows that hold the moment. A stretch begins where the
    likeliest class reaches `enter` and lasts until it falls under `leave` or another class reaches `enter` and passes
    it: a moment's doubt does not end it. Stretches shorter than `min_s` are dropped.
    """
    if not spans:
        return []
    edges = sorted({edge for span in spans for edge in span})
    classes = sorted({class_id for row in probabilities for class_id in row})
    table = np.array([[row.get(class_id, 0.0) for class_id in classes] for row in probabilities])
    found: list[tuple[float, float, int, list[tuple[float, float]]]] = []
    current: int | None = None
    for start, end in pairwise(edges):
        inside = [index for index, span in enumerate(spans) if span[0] <= start + 1e-9 and span[1] >= end - 1e-9]
        if not inside:
            current = None
            continue
        mean = table[inside].mean(axis=0)
        best = int(mean.argmax())
        if mean[best] >= config.enter:
            current_best: int | None = best
        else:
            current_best = current if current is not None and mean[current] >= config.leave else None
        if current_best is None:
            current = None
            continue
        part = (end - start, float(mean[current_best]))
        if current == current_best and found and found[-1][1] == start:
            begun, _, _, parts = found[-1]
            found[-1] = (begun, end, current_best, [*parts, part])
        else:
            found.append((start, end, current_best, [part]))
        current = current_best
    return [
        Stretch(start, end, classes[number], sum(length * value for length, value in parts) / (end - start))
        for start, end, number, parts in found
        if end - start >= config.min_s
    ]
