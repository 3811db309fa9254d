"""The quantiser of a body part: vectors in, the nearest code vectors and their indices out.

All state is in buffers, so that a training can be resumed exactly.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from posellm_assets.motion.config import TokenizerConfig

_DECAY = 0.98
_COMMITMENT = 0.25
# A code is dead once its moving average of uses falls under a quarter of an even share of the batch. An absolute count,
# the usual rule, replaces most of the codebook at every step when batches are small.
_DEAD_SHARE = 0.25
# Share of the training rows that the decoder sees in the first layer's codes only, so that it can read those alone.
_COARSE = 0.25
_KMEANS_STEPS = 10
# How many sums of codes are kept in the search for the nearest one, and for how many vectors at once.
_BEAMS = 8
_SEARCHED_AT_ONCE = 512


class Layer(nn.Module):
    """One codebook, whose vectors are moving averages of what they stand for."""

    def __init__(self, codes: int, size: int, even_share: float):
        """even_share: how many vectors of a batch would fall to each code if all were used alike."""
        super().__init__()
        self.even_share = even_share
        self.register_buffer("embed", torch.zeros(codes, size))
        # Only a training needs them: a finished tokenizer is saved without.
        self.register_buffer("uses", torch.zeros(codes), persistent=False)
        self.register_buffer("sums", torch.zeros(codes, size), persistent=False)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest code vectors of (..., size) and their indices (...); in training mode the codes move."""
        flat = vectors.reshape(-1, vectors.shape[-1])
        index = self.nearest(flat)
        found = self.embed[index].view_as(vectors)
        if self.training:
            self._move(flat, index)
        return found, index.view(vectors.shape[:-1])

    def nearest(self, flat: Tensor) -> Tensor:
        """(N,) indices of the codes that are nearest to (N, size)."""
        return torch.addmm(self.embed.square().sum(-1), flat, self.embed.T, alpha=-2).argmin(-1)

    @torch.no_grad()
    def start(self, flat: Tensor) -> None:
        """K-means (Lloyd) over (N, size) vectors."""
        self.embed.copy_(flat[torch.randint(len(flat), (len(self.embed),))])
        for _ in range(_KMEANS_STEPS):
            counts, sums = self._sums(flat, self.nearest(flat))
            used = counts > 0
            self.embed[used] = sums[used] / counts[used, None]
        counts, sums = self._sums(flat, self.nearest(flat))
        share = len(self.embed) * self.even_share / len(flat)
        self.uses.copy_(counts * share)
        self.sums.copy_(sums * share)

    @torch.no_grad()
    def settle(self) -> None:
        """Count every code as used alike: a saved codebook does not tell, and is trained on from here."""
        self.uses.fill_(self.even_share)
        self.sums.copy_(self.embed * self.even_share)

    @torch.no_grad()
    def _move(self, flat: Tensor, index: Tensor) -> None:
        counts, sums = self._sums(flat, index)
        self.uses.lerp_(counts, 1 - _DECAY)
        self.sums.lerp_(sums, 1 - _DECAY)
        dead = self.uses < _DEAD_SHARE * self.even_share
        drawn = flat[torch.randint(len(flat), (len(self.embed),), device=flat.device)]
        # A revived code has time to be used before it counts as dead again.
        self.uses.copy_(torch.where(dead, self.even_share, self.uses))
        self.sums.copy_(torch.where(dead[:, None], drawn * self.even_share, self.sums))
        self.embed.copy_(self.sums / self.uses[:, None])

    def _sums(self, flat: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """How many vectors fall to each code (codes,), and their sums (codes, size)."""
        counts = torch.bincount(index, minlength=len(self.embed)).to(flat.dtype)
        return counts, torch.zeros_like(self.embed).index_add_(0, index, flat)


class Codebooks(nn.Module):
    """Learned codes in one or more layers, each of which quantises what the layers before it left over.

    Van den Oord et al., "Neural Discrete Representation Learning" (2017), with moving averages; residual layers as in
    Zeghidour et al., "SoundStream" (2021), with its quantiser dropout. The gradient passes by the rotation trick (Fifty
    et al., 2024) from the sum of the layers to the latent at once: layer by layer it would be counted as often as there
    are layers.
    """

    def __init__(self, config: TokenizerConfig, vectors_per_batch: float):
        super().__init__()
        even_share = vectors_per_batch / config.codes
        self.layers = nn.ModuleList(Layer(config.codes, config.code_size, even_share) for _ in range(config.layers))

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of (B, N, code_size) float32 latents the vectors that stand for them, int64 indices (B, N, layers) below
        `codes`, and the commitment loss; in training mode the codes move."""
        reached, shown = torch.zeros_like(latents), torch.zeros_like(latents)
        commitment, indices = latents.new_zeros(()), []
        fine = torch.ones(len(latents), 1, 1, device=latents.device)
        if self.training:
            fine = (torch.rand_like(fine) >= _COARSE).float()
        for number, layer in enumerate(self.layers):
            left = latents - reached
            nearest, index = layer(left.detach())
            commitment = commitment + functional.mse_loss(left, nearest)
            reached = reached + nearest
            shown = shown + (nearest * fine if number else nearest)
            indices.append(index)
        vectors = _rotated(latents, shown) if self.training else shown
        return vectors, torch.stack(indices, dim=-1), _COMMITMENT * commitment

    @torch.inference_mode()
    def nearest(self, latents: Tensor) -> Tensor:
        """The indices (B, N, layers) whose vectors together come nearest to (B, N, code_size) latents: those of
        `forward`, where each layer by itself takes the nearest, or better ones (a beam search)."""
        found = [self._searched(some) for some in latents.flatten(0, 1).split(_SEARCHED_AT_ONCE)]
        return torch.cat(found).view(*latents.shape[:2], len(self.layers))

    def _searched(self, latents: Tensor) -> Tensor:
        left = latents[:, None]
        indices = latents.new_zeros((len(latents), 1, 0), dtype=torch.long)
        for number, layer in enumerate(self.layers):
            last = number + 1 == len(self.layers)
            apart = left.square().sum(-1, keepdim=True) - 2 * left @ layer.embed.T + layer.embed.square().sum(-1)
            best = apart.flatten(1).topk(1 if last else min(_BEAMS, apart[0].numel()), largest=False).indices
            beam, code = best // len(layer.embed), best % len(layer.embed)
            rows = torch.arange(len(latents))[:, None]
            left = left[rows, beam] - layer.embed[code]
            indices = torch.cat([indices[rows, beam], code[..., None]], dim=-1)
        return indices[:, 0]

    def vectors(self, indices: Tensor) -> Tensor:
        """(B, N, code_size) of indices (B, N, layers)."""
        return torch.stack([layer.embed[indices[..., i]] for i, layer in enumerate(self.layers)]).sum(0)

    def codes(self) -> Tensor:
        """(layers, codes, code_size): what each code adds to the sum of its step."""
        return torch.stack([layer.embed for layer in self.layers])

    def settle(self) -> None:
        """See `Layer.settle`."""
        for layer in self.layers:
            layer.settle()

    @torch.no_grad()
    def start(self, latents: Tensor) -> None:
        """Begin each layer at what those before it leave of (N, code_size) latents of several batches."""
        for layer in self.layers:
            layer.start(latents)
            latents = latents - layer.embed[layer.nearest(latents)]


def _rotated(latents: Tensor, codes: Tensor) -> Tensor:
    """`codes`, as the latents turned and scaled: their gradient reaches the latents turned and scaled back.

    Fifty et al., "Restructuring Vector Quantization with the Rotation Trick" (2024): two reflections as one rotation.
    """
    with torch.no_grad():
        start = functional.normalize(latents, dim=-1, eps=1e-6)
        end = functional.normalize(codes, dim=-1, eps=1e-6)
        between = functional.normalize(start + end, dim=-1, eps=1e-6)
        scale = codes.norm(dim=-1, keepdim=True) / latents.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    mirrored = latents - 2 * (latents * between).sum(-1, keepdim=True) * between
    return scale * (mirrored + 2 * (latents * start).sum(-1, keepdim=True) * end)
