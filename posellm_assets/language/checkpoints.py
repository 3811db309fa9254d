"""Checkpoints that are whole or not there, and that say what they belong to.

A checkpoint is a folder `checkpoint-N`: `weights.safetensors` (what is trained), `state.safetensors` (moments of the
optimizer, random state), `position.json` (step, place in the data, the job's identity) and, written last,
`manifest.json` with the sha256 of each. The folder appears under its name by one rename.
"""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from posellm_assets import lake
from posellm_assets.language.config import Refusal
from posellm_assets.program import Report

KEEP = 2
_CURES = r"stage\.(?!name)|model\.precision$|train$|val$"
_FILES = ("weights.safetensors", "state.safetensors", "position.json")


class CheckpointMismatch(Refusal):
    """A checkpoint that belongs to another configuration or data set; the message names what differs."""


@dataclass(frozen=True)
class Checkpoint:
    """What training needs to go on as if it had never stopped."""

    weights: dict[str, torch.Tensor]
    state: dict[str, torch.Tensor]
    position: dict[str, Any]


def write(out: Path, step: int, checkpoint: Checkpoint, best: int | None = None) -> Path:
    """Write `out/checkpoint-<step>` and remove all but the newest `KEEP` and the one of step `best`."""
    target = out / f"checkpoint-{step}"
    temporary = out / f".checkpoint-{step}.tmp"
    for leftover in [*out.glob(".checkpoint-*.tmp"), target]:
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file({name: tensor.contiguous() for name, tensor in checkpoint.weights.items()}, temporary / _FILES[0])
    save_file({name: tensor.contiguous() for name, tensor in checkpoint.state.items()}, temporary / _FILES[1])
    lake.write_json(temporary / _FILES[2], checkpoint.position)
    for name in _FILES[:2]:
        lake.sync(temporary / name)
    lake.write_json(temporary / "manifest.json", {name: lake.sha256_of(temporary / name) for name in _FILES})
    os.replace(temporary, target)
    lake.sync(out)
    for old_step, old in _found(out)[KEEP:]:
        if old_step != best:
            shutil.rmtree(old)
    return target


def read_newest(out: Path, report: Report) -> Checkpoint | None:
    """The newest valid checkpoint under `out`, or None; a broken one is passed over and the reason reported."""
    for _, folder in _found(out):
        problem = _problem(folder)
        if problem is None:
            return _read(folder)
        report(f"{folder.name} is passed over: {problem}")
    return None


def read(out: Path, step: int) -> Checkpoint:
    """The checkpoint of `step`; raises CheckpointMismatch where it is not there or not whole."""
    folder = out / f"checkpoint-{step}"
    problem = _problem(folder)
    if problem:
        raise CheckpointMismatch(f"{folder} cannot be used: {problem}. Remove {out} and train again.")
    return _read(folder)


def check_identity(found: dict[str, Any], wanted: dict[str, Any], out: Path) -> None:
    """Raise CheckpointMismatch naming every setting and data set in which a checkpoint's job differs from this one."""
    _refuse(_differences(found, wanted), out)


def check_cure(found: dict[str, Any], wanted: dict[str, Any], out: Path) -> list[str]:
    """What was changed after a step broke, as sentences.

    Settings of the stage, the precision and the clips may have been; anything else raises CheckpointMismatch.
    """
    different = _differences(found, wanted)
    _refuse({name: what for name, what in different.items() if not re.match(_CURES, name)}, out)
    return list(different.values())


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, str]:
    before, now = _flat(found), _flat(wanted)
    return {
        name: f"{name} was {before.get(name)!r} and is now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    }


def _refuse(different: dict[str, str], out: Path) -> None:
    if different:
        raise CheckpointMismatch(
            f"{out} holds checkpoints of another job: {'; '.join(different.values())}. "
            "Go back to those settings, use another folder, or remove this one."
        )


def _read(folder: Path) -> Checkpoint:
    weights, state, position = _FILES
    return Checkpoint(load_file(folder / weights), load_file(folder / state), lake.read_json(folder / position))


def _found(out: Path) -> list[tuple[int, Path]]:
    """Checkpoint folders by falling step."""
    matches = [(re.fullmatch(r"checkpoint-(\d+)", path.name), path) for path in out.glob("checkpoint-*")]
    return sorted(((int(match[1]), path) for match, path in matches if match), reverse=True)


def _problem(folder: Path) -> str | None:
    try:
        manifest = lake.read_json(folder / "manifest.json")
    except (FileNotFoundError, ValueError) as error:
        return f"its manifest cannot be read ({error})"
    for name in _FILES:
        if not (folder / name).is_file():
            return f"{name} is missing"
        if lake.sha256_of(folder / name) != manifest.get(name):
            return f"{name} is not what was written (sha256 differs)"
    return None


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        parts = (_flat(child, f"{name}.{key}" if name else str(key)) for key, child in value.items())
        return {key: leaf for part in parts for key, leaf in part.items()}
    return {name: value}
