"""Motion as codes: the network, and the noun that writes a motion as code ids and reads it back.

How the network is trained is `train_tokenizer`'s business. This module loads torch: programs import it, `defs` do not.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from posellm_assets import files
from posellm_assets.motion import codebook
from posellm_assets.motion.codebook import Codebook
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.parts import HEADING, features_of, joined, parts_of
from posellm_assets.motion.quantizers import Codebooks
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
        self.blocks = nn.ModuleList(Block(width, dilation) for dilation in _dilations(blocks))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, N, width) to (B, N, width); see `Block.forward`."""
        for block in self.blocks:
            x = block(x, present)
        return self.norm(x)


class PartNetwork(nn.Module):
    """`frames_per_step` frames of a body part to one vector, its code vectors, and back: (B, T, D), T whole steps."""

    def __init__(self, features: int, config: TokenizerConfig, limbs: int):
        super().__init__()
        self.features, self.frames_per_step = features, config.frames_per_step
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("std", torch.ones(features))
        self.front = nn.Linear(config.frames_per_step * features, config.width)
        self.encoder = Stack(config.width, config.encoder_blocks)
        self.to_code = nn.Linear(config.width, config.code_size)
        self.quantizer = Codebooks(config, limbs * config.frames_per_batch / config.frames_per_step)
        self.from_code = nn.Linear(config.code_size, config.width)
        self.decoder = Stack(config.width, config.decoder_blocks)
        self.back = nn.Linear(config.width, config.frames_per_step * features)

    def latents(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, N * frames_per_step, D) features to (B, N, code_size) vectors before quantisation, in float32."""
        grouped = ((x - self.mean) / self.std).reshape(x.shape[0], x.shape[1] // self.frames_per_step, -1)
        return self.to_code(self.encoder(self.front(grouped), present)).float()

    def frames(self, vectors: Tensor, present: Tensor | None = None) -> Tensor:
        """(B, N, code_size) code vectors to (B, N * frames_per_step, D) features, in float32."""
        decoded = self.back(self.decoder(self.from_code(vectors), present))
        return decoded.reshape(decoded.shape[0], -1, self.features).float() * self.std + self.mean

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstructed features (B, T, D) and the commitment loss; in training mode the codebook moves."""
        latents = self.latents(x)
        with torch.autocast(latents.device.type, enabled=False):  # distances and moving averages need float32
            vectors, _, commitment = self.quantizer(latents)
        return self.frames(vectors), commitment


