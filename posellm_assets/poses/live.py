"""Poses of one person while they are filmed."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from posellm_assets.footage.video import Frame
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.landmarker import VideoLandmarker
from posellm_assets.poses.landmarks import COUNT
from posellm_assets.poses.models import ensure_model
from posellm_assets.poses.poses import CHANNELS, SubjectPoses

# From one frame to the next the body's size changes by a few percent when somebody moves.
_CUT = 0.18
_SETTLING_S = 0.3
_NOBODY = np.full((COUNT, len(CHANNELS)), np.nan, np.float32)


@dataclass(frozen=True, eq=False)
class Sight:
    """A frame, and the person in it: `landmarks` (33, 8) with the channels of `poses.CHANNELS`, None for nobody.

    `is_cut`: the person is suddenly seen from elsewhere, as after a cut in an edited video.
    """

    frame: Frame
    landmarks: np.ndarray | None
    is_cut: bool = False


def sights(frames: Iterable[Frame], config: PoseConfig) -> Iterator[Sight]:
    """Yield each frame with whom it shows: where several are in view, the one whom MediaPipe follows.

    These are the landmarks of a whole clip's extraction where that finds one person, but for a moment from each cut on,
    in which nobody counts as seen: the network looks for the person where there is none any more. Raises
    ModelUnavailable.
    """
    model = ensure_model(config.network)
    size_px, settled_s, shot = 0.0, 0.0, 0
    with VideoLandmarker(model.path, 1, config.min_confidence) as landmarker:
        for frame in frames:
            people = landmarker.landmarks(frame.rgb, frame.time_s)
            if not len(people):
                yield Sight(frame, None)
                continue
            before_px, size_px = size_px, _size_px(people[0], *frame.rgb.shape[:2])
            is_cut = (before_px > 0 and abs(np.log(size_px / before_px)) > _CUT) or frame.shot != shot
            shot = frame.shot
            settled_s = frame.time_s + _SETTLING_S if is_cut else settled_s
            yield Sight(frame, people[0] if frame.time_s >= settled_s else None, is_cut)


def _size_px(landmarks: np.ndarray, height: int, width: int) -> float:
    """How large the body is in the picture, whatever its pose: pixels to the metre."""
    spread_px = np.sqrt((landmarks[:, :2] * [width, height]).var(axis=0).sum())
    return float(max(spread_px, 1.0) / max(np.sqrt(landmarks[:, 5:7].var(axis=0).sum()), 0.05))


class LatestPoses:
    """What was seen of one person in the last `keep_s` seconds, since the last cut."""

    def __init__(self, keep_s: float):
        self.keep_s = keep_s
        self._seen: deque[tuple[float, np.ndarray]] = deque()
        self._size = (0, 0)

    def add(self, sight: Sight) -> None:
        """Take a sight in, and forget what is too old."""
        if sight.is_cut:
            self._seen.clear()
        landmarks = _NOBODY if sight.landmarks is None else sight.landmarks
        self._seen.append((sight.frame.time_s, landmarks))
        self._size = sight.frame.rgb.shape[:2]
        while self._seen[0][0] < sight.frame.time_s - self.keep_s:
            self._seen.popleft()

    def subject(self) -> SubjectPoses | None:
        """The poses, None before the second frame."""
        if len(self._seen) < 2:
            return None
        times, landmarks = zip(*self._seen, strict=True)
        time_s, values = np.array(times), np.stack(landmarks)
        return SubjectPoses(
            time_s=time_s,
            landmarks=values[..., 0:3],
            visibility=values[..., 3],
            presence=values[..., 4],
            world=values[..., 5:8],
            width=self._size[1],
            height=self._size[0],
            fps=float((len(time_s) - 1) / (time_s[-1] - time_s[0])),
        )
