"""The vocabulary and the model that a stage starts from: the parent's, or the base with rows for the new tokens.

With LoRA a parent's adapter is trained on beside the base that it was made for, so that the last stage's adapter holds
what all stages learned. A parent without such an adapter is taken with its weights merged, and gets a new one.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posellm_assets import files
from posellm_assets.language import adapters, models
from posellm_assets.language.bases import read_base_config, read_text_tokenizer
from posellm_assets.language.clips import TrainingClip, UnusableData
from posellm_assets.language.config import StageJob
from posellm_assets.language.near_codes import NearCodes
from posellm_assets.language.vocabulary import Vocabulary, tiny_tokenizer
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.texts.phrasings import phrased
from posellm_assets.training.backends import Backend
from posellm_assets.training.processes import Processes
from posellm_assets.training.record import BASE

_PHRASED = 20
"""Ways to ask for a movement that the text tokenizer of the built-in base is made from."""


def start(
    job: StageJob,
    backend: Backend,
    clips: Sequence[TrainingClip],
    participants: Collection[str],
    bf16: bool,
    processes: Processes,
    resumed: bool,
) -> tuple[Vocabulary, models.LoadedModel]:
    """The vocabulary and the model that training starts from, its LoRA adapter attached.

    A resumed job finds the built-in base as it was built at first, whatever the clips are now. Raises UnusableData
    where the parent uses another tokenizer's codes.
    """
    device = processes.device
    # A frozen base in bf16 takes half the memory; weights that are trained stay float32.
    halved = bf16 and job.model.method != "full" and device.type == "cuda"
    dtype = torch.bfloat16 if halved else torch.float32

    def load(source: str) -> models.LoadedModel:
        return models.load(source, job.model, backend, job.stage.row_tokens, dtype, device)

    codes = (job.codebook_size, job.lineage, job.codes_per_step)
    base: str | None = job.model.base
    if job.parent:
        vocabulary = Vocabulary.load(job.parent, participants)
        spoken = (vocabulary.codebook_size, vocabulary.lineage, vocabulary.codes_per_step)
        if spoken != codes:
            raise UnusableData(
                f"{job.parent} uses {spoken[0]} codes, {spoken[2]} for a step, of lineage {spoken[1]!r}, the examples "
                f"have {codes[0]} in {codes[2]} of {codes[1]!r}: new codes need a model that starts from the base"
            )
        base = adapters.base_of(job.parent, job.model)
        loaded = load(base or str(job.parent))
        unknown = vocabulary.added if base else vocabulary.new
    elif base == "tiny":
        folder = job.out / BASE
        if processes.first and not (resumed and folder.is_dir()):
            tokenizer = tiny_tokenizer(_texts(clips), job.model.tiny.text_tokens)
            with files.whole_folder(folder) as new:
                models.build_tiny(job.model.tiny, Vocabulary(tokenizer, *codes, participants), job.seed, new)
        processes.wait()
        vocabulary, loaded, unknown = Vocabulary.load(folder), load(str(folder)), []
        loaded.model.name_or_path = "tiny"
    else:
        config = read_base_config(job.model.base, job.model.method)
        vocabulary = Vocabulary(read_text_tokenizer(job.model.base, config), *codes, participants)
        loaded, unknown = load(job.model.base), vocabulary.added
    if unknown:
        models.add_token_rows(loaded.model, vocabulary, unknown, job.seed)
    if job.tokenizer and not job.parent:
        models.place_codes(loaded.model, vocabulary, _code_vectors(job.tokenizer, job.lineage), job.seed)
    if job.model.method == "full":
        return vocabulary, loaded
    return vocabulary, replace(loaded, model=_adapted(loaded.model, job, vocabulary, job.parent if base else None))


def near_codes(job: StageJob, vocabulary: Vocabulary, device: torch.device) -> NearCodes | None:
    """What codes the stage takes for one another; None where it takes none, or the tokenizer is not at hand."""
    stage = job.stage
    if job.tokenizer is None or not (stage.near_read or stage.near_written):
        return None
    vectors = _code_vectors(job.tokenizer, job.lineage)
    return NearCodes(vocabulary, vectors, stage.near_read, stage.near_written, device)


def _texts(clips: Sequence[TrainingClip]) -> set[str]:
    """What is read and written in training: texts and questions, and ways to ask for each movement."""
    views = [view for clip in clips for view in clip.views]
    texts = {text for view in views for text in (*view.texts, view.question) if text}
    for name in {name for view in views for name in view.names}:
        choose = random.Random(name.text)
        texts |= {phrased(name, choose) for _ in range(_PHRASED)}
    return texts


def _adapted(model: Any, job: StageJob, vocabulary: Vocabulary, parent: Path | None) -> Any:
    """`model` with a LoRA adapter: that of `parent` where there is one, else a new one."""
    if parent:
        adapters.set_rows(model, parent)
    model = adapters.attach(model, job.model, vocabulary, job.seed)
    if parent:
        adapters.set_lora(model, parent)
    return model


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