class Network(nn.Module):
    """The parts of a body, each by the network of its kind: features are those of `parts.split`, a tensor for each."""

    def __init__(self, skeleton: Skeleton, config: TokenizerConfig):
        super().__init__()
        self.parts = parts_of(skeleton)
        self.codes = config.codes
        kinds = Counter(part.kind for part in self.parts)
        features = {part.kind: part.features for part in self.parts}
        self.kinds = nn.ModuleDict({kind: PartNetwork(features[kind], config, kinds[kind]) for kind in kinds})

    def normalise(self, spreads: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Take over the mean and the standard deviation (D,) of the features of each part."""
        for part, (mean, std) in zip(self.parts, spreads, strict=True):
            self._network(part.kind).mean, self._network(part.kind).std = mean, std

    @property
    def heading_std(self) -> Tensor:
        """(2,) the spread of the heading's cosine and sine."""
        return self._network("trunk").std[HEADING]

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Reconstructed features and the commitment loss; in training mode the codebooks move."""
        rebuilt, commitments = self._by_kind(lambda network, x: network(x), features)
        return rebuilt, torch.stack(commitments).sum()

    def latents(self, features: Sequence[Tensor]) -> dict[str, Tensor]:
        """(B * parts, N, code_size) vectors before quantisation, by kind."""
        return {kind: self._network(kind).latents(x) for kind, x in self._batches(features).items()}

    def indices(self, features: Sequence[Tensor], present: Tensor) -> Tensor:
        """(B, N, layers * parts) indices within their codebooks, all parts of a layer before the next layer."""
        found, _ = self._by_kind(lambda network, x: _chosen(network, x, present), features)
        return torch.stack(found, dim=-1).flatten(-2)

    def frames(self, indices: Tensor, present: Tensor) -> list[Tensor]:
        """The inverse of `indices`: (B, N * frames_per_step, D) features of each part."""
        of_parts = indices.unflatten(-1, (-1, len(self.parts))).unbind(-1)
        rebuilt, _ = self._by_kind(lambda network, x: _rebuilt(network, x, present), of_parts)
        return rebuilt

    def code_vectors(self) -> Tensor:
        """(layers * parts * codes, code_size): what each code adds to the sum of its part, as `indices` are ordered."""
        of_parts = [self._network(part.kind).quantizer.codes() for part in self.parts]
        return torch.stack(of_parts, dim=1).flatten(0, 2)

    def start(self, latents: Mapping[str, Tensor]) -> None:
        """Begin the codebooks at `latents` (B, N, code_size) of several batches, by kind."""
        for kind, vectors in latents.items():
            self._network(kind).quantizer.start(vectors.flatten(0, 1))

    def go_on_from(self, other: "Network") -> None:
        """Take over the weights of a finished network of the same shape, to train them on."""
        self.load_state_dict(other.state_dict())
        for network in self.kinds.values():
            cast(PartNetwork, network).quantizer.settle()

    def _network(self, kind: str) -> PartNetwork:
        return cast(PartNetwork, self.kinds[kind])

    def _batches(self, of_parts: Sequence[Tensor]) -> dict[str, Tensor]:
        """The tensors of the parts of a kind behind one another."""
        return {
            kind: torch.cat([x for x, part in zip(of_parts, self.parts, strict=True) if part.kind == kind])
            for kind in self.kinds
        }

    def _by_kind(
        self, apply: Callable[[PartNetwork, Tensor], tuple[Tensor, Tensor]], of_parts: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What `apply` makes of each part, a kind at a time, and what else it says of each kind."""
        done, said = [], []
        for kind, batch in self._batches(of_parts).items():
            result, other = apply(self._network(kind), batch)
            done += result.split(len(of_parts[0]))
            said.append(other)
        return done, said


def _dilations(blocks: int) -> list[int]:
    return [_DILATIONS[i % len(_DILATIONS)] for i in range(blocks)]


def _chosen(network: PartNetwork, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    latents = network.latents(x, present.repeat(len(x) // len(present), 1, 1))
    return network.quantizer.nearest(latents), latents


def _rebuilt(network: PartNetwork, indices: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
    vectors = network.quantizer.vectors(indices)
    return network.frames(vectors, present.repeat(len(indices) // len(present), 1, 1)), vectors


def smoothed(frames: Tensor) -> Tensor:
    """(..., T, D) features, each frame averaged 1:2:1 with its neighbours in time; the ends are their own neighbours.

    The network writes the frames of a step at once and does not see how they join: without this it jitters.
    """
    before = torch.cat([frames[..., :1, :], frames[..., :-1, :]], dim=-2)
    after = torch.cat([frames[..., 1:, :], frames[..., -1:, :]], dim=-2)
    return frames / 2 + (before + after) / 4


@dataclass(frozen=True)
class MotionTokenizer:
    """Writes motions of one skeleton and frame rate as code ids 0 to `codebook_size - 1`, `codes_per_step` for every
    `frames_per_step` frames.

    The ids of a step follow one another, layer by layer and in a layer part by part: the id `slot * codes + index` is
    at position `step * codes_per_step + slot`. `unknown` is what the training motions could not know.
    """

    network: Network
    config: TokenizerConfig
    skeleton: Skeleton
    fps: float
    unknown: tuple[str, ...]
    seed: int

    def __post_init__(self) -> None:
        self.network.half().float()  # as it is stored, so that a stored one writes the same codes

    def coarse(self, layers: int) -> "MotionTokenizer":
        """The tokenizer with its first `layers` layers alone: fewer codes for the same movement, told less exactly."""
        config = self.config.model_copy(update={"layers": layers})
        network = Network(self.skeleton, config)
        kept = network.state_dict().keys()
        network.load_state_dict({name: weight for name, weight in self.network.state_dict().items() if name in kept})
        return replace(self, network=network.eval(), config=config)

    @property
    def codes_per_step(self) -> int:
        """How many codes stand for a step."""
        return self.config.layers * len(self.network.parts)

    @property
    def frames_per_step(self) -> int:
        """How many frames of the motion a step is."""
        return self.config.frames_per_step

    @property
    def steps_back(self) -> int:
        """How many steps before a step, and after it, decide its codes."""
        return sum(_dilations(self.config.encoder_blocks))

    @property
    def codebook_size(self) -> int:
        """How many ids there are: those of all parts and layers."""
        return self.codes_per_step * self.config.codes

    @property
    def lineage(self) -> str:
        """`vq-<8 hex>`, the hash of the weights file: codes mean the same only where it is equal."""
        return _lineage(self._weights())

    def encode(self, motion: Motion, first_yaw: float | None = None) -> list[int]:
        """The codes of a motion without gaps; frames at the end that do not fill a step are left out.

        `motion` may be a piece of a longer one: `first_yaw` is then the heading (`representation.heading`) of the first
        frame of that. Raises ValueError for another skeleton or frame rate, unknown frames, or less than a step of
        frames.
        """
        return self.encode_many([motion], first_yaw)[0]

    @torch.inference_mode()
    def encode_many(self, motions: Sequence[Motion], first_yaw: float | None = None) -> list[list[int]]:
        """`encode` for many motions, in batches of like length; the order is that of `motions`."""
        for motion in motions:
            self.check(motion)
        counts = [len(motion) // self.frames_per_step for motion in motions]
        codes: list[list[int]] = [[] for _ in motions]
        for batch in self._batches(counts):
            features = [features_of(self._whole_steps(motions[i]), first_yaw) for i in batch]
            padded = [pad_sequence(of_part, batch_first=True) for of_part in zip(*features, strict=True)]
            indices = self.network.indices(padded, _present([counts[i] for i in batch]))
            ids = indices + torch.arange(self.codes_per_step) * self.config.codes
            for row, i in enumerate(batch):
                codes[i] = ids[row, : counts[i]].flatten().tolist()
        return codes

    def decode(self, codes: Sequence[int]) -> Motion:
        """The motion of one or more steps of codes, over the origin and facing +z at first."""
        return self.decode_many([codes])[0]

    @torch.inference_mode()
    def decode_many(self, sequences: Sequence[Sequence[int]]) -> list[Motion]:
        """`decode` for many sequences.

        Raises ValueError for an empty one, half a step, or an id that does not belong where it stands.
        """
        indices = [self._indices(codes) for codes in sequences]
        counts = [len(steps) for steps in indices]
        motions: dict[int, Motion] = {}
        for batch in self._batches(counts):
            rebuilt = self.network.frames(
                pad_sequence([indices[i] for i in batch], batch_first=True), _present([counts[i] for i in batch])
            )
            for row, i in enumerate(batch):
                frames = [smoothed(part[row, : counts[i] * self.frames_per_step]) for part in rebuilt]
                joints = joined(frames, self.skeleton).numpy()
                filled = np.zeros(len(joints), bool)
                motions[i] = Motion(joints, self.fps, self.skeleton, filled=filled, unknown=self.unknown)
        return [motions[i] for i in range(len(sequences))]

    @torch.inference_mode()
    def code_vectors(self) -> np.ndarray:
        """(codebook_size, code_size) float32: what each id stands for in the space in which codes were chosen."""
        return self.network.code_vectors().float().numpy()

    def save(self, folder: Path) -> str:
        """Write `model.safetensors` and, last, `config.json` into `folder`; returns the lineage."""
        weights = self._weights()
        described = Codebook(
            lineage=_lineage(weights),
            fps=self.fps,
            seed=self.seed,
            unknown=self.unknown,
            skeleton=self.skeleton.to_json(),
            parts=tuple(part.name for part in self.network.parts),
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
        network = Network(skeleton, described.config)
        network.load_state_dict({name: weight.float() for name, weight in safetensors.torch.load(weights).items()})
        network.eval()
        return cls(
            network=network,
            config=described.config,
            skeleton=skeleton,
            fps=described.fps,
            unknown=described.unknown,
            seed=described.seed,
        )

    def check(self, motion: Motion) -> None:
        """Raise ValueError where the motion has another skeleton or frame rate, or less than a step of frames."""
        if motion.skeleton != self.skeleton:
            raise ValueError(f"this tokenizer is for skeleton {self.skeleton.name}, not {motion.skeleton.name}")
        if motion.fps != self.fps:
            raise ValueError(f"this tokenizer is for {self.fps} frames/s, not {motion.fps}")
        if len(motion) < self.frames_per_step:
            raise ValueError(f"a step is {self.frames_per_step} frames; the motion has only {len(motion)}")

    def _whole_steps(self, motion: Motion) -> Motion:
        return motion.cut(0, len(motion) // self.frames_per_step * self.frames_per_step)

    def _indices(self, codes: Sequence[int]) -> Tensor:
        """(steps, codes_per_step) indices within their codebooks; raises as `decode_many` says."""
        slots = self.codes_per_step
        turns = f", {slots} blocks of {self.config.codes} in turn"
        if not len(codes) or len(codes) % slots:
            raise ValueError(f"codes are one or more ids from 0 to {self.codebook_size - 1}{turns}, not {len(codes)}")
        indices = torch.tensor(list(codes)).reshape(-1, slots) - torch.arange(slots) * self.config.codes
        if not 0 <= int(indices.min()) <= int(indices.max()) < self.config.codes:
            raise ValueError(f"codes are ids from 0 to {self.codebook_size - 1}{turns}, not {list(codes)}")
        return indices

    def _weights(self) -> bytes:
        return safetensors.torch.save({name: weight.half() for name, weight in self.network.state_dict().items()})

    def _batches(self, counts: Sequence[int]) -> list[list[int]]:
        """Indices in groups of like numbers of steps, each small enough for memory."""
        groups: list[list[int]] = []
        for i in sorted(range(len(counts)), key=lambda i: counts[i], reverse=True):
            if not groups or (len(groups[-1]) + 1) * counts[groups[-1][0]] * self.frames_per_step > _FRAMES_AT_ONCE:
                groups.append([])
            groups[-1].append(i)
        return groups


def _present(counts: Sequence[int]) -> Tensor:
    """(B, N, 1): 1 where a row of that many steps has one, 0 at padding."""
    return (torch.arange(max(counts)) < torch.tensor(counts)[:, None]).float()[..., None]


def _lineage(weights: bytes) -> str:
    return f"vq-{hashlib.sha256(weights).hexdigest()[:8]}"
