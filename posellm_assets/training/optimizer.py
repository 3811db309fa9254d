"""AdamW with its learning rate over a stage, and its state as a checkpoint holds it."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

import torch

from posellm_assets.training.checkpoints import CheckpointMismatch
from posellm_assets.training.state import Checkpoint

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


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


def adamw(trained: Mapping[str, torch.Tensor], stage: Schedule) -> torch.optim.AdamW:
    """Fused AdamW; matrices decay, biases and norms do not."""
    matrices = [weight for weight in trained.values() if weight.ndim > 1]
    others = [weight for weight in trained.values() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": stage.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)


def learning_rate(stage: Schedule, step: int) -> float:
    """Linear warm-up, then a cosine down to a twentieth; steps count from 1."""
    warmup = max(1, round(stage.warmup * stage.steps))
    if step <= warmup:
        return stage.learning_rate * step / warmup
    done = (step - warmup) / max(1, stage.steps - warmup)
    return stage.learning_rate * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))


def to_checkpoint(
    trained: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer, position: dict[str, Any]
) -> Checkpoint:
    """Weights, moments and place as they are now."""
    state = {
        f"{kind}/{name}": optimizer.state[weight][kind]
        for name, weight in trained.items()
        for kind in _MOMENTS
        if weight in optimizer.state  # not before the first step
    }
    return Checkpoint({name: weight.detach() for name, weight in trained.items()}, state, position)


def restore(checkpoint: Checkpoint, trained: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Set weights and moments to what `to_checkpoint` saw; raises CheckpointMismatch where the weights are others."""
    restore_weights(checkpoint, trained)
    for name, weight in trained.items():
        for kind in _MOMENTS:
            if f"{kind}/{name}" in checkpoint.state:
                # Fused AdamW keeps its step count beside the weights.
                optimizer.state[weight][kind] = checkpoint.state[f"{kind}/{name}"].to(weight.device)


@torch.no_grad()
def restore_weights(checkpoint: Checkpoint, trained: Mapping[str, torch.Tensor]) -> None:
    """Set the weights alone."""
    for name, weight in trained.items():
        saved = checkpoint.weights.get(name)
        if saved is None or saved.shape != weight.shape:
            raise CheckpointMismatch(f"the checkpoint's weights do not fit the model: {name} differs; start afresh")
        weight.copy_(saved)
