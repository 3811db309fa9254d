"""What a stage leaves beside its checkpoints: its losses, the finished model, and what both are traced back to."""

import hashlib
import importlib.metadata
import json
import resource
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from posellm_assets import files
from posellm_assets.language import models
from posellm_assets.language.clips import UnusableData
from posellm_assets.language.config import StageJob
from posellm_assets.language.lengths import Lengths
from posellm_assets.language.origin import Origin
from posellm_assets.language.start import BASE
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.program import Refusal
from posellm_assets.training import state

_VERSIONS_OF = ("posellm-assets", "torch", "transformers", "peft", "tokenizers", "unsloth")


def identity(job: StageJob) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its inputs by content. Where they lie does not."""
    settings = job.model_dump(mode="json", exclude={"train", "val", "parent", "out", "hub", "threads", "tokenizer"})
    for save_point in ("checkpoint_every", "checkpoint_minutes"):
        del settings["stage"][save_point]
    if job.replay is None:  # so that what was trained before there was replay is still found to be finished
        del settings["replay"]
    # In how many batches a step goes through the memory is the machine's affair, how many rows it has is not.
    rows_per_step = job.stage.rows_per_batch * job.stage.batches_per_step
    settings["stage"] |= {"rows_per_batch": rows_per_step, "batches_per_step": 1}
    return {
        **settings,
        "train": files.sha256_of(job.train),
        "val": files.sha256_of(job.val) if job.val else None,
        "tokenizer": job.tokenizer is not None,  # which one, the lineage says
        "parent": _folder_hash(job.parent, ("*.safetensors", "vocabulary.json")) if job.parent else None,
    }


def _folder_hash(folder: Path, patterns: tuple[str, ...]) -> str:
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if not found:
        raise UnusableData(f"{folder} holds no model; train the stage before this one first")
    return hashlib.sha256("".join(files.sha256_of(path) for path in found).encode()).hexdigest()


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


def restore_losses(checkpoint: Path | None, path: Path, write: bool) -> list[dict[str, Any]]:
    """The losses that a checkpoint folder remembers; with `write`, the log at `path` becomes just that."""
    saved = checkpoint / state.LOSSES if checkpoint else None
    kept = saved.read_bytes() if saved and saved.is_file() else b""
    if write:
        files.write_bytes(path, kept)
    return [json.loads(line) for line in kept.splitlines()]


def append_loss(path: Path, entry: dict[str, Any]) -> None:
    """Add a line to `losses.jsonl`; raises Refusal where the disk is full."""
    try:
        with path.open("a") as log:
            log.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise Refusal(f"{path} cannot be written: {error}. Make room and start the same command again") from error


def save_start(out: Path, vocabulary: Vocabulary, folder: Path) -> None:
    """Write what training began from, as far as another machine cannot get it elsewhere: see `checkpoints`."""
    if (out / BASE).is_dir():
        shutil.copytree(out / BASE, folder)
    else:
        vocabulary.save(folder)


def restore_start(checkpoint: Path, out: Path) -> None:
    """Put the built-in base back where a job that began from it has none here."""
    if not (out / BASE).is_dir() and (checkpoint / state.START / "config.json").is_file():
        with files.whole_folder(out / BASE) as folder:
            shutil.copytree(checkpoint / state.START, folder, dirs_exist_ok=True)


def vocabulary_hash(vocabulary: Vocabulary) -> str:
    """The hash of every token and its id."""
    tokens = sorted(vocabulary.tokenizer.get_vocab().items())
    return hashlib.sha256(json.dumps(tokens).encode()).hexdigest()


def peak_memory_mb(device: torch.device) -> float:
    """The most memory that training has taken so far: of the GPU, or of this process where there is none."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / 1e6, 1)
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kilobytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def write_final(model: Any, vocabulary: Vocabulary, lengths: Lengths, origin: Origin, out: Path) -> None:
    """Write `out/final`, whole; raises Refusal where the disk is full."""
    final = out / "final"
    try:
        with files.whole_folder(final) as folder:
            models.save(model, vocabulary, folder)
            lengths.write(folder)
            origin.write(folder)
    except (OSError, SafetensorError) as error:
        raise Refusal(f"{final} cannot be written: {error}. Make room and start the same command again") from error
    shutil.rmtree(out / BASE, ignore_errors=True)
