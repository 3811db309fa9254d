"""Tokenizer lineages: each trained codebook keeps its own folder, because new codes mean a new model."""

import shutil
from pathlib import Path

from posellm_assets.files import read_json, write_json
from posellm_assets.lake import FINAL, LOSSES, REPORT, RESULT, Lake


def current_lineage(lake: Lake) -> str | None:
    """The lineage in use, or None before the first tokenizer is trained."""
    return read_json(lake.current_tokenizer)["lineage"] if lake.current_tokenizer.exists() else None


def tokenizer_in_training(lake: Lake) -> Path:
    """The folder in which a tokenizer is trained before it has a name."""
    return lake.tokenizer("in-training")


def adopt_tokenizer(lake: Lake) -> str:
    """Give the tokenizer that has just been trained its own folder, with report and losses, and make it the current
    lineage."""
    training = tokenizer_in_training(lake)
    lineage: str = read_json(training / RESULT)["lineage"]
    home = lake.tokenizer(lineage)
    if not home.exists():  # else the same weights were trained before
        trained = training / FINAL
        shutil.copyfile(training / RESULT, trained / REPORT)
        shutil.copyfile(training / LOSSES, trained / LOSSES)
        trained.rename(home)
    shutil.rmtree(training)
    write_json(lake.current_tokenizer, {"lineage": lineage})
    return lineage
