"""Cuts of an edited video, told while it plays: across a cut nobody moves."""

from collections import deque

import numpy as np

_GRID = (18, 32)
# A picture is another one where its brightness differs by this much of 255 on average, and by so many times as much as
# the pictures before it did: panning and running differ all the time.
_LEAST_CHANGE = 12.0
_SUDDEN = 4.0
_BEFORE_FRAMES = 12


class CutFinder:
    """Looks at one picture after the other."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._changes: deque[float] = deque(maxlen=_BEFORE_FRAMES)

    def is_cut(self, rgb: np.ndarray) -> bool:
        """Whether (H, W, 3) uint8 is the first picture after a cut; the very first is none."""
        height, width = rgb.shape[:2]
        rows, columns = (
            np.linspace(0, size - 1, count).astype(int) for size, count in zip((height, width), _GRID, strict=True)
        )
        brightness = rgb[rows[:, None], columns].mean(axis=-1)
        change = 0.0 if self._last is None else float(np.abs(brightness - self._last).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        self._last = brightness
        self._changes.append(change)
        return change >= _LEAST_CHANGE and change >= _SUDDEN * usual
