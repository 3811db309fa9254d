"""What a checkpoint holds: what is trained, the optimizer's moments, losses, and what training began from.

`weights.safetensors` and `state.safetensors` are tensors, `losses.jsonl` is the log up to that step, and `start/` what
another machine cannot get elsewhere (for a built-in base, all of it), so that it resumes to the same bits.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from posellm_assets import files
from posellm_assets.lake import LOSSES
from posellm_assets.training import checkpoints
from posellm_assets.training.checkpoints import CheckpointMismatch
from posellm_assets.training.position import Position
from posellm_assets.training.record import START

_WEIGHTS, _STATE = "weights.safetensors", "state.safetensors"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")
_MEMORY, _RANDOM = "memory/", "memory/random"


@dataclass(frozen=True)
class Checkpoint:
    """What training needs to resume as if it had never stopped."""

    weights: dict[str, torch.Tensor]
    state: dict[str, torch.Tensor]
    position: Position


@dataclass
class Trained:
    """All tensors that a step changes."""

    weights: Mapping[str, torch.Tensor]
    """Parameters, by name."""
    optimizer: torch.optim.AdamW
    """Fused, so that it can leave out a step without waiting for the device."""
    buffers: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """What a forward pass changes, by name; where there is any, torch's random state belongs to it."""

    @property
    def has_memory(self) -> bool:
        """Whether a forward pass changes anything."""
        return bool(self.buffers)

    def set_learning_rate(self, rate: float) -> float:
        """Set the learning rate of all weights; returns it."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def step(self, leave_out: torch.Tensor) -> None:
        """Change the weights by their gradients, unless the scalar `leave_out`, read on the device, is 1."""
        self.optimizer.found_inf = leave_out  # what torch's own GradScaler sets
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def memory(self) -> dict[str, torch.Tensor]:
        """A copy of what a forward pass changes."""
        if not self.has_memory:
            return {}
        copied = {f"{_MEMORY}{name}": buffer.clone() for name, buffer in self.buffers.items()}
        return {**copied, _RANDOM: torch.get_rng_state()}

    @torch.no_grad()
    def remember(self, memory: Mapping[str, torch.Tensor]) -> None:
        """Set what `memory()` copied."""
        if not self.has_memory:
            return
        for name, buffer in self.buffers.items():
            buffer.copy_(_fitting(memory, f"{_MEMORY}{name}", buffer))
        torch.set_rng_state(memory[_RANDOM])

    def checkpoint(self, position: Position) -> Checkpoint:
        """Everything as it is now, and the place."""
        moments = {
            f"{kind}/{name}": self.optimizer.state[weight][kind]
            for name, weight in self.weights.items()
            for kind in _MOMENTS
            if weight in self.optimizer.state  # not before the first step
        }
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        return Checkpoint(weights, moments | self.memory(), position)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Set everything to what `checkpoint` saw; raises CheckpointMismatch where the weights are others."""
        self.restore_weights(checkpoint)
        for name, weight in self.weights.items():
            for kind in _MOMENTS:
                if f"{kind}/{name}" in checkpoint.state:
                    # Fused AdamW keeps its step count beside the weights.
                    self.optimizer.state[weight][kind] = checkpoint.state[f"{kind}/{name}"].to(weight.device)
        self.remember(checkpoint.state)

    @torch.no_grad()
    def restore_weights(self, checkpoint: Checkpoint) -> None:
        """Set the weights alone."""
        for name, weight in self.weights.items():
            weight.copy_(_fitting(checkpoint.weights, name, weight))


def _fitting(saved: Mapping[str, torch.Tensor], name: str, like: torch.Tensor) -> torch.Tensor:
    found = saved.get(name)
    if found is None or found.shape != like.shape:
        raise CheckpointMismatch(f"the checkpoint's weights do not fit the model: {name} differs; start afresh")
    return found


def fill(folder: Path, checkpoint: Checkpoint, losses: Path, save_start: Callable[[Path], None]) -> None:
    """Write the files of a checkpoint into `folder`; `save_start(folder)` writes those of `start/`.

    Raises OSError where the disk is full.
    """
    for name, tensors in ((_WEIGHTS, checkpoint.weights), (_STATE, checkpoint.state)):
        try:
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name)
        except SafetensorError as error:  # what its writer makes of a full disk
            raise OSError(f"{name} could not be written: {error}") from error
    files.write_json(folder / checkpoints.POSITION, checkpoint.position.model_dump(mode="json"))
    if losses.is_file():
        shutil.copyfile(losses, folder / LOSSES)
    save_start(folder / START)


def read(folder: Path) -> Checkpoint:
    """What is in a checkpoint that was found whole; raises CheckpointMismatch where it is not a training's."""
    try:
        return Checkpoint(load_file(folder / _WEIGHTS), load_file(folder / _STATE), checkpoints.read_position(folder))
    except (FileNotFoundError, SafetensorError) as error:
        raise CheckpointMismatch(f"{folder} is not the checkpoint of a training ({error}); remove it") from error


def read_step(out: Path, step: int) -> Checkpoint:
    """The checkpoint of `step`; raises CheckpointMismatch where it is not there or not whole."""
    folder = checkpoints.folder_of(out, step)
    problem = checkpoints.problem(folder)
    if problem:
        raise CheckpointMismatch(f"{folder} cannot be used: {problem}. Remove {out} and train again.")
    return read(folder)
