"""Quantisers of the tokenizer behind one interface: vectors in, the nearest code vectors and their indices out.

Each takes (B, N, code_size) float32 latents and answers with the vectors that stand for them, int64 indices (B, N,
layers) below `codes`, and the commitment loss. `vectors` is the way back. All state is in buffers, so that a training
can be resumed exactly.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import FSQ
from vector_quantize_pytorch.vector_quantize_pytorch import Codebook, rotate_to

from posellm_assets.motion.config import FRAMES_PER_TOKEN, TokenizerConfig

_DECAY = 0.98
_COMMITMENT = 0.25
# A code is dead once its moving average of uses falls under a quarter of an even share of the batch. An absolute count,
# the usual rule, replaces most of the codebook at every step when batches are small.
_DEAD_SHARE = 0.25


class Codebooks(nn.Module):
    """Learned codes in one or more layers, each of which quantises what the layers before it left over.

    Van den Oord et al., "Neural Discrete Representation Learning" (2017), with moving averages; residual layers as in
    Zeghidour et al., "SoundStream" (2021). The gradient passes by the rotation trick (Fifty et al., 2024) from the sum
    of the layers to the latent at once: layer by layer it would be counted as often as there are layers.
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.tokens_per_batch = config.frames_per_batch / FRAMES_PER_TOKEN
        even_share = self.tokens_per_batch / config.codes
        self.layers = nn.ModuleList(
            Codebook(
                dim=config.code_size,
                codebook_size=config.codes,
                decay=_DECAY,
                kmeans_init=True,
                threshold_ema_dead_code=_DEAD_SHARE * even_share,
                # A revived code has time to be used before it counts as dead again.
                reset_cluster_size=even_share,
            )
            for _ in range(config.layers)
        )

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the module; in training mode the codes move."""
        left, total = latents.detach(), torch.zeros_like(latents)
        commitment, indices = latents.new_zeros(()), []
        for layer in self.layers:
            nearest, index, _ = layer(left)
            commitment = commitment + functional.mse_loss(latents - total, nearest)
            left, total = left - nearest, total + nearest
            indices.append(index)
        vectors = rotate_to(latents, total) if self.training else total
        return vectors, torch.stack(indices, dim=-1), _COMMITMENT * commitment

    def vectors(self, indices: Tensor) -> Tensor:
        """(B, N, code_size) of indices (B, N, layers)."""
        return torch.stack([layer.embed[0][indices[..., i]] for i, layer in enumerate(self.layers)]).sum(0)

    def codes(self) -> Tensor:
        """(layers * codes, code_size): what each code adds to the sum of its step."""
        return torch.cat([layer.embed[0] for layer in self.layers])

    @torch.no_grad()
    def start(self, latents: Tensor) -> None:
        """K-means over (N, code_size) latents of several batches, weighed as if they had come in one."""
        share = self.tokens_per_batch / len(latents)
        for layer in self.layers:
            layer.init_embed_(latents[None])
            layer.cluster_size.mul_(share)
            layer.embed_avg.mul_(share)
            nearest = torch.cdist(latents, layer.embed[0]).argmin(-1)
            latents = latents - layer.embed[0][nearest]


class FiniteScalars(nn.Module):
    """Every number of a short latent is rounded to one of a few levels (Mentzer et al., "FSQ", 2023).

    The codes are all mixtures of the levels, so none has to be learned and none can die.
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.scalars = FSQ(list(config.fsq_levels), dim=config.code_size, preserve_symmetry=True)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the module."""
        vectors, indices = self.scalars(latents)
        return vectors, indices.long()[..., None], latents.new_zeros(())

    def vectors(self, indices: Tensor) -> Tensor:
        """(B, N, code_size) of indices (B, N, 1)."""
        return self.scalars.indices_to_codes(indices[..., 0])

    def codes(self) -> Tensor:
        """(codes, code_size): the vector of each code."""
        return self.vectors(torch.arange(self.scalars.codebook_size)[None, :, None])[0]

    def start(self, latents: Tensor) -> None:
        """Nothing to begin with: the codes stand fast."""


def new_quantizer(config: TokenizerConfig) -> Codebooks | FiniteScalars:
    """The quantiser that `config` names."""
    return Codebooks(config) if config.quantizer == "vq" else FiniteScalars(config)
