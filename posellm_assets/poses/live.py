"""Poses of one person while they are filmed."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from posellm_assets.footage.cuts import CutFinder
from posellm_assets.footage.video import Frame
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.landmarker import VideoLandmarker
from posellm_assets.poses.landmarks import COUNT
from posellm_assets.poses.models import ensure_model
from posellm_assets.poses.poses import CHANNELS, SubjectPoses

_NOBODY = np.full((COUNT, len(CHANNELS)), np.nan, np.float32)


@dataclass(frozen=True, eq=False)
class Sight:
    """A frame, and the person in it: `landmarks` (33, 8) with the channels of `poses.CHANNELS`, None for nobody.

    `is_cut`: the frame is the first after a cut, as in an edited video.
    """

    frame: Frame
    landmarks: np.ndarray | None
    is_cut: bool = False


def sights(frames: Iterable[Frame], config: PoseConfig) -> Iterator[Sight]:
    """Yield each frame with whom it shows: where several are in view, the one whom MediaPipe follows.

    These are the landmarks of a whole clip's extraction where that finds one person. Raises ModelUnavailable.
    """
    model, finder = ensure_model(config.network), CutFinder()
    with VideoLandmarker(model.path, 1, config.min_confidence) as landmarker:
        for frame in frames:
            is_cut = finder.is_cut(frame)
            if is_cut:
                landmarker.look_anew()
            people = landmarker.landmarks(frame.rgb, frame.time_s)
            yield Sight(frame, people[0] if len(people) else None, is_cut)


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
