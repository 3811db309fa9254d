"""Motion files as the tokenizer's training data: usable segments, random windows of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from posellm_assets.motion import representation
from posellm_assets.motion.augment import mirror
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.parts import TRUNK_GROUPS, features_of, parts_of, split

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


def normalisation(segments: Sequence[Motion]) -> list[tuple[Tensor, Tensor]]:
    """Mean of each feature and one standard deviation for each group of them: (D,) float32 twice, for each part.

    Arms have one normalisation, legs another: each limb's stands with both.
    """
    skeleton = segments[0].skeleton
    of_parts = [torch.cat(frames).double() for frames in zip(*map(features_of, segments), strict=True)]
    kinds = [part.kind for part in parts_of(skeleton)]
    found = []
    for kind in kinds:
        frames = torch.cat([x for x, its in zip(of_parts, kinds, strict=True) if its == kind])
        mean, std = frames.mean(0), frames.std(0)
        for group in TRUNK_GROUPS if kind == "trunk" else (slice(None),):
            std[group] = std[group].mean().clamp(min=_MIN_STD)
        found.append((mean.float(), std.float()))
    return found


class TrainingWindows:
    """Random windows at random speeds, as they are or mirrored: about as many frames in a batch, whatever their length.

    Every window is played at a speed of its own between the slowest and the fastest of the settings, so that a network
    never sees the same one twice: with few clips it is what it has not seen that limits it.
    """

    def __init__(self, segments: Sequence[Motion], config: TokenizerConfig):
        """Motions of one skeleton without gaps, each of `config.min_frames` or more."""
        self.skeleton = segments[0].skeleton
        self.frames_per_batch = config.frames_per_batch
        self.slowest, self.fastest = min(config.speeds), max(config.speeds)
        views = [view for segment in segments for view in (segment, mirror(segment))]
        self.joints = torch.from_numpy(np.concatenate([view.joints for view in views]))
        yaws = [representation.heading(view.joints, self.skeleton).astype(np.float32) for view in views]
        self.yaw = torch.from_numpy(np.concatenate(yaws))
        self.lengths = np.array([len(view) for view in views])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.fitting = {frames: np.flatnonzero(self.lengths >= frames) for frames in config.windows}
        frames_available = np.array([self.lengths[fitting].sum() for fitting in self.fitting.values()], float)
        self.window_shares = frames_available / frames_available.sum()

    def draw(self, rng: np.random.Generator) -> list[Tensor]:
        """A batch: (B, T, D) features of each part. Motions are drawn in proportion to their frames."""
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
        share = torch.from_numpy((times - before).astype(np.float32))
        rows = torch.from_numpy(before + self.starts[chosen][:, None])
        joints = torch.lerp(self.joints[rows], self.joints[rows + 1], share[..., None, None])
        return split(joints, torch.lerp(self.yaw[rows], self.yaw[rows + 1], share), self.skeleton)
