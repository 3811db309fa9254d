"""What a model has to beat: counting codes, copying the nearest training clip, always saying the same."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

# Weight of the unigram in the bigram, in counts (a Dirichlet prior, MacKay and Peto 1995).
PRIOR = 8.0


class CodeStatistics:
    """Unigram and bigram of code sequences with their end, smoothed so that every code has a probability."""

    def __init__(self, sequences: Sequence[Sequence[int]], codebook_size: int):
        """Count `sequences`; the end of a sequence is the symbol `codebook_size`, as is its beginning."""
        self._end = codebook_size
        counts = np.ones(codebook_size + 1)
        self._pairs: Counter[tuple[int, int]] = Counter()
        self._firsts: Counter[int] = Counter()
        for codes in sequences:
            for first, second in self._steps(codes):
                counts[second] += 1
                self._pairs[first, second] += 1
                self._firsts[first] += 1
        self._unigram = counts / counts.sum()

    def unigram_nll(self, codes: Sequence[int]) -> float:
        """Negative log-likelihood of a sequence and its end, divided by its number of codes (nats)."""
        return -float(np.log([self._unigram[second] for _, second in self._steps(codes)]).sum()) / len(codes)

    def bigram_nll(self, codes: Sequence[int]) -> float:
        """The same for the bigram."""
        likelihoods = [
            (self._pairs[first, second] + PRIOR * self._unigram[second]) / (self._firsts[first] + PRIOR)
            for first, second in self._steps(codes)
        ]
        return -float(np.log(likelihoods).sum()) / len(codes)

    def _steps(self, codes: Sequence[int]) -> list[tuple[int, int]]:
        return list(zip([self._end, *codes], [*codes, self._end], strict=True))


def nearest_by_codes(train: Sequence[Sequence[int]], test: Sequence[Sequence[int]], codebook_size: int) -> list[int]:
    """For each test sequence the training sequence with the most similar histogram of codes (cosine)."""
    known, asked = (_histograms(sequences, codebook_size) for sequences in (train, test))
    return [int(index) for index in (asked @ known.T).argmax(1)]


def nearest_by_text(train: Sequence[Sequence[str]], asked: Sequence[str]) -> list[int]:
    """For each text asked for the training clip that has the most similar one (Dice coefficient of the words and pairs
    of words), the first where several are equal.

    Args:
        train: the texts of each training clip.
        asked: the texts to find.
    """
    # Most texts are said of many clips.
    known: dict[frozenset[str], int] = {}
    for index, text in ((index, text) for index, texts in enumerate(train) for text in texts):
        known.setdefault(_words_and_pairs(text), index)

    def nearest(text: str) -> int:
        words = _words_and_pairs(text)
        return known[max(known, key=lambda other: 2 * len(words & other) / (len(words) + len(other)))]

    return [nearest(text) for text in asked]


def _histograms(sequences: Sequence[Sequence[int]], codebook_size: int) -> np.ndarray:
    histograms = np.stack([np.bincount(np.asarray(codes), minlength=codebook_size) for codes in sequences]).astype(
        float
    )
    return histograms / np.linalg.norm(histograms, axis=1, keepdims=True)


def _words_and_pairs(text: str) -> frozenset[str]:
    words = re.findall(r"\w+", text.lower()) or [""]
    return frozenset([*words, *(f"{first} {second}" for first, second in pairwise(words))])
