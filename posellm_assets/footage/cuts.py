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
# Or it has as little to do with the picture before it, whatever moved there: somebody small before a white wall changes
# a twelfth of the picture, and a close-up of jumping all of it, in every frame. In 36 real videos 34 cuts between shots
# have a correlation of at most 0.56, of pictures that follow each other within a shot none has less than 0.62.
_UNLIKE = 0.41
_LEAST_CHANGE_OF_THE_UNLIKE = 8.0


class CutFinder:
    """Takes the frames of one video in their order; no later one is needed, so that it serves a camera too."""

    def __init__(self) -> None:
        self._shot, self._latest, self._unlike = 0, 0.0, 0.0
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
        usual = float(np.median(self._changes)) if self._changes else np.inf  # of the first change nothing can be said
        least = max(_LEAST_CHANGE, _SUDDEN * usual, _AT_ONCE * self._latest)
        unlike = _unlikeness(picture, before)
        other_scene = (
            bool(self._changes)
            and change >= _LEAST_CHANGE_OF_THE_UNLIKE
            and unlike >= max(_UNLIKE, _AT_ONCE * self._unlike)
        )
        found = change >= least or other_scene or frame.shot != self._shot
        self._shot, self._latest, self._unlike = frame.shot, change, unlike
        if not found:  # a cut says nothing of how much the shot behind it moves
            self._changes.append(change)
        return found


def _small(rgb: np.ndarray) -> np.ndarray:
    """The brightness at the points of a grid, (18, 32) of 255."""
    rows, columns = (np.linspace(0, size - 1, count).astype(int) for size, count in zip(rgb.shape, _GRID, strict=False))
    return np.asarray(rgb[np.ix_(rows, columns)].mean(axis=2))


def _unlikeness(one: np.ndarray, other: np.ndarray) -> float:
    """1 less the correlation of two pictures; 0 where one of them is of one brightness, because a fade begins or ends
    there."""
    if min(one.std(), other.std()) < 1.0:
        return 0.0
    return 1.0 - float(np.corrcoef(one.ravel(), other.ravel())[0, 1])
