"""Cuts of an edited video, told while it plays: across a cut nobody moves."""

from collections import deque

import numpy as np

_GRID = (18, 32)
# A picture is another one where its brightness differs by this much of 255 on average, and by so many times as much as
# the pictures around it do: panning and running differ all the time.
LEAST_CHANGE = 12.0
SUDDEN = 4.0
_BEFORE_FRAMES, _FEWEST = 12, 3


def brightness(rgb: np.ndarray) -> np.ndarray:
    """(18, 32) brightness of (H, W, 3) uint8 at the points of a grid."""
    height, width = rgb.shape[:2]
    rows, columns = (
        np.linspace(0, size - 1, count).astype(int) for size, count in zip((height, width), _GRID, strict=True)
    )
    return np.asarray(rgb[rows[:, None], columns].mean(axis=-1))


class CutFinder:
    """Looks at one picture after the other."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._changes: deque[float] = deque(maxlen=_BEFORE_FRAMES)

    def is_cut(self, rgb: np.ndarray) -> bool:
        """Whether (H, W, 3) uint8 is the first picture after a cut; of the first few none is."""
        now, before = brightness(rgb), self._last
        self._last = now
        if before is None:
            return False
        change = float(np.abs(now - before).mean())
        usual = float(np.median(self._changes)) if len(self._changes) >= _FEWEST else np.inf
        self._changes.append(change)
        return change >= LEAST_CHANGE and change >= SUDDEN * usual
