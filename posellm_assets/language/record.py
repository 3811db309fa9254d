"""What a stage leaves beside its checkpoints: its losses, the finished model, and what both are traced back to."""

import hashlib
import importlib.metadata
import json
import os
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from posellm_assets import lake
from posellm_assets.language import models
from posellm_assets.language.config import StageJob
from posellm_assets.language.lengths import Lengths
from posellm_assets.language.start import BASE
from posellm_assets.language.tasks import UnusableData
from posellm_assets.language.vocabulary import Vocabulary

_VERSIONS_OF = ("posellm-assets", "torch", "transformers", "peft", "tokenizers", "unsloth")


def identity(job: StageJob) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its inputs by content. Where they lie does not."""
    settings = job.model_dump(mode="json", exclude={"train", "val", "parent", "out", "threads", "tokenizer"})
    del settings["stage"]["checkpoint_every"]
    if job.replay is None:  # so that what was trained before there was replay is still found to be finished
        del settings["replay"]
    return {
        **settings,
        "train": lake.sha256_of(job.train),
        "val": lake.sha256_of(job.val) if job.val else None,
        "tokenizer": job.tokenizer is not None,  # which one, the lineage says
        "parent": _folder_hash(job.parent, ("*.safetensors", "vocabulary.json")) if job.parent else None,
    }


def _folder_hash(folder: Path, patterns: tuple[str, ...]) -> str:
    files = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if not files:
        raise UnusableData(f"{folder} holds no model; train the stage before this one first")
    return hashlib.sha256("".join(lake.sha256_of(path) for path in files).encode()).hexdigest()


def code_hash() -> str:
    """The hash of this room's code."""
    return _folder_hash(Path(__file__).parent, ("*.py",))


def versions() -> dict[str, str | None]:
    """The installed version of each library that decides the outcome; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in _VERSIONS_OF:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def losses_until(path: Path, step: int, write: bool) -> list[dict[str, Any]]:
    """The logged losses up to `step`; with `write`, what a killed process logged beyond it leaves the file."""
    kept = path.read_bytes().splitlines(keepends=True)[:step] if path.is_file() else []
    if write:
        lake.write_bytes(path, b"".join(kept))
    return [json.loads(line) for line in kept]


def append_loss(path: Path, entry: dict[str, Any]) -> None:
    """Add a line to `losses.jsonl`."""
    with path.open("a") as log:
        log.write(json.dumps(entry) + "\n")


def peak_memory_mb(device: torch.device) -> float:
    """The most memory that training has taken so far: of the GPU, or of this process where there is none."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def write_final(model: Any, vocabulary: Vocabulary, lengths: Lengths, out: Path) -> None:
    """Write `out/final` under another name first, so that a killed process leaves no half of it."""
    temporary, final = out / ".final.tmp", out / "final"
    for leftover in (temporary, final):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    models.save(model, vocabulary, temporary)
    lengths.write(temporary)
    os.replace(temporary, final)
    shutil.rmtree(out / BASE, ignore_errors=True)
