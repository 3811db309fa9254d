"""Figures and how sure they are: every function returns a value with its sample size. Numpy only, no models."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from posellm_assets.records import Record

Z_95 = 1.959964
_DRAWS = 1000


class Figure(Record):
    """A measured value, the number of independent cases behind it, and its 95 % interval where one can be given.

    With `repeats`, the interval is that of the mean over so many repeats of the measuring with the same cases.
    """

    value: float
    n: int
    interval: tuple[float, float] | None = None
    repeats: int | None = None


SHARE = (0.0, 1.0)
"""Between what a share can be."""
NOT_NEGATIVE = (0.0, math.inf)
ANY = (-math.inf, math.inf)


def within(interval: tuple[float, float], limits: tuple[float, float]) -> tuple[float, float]:
    """An interval cut to what there can be: the normal one of a mean may reach beyond."""
    return min(max(interval[0], limits[0]), limits[1]), max(min(interval[1], limits[1]), limits[0])


def share(successes: int, n: int) -> Figure:
    """A share with its Wilson 95 % interval (Wilson 1927), which stays within 0 to 1 for small n.

    Raises ValueError for n = 0: no share can be given.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n and n > 0, got {successes} of {n}")
    value = successes / n
    centre = (value + Z_95**2 / (2 * n)) / (1 + Z_95**2 / n)
    half = Z_95 / (1 + Z_95**2 / n) * math.sqrt(value * (1 - value) / n + Z_95**2 / (4 * n**2))
    # Rounding must not leave the value outside.
    return Figure(value=value, n=n, interval=within((min(value, centre - half), max(value, centre + half)), SHARE))


def accuracy(truth: Sequence[Any], predicted: Sequence[Any]) -> Figure:
    """The share of cases in which the prediction is the truth."""
    return share(sum(a == b for a, b in zip(truth, predicted, strict=True)), len(truth))


def average(
    values: Sequence[float], weights: Sequence[float] | None = None, limits: tuple[float, float] = NOT_NEGATIVE
) -> Figure:
    """The mean over cases, weighted where the cases differ in size, with the normal 95 % interval from their spread,
    cut to the `limits` of what the measure can be.

    Raises ValueError where there are no cases or a value is not finite.
    """
    cases = np.asarray(values, dtype=np.float64)
    if len(cases) == 0 or not np.isfinite(cases).all():
        raise ValueError(f"an average needs finite values, got {list(values)[:5]}")
    shares = np.ones(len(cases)) if weights is None else np.asarray(weights, dtype=np.float64)
    shares = shares / shares.sum()
    mean = float((shares * cases).sum())
    if len(cases) < 2:
        return Figure(value=mean, n=len(cases))
    # Variance of a weighted mean of independent cases, corrected for the mean having been estimated from them.
    variance = float((shares**2 * (cases - mean) ** 2).sum()) * len(cases) / (len(cases) - 1)
    half = Z_95 * math.sqrt(variance)
    return Figure(value=mean, n=len(cases), interval=within((mean - half, mean + half), limits))


def resampled(measure: Callable[[np.ndarray], float], cases: int, seed: int = 0) -> Figure:
    """`measure` of all cases, given their indices, with its 95 % bootstrap interval: percentiles of 1,000 draws.

    One case alone has no interval.
    """
    value = measure(np.arange(cases))
    if cases < 2:
        return Figure(value=value, n=cases)
    rng = np.random.default_rng(seed)
    drawn = [measure(rng.integers(cases, size=cases)) for _ in range(_DRAWS)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Figure(value=value, n=cases, interval=(float(low), float(high)))


def length_error(generated: int, references: Sequence[int]) -> float:
    """How far a generated length is from the median of the reference lengths, as a share of that median."""
    median = float(np.median(references))
    return abs(generated - median) / median


def distinct_n(sequences: Sequence[Sequence[int]], n: int) -> Figure:
    """The share of runs of `n` codes that are different from all others (distinct-n, Li et al. 2016).

    It falls as more is compared, so it is to be read beside real sequences of the same number and length. Raises
    ValueError where no sequence has `n` codes.
    """
    runs = [tuple(codes[start : start + n]) for codes in sequences for start in range(len(codes) - n + 1)]
    if not runs:
        raise ValueError(f"distinct-{n} needs a sequence of at least {n} codes")
    return Figure(value=len(set(runs)) / len(runs), n=len(sequences))


def confusion(truth: Sequence[str], predicted: Sequence[str | None], labels: Sequence[str]) -> list[list[int]]:
    """Counts, a row for each true label, a column for each predicted one, and a last column for none of them."""
    columns = {label: index for index, label in enumerate(labels)}
    counts = [[0] * (len(labels) + 1) for _ in labels]
    for expected, given in zip(truth, predicted, strict=True):
        counts[columns[expected]][columns.get(given or "", len(labels))] += 1
    return counts


def named_label(text: str, labels: Sequence[str]) -> str | None:
    """The one label whose words a text holds, or None where it holds none or several.

    What comes before a colon is the name of the movement in our captions, and counts alone where it holds a label:
    the facts after it may use the same words ("squat: both knees bend" where "bend" is a label too). A label that is
    part of a longer one found ("squat" in "jump squat") does not count as a second label.
    """
    head, colon, _ = text.partition(":")
    found = _labels_in(head, labels) if colon else []
    found = found or _labels_in(text, labels)
    return found[0] if len(found) == 1 else None


def _labels_in(text: str, labels: Sequence[str]) -> list[str]:
    spaced = f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.lower()).split())} "
    found = [label for label in labels if f" {label} " in spaced]
    return [label for label in found if not any(label != other and f" {label} " in f" {other} " for other in found)]


def majority_label(labels: Sequence[str]) -> str:
    """The commonest label, the first in alphabetical order where several are."""
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))
