"""The evaluator: one space for texts and motions, in which a motion lies near the texts that fit it.

In the manner of the co-embedding of Guo et al. (CVPR 2022) and TMR (Petrovich et al., ICCV 2023), made small: a bag of
hashed words for texts, convolutions over the features of `motion.representation` for motions. It is trained on real
motion of train participants only (`train_evaluator.py`), never on generated motion.
"""

import re
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from posellm_assets import files
from posellm_assets.evaluation.config import EvaluatorConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import encode
from posellm_assets.motion.skeletons import Skeleton

FRAMES_PER_STEP = 4
_BATCH = 64
_WEIGHTS, _CONFIG = "model.safetensors", "config.json"


class MotionEncoder(nn.Module):
    """(B, T, D) normalised features, T a multiple of 4, to (B, E) unit vectors."""

    def __init__(self, features: int, config: EvaluatorConfig):
        super().__init__()
        self.front = nn.Linear(FRAMES_PER_STEP * features, config.width)
        self.blocks = nn.ModuleList(
            nn.Conv1d(config.width, config.width, 3, padding=dilation, dilation=dilation) for dilation in (1, 2, 4)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in self.blocks)
        self.dropout = nn.Dropout(0.1)
        self.out = nn.Linear(2 * config.width, config.embedding_size)

    def forward(self, features: Tensor, present: Tensor) -> Tensor:
        """`present` (B, T / 4) is 1 where there is motion and 0 at padding."""
        grouped = features.reshape(features.shape[0], features.shape[1] // FRAMES_PER_STEP, -1)
        mask = present[..., None]
        x = self.front(grouped) * mask
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = (x + functional.gelu(block(norm(x).mul(mask).transpose(1, 2)).transpose(1, 2))) * mask
        mean = x.sum(1) / mask.sum(1)
        spread = (((x - mean[:, None]) * mask).square().sum(1) / mask.sum(1) + 1e-6).sqrt()
        return functional.normalize(self.out(self.dropout(torch.cat([mean, spread], -1))), dim=-1)


class TextEncoder(nn.Module):
    """Texts to (B, E) unit vectors: the mean of hashed words and pairs of words."""

    def __init__(self, config: EvaluatorConfig):
        super().__init__()
        self.buckets = config.text_buckets
        self.bag = nn.EmbeddingBag(config.text_buckets, config.embedding_size, mode="mean")
        self.out = nn.Linear(config.embedding_size, config.embedding_size)

    def forward(self, texts: Sequence[str]) -> Tensor:
        rows = [self._hashed(text) for text in texts]
        offsets = torch.tensor(np.cumsum([0, *(len(row) for row in rows[:-1])]))
        bags = self.bag(torch.tensor([bucket for row in rows for bucket in row]), offsets)
        return functional.normalize(self.out(bags), dim=-1)

    def _hashed(self, text: str) -> list[int]:
        """Buckets by CRC-32, the same in every process; numbers are left out, they are not words to retrieve by."""
        found = [word for word in re.findall(r"\w+", text.lower()) if not word.isdigit()] or [""]
        pairs = [f"{first} {second}" for first, second in pairwise(found)]
        return [zlib.crc32(word.encode()) % self.buckets for word in [*found, *pairs]]


class Evaluator(nn.Module):
    """Scores how well texts fit motions of one skeleton and frame rate."""

    def __init__(self, mean: np.ndarray, std: np.ndarray, skeleton: Skeleton, fps: float, config: EvaluatorConfig):
        super().__init__()
        self.config, self.skeleton, self.fps = config, skeleton, fps
        self.register_buffer("mean", torch.from_numpy(np.asarray(mean, np.float32)))
        self.register_buffer("std", torch.from_numpy(np.asarray(std, np.float32)))
        self.motion_encoder = MotionEncoder(len(mean), config)
        self.text_encoder = TextEncoder(config)

    def forward(self, motions: Sequence[np.ndarray], texts: Sequence[str]) -> Tensor:
        """(N, M) similarities of feature windows (T, D) and texts, over the temperature."""
        return self._encode(motions) @ self.text_encoder(texts).T / self.config.temperature

    def similarity(self, motions: Sequence[Motion], texts: Sequence[str]) -> np.ndarray:
        """(N, M) cosine similarities; errors as in `embed_motions`."""
        return self.embed_motions(motions) @ self.embed_texts(texts).T

    def probabilities(self, motions: Sequence[Motion], texts: Sequence[str]) -> np.ndarray:
        """(N, M) how probable it is that a motion is what each of the texts says, if it is one of them: the softmax of
        the similarities over the temperature of the training; errors as in `embed_motions`."""
        scores = np.exp(self.similarity(motions, texts) / self.config.temperature)
        return scores / scores.sum(1, keepdims=True)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(M, E) unit vectors."""
        return self.text_encoder(texts).numpy()

    @torch.inference_mode()
    def embed_motions(self, motions: Sequence[Motion]) -> np.ndarray:
        """(N, E) unit vectors. A motion longer than a training window is judged by the mean of its windows.

        Raises ValueError for a motion of another skeleton or frame rate, or shorter than 4 frames.
        """
        owners, windows = [], []
        for index, motion in enumerate(motions):
            parts = self._windows(motion)
            owners += [index] * len(parts)
            windows += parts
        total = torch.zeros(len(motions), self.config.embedding_size)
        for start in range(0, len(windows), _BATCH):
            embedded = self._encode(windows[start : start + _BATCH])
            total.index_add_(0, torch.tensor(owners[start : start + _BATCH]), embedded)
        return functional.normalize(total, dim=-1).numpy()

    def _windows(self, motion: Motion) -> list[np.ndarray]:
        if motion.skeleton != self.skeleton or motion.fps != self.fps:
            raise ValueError(
                f"this evaluator knows {self.skeleton.name} at {self.fps} frames/s, not {motion.skeleton.name} at "
                f"{motion.fps}; train it again on such motion"
            )
        if len(motion) < FRAMES_PER_STEP:
            raise ValueError(f"a motion to evaluate has at least {FRAMES_PER_STEP} frames, not {len(motion)}")
        features = encode(motion)
        count = max(1, round(len(features) / (self.config.crop_s * self.fps)))
        return [part for part in np.array_split(features, count) if len(part) >= FRAMES_PER_STEP]

    def _encode(self, windows: Sequence[np.ndarray]) -> Tensor:
        steps = [len(window) // FRAMES_PER_STEP for window in windows]
        features = torch.zeros(len(windows), max(steps) * FRAMES_PER_STEP, len(self.mean))
        present = torch.zeros(len(windows), max(steps))
        for row, (window, count) in enumerate(zip(windows, steps, strict=True)):
            kept = torch.from_numpy(np.asarray(window[: count * FRAMES_PER_STEP], np.float32))
            features[row, : len(kept)] = (kept - self.mean) / self.std
            present[row, :count] = 1
        return self.motion_encoder(features, present)

    def save(self, folder: Path) -> None:
        """Write the weights and then the description into `folder`."""
        files.write_bytes(folder / _WEIGHTS, safetensors.torch.save(self.state_dict()))
        description = {"skeleton": self.skeleton.to_json(), "fps": self.fps, "config": self.config.model_dump()}
        files.write_json(folder / _CONFIG, description)

    @classmethod
    def load(cls, folder: Path) -> "Evaluator":
        """Read what `save` wrote; raises ValueError where `folder` holds no finished evaluator."""
        missing = [name for name in (_WEIGHTS, _CONFIG) if not (folder / name).exists()]
        if missing:
            raise ValueError(f"{folder} is not a finished evaluator: it has no {' and no '.join(missing)}")
        description = files.read_json(folder / _CONFIG)
        weights = safetensors.torch.load((folder / _WEIGHTS).read_bytes())
        evaluator = cls(
            weights["mean"].numpy(),
            weights["std"].numpy(),
            Skeleton.from_json(description["skeleton"]),
            description["fps"],
            EvaluatorConfig.model_validate(description["config"]),
        )
        evaluator.load_state_dict(weights)
        return evaluator.eval()
