"""Tokenizer lineages: each trained codebook keeps its own folder, because new codes mean a new model."""

import shutil
from pathlib import Path

from posellm_assets.files import read_json, write_json
from posellm_assets.lake import Lake
from posellm_assets.motion.codebook import Codebook


def current_lineage(lake: Lake) -> str | None:
    """The lineage in use, or None before the first tokenizer is trained."""
    return read_json(lake.current_tokenizer)["lineage"] if lake.current_tokenizer.exists() else None


def tokenizer_in_training(lake: Lake) -> Path:
    """The folder in which a tokenizer is trained before it has a name."""
    return lake.tokenizer("in-training")


def adopt_tokenizer(lake: Lake) -> str:
    """Give the tokenizer that has just been trained its own folder and make it the current lineage."""
    trained = tokenizer_in_training(lake)
    lineage = Codebook.read(trained).lineage
    home = lake.tokenizer(lineage)
    if home.exists():  # the same weights were trained before
        shutil.rmtree(trained)
    else:
        trained.rename(home)
    write_json(lake.current_tokenizer, {"lineage": lineage})
    return lineage
