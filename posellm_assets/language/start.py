"""The vocabulary and the model that a stage starts from: the parent's, or the base with rows for the new tokens."""

import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoTokenizer

from posellm_assets.language import models
from posellm_assets.language.backends import Backend
from posellm_assets.language.config import StageJob
from posellm_assets.language.processes import Processes
from posellm_assets.language.tasks import Clip, UnusableData
from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer
from posellm_assets.motion.tokenizer import MotionTokenizer

# The built-in base of a stage in training; it goes when the stage is finished.
BASE = "base"


def start(
    job: StageJob,
    backend: Backend,
    clips: Sequence[Clip],
    participants: Collection[str],
    bf16: bool,
    processes: Processes,
    resumed: bool,
) -> tuple[Vocabulary, models.LoadedModel]:
    """The vocabulary and model that training starts from.

    A resumed job finds the built-in base as it was built at first, whatever the clips are now. Raises UnusableData
    where the parent speaks other codes.
    """
    device = processes.device
    # A frozen base in bf16 takes half the memory; weights that are trained stay float32.
    halved = bf16 and job.model.method == "lora" and device.type == "cuda"
    dtype = torch.bfloat16 if halved else torch.float32
    row_tokens = job.stage.row_tokens
    codes = (job.codebook_size, job.lineage, job.layers)
    if job.parent:
        vocabulary = Vocabulary.load(job.parent, participants)
        spoken = (vocabulary.codebook_size, vocabulary.lineage, vocabulary.layers)
        if spoken != codes:
            raise UnusableData(
                f"{job.parent} speaks {spoken[0]} codes in {spoken[2]} layers of lineage {spoken[1]!r}, the examples "
                f"have {codes[0]} in {codes[2]} of {codes[1]!r}: new codes need a model that starts from the base"
            )
        loaded = models.load(str(job.parent), job.model, backend, row_tokens, dtype, device)
        if vocabulary.new:
            models.add_token_rows(loaded.model, vocabulary, job.seed)
        return vocabulary, loaded
    if job.model.base == "tiny":
        folder = job.out / BASE
        if processes.first and not (resumed and folder.is_dir()):
            texts = {text for clip in clips for view in clip.views for text in view.texts}
            tokenizer = tiny_tokenizer(texts, job.model.tiny.text_tokens)
            _build(job, Vocabulary(tokenizer, *codes, participants), folder)
        processes.wait()
        vocabulary = Vocabulary.load(folder)
        loaded = models.load(str(folder), job.model, backend, row_tokens, dtype, device)
    else:
        vocabulary = Vocabulary(AutoTokenizer.from_pretrained(job.model.base), *codes, participants)
        loaded = models.load(job.model.base, job.model, backend, row_tokens, dtype, device)
        models.add_token_rows(loaded.model, vocabulary, job.seed)
    if job.tokenizer:
        models.place_codes(loaded.model, vocabulary, _code_vectors(job.tokenizer, job.lineage), job.seed)
    return vocabulary, loaded


def _code_vectors(folder: Path, lineage: str) -> np.ndarray:
    try:
        tokenizer = MotionTokenizer.load(folder)
    except ValueError as error:
        raise UnusableData(str(error)) from error
    if tokenizer.lineage != lineage:
        raise UnusableData(
            f"{folder} is tokenizer {tokenizer.lineage}, but the codes were made by {lineage or 'another'}"
        )
    return tokenizer.code_vectors()


def _build(job: StageJob, vocabulary: Vocabulary, folder: Path) -> None:
    temporary = folder.with_name(f".{folder.name}.tmp")
    for leftover in (temporary, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir(parents=True)
    models.build_tiny(job.model.tiny, vocabulary, job.seed, temporary)
    os.replace(temporary, folder)
