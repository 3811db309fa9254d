"""Footage that the codes of a tokenizer cannot express, named before anything is trained on it.

A clip drifts where its reconstruction error lies above the tokenizer's limit, which comes from the clips that were held
out of its training; a sport drifts where the median of its new clips does. Torch-free: the code server imports it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from posellm_assets.files import read_record
from posellm_assets.keys import sport_of
from posellm_assets.lake import JOB, Lake
from posellm_assets.motion.config import TokenizerJob
from posellm_assets.motion.held_out import HeldOut
from posellm_assets.motion.tokens import MotionTokens

MIN_HELD_OUT_CLIPS = 8
"""Fewer clips say too little about what is usual."""

REMEDY = "set tokenizer.start to tuned or own and materialize motion_tokenizer"
"""What gives codes that express it."""

_SPREADS = 3.0


@dataclass(frozen=True)
class Drift:
    """A sport whose new clips the codes do not express."""

    sport: str
    clips: int
    drifting: int
    median_mm: float
    limit_mm: float

    def __str__(self) -> str:
        return (
            f"the tokenizer's codes do not express {self.sport}: a median of {self.median_mm:.0f} mm of error on "
            f"{self.clips} videos that are new to it, limit {self.limit_mm:.0f} mm"
        )


def error_limit_mm(held_out_mm: Sequence[float]) -> float | None:
    """The error above which a clip is unlike those held out; None for fewer than `MIN_HELD_OUT_CLIPS` of them.

    Median and median absolute deviation of the logarithm, because errors are skewed and a few of the held-out clips may
    themselves be odd: the limit lies three robust standard deviations above the median.
    """
    if len(held_out_mm) < MIN_HELD_OUT_CLIPS:
        return None
    logs = np.log(held_out_mm)
    median = np.median(logs)
    return float(np.exp(median + _SPREADS * 1.4826 * np.median(np.abs(logs - median))))


def drifting_sports(lake: Lake, lineage: str, keys: Iterable[str]) -> list[Drift]:
    """The sports among the tokenised videos `keys` whose median error is above the limit of `lineage`.

    Only what came after the tokenizer counts, trained on since or not: only another lineage can put it right.
    """
    limit_mm = HeldOut.of(lake, lineage).error_limit_mm
    if limit_mm is None:
        return []
    errors_mm: dict[str, list[float]] = defaultdict(list)
    for key in set(keys) - _videos_of_tokenizer(lake, lineage):
        errors_mm[sport_of(key)].append(MotionTokens.read(lake.motion_tokens(lineage, key)).mpjpe_mm)
    return [
        Drift(sport, len(of_sport), sum(error > limit_mm for error in of_sport), float(np.median(of_sport)), limit_mm)
        for sport, of_sport in sorted(errors_mm.items())
        if np.median(of_sport) > limit_mm
    ]


def _videos_of_tokenizer(lake: Lake, lineage: str) -> set[str]:
    """The videos that a lineage was trained and measured on; none where it does not say so."""
    path = lake.tokenizer(lineage) / JOB
    if not path.exists():
        return set()
    job = read_record(path, TokenizerJob, "copy the tokenizer's folder again, or train it again")
    return {motion.stem for motion in (*job.train, *job.held_out)}
