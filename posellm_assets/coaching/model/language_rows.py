"""Labelled videos as examples for `language.train`: facts and motion codes in, the answer out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from posellm_assets.coaching.model.answers import answer_to, row, write_rows
from posellm_assets.coaching.model.dataset import SPLITS, CoachingExample, balanced
from posellm_assets.coaching.model.images import LeftOut
from posellm_assets.lake import Lake
from posellm_assets.motion.tokens import MotionTokens


def write_language_rows(
    lake: Lake, lineage: str, examples: Iterable[CoachingExample], out: Path, most_repeats: int
) -> list[LeftOut]:
    """Write `train.parquet`, `val.parquet` and `test.parquet` to `out`; returns the videos without motion codes.

    Training examples of rare activities are repeated as in `dataset.balanced`.
    """
    codes: dict[str, Sequence[int]] = {}
    left_out, used = [], []
    for example in examples:
        tokens = lake.motion_tokens(lineage, example.key) if example.key else None
        if tokens is None or not tokens.exists():
            left_out.append(LeftOut(example.id, f"it has no motion tokens of {lineage}: materialise motion_tokens"))
            continue
        # The facts are of the whole clip; of its motion the longest stretch in view is shown.
        codes[example.id] = MotionTokens.read(tokens).longest.codes
        used.append(example)
    for split in SPLITS:
        own = [example for example in used if example.split == split]
        turns: Counter[str] = Counter()
        rows = []
        for one in balanced(own, most_repeats) if split == "train" else own:
            answer = answer_to(one.answer.feedback_points)
            rows.append(row(one.id, one.activity, one.question, answer, codes[one.id], turns[one.id]))
            turns[one.id] += 1
        write_rows(out / f"{split}.parquet", rows)
    return left_out
