"""Motion files as the tokenizer's training data: usable segments, their augmented features, random windows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from posellm_assets.motion import representation
from posellm_assets.motion.augment import change_speed, mirror
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import Skeleton

_MIN_STD = 1e-4


@dataclass(frozen=True)
class Segments:
    """The usable stretches by video key, for clips that have any, and in words the stretches that are too short."""

    of_clip: dict[str, list[Motion]]
    too_short: list[str]

    @property
    def all(self) -> list[Motion]:
        """The usable stretches of all clips."""
        return [segment for segments in self.of_clip.values() for segment in segments]


def read_segments(paths: Sequence[Path], min_frames: int) -> Segments:
    """Read motion files named `<video key>.parquet`; a stretch is usable from `min_frames` frames on.

    Raises ValueError where two files differ in skeleton or frame rate, or share a key.
    """
    of_clip: dict[str, list[Motion]] = {}
    too_short: list[str] = []
    first: tuple[Path, Motion] | None = None
    for path in paths:
        motion, key = Motion.read(path), path.stem
        first = first or (path, motion)
        if (motion.skeleton, motion.fps) != (first[1].skeleton, first[1].fps):
            raise ValueError(
                f"{path} is skeleton {motion.skeleton.name} at {motion.fps} frames/s, but {first[0]} is "
                f"{first[1].skeleton.name} at {first[1].fps}: one tokenizer takes one of each"
            )
        if key in of_clip:
            raise ValueError(f"two motion files are named {key}: each video has one")
        of_clip[key] = []
        for stretch in motion.segments(0.0):
            if len(stretch) >= min_frames:
                of_clip[key].append(stretch)
            else:
                too_short.append(f"{key} from {stretch.start_s:.2f} s: {len(stretch)} of {min_frames} frames")
    return Segments({key: stretches for key, stretches in of_clip.items() if stretches}, too_short)


def augmented_features(segments: Sequence[Motion], speeds: Sequence[float], min_frames: int) -> list[np.ndarray]:
    """The (T, D) float32 features of each segment at each speed, as it is and mirrored, where `min_frames` remain."""
    played = [change_speed(segment, speed) for segment in segments for speed in speeds]
    played = [motion for motion in played if len(motion) >= min_frames]
    guises = (guise for motion in played for guise in (motion, mirror(motion)))
    return [representation.encode(guise).astype(np.float32) for guise in guises]


def normalisation(features: Sequence[np.ndarray], skeleton: Skeleton) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of each feature and one standard deviation for each group of them (HumanML3D's convention): (D,) float32."""
    frames = np.concatenate(features)
    std = frames.std(axis=0, dtype=np.float64)
    for group in representation.layout(skeleton).groups:
        std[group] = max(float(std[group].mean()), _MIN_STD) if std[group].size else std[group]
    return torch.from_numpy(frames.mean(axis=0, dtype=np.float64)).float(), torch.from_numpy(std).float()


class Windows:
    """Random windows of normalised features: about the same number of frames in a batch, whatever the window length."""

    def __init__(self, features: Sequence[torch.Tensor], config: TokenizerConfig):
        """features: (T, D) of each motion, normalised."""
        self.frames_per_batch = config.frames_per_batch
        self.flat = torch.cat(list(features))
        self.lengths = np.array([len(f) for f in features])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.fitting = {frames: np.flatnonzero(self.lengths >= frames) for frames in config.windows}
        frames_available = np.array([self.lengths[fitting].sum() for fitting in self.fitting.values()], float)
        self.window_shares = frames_available / frames_available.sum()

    def draw(self, rng: np.random.Generator) -> torch.Tensor:
        """A batch (B, T, D); long motions are drawn more often, in proportion to their frames."""
        frames = int(rng.choice(list(self.fitting), p=self.window_shares))
        fitting = self.fitting[frames]
        shares = self.lengths[fitting] / self.lengths[fitting].sum()
        chosen = rng.choice(fitting, max(1, self.frames_per_batch // frames), p=shares)
        starts = self.starts[chosen] + rng.integers(0, self.lengths[chosen] - frames + 1)
        return self.flat[torch.from_numpy(starts)[:, None] + torch.arange(frames)]
