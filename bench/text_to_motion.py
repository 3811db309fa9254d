"""Motion from held-out texts, beside the training clip whose text is nearest: how near each comes to held-out motion.

The edit distance is to held-out clips of the very text. The evaluator is trained on the training clips: it has seen the
motion that retrieval returns together with its text, which flatters retrieval's R-Precision.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mocap import Take
from rapidfuzz.distance import Levenshtein

from posellm_assets.evaluation.baselines import nearest_by_text
from posellm_assets.evaluation.distributions import matching
from posellm_assets.evaluation.evaluator import Evaluator
from posellm_assets.motion.motion import Motion

R_PRECISION_AT = 3


@dataclass(frozen=True)
class Agreement:
    """Means over the prompts of one way to make motion; `edit_distance` is NaN where it has no meaning."""

    prompts: int
    valid: float
    edit_distance: float
    r_precision: float


def retrieve(train: Sequence[Take], texts: Sequence[str], seed: int) -> list[Take]:
    """For each text a training clip with the nearest text; which of several takes of the same text, `seed` says."""
    order = random.Random(seed).sample(list(train), len(train))
    return [order[index] for index in nearest_by_text([(take.text,) for take in order], texts)]


def agreement(
    texts: Sequence[str],
    codes: Sequence[Sequence[int]] | None,
    motions: Sequence[Motion | None],
    held_out: Sequence[Take],
    held_out_codes: Sequence[Sequence[int]],
    evaluator: Evaluator,
) -> Agreement:
    """Measure the motion made for each of `texts`: `motions` are None where invalid, `codes` None for real motion."""
    distances = []
    for text, made in zip(texts, codes or [], strict=codes is not None):
        references = [row for take, row in zip(held_out, held_out_codes, strict=True) if take.text == text]
        distances.append(min(Levenshtein.normalized_distance(made, row) for row in references))
    valid = [motion is not None for motion in motions]
    made_of = evaluator.embed_motions([motion for motion in motions if motion is not None])
    embedded = np.full((len(motions), made_of.shape[1]), np.nan)
    embedded[valid] = made_of
    precision = matching(embedded, evaluator.embed_texts(texts), texts).r_precision[R_PRECISION_AT - 1]
    return Agreement(
        prompts=len(texts),
        valid=sum(valid) / len(texts),
        edit_distance=float(np.mean(distances)) if distances else math.nan,
        r_precision=precision.value,
    )
