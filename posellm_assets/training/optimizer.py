"""AdamW, and its learning rate over a training."""

import math
from collections.abc import Mapping
from typing import Protocol

import torch


class Schedule(Protocol):
    """What is asked of a training's settings here: a stage's, or another program's."""

    @property
    def steps(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def adamw(
    trained: Mapping[str, torch.Tensor], weight_decay: float, betas: tuple[float, float] = (0.9, 0.98)
) -> torch.optim.AdamW:
    """Fused AdamW; matrices decay, biases and norms do not."""
    matrices = [weight for weight in trained.values() if weight.ndim > 1]
    others = [weight for weight in trained.values() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=betas, fused=True)


def learning_rate(stage: Schedule, step: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth; steps count from 1."""
    warmup = max(1, round(stage.warmup * stage.steps))
    if step <= warmup:
        return stage.learning_rate * step / warmup
    done = (step - warmup) / max(1, stage.steps - warmup)
    return stage.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))
