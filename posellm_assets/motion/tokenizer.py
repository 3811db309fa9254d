"""Motion as codes: the network, and the noun that writes a motion as code ids and reads it back.

How the network is trained is `train_tokenizer`'s business. This module loads torch: programs import it, `defs` do not.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional

from posellm_assets import files
from posellm_assets.motion import codebook, representation
from posellm_assets.motion.codebook import Codebook
from posellm_assets.motion.config import FRAMES_PER_TOKEN, TokenizerConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.quantizers import new_quantizer
from posellm_assets.motion.skeletons import Skeleton

WEIGHTS_FILE = "model.safetensors"
_DILATIONS = (1, 2, 4)
_FRAMES_AT_ONCE = 1 << 15


class Block(nn.Module):
    """Residual block over time: LayerNorm, dilated 3-tap convolution as one matrix product, ReLU, linear from 0."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(width)
        self.taps = nn.Linear(3 * width, width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, present: Tensor | None) -> Tensor:
        """x: (B, N, width); `present` (B, N, 1) is 0 at padding, which is then seen as the end of the motion."""
        tokens, dilation = x.shape[1], self.dilation
        normed = self.norm(x) if present is None else self.norm(x) * present
        padded = functional.pad(normed, (0, 0, dilation, dilation))
        taps = [padded[:, shift : shift + tokens] for shift in (0, dilation, 2 * dilation)]
        return x + self.out(functional.relu(self.taps(torch.cat(taps, dim=-1))))


