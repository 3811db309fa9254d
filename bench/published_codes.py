"""Likelihood of the codes of a published tokenizer, T2M-GPT's VQ-VAE, which say less and are easier to foretell.

Nats per code compare language models only where the codes are the same. The target of `quality.py` was measured on
these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mocap import Take
from pipeline import train_stages, write_examples
from t2m_gpt import CODES, BaselineTokenizer

from posellm_assets.evaluation.baselines import CodeStatistics
from posellm_assets.evaluation.clips import read_examples
from posellm_assets.lake import FINAL
from posellm_assets.language.config import ModelConfig, StageConfig
from posellm_assets.language.decoding import MotionLM
from posellm_assets.motion.config import TokenizerConfig
from posellm_assets.motion.motion import Motion

TOKENIZER_S = 180.0


@dataclass(frozen=True)
class PublishedCodes:
    """The baseline with what `write_examples` asks of a tokenizer; `config` says how clips are varied."""

    tokenizer: BaselineTokenizer
    config: TokenizerConfig

    def encode_many(self, motions: Sequence[Motion]) -> list[list[int]]:
        return [self.tokenizer.encode(motion) for motion in motions]


def nll_of_published_codes(
    fit: Sequence[Take],
    asked: Sequence[Take],
    variants: TokenizerConfig,
    stages: Sequence[StageConfig],
    model: ModelConfig,
    seeds: Sequence[int],
    folder: Path,
) -> tuple[list[float], float, float]:
    """Nats per held-out code, end included, given the text: language models, bigram; most CPU s of a model's stages."""
    folder.mkdir(parents=True, exist_ok=True)
    examples = folder / "examples.parquet"
    codes = PublishedCodes(BaselineTokenizer([take.motion for take in fit], TOKENIZER_S, seed=0), variants)
    write_examples(fit, codes, examples, augmented=True)
    held_out = codes.encode_many([take.motion for take in asked])
    lengths = [len(one) for one in held_out]
    texts = [take.text for take in asked]
    found, most_s = [], 0.0
    for seed in seeds:
        about = {"train": examples, "model": model, "codebook_size": CODES, "lineage": "t2m-gpt", "seed": seed}
        trained = train_stages(stages, folder / f"seed-{seed}", **about)
        nll = MotionLM.load(trained[-1].folder / FINAL).nll_per_code(held_out, texts).tolist()
        found.append(float(np.average(nll, weights=lengths)))
        most_s = max(most_s, sum(stage.cpu_s for stage in trained))
    bigram = CodeStatistics([one.codes for one in read_examples(examples)], CODES).bigram_nll
    return found, float(np.average([bigram(one) for one in held_out], weights=lengths)), most_s
