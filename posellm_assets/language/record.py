"""What a stage is traced back to, and what it leaves: the plan of its training, its start, and the finished model."""

import hashlib
import json
from pathlib import Path
from typing import Any

from posellm_assets import files
from posellm_assets.language import models
from posellm_assets.language.clips import UnusableData
from posellm_assets.language.config import StageJob
from posellm_assets.language.formats.card import stage_card
from posellm_assets.language.origin import Origin
from posellm_assets.language.taught import Taught
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.training.optimizer import learning_rate
from posellm_assets.training.plan import Plan, decisive
from posellm_assets.training.record import BASE, code_hash, folder_hash
from posellm_assets.training.record import save_start as save_base


def plan(job: StageJob) -> Plan:
    """What the loop is told of a stage."""
    stage = job.stage
    return Plan(
        name=stage.name,
        out=job.out,
        hub=job.hub,
        identity=identity(job),
        cures=r"stage\.(?!name)|model\.precision$|train$|val$",
        remedy="lower the stage's learning rate, or repair or remove a clip",
        code=code_hash(Path(__file__).parent),
        steps=stage.steps,
        learning_rate=lambda step: learning_rate(stage, step),
        max_gradient_norm=stage.max_gradient_norm,
        seed=job.seed,
        threads=job.threads,
        card=lambda position, losses: stage_card(job, position.step, position.about["val_before"], losses),
        checkpoint_every=stage.checkpoint_every,
        checkpoint_minutes=stage.checkpoint_minutes,
    )


def identity(job: StageJob) -> dict[str, Any]:
    """What decides the outcome of a job: its settings, and its inputs by content. Where they lie does not."""
    settings = job.model_dump(mode="json", exclude={"train", "val", "parent", "out", "hub", "threads", "tokenizer"})
    settings["stage"] = decisive(settings["stage"], "rows_per_batch")
    if job.stage.patience is None:  # evaluations are looked at only
        del settings["stage"]["evaluate_every"]
    return {
        **settings,
        "train": files.sha256_of(job.train),
        "val": files.sha256_of(job.val) if job.val else None,
        "tokenizer": job.tokenizer is not None,  # which one, the lineage says
        "parent": _model_hash(job.parent) if job.parent else None,
    }


def _model_hash(folder: Path) -> str:
    try:
        return folder_hash(folder, "*.safetensors", "vocabulary.json")
    except FileNotFoundError as error:
        raise UnusableData(f"{folder} holds no model; train the stage before this one first") from error


def save_start(out: Path, vocabulary: Vocabulary, folder: Path) -> None:
    """Write what training began from, as far as another machine cannot get it elsewhere, into a checkpoint."""
    if (out / BASE).is_dir():
        save_base(out, folder)
    else:
        vocabulary.save(folder)


def vocabulary_hash(vocabulary: Vocabulary) -> str:
    """The hash of every token and its id."""
    tokens = sorted(vocabulary.tokenizer.get_vocab().items())
    return hashlib.sha256(json.dumps(tokens).encode()).hexdigest()


def write_final(model: Any, vocabulary: Vocabulary, taught: Taught, origin: Origin, folder: Path) -> None:
    """Write the finished model, with all that decoding needs, into `folder`."""
    models.save(model, vocabulary, folder)
    taught.write(folder)
    origin.write(folder)