class Stack(nn.Module):
    """Residual blocks with dilations 1, 2, 4, 1, ... and a LayerNorm."""

    def __init__(self, width: int, blocks: int):
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, _DILATIONS[i % len(_DILATIONS)]) for i in range(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, N, width) to (B, N, width); see `Block.forward`."""
        for block in self.blocks:
            x = block(x, present)
        return self.norm(x)


class Network(nn.Module):
    """Four frames of normalised features to one code vector and back, at token rate: (B, T, D), T a multiple of 4."""

    def __init__(self, features: int, config: TokenizerConfig):
        super().__init__()
        self.features = features
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.front = nn.Linear(FRAMES_PER_TOKEN * features, config.width)
        self.encoder = Stack(config.width, config.encoder_blocks)
        self.to_code = nn.Linear(config.width, config.code_size)
        self.quantizer = new_quantizer(config)
        self.from_code = nn.Linear(config.code_size, config.width)
        self.decoder = Stack(config.width, config.decoder_blocks)
        self.back = nn.Linear(config.width, FRAMES_PER_TOKEN * features)

    def normalise(self, features: np.ndarray | Tensor) -> Tensor:
        """(..., D) features of a motion as the float32 input of the network."""
        return (torch.as_tensor(features).float() - self.mean) / self.std

    def latents(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, T, D) features to (B, T/4, code_size) vectors before quantisation, in float32."""
        grouped = x.reshape(x.shape[0], x.shape[1] // FRAMES_PER_TOKEN, -1)
        return self.to_code(self.encoder(self.front(grouped), present)).float()

    def frames(self, vectors: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, N, code_size) code vectors to (B, 4 N, D) features, in float32."""
        decoded = self.back(self.decoder(self.from_code(vectors), present))
        return decoded.reshape(decoded.shape[0], -1, self.features).float()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstructed features (B, T, D) and the commitment loss; in training mode the codebook moves."""
        latents = self.latents(x)
        with torch.autocast(latents.device.type, enabled=False):  # distances and moving averages need float32
            vectors, _, commitment = self.quantizer(latents)
        return self.frames(vectors), commitment


def smoothed(frames: Tensor) -> Tensor:
    """(..., T, D) features, each frame averaged 1:2:1 with its neighbours in time; the ends are their own neighbours.

    The network writes four frames at once and does not see how they join: without this it jitters.
    """
    before = torch.cat([frames[..., :1, :], frames[..., :-1, :]], dim=-2)
    after = torch.cat([frames[..., 1:, :], frames[..., -1:, :]], dim=-2)
    return frames / 2 + (before + after) / 4


@dataclass(frozen=True)
class MotionTokenizer:
    """Writes motions of one skeleton and frame rate as code ids 0 to `codebook_size - 1`, `layers` for every 4 frames.

    The ids of four frames follow one another, layer by layer: id `layer * codes + index` at position
    `step * layers + layer`. `unknown` is what the training motions could not know.
    """

    network: Network
    config: TokenizerConfig
    skeleton: Skeleton
    fps: float
    unknown: tuple[str, ...]
    seed: int

    @property
    def codebook_size(self) -> int:
        """How many ids there are: those of all layers."""
        return self.config.codebook_size

    @property
    def codes_per_step(self) -> int:
        """How many codes stand for a step."""
        return self.config.layers

    @property
    def frames_per_step(self) -> int:
        """How many frames of the motion a step is."""
        return FRAMES_PER_TOKEN

    @property
    def lineage(self) -> str:
        """`vq-<8 hex>`, the hash of the weights file: codes mean the same only where it is equal."""
        return _lineage(self._weights())

    def encode(self, motion: Motion) -> list[int]:
        """The codes of a motion without gaps; up to 3 frames at the end that do not fill a code are left out.

        Raises ValueError for another skeleton or frame rate, unknown frames, or fewer than 4 frames.
        """
        return self.encode_many([motion])[0]

    @torch.inference_mode()
    def encode_many(self, motions: Sequence[Motion]) -> list[list[int]]:
        """`encode` for many motions, in batches of like length; the order is that of `motions`."""
        for motion in motions:
            self.check(motion)
        counts = [len(motion) // FRAMES_PER_TOKEN for motion in motions]
        codes: list[list[int]] = [[] for _ in motions]
        for batch in _batches(counts):
            longest = max(counts[i] for i in batch)
            x = torch.zeros(len(batch), longest * FRAMES_PER_TOKEN, self.network.features)
            present = torch.zeros(len(batch), longest, 1)
            for row, i in enumerate(batch):
                frames = counts[i] * FRAMES_PER_TOKEN
                x[row, :frames] = self.network.normalise(representation.encode(motions[i])[:frames])
                present[row, : counts[i]] = 1
            _, indices, _ = self.network.quantizer(self.network.latents(x, present))
            ids = indices + torch.arange(self.codes_per_step) * self.config.codes
            for row, i in enumerate(batch):
                codes[i] = ids[row, : counts[i]].flatten().tolist()
        return codes

    def decode(self, codes: Sequence[int]) -> Motion:
        """The motion of one or more steps of `layers` codes, 4 frames each, over the origin and facing +z at first."""
        return self.decode_many([codes])[0]

    @torch.inference_mode()
    def decode_many(self, sequences: Sequence[Sequence[int]]) -> list[Motion]:
        """`decode` for many sequences.

        Raises ValueError for an empty one, half a step, or an id that is not one of its layer.
        """
        indices = [self._indices(codes) for codes in sequences]
        counts = [len(steps) for steps in indices]
        motions: dict[int, Motion] = {}
        for batch in _batches(counts):
            longest = max(counts[i] for i in batch)
            ids = torch.zeros(len(batch), longest, self.codes_per_step, dtype=torch.long)
            present = torch.zeros(len(batch), longest, 1)
            for row, i in enumerate(batch):
                ids[row, : counts[i]] = indices[i]
                present[row, : counts[i]] = 1
            rebuilt = self.network.frames(self.network.quantizer.vectors(ids), present)
            features = rebuilt * self.network.std + self.network.mean
            for row, i in enumerate(batch):
                frames = smoothed(features[row, : counts[i] * FRAMES_PER_TOKEN]).numpy()
                motions[i] = representation.decode(frames, self.skeleton, self.fps, self.unknown)
        return [motions[i] for i in range(len(sequences))]

    @torch.inference_mode()
    def code_vectors(self) -> np.ndarray:
        """(codebook_size, code_size) float32: what each id stands for in the space in which codes were chosen."""
        return self.network.quantizer.codes().float().numpy()

    def save(self, folder: Path) -> str:
        """Write `model.safetensors` and, last, `config.json` into `folder`; returns the lineage."""
        weights = self._weights()
        described = Codebook(
            lineage=_lineage(weights),
            fps=self.fps,
            seed=self.seed,
            unknown=self.unknown,
            skeleton=self.skeleton.to_json(),
            config=self.config,
        )
        files.write_bytes(folder / WEIGHTS_FILE, weights)
        described.write(folder)
        return described.lineage

    @classmethod
    def load(cls, folder: Path) -> "MotionTokenizer":
        """Read what `save` wrote; raises ValueError where a file is missing, of another version or damaged."""
        missing = [name for name in (WEIGHTS_FILE, codebook.FILE) if not (folder / name).exists()]
        if missing:
            raise ValueError(f"{folder} is not a finished motion tokenizer: it has no {' and no '.join(missing)}")
        described = Codebook.read(folder)
        weights = (folder / WEIGHTS_FILE).read_bytes()
        if described.lineage != _lineage(weights):
            raise ValueError(f"the files in {folder} do not belong together or are damaged: copy the folder again")
        skeleton = Skeleton.from_json(described.skeleton)
        network = Network(representation.layout(skeleton).size, described.config)
        network.load_state_dict(safetensors.torch.load(weights))
        network.eval()
        return cls(
            network=network,
            config=described.config,
            skeleton=skeleton,
            fps=described.fps,
            unknown=described.unknown,
            seed=described.seed,
        )

    def _indices(self, codes: Sequence[int]) -> Tensor:
        """(steps, layers) indices within their layers; raises as `decode_many` says."""
        layers = f", {self.codes_per_step} layers of {self.config.codes} in turn" if self.codes_per_step > 1 else ""
        if not len(codes) or len(codes) % self.codes_per_step:
            raise ValueError(f"codes are one or more ids from 0 to {self.codebook_size - 1}{layers}, not {len(codes)}")
        indices = (
            torch.tensor(list(codes)).reshape(-1, self.codes_per_step)
            - torch.arange(self.codes_per_step) * self.config.codes
        )
        if not 0 <= int(indices.min()) <= int(indices.max()) < self.config.codes:
            raise ValueError(f"codes are ids from 0 to {self.codebook_size - 1}{layers}, not {list(codes)}")
        return indices

    def _weights(self) -> bytes:
        return safetensors.torch.save(self.network.state_dict())

    def check(self, motion: Motion) -> None:
        """Raise ValueError where the motion has another skeleton or frame rate, or less than one code of frames."""
        if motion.skeleton != self.skeleton:
            raise ValueError(f"this tokenizer is for skeleton {self.skeleton.name}, not {motion.skeleton.name}")
        if motion.fps != self.fps:
            raise ValueError(f"this tokenizer is for {self.fps} frames/s, not {motion.fps}")
        if len(motion) < FRAMES_PER_TOKEN:
            raise ValueError(f"a code stands for {FRAMES_PER_TOKEN} frames; the motion has only {len(motion)}")


def _lineage(weights: bytes) -> str:
    return f"vq-{hashlib.sha256(weights).hexdigest()[:8]}"


def _batches(counts: Sequence[int]) -> list[list[int]]:
    """Indices in groups of like token count, each small enough for memory."""
    groups: list[list[int]] = []
    for i in sorted(range(len(counts)), key=lambda i: counts[i], reverse=True):
        if not groups or (len(groups[-1]) + 1) * counts[groups[-1][0]] * FRAMES_PER_TOKEN > _FRAMES_AT_ONCE:
            groups.append([])
        groups[-1].append(i)
    return groups
