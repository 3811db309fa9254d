"""Where a video was cut, told picture by picture while it is read: across a cut nobody moves."""

from collections import deque

import numpy as np

from posellm_assets.footage.video import Frame

_GRID = (18, 32)
# A picture is another one where its brightness differs by this much of 255 on average, by so many times as much as the
# pictures before it did, and as the last of them: panning and running differ all the time, and a pan or a fade begins
# within several pictures.
_LEAST_CHANGE = 12.0
_SUDDEN = 4.0
_AT_ONCE = 2.0
_BEFORE_FRAMES = 12


class CutFinder:
    """Takes the frames of one video in their order; no later one is needed, so that it serves a camera too."""

    def __init__(self) -> None:
        self._shot, self._latest = 0, 0.0
        self._picture: np.ndarray | None = None
        self._changes: deque[float] = deque(maxlen=_BEFORE_FRAMES)

    def is_cut(self, frame: Frame) -> bool:
        """Whether `frame` is the first after a cut, or after a change of the picture's shape."""
        picture, before = _small(frame.rgb), self._picture
        self._picture = picture
        if before is None:
            self._shot = frame.shot
            return False
        change = float(np.abs(picture - before).mean())
        usual = float(np.median(self._changes)) if self._changes else 0.0
        least = max(_LEAST_CHANGE, _SUDDEN * usual, _AT_ONCE * self._latest)
        found = change >= least or frame.shot != self._shot
        self._shot, self._latest = frame.shot, change
        if not found:  # a cut says nothing of how much the shot behind it moves
            self._changes.append(change)
        return found


def _small(rgb: np.ndarray) -> np.ndarray:
    """The brightness at the points of a grid, (18, 32) of 255."""
    rows, columns = (np.linspace(0, size - 1, count).astype(int) for size, count in zip(rgb.shape, _GRID, strict=False))
    return np.asarray(rgb[np.ix_(rows, columns)].mean(axis=2))
