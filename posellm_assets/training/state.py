"""What a stage's checkpoint holds: what is trained, the optimizer's moments, losses, and what training began from.

`weights.safetensors` and `state.safetensors` are tensors, `losses.jsonl` is the log up to that step, and `start/` the
vocabulary with its text tokenizer (for the built-in base, all of it), so that another machine goes on to the same bits.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from posellm_assets import files
from posellm_assets.training import checkpoints
from posellm_assets.training.checkpoints import CheckpointMismatch

_CURES = r"stage\.(?!name)|model\.precision$|train$|val$"
_WEIGHTS, _STATE, LOSSES, START = "weights.safetensors", "state.safetensors", "losses.jsonl", "start"


@dataclass(frozen=True)
class Checkpoint:
    """What training needs to go on as if it had never stopped."""

    weights: dict[str, torch.Tensor]
    state: dict[str, torch.Tensor]
    position: dict[str, Any]


def fill(folder: Path, checkpoint: Checkpoint, losses: Path, save_start: Callable[[Path], None]) -> None:
    """Write the files of a checkpoint into `folder`; `save_start(folder)` writes those of `start/`.

    Raises OSError where the disk is full.
    """
    for name, tensors in ((_WEIGHTS, checkpoint.weights), (_STATE, checkpoint.state)):
        try:
            save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / name)
        except SafetensorError as error:  # what its writer makes of a full disk
            raise OSError(f"{name} could not be written: {error}") from error
    files.write_json(folder / checkpoints.POSITION, checkpoint.position)
    if losses.is_file():
        shutil.copyfile(losses, folder / LOSSES)
    save_start(folder / START)


def read(folder: Path) -> Checkpoint:
    """What is in a checkpoint that was found whole; raises CheckpointMismatch where it is not a stage's."""
    try:
        return Checkpoint(load_file(folder / _WEIGHTS), load_file(folder / _STATE), checkpoints.read_position(folder))
    except (FileNotFoundError, SafetensorError) as error:
        raise CheckpointMismatch(f"{folder} is not the checkpoint of a stage ({error}); remove it") from error


def read_step(out: Path, step: int) -> Checkpoint:
    """The checkpoint of `step`; raises CheckpointMismatch where it is not there or not whole."""
    folder = checkpoints.folder_of(out, step)
    problem = checkpoints.problem(folder)
    if problem:
        raise CheckpointMismatch(f"{folder} cannot be used: {problem}. Remove {out} and train again.")
    return read(folder)


def check_cure(found: dict[str, Any], wanted: dict[str, Any], where: str) -> list[str]:
    """What was changed after a step broke, as sentences.

    Settings of the stage, the precision and the clips may have been; anything else raises CheckpointMismatch.
    """
    different = checkpoints.differences(found, wanted)
    checkpoints.refuse({name: what for name, what in different.items() if not re.match(_CURES, name)}, where)
    return list(different.values())
