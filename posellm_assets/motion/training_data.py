"""Motion files as the tokenizer's training data: usable segments, their augmented features, random windows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from posellm_assets.motion import representation
from posellm_assets.motion.augment import mirror
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


def mirrored_features(segments: Sequence[Motion], min_frames: int) -> list[np.ndarray]:
    """The (T, D) float32 features of each segment with `min_frames`, as it is and mirrored."""
    long_enough = [segment for segment in segments if len(segment) >= min_frames]
    both = (view for segment in long_enough for view in (segment, mirror(segment)))
    return [representation.encode(view).astype(np.float32) for view in both]


def normalisation(features: Sequence[np.ndarray], skeleton: Skeleton) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean of each feature and one standard deviation for each group of them (HumanML3D's convention): (D,) float32."""
    frames = np.concatenate(features)
    std = frames.std(axis=0, dtype=np.float64)
    for group in representation.layout(skeleton).groups:
        std[group] = max(float(std[group].mean()), _MIN_STD) if std[group].size else std[group]
    return torch.from_numpy(frames.mean(axis=0, dtype=np.float64)).float(), torch.from_numpy(std).float()


class TrainingWindows:
    """Random windows of features at random speeds: about as many frames in a batch, whatever the window length.

    Every window is played at a speed of its own between the slowest and the fastest of the settings, so that a network
    never sees the same one twice: with few clips it is what it has not seen that limits it.
    """

    def __init__(self, features: Sequence[np.ndarray], like: Motion, config: TokenizerConfig):
        """features: (T, D) of each motion, as `representation.encode` gives them; `like` is one of the motions."""
        self.frames_per_batch = config.frames_per_batch
        self.slowest, self.fastest = min(config.speeds), max(config.speeds)
        self.parts = representation.layout(like.skeleton)
        self.feet, self.fps = list(like.skeleton.feet), like.fps
        self.flat = torch.from_numpy(np.concatenate(features))
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
        last = self.lengths[chosen] - 1
        speeds = np.exp(rng.uniform(np.log(self.slowest), np.log(self.fastest), len(chosen)))
        speeds = np.minimum(speeds, last / (frames - 1))  # a short motion is not played faster than it fills the window
        begins = rng.random(len(chosen)) * (last - speeds * (frames - 1))
        times = begins[:, None] + speeds[:, None] * np.arange(frames)
        before = np.minimum(times.astype(int), last[:, None] - 1)
        share = torch.from_numpy((times - before).astype(np.float32))[..., None]
        rows = torch.from_numpy(before + self.starts[chosen][:, None])
        return self._faster(torch.lerp(self.flat[rows], self.flat[rows + 1], share), speeds)

    def _faster(self, windows: torch.Tensor, speeds: np.ndarray) -> torch.Tensor:
        """Whatever is per frame grows with the speed; whether a foot stands is decided by its new speed."""
        factors = torch.from_numpy(speeds.astype(np.float32))[:, None, None]
        for part in (self.parts.yaw_velocity, self.parts.planar_velocity, self.parts.velocities):
            windows[..., part] *= factors
        steps = windows[..., self.parts.velocities].unflatten(-1, (-1, 3))[..., self.feet, :].norm(dim=-1)
        windows[..., self.parts.contacts] = (steps * self.fps < representation.CONTACT_SPEED_M_PER_S).float()
        return windows
