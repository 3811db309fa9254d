"""Checkpoints that are whole or not there, and that say what they belong to.

A checkpoint is a folder `checkpoint-N` of files that the training room chooses, among them `position.json` (step, place
in the data, the job's identity), and, written last, `manifest.json` with the sha256 of each. The folder appears under
its name by one rename. This module knows no tensors; it treats every file as coming from a stranger.
"""

import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from posellm_assets import files
from posellm_assets.program import Refusal
from posellm_assets.training.position import Position

KEEP = 2
MANIFEST, POSITION = "manifest.json", "position.json"
_NAMED_DIFFERENCES = 8
_NAME = re.compile(r"checkpoint-(\d{1,9})")
_FILE = re.compile(
    r"(?:[a-z_]{1,40}/){0,2}[A-Za-z0-9][\w-]{0,60}(?:\.[\w-]{1,30})*\.(?:safetensors|json|jsonl|txt|jinja|model)",
    re.ASCII,
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CheckpointMismatch(Refusal):
    """A checkpoint that belongs to another configuration or data set; the message names what differs."""


def folder_of(out: Path, step: int) -> Path:
    """Where the checkpoint of `step` lies."""
    return out / f"checkpoint-{step}"


def step_of(name: str) -> int | None:
    """The step of which a folder of this name is the checkpoint; None where it is none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else None


def steps(out: Path) -> list[int]:
    """The steps of which there are checkpoint folders, whole or not, the newest first."""
    found = (step_of(path.name) for path in out.glob("checkpoint-*"))
    return sorted((step for step in found if step is not None), reverse=True)


def write(out: Path, step: int, fill: Callable[[Path], None]) -> Path:
    """Write the checkpoint of `step`, whose files `fill(folder)` makes. Raises OSError where the disk is full."""
    target = folder_of(out, step)
    clear(out)
    temporary = out / f".{target.name}.tmp"
    temporary.mkdir(parents=True)
    try:
        fill(temporary)
        written = sorted(path for path in temporary.rglob("*") if path.is_file())
        for path in written:
            files.sync(path)
        manifest = {path.relative_to(temporary).as_posix(): files.sha256_of(path) for path in written}
        files.write_json(temporary / MANIFEST, manifest)
        read_manifest((temporary / MANIFEST).read_bytes())  # what nobody could read must not be written
    except OSError:
        shutil.rmtree(temporary)  # the room that it takes is needed
        raise
    put_in_place(temporary, target)
    return target


def put_in_place(temporary: Path, target: Path) -> None:
    """Give a checkpoint its name."""
    remove(target)
    os.replace(temporary, target)
    files.sync(target.parent)


def remove(folder: Path) -> None:
    """Remove a checkpoint, so that it is gone or whole at any moment."""
    if folder.exists():
        doomed = folder.with_name(f".{folder.name}.old.tmp")
        shutil.rmtree(doomed, ignore_errors=True)
        os.replace(folder, doomed)
        shutil.rmtree(doomed)


def clear(out: Path) -> None:
    """Remove what killed writers left."""
    for leftover in out.glob(".checkpoint-*.tmp"):
        shutil.rmtree(leftover)


def prune(out: Path, keep: Collection[int]) -> None:
    """Remove all checkpoints but the newest `KEEP` and those of the steps in `keep`."""
    for step in steps(out)[KEEP:]:
        if step not in keep:
            remove(folder_of(out, step))


def problem(folder: Path) -> str | None:
    """Why a checkpoint cannot be used, or None where every file is what was written."""
    try:
        manifest = read_manifest((folder / MANIFEST).read_bytes())
    except (FileNotFoundError, ValueError) as error:
        return f"its manifest cannot be read ({error})"
    for name, sha256 in manifest.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if files.sha256_of(folder / name) != sha256:
            return f"{name} is not what was written (sha256 differs)"
    return None


def read_manifest(content: bytes) -> dict[str, str]:
    """The sha256 of each file of a checkpoint; raises ValueError where it names what no checkpoint may hold."""
    manifest = files.parse_json(content, MANIFEST)
    if not isinstance(manifest, dict) or POSITION not in manifest:
        raise ValueError(f"it lists no {POSITION}")
    for name, sha256 in manifest.items():
        if not _FILE.fullmatch(name) or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError(f"it lists {name!r}, which no checkpoint holds")
    return manifest


def read_position(folder: Path) -> Position:
    """`position.json`; raises ValueError where it is none."""
    path = folder / POSITION
    try:
        return Position.model_validate(files.read_json(path))
    except ValidationError as error:
        raise ValueError(f"{path} does not say where a training is ({error}); remove {folder}") from error


def newest_valid(out: Path, report: Callable[[str], None]) -> Path | None:
    """The newest whole checkpoint under `out`, or None; a broken one is passed over and the reason reported."""
    for step in steps(out):
        folder = folder_of(out, step)
        wrong = problem(folder)
        if wrong is None:
            return folder
        report(f"{folder.name} is passed over: {wrong}")
    return None


def check_identity(found: dict[str, Any], wanted: dict[str, Any], where: str) -> None:
    """Raise CheckpointMismatch naming every setting and data set in which a checkpoint's job differs from this one."""
    refuse(differences(found, wanted), where)


def refuse(different: dict[str, str], where: str) -> None:
    """Raise CheckpointMismatch where there are differences; the message names them."""
    if different:
        raise CheckpointMismatch(
            f"{where} holds checkpoints of another job: {named(different)}. "
            "Go back to those settings, use another folder, or remove this one."
        )


def named(different: dict[str, str]) -> str:
    """Differences in a sentence."""
    more = len(different) - _NAMED_DIFFERENCES
    return "; ".join([*list(different.values())[:_NAMED_DIFFERENCES], *([f"and {more} more"] if more > 0 else [])])


def differences(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, str]:
    """What is not the same in two identities: by name, as a sentence."""
    before, now = _flat(found), _flat(wanted)
    return {
        name: f"{name} was {before.get(name)!r} and is now {now.get(name)!r}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    }


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        parts = (_flat(child, f"{name}.{key}" if name else str(key)) for key, child in value.items())
        return {key: leaf for part in parts for key, leaf in part.items()}
    return {name: value}
