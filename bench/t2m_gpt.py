"""The baseline of the tokenizer bench: T2M-GPT's VQ-VAE, written from its publication, at width 128.

Zhang et al., "T2M-GPT: Generating Human Motion from Textual Descriptions with Discrete Representations" (CVPR 2023):
convolutions over frames, halved twice; residual blocks of depth 3 with dilations 9, 3, 1; 512 codes with moving
averages (0.99) and a reset of codes used less than once; smooth L1 on normalised features plus 0.5 of the same on the
steps of joint positions plus 0.02 commitment; AdamW at 2e-4, warm-up over 1/300 of the training, 0.05 of the rate after
2/3; 256 windows of 64 frames; HumanML3D's features, mirrored clips beside the plain ones. Width and code size are 128
in place of 512: in minutes on one core that is better.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from posellm_assets.motion import representation
from posellm_assets.motion.augment import mirror
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import Skeleton

WIDTH, CODES, WINDOW, BATCH = 128, 512, 64, 256
MIN_STD = 1e-4
LEARNING_RATE, MILESTONE, AFTER_MILESTONE, WARM_UP = 2e-4, 2 / 3, 0.05, 1 / 300


class ResidualBlock(nn.Module):
    """ReLU, dilated 3-tap convolution, ReLU, 1-tap convolution."""

    def __init__(self, dilation: int):
        super().__init__()
        self.wide = nn.Conv1d(WIDTH, WIDTH, 3, padding=dilation, dilation=dilation)
        self.narrow = nn.Conv1d(WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(functional.relu(self.wide(functional.relu(x))))


def residual_blocks() -> list[nn.Module]:
    return [ResidualBlock(dilation) for dilation in (9, 3, 1)]


class Baseline(nn.Module):
    """(B, T, D) normalised features, T a multiple of 4, to codes (B, T/4) and back."""

    def __init__(self, features: int):
        super().__init__()
        encoder: list[nn.Module] = [nn.Conv1d(features, WIDTH, 3, padding=1), nn.ReLU()]
        decoder: list[nn.Module] = [nn.Conv1d(WIDTH, WIDTH, 3, padding=1), nn.ReLU()]
        for _ in range(2):
            encoder += [nn.Conv1d(WIDTH, WIDTH, 4, stride=2, padding=1), *residual_blocks()]
            decoder += [*residual_blocks(), nn.Upsample(scale_factor=2), nn.Conv1d(WIDTH, WIDTH, 3, padding=1)]
        encoder += [nn.Conv1d(WIDTH, WIDTH, 3, padding=1)]
        decoder += [nn.Conv1d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv1d(WIDTH, features, 3, padding=1)]
        self.encoder, self.decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)
        self.register_buffer("codebook", torch.zeros(CODES, WIDTH))
        self.register_buffer("counts", torch.ones(CODES))
        self.register_buffer("sums", torch.zeros(CODES, WIDTH))
        self.started = False

    def latents(self, x: Tensor) -> Tensor:
        """(B, T/4, WIDTH)."""
        return self.encoder(x.transpose(1, 2)).transpose(1, 2)

    def encode(self, x: Tensor) -> Tensor:
        """(B, T/4) codes."""
        return self._nearest(self.latents(x).flatten(0, 1)).view(len(x), -1)

    def decode(self, codes: Tensor) -> Tensor:
        """(B, 4 N, D) of codes (B, N)."""
        return self._frames(self.codebook[codes])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction and commitment loss; the codebook moves."""
        latents = self.latents(x)
        flat = latents.detach().flatten(0, 1)
        if not self.started:
            self.codebook.copy_(self._sample(flat))
            self.sums.copy_(self.codebook)
            self.started = True
        codes = self._nearest(flat)
        vectors = self.codebook[codes].view_as(latents)
        self._move(flat, codes)
        return self._frames(latents + (vectors - latents).detach()), functional.mse_loss(latents, vectors)

    def _frames(self, vectors: Tensor) -> Tensor:
        return self.decoder(vectors.transpose(1, 2)).transpose(1, 2)

    def _nearest(self, flat: Tensor) -> Tensor:
        return (self.codebook.square().sum(1) - 2 * flat @ self.codebook.T).argmin(1)

    def _sample(self, flat: Tensor) -> Tensor:
        return flat[torch.randint(len(flat), (CODES,))]

    @torch.no_grad()
    def _move(self, flat: Tensor, codes: Tensor) -> None:
        counts = torch.bincount(codes, minlength=CODES).float()
        self.counts.lerp_(counts, 0.01)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, codes, flat), 0.01)
        used = (self.counts >= 1.0)[:, None]
        self.codebook.copy_(torch.where(used, self.sums / self.counts[:, None], self._sample(flat)))


