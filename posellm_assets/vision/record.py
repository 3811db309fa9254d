"""What a vision-language training is traced back to, and the model that it leaves."""

import shutil
from pathlib import Path
from typing import Any

from posellm_assets import files
from posellm_assets.training.optimizer import learning_rate
from posellm_assets.training.plan import Plan, decisive
from posellm_assets.training.position import Position
from posellm_assets.training.record import code_hash
from posellm_assets.vision.config import VisionJob
from posellm_assets.vision.learning import Questions, VisionSchedule
from posellm_assets.vision.model import LoadedVision, save


def plan(job: VisionJob, questions: Questions, schedule: VisionSchedule) -> Plan:
    """What the loop is told of a training."""
    training = job.training
    return Plan(
        name="the model",
        out=job.out,
        hub=job.hub,
        identity=identity(job, questions),
        cures=r"training\.|model\.precision$|examples$",
        remedy="lower training.learning_rate, or take a clip out",
        code=code_hash(Path(__file__).parent),
        steps=schedule.steps,
        learning_rate=lambda step: learning_rate(schedule, step),
        max_gradient_norm=training.max_gradient_norm,
        seed=job.seed,
        threads=job.threads,
        card=lambda position, losses: card(job, questions, position, schedule.steps),
        checkpoint_every=training.checkpoint_every,
        checkpoint_minutes=training.checkpoint_minutes,
    )


def identity(job: VisionJob, questions: Questions) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its data by content. Where they lie does not."""
    settings = job.model_dump(mode="json", exclude={"dataset", "out", "hub", "threads"})
    settings["training"] = decisive(settings["training"], "clips_per_batch")
    return {**settings, "examples": questions.sha256}


def card(job: VisionJob, questions: Questions, position: Position, steps: int) -> str:
    """The card beside the checkpoints: what is trained, how far it is, and how well it does on held-out clips."""
    val = position.best.about
    best = f"{val['accuracy']:.0%} of {val['clips']} held-out clips right" if val else "not evaluated yet"
    return (
        f"# Checkpoints of a model that {questions.purpose}\n\nStep {position.step} of {steps}; base "
        f"{Path(job.model.base).name}, {job.model.trained}; best so far at step {position.best.step}: {best}. "
        "Training resumes from the newest checkpoint whose files have the sha256 of its manifest.\n"
    )


def write_final(loaded: LoadedVision, job: VisionJob, questions: Questions, folder: Path) -> None:
    """Write the finished model into `folder`; the frames that were decoded for it go."""
    about = {"base": job.model.base, "frames": job.model.frames.model_dump(), **questions.about}
    save(loaded, folder)
    files.write_json(folder / questions.about_file, about)
    shutil.rmtree(job.out / "frames", ignore_errors=True)
