"""What a training leaves beside its checkpoints: its losses, its result, the base it began from, versions, memory."""

import hashlib
import importlib.metadata
import json
import resource
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posellm_assets import files
from posellm_assets.lake import LOSSES
from posellm_assets.program import Refusal
from posellm_assets.training.curves import entries_of

if TYPE_CHECKING:
    import torch

BASE = "base"
"""The built-in base of a model in training; it goes when training is finished."""
START = "start"
"""In a checkpoint: what training began from."""
_VERSIONS_OF = ("posellm-assets", "torch", "transformers", "peft", "tokenizers", "unsloth")


def restore_losses(checkpoint: Path | None, out: Path, write: bool) -> list[dict[str, Any]]:
    """The losses that a checkpoint folder remembers; with `write`, the log in `out` becomes just that."""
    saved = checkpoint / LOSSES if checkpoint else None
    if write:
        files.write_bytes(out / LOSSES, saved.read_bytes() if saved and saved.is_file() else b"")
    return entries_of(saved) if saved else []


def append_loss(out: Path, entry: Mapping[str, Any]) -> None:
    """Add a line to the losses in `out`; raises Refusal where the disk is full."""
    path = out / LOSSES
    try:
        with path.open("a") as log:
            log.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise Refusal(f"{path} cannot be written: {error}. Make room and start the same command again") from error


def in_words(entry: Mapping[str, Any]) -> str:
    """A line of the losses for people."""
    scores = "".join(
        f", {name.removeprefix('val_')} {value:.3f} held out"
        for name, value in entry.items()
        if name.startswith("val_")
    )
    rates = "".join(
        f", {value:,.0f} {name.removesuffix('_per_s')}/s" for name, value in entry.items() if name.endswith("_per_s")
    )
    return (
        f"loss {entry['loss']:.3f}{scores}, learning rate {entry['lr']:.2g}, gradient {entry['grad_norm']:.2f}{rates}, "
        f"{entry['memory_mb']:,.0f} MB, {_duration(entry['left_s'])} left"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def restore_start(checkpoint: Path, out: Path) -> None:
    """Put the built-in base back where a job that began from it has none here."""
    if not (out / BASE).is_dir() and (checkpoint / START / "config.json").is_file():
        with files.whole_folder(out / BASE) as folder:
            shutil.copytree(checkpoint / START, folder, dirs_exist_ok=True)


def save_start(out: Path, folder: Path) -> None:
    """Write the built-in base, from which training began, into a checkpoint: another machine has none."""
    if (out / BASE).is_dir():
        shutil.copytree(out / BASE, folder)


def remove_start(out: Path) -> None:
    """Remove the built-in base of a training that is finished."""
    shutil.rmtree(out / BASE, ignore_errors=True)


def folder_hash(folder: Path, *patterns: str) -> str:
    """The hash of the content of the files in `folder` of these names; raises FileNotFoundError where there is none."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{folder} holds no {' and no '.join(patterns)}")
    return hashlib.sha256("".join(files.sha256_of(path) for path in found).encode()).hexdigest()


def code_hash(room: Path) -> str:
    """The hash of the code in `room`, the folder of a trainer, and in this one."""
    hashes = [folder_hash(one, "*.py") for one in (room, Path(__file__).parent)]
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def versions() -> dict[str, str | None]:
    """The installed version of each library that decides the outcome; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in _VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def peak_memory_mb(device: "torch.device") -> float:
    """The most memory that training has taken so far: of the GPU, or of this process where there is none."""
    if device.type == "cuda":
        import torch

        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