class BaselineTokenizer:
    """The baseline trained for `budget_s` CPU seconds on `train`, all included but the reading of files."""

    def __init__(self, train: Sequence[Motion], budget_s: float, seed: int):
        start_s = time.process_time()
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        self.like = train[0]
        features = mirrored_features(train)
        self.mean, self.std = normalisation(features, self.like.skeleton)
        windows = [(torch.from_numpy(clip) - self.mean) / self.std for clip in features]
        shares = np.array([len(clip) for clip in windows], float)
        shares /= shares.sum()
        positions = representation.layout(self.like.skeleton).positions
        self.network = Baseline(len(self.mean))
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0)
        self.steps = 0
        while (progress := (time.process_time() - start_s) / budget_s) < 1:
            for group in optimizer.param_groups:
                group["lr"] = LEARNING_RATE * (
                    min(1.0, progress / WARM_UP) if progress < MILESTONE else AFTER_MILESTONE
                )
            batch = torch.stack([_window(windows[i], rng) for i in rng.choice(len(windows), BATCH, p=shares)])
            rebuilt, commitment = self.network(batch)
            steps, true_steps = (x[..., positions].diff(dim=1) for x in (rebuilt, batch))
            loss = functional.smooth_l1_loss(rebuilt, batch) + 0.5 * functional.smooth_l1_loss(steps, true_steps)
            (loss + 0.02 * commitment).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            self.steps += 1
        self.cpu_s = time.process_time() - start_s
        self.network.eval()

    @torch.inference_mode()
    def encode(self, motion: Motion) -> list[int]:
        """A code for every 4 frames."""
        features = torch.from_numpy(representation.encode(motion)).float()[: len(motion) // 4 * 4]
        return self.network.encode(((features - self.mean) / self.std)[None])[0].tolist()

    @torch.inference_mode()
    def decode(self, codes: Sequence[int]) -> Motion:
        """The motion of codes."""
        features = self.network.decode(torch.tensor(codes)[None])[0] * self.std + self.mean
        return representation.decode(features.numpy(), self.like.skeleton, self.like.fps)


def mirrored_features(motions: Sequence[Motion]) -> list[np.ndarray]:
    """The (T, D) float32 features of each motion with WINDOW frames, as it is and mirrored."""
    long_enough = [motion for motion in motions if len(motion) >= WINDOW]
    both = (view for motion in long_enough for view in (motion, mirror(motion)))
    return [representation.encode(view).astype(np.float32) for view in both]


def normalisation(features: Sequence[np.ndarray], skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Mean of each feature and one standard deviation for each group of them (HumanML3D's convention): (D,) float32."""
    frames = np.concatenate(features)
    std = frames.std(axis=0, dtype=np.float64)
    for group in representation.layout(skeleton).groups:
        std[group] = max(float(std[group].mean()), MIN_STD) if std[group].size else std[group]
    return torch.from_numpy(frames.mean(axis=0, dtype=np.float64)).float(), torch.from_numpy(std).float()


def _window(clip: Tensor, rng: np.random.Generator) -> Tensor:
    start = rng.integers(0, len(clip) - WINDOW + 1)
    return clip[start : start + WINDOW]
