"""What a vision-language training leaves beside its checkpoints: what it is traced back to, and the finished model."""

import os
import shutil
from pathlib import Path
from typing import Any

from posellm_assets import lake
from posellm_assets.actions.config import ActionJob
from posellm_assets.actions.dataset import EXAMPLES, ActionDataset, check_dataset
from posellm_assets.actions.vlm_model import LoadedVision, save

BASE = "base"


def identity(job: ActionJob) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its data by content. Where they lie does not.

    Raises UnusableDataset where there is no data set.
    """
    check_dataset(job.dataset)
    settings = job.model_dump(mode="json", exclude={"dataset", "out", "threads"})
    return {**settings, "examples": lake.sha256_of(job.dataset / EXAMPLES)}


def write_final(loaded: LoadedVision, job: ActionJob, dataset: ActionDataset, out: Path) -> None:
    """Write `out/final` under another name first, so that a killed process leaves no half of it."""
    temporary, final = out / ".final.tmp", out / "final"
    for leftover in (temporary, final):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    about = {
        "base": job.model.base,
        "frames": job.model.frames.model_dump(),
        "language": dataset.languages[0],
        "label_set": dataset.label_set.model_dump(),
    }
    save(loaded, about, temporary)
    os.replace(temporary, final)
    for made_on_the_way in (BASE, "frames"):
        shutil.rmtree(out / made_on_the_way, ignore_errors=True)
