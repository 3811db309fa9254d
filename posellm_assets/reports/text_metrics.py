"""How near a text comes to the texts that people or captions gave: BLEU, chrF and ROUGE-L, each with its interval.

BLEU and chrF come from sacrebleu, whose scores can be compared between papers. ROUGE-L is written here: `rouge-score`
drops every letter that is not ASCII, and with it most of what other languages say.
"""

import re
from collections.abc import Sequence
from typing import Any

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from posellm_assets.reports.metrics import SHARE, Figure, average, within

RESAMPLES = 200  # of the clips, for the intervals of BLEU and chrF (Koehn 2004), drawn by sacrebleu from its fixed seed
# Words of letters and digits; of scripts that do not part words, the single characters.
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Figure:
    """BLEU-4 over all texts (Papineni et al. 2002; sacrebleu's, lower-cased), from 0 to 1.

    Args:
        texts: one for each clip.
        references: the texts that each may be.

    Raises ValueError where there are no texts, or a text has no reference.
    """
    return _corpus(BLEU(lowercase=True), texts, references)


def chrf(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Figure:
    """chrF over all texts (Popovic 2015; sacrebleu's, lower-cased), from 0 to 1. Arguments and errors as in `bleu`."""
    return _corpus(CHRF(lowercase=True), texts, references)


def rouge_l(texts: Sequence[str], references: Sequence[Sequence[str]]) -> Figure:
    """ROUGE-L (Lin 2004): F1 of the longest common run of words with gaps, the best of the references, mean over texts.

    Arguments and errors as in `bleu`.
    """
    _check(texts, references)
    return average(
        [max(rouge_l_of(text, other) for other in given) for text, given in zip(texts, references, strict=True)],
        limits=SHARE,
    )


def rouge_l_of(text: str, reference: str) -> float:
    """ROUGE-L F1 of one text, from 0 to 1."""
    said, wanted = (_WORDS.findall(words.lower()) for words in (text, reference))
    longest = [0] * (len(wanted) + 1)
    for word in said:
        before = 0
        for place, other in enumerate(wanted, start=1):
            before, longest[place] = (
                longest[place],
                before + 1 if word == other else max(longest[place], longest[place - 1]),
            )
    return 2 * longest[-1] / (len(said) + len(wanted)) if said or wanted else 0.0


def _corpus(metric: BLEU | CHRF, texts: Sequence[str], references: Sequence[Sequence[str]]) -> Figure:
    _check(texts, references)
    most = max(len(given) for given in references)
    # sacrebleu wants one list for each reference; it leaves out what is None.
    columns: Any = [[given[column] if column < len(given) else None for given in references] for column in range(most)]
    score = metric.corpus_score(list(texts), columns, n_bootstrap=RESAMPLES if len(texts) > 1 else 1)
    value = score.score / 100
    if len(texts) < 2:
        return Figure(value=value, n=len(texts))
    half = score._ci / 100  # half of what 95 % of the resamples span; they lie lower than the value where n is small
    return Figure(value=value, n=len(texts), interval=within((value - half, value + half), SHARE))


def _check(texts: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    if not texts or len(texts) != len(references) or not all(references):
        raise ValueError(f"{len(texts)} texts cannot be compared with {len(references)} lists of references: each "
                         "text needs at least one")  # fmt: skip
