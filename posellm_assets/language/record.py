"""What a finished stage is traced back to: the identity of its job, library versions and the hash of this room."""

import hashlib
import importlib.metadata
from pathlib import Path
from typing import Any

from posellm_assets import lake
from posellm_assets.language.config import StageJob
from posellm_assets.language.tasks import UnusableData

_VERSIONS_OF = ("posellm-assets", "torch", "transformers", "peft", "tokenizers", "unsloth")


def identity(job: StageJob) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its inputs by content. Where they lie does not."""
    settings = job.model_dump(mode="json", exclude={"train", "val", "parent", "out", "threads"})
    del settings["stage"]["checkpoint_every"]
    return {
        **settings,
        "train": lake.sha256_of(job.train),
        "val": lake.sha256_of(job.val) if job.val else None,
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
