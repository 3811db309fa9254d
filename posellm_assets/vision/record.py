"""What a vision-language training leaves beside its checkpoints: what it is traced back to, and the finished model."""

import shutil
from pathlib import Path
from typing import Any

from posellm_assets import files
from posellm_assets.language.start import BASE
from posellm_assets.vision.config import VisionJob
from posellm_assets.vision.learning import Questions
from posellm_assets.vision.model import LoadedVision, save


def identity(job: VisionJob, questions: Questions) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its data by content. Where they lie does not."""
    settings = job.model_dump(mode="json", exclude={"dataset", "out", "hub", "threads"})
    return {**settings, "examples": questions.sha256}


def save_start(out: Path, folder: Path) -> None:
    """Write the built-in base, from which training began, into a checkpoint: another machine has none."""
    if (out / BASE).is_dir():
        shutil.copytree(out / BASE, folder)


def card(job: VisionJob, questions: Questions, position: dict[str, Any], steps: int) -> str:
    """The card beside the checkpoints: what is trained, how far it is, and how well it does on held-out clips."""
    val = position["best"]["val"]
    best = f"{val['accuracy']:.0%} of {val['clips']} held-out clips right" if val else "not evaluated yet"
    return (
        f"# Checkpoints of a model that {questions.purpose}\n\nStep {position['step']} of {steps}; base "
        f"{Path(job.model.base).name}, {job.model.trained}; best so far at step {position['best']['step']}: {best}. "
        "Training goes on from the newest checkpoint whose files have the sha256 of its manifest.\n"
    )


def write_final(loaded: LoadedVision, job: VisionJob, questions: Questions, out: Path) -> None:
    """Write `out/final`, whole."""
    about = {"base": job.model.base, "frames": job.model.frames.model_dump(), **questions.about}
    with files.whole_folder(out / "final") as folder:
        save(loaded, folder)
        files.write_json(folder / questions.about_file, about)
    for made_on_the_way in (BASE, "frames"):
        shutil.rmtree(out / made_on_the_way, ignore_errors=True)
