"""The measures of the text-to-motion field over an evaluator's embeddings: pure functions of arrays, numpy only.

In the protocol of Guo et al. (CVPR 2022), batches, pairs and draws are chosen anew in each of 20 repeats and the 95 %
interval is that of the mean over the repeats. Such an interval says what chance in the measuring does; how another set
of clips would come out, only `n` hints at.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from posellm_assets.reports.metrics import NOT_NEGATIVE, SHARE, Z_95, Figure, average, share, within

REPEATS = 20
BATCH = 32  # texts that a motion's own is ranked among
RANKS = (1, 2, 3)
_TIE = 1e-6  # distances that float32 cannot tell apart


class Matching(NamedTuple):
    """How well motions and texts find each other: R-Precision at each of `RANKS`, and their distance (MM-Dist), which
    is None where no motion is valid."""

    r_precision: tuple[Figure, ...]
    mm_dist: Figure | None


def matching(
    motions: np.ndarray, texts: np.ndarray, groups: Sequence[Hashable], seed: int = 0, repeats: int = REPEATS
) -> Matching:
    """R-Precision@1-3 and MM-Dist of pairs of motion and text (Guo et al. 2022).

    Each text is one of a batch of 32 with different texts (of all different texts, where there are fewer); counted is
    the share of motions whose own text is among the k nearest. A text that lies as near as the own one counts as
    nearer, so that nobody wins by saying the same of everything. What does not fill a batch waits for another repeat.
    Where one batch holds all pairs and there is one draw of each, nothing is left to repeat: the interval is then that
    over the pairs.

    Args:
        motions: (S, N, E) embeddings of S draws for each of N texts, or (N, E). NaN where nothing valid was drawn,
            which is never found, and has no distance.
        texts: (N, E).
        groups: what the N pairs are about; two of the same never meet in a batch.
        seed: of batches and draws.
        repeats: how often they are made.

    Raises ValueError with fewer than two groups: there is nothing to tell apart.
    """
    draws = motions[None] if motions.ndim == 2 else motions
    if len(set(groups)) < 2:
        raise ValueError("R-Precision needs at least two different texts")
    n, size = len(groups), min(BATCH, len(set(groups)))
    certain = len(draws) == 1 and size == n
    found, distances = [], []
    for rng in _generators(seed, 1 if certain else repeats):
        batches = _batches(groups, size, rng)
        chosen = draws[rng.integers(len(draws), size=batches.shape), batches]
        apart = np.linalg.norm(chosen[:, :, None] - texts[batches][:, None], axis=-1)
        own = np.diagonal(apart, axis1=1, axis2=2)
        # NaN compares false: the own text is then not even found at the last rank.
        nearer = (apart <= own[..., None] + _TIE).sum(-1) - 1
        nearer = np.where(np.isnan(own), BATCH, nearer)
        found.append([(nearer < k).mean() for k in RANKS])
        distances.append(own[np.isfinite(own)])
    measured = all(len(own) for own in distances)
    if certain:
        precision = tuple(share(round(value * n), n) for value in found[0])
        return Matching(precision, average(distances[0].tolist()) if measured else None)
    precision = tuple(over_repeats(column, n, SHARE) for column in np.transpose(found))
    return Matching(precision, over_repeats([own.mean() for own in distances], n) if measured else None)


def chance_of_precision(groups: Sequence[Hashable], k: int) -> float:
    """What R-Precision@k gives to a guess."""
    return min(1.0, k / min(BATCH, len(set(groups))))


def diversity(embeddings: np.ndarray, pairs: int = 300, seed: int = 0, repeats: int = REPEATS) -> Figure:
    """Mean distance of motions of two texts drawn at random (Guo et al. 2022): 300 pairs or what N allows, which is n.

    To be read beside that of real motion: neither smaller nor larger is better. `embeddings` are (S, N, E) of S draws
    for each of N texts, or (N, E). Raises ValueError for N < 2.
    """
    draws = embeddings[None] if embeddings.ndim == 2 else embeddings
    texts = draws.shape[1]
    count = min(pairs, texts // 2)
    if count < 1:
        raise ValueError("diversity needs at least two motions")
    values = []
    for rng in _generators(seed, repeats):
        drawn = draws[rng.integers(len(draws), size=texts), np.arange(texts)]
        first, second = rng.permutation(texts)[: 2 * count].reshape(2, count)
        values.append(np.linalg.norm(drawn[first] - drawn[second], axis=-1).mean())
    return over_repeats(values, count)


def multimodality(draws: np.ndarray, pairs: int = 10, seed: int = 0, repeats: int = REPEATS) -> Figure:
    """Mean distance of two motions drawn for the same text (Guo et al. 2022); n is the number of texts.

    Args:
        draws: (S, N, E) embeddings of S draws for each of N texts.
        pairs: pairs of draws for each text; fewer where S does not allow them.
        seed: of the pairs.
        repeats: how often they are drawn.

    Raises ValueError for S < 2.
    """
    count = min(pairs, len(draws) // 2)
    if count < 1:
        raise ValueError("multimodality needs at least two motions for each text")
    values = []
    for rng in _generators(seed, repeats):
        order = rng.permuted(np.tile(np.arange(len(draws))[:, None], draws.shape[1]), axis=0)[: 2 * count]
        drawn = np.take_along_axis(draws, order[..., None], axis=0)
        values.append(np.linalg.norm(drawn[:count] - drawn[count:], axis=-1).mean())
    return over_repeats(values, draws.shape[1])


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The Fréchet distance of two sets of embeddings seen as normal distributions (FID, Heusel et al. 2017).

    The covariances are shrunk (`shrunk_covariance`): the plain ones of fewer vectors than dimensions are singular. It
    still falls with the number of vectors, so it is to be read beside that of real motion of the same number.

    Args:
        first: (N, E).
        second: (M, E).

    Raises ValueError for fewer than two vectors on a side.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError("a Fréchet distance needs at least two motions on either side")
    of_first, of_second = shrunk_covariance(first), shrunk_covariance(second)
    values, vectors = np.linalg.eigh(of_first)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    # The trace of (AB)^1/2 is that of (A^1/2 B A^1/2)^1/2, whose argument is symmetric.
    shared = np.sqrt(np.linalg.eigvalsh(root @ of_second @ root).clip(min=0)).sum()
    means = first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)
    return float(max(0.0, means @ means + np.trace(of_first) + np.trace(of_second) - 2 * shared))


def shrunk_covariance(vectors: np.ndarray) -> np.ndarray:
    """The covariance of (N, E) vectors, drawn towards a multiple of the identity as far as Ledoit and Wolf (2004) say.

    Their estimate of the best share: how much the outer products of single vectors scatter about the plain covariance,
    over how far that is from the multiple of the identity.
    """
    centred = np.asarray(vectors, dtype=np.float64) - np.mean(vectors, axis=0, dtype=np.float64)
    n, size = centred.shape
    plain = centred.T @ centred / n
    target = np.trace(plain) / size * np.eye(size)
    distance = ((plain - target) ** 2).sum()
    scatter = ((centred**2).sum(1) ** 2).sum() / n**2 - (plain**2).sum() / n
    share = min(1.0, scatter / distance) if distance > 0 else 1.0
    return share * target + (1 - share) * plain


def fid(real: np.ndarray, motions: np.ndarray, seed: int = 0, repeats: int = REPEATS) -> Figure:
    """The Fréchet distance of motions of one half of the texts to real ones of the other; n is the size of a half.

    In halves, real motion has a distance too, which is the least that another good sample can be expected to reach:
    the same motions on both sides would be at none, and motions of the texts of the reference would be nearer than any
    sample is.

    Args:
        real: (N, E) embeddings of the real motions of N texts.
        motions: (S, N, E) of S draws for each of the texts; real[None] for the floor.
        seed: of halves and draws.
        repeats: how often they are drawn.

    Raises ValueError for N < 4.
    """
    half, values = len(real) // 2, []
    for rng in _generators(seed, repeats):
        first, second = rng.permutation(len(real))[: 2 * half].reshape(2, half)
        values.append(frechet_distance(real[first], motions[rng.integers(len(motions), size=half), second]))
    return over_repeats(values, half)


def over_repeats(values: Sequence[float] | np.ndarray, n: int, limits: tuple[float, float] = NOT_NEGATIVE) -> Figure:
    """The mean of a figure over repeats with the 95 % interval of that mean (Guo et al. 2022), cut to the `limits` of
    what the measure can be.

    Without an interval where nothing was left to chance, since a width of zero would promise too much.
    """
    values = np.asarray(values, dtype=np.float64)
    half = Z_95 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    mean = float(values.mean())
    interval = within((mean - float(half), mean + float(half)), limits) if half > 1e-6 * abs(mean) else None
    return Figure(value=mean, n=n, interval=interval, repeats=len(values))


def _generators(seed: int, repeats: int) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, repeat)) for repeat in range(repeats)]


def _batches(groups: Sequence[Hashable], size: int, rng: np.random.Generator) -> np.ndarray:
    """(B, size) indices of pairs, no two of a batch of the same group, in a random order."""
    seen: Counter[Hashable] = Counter()
    rounds: dict[int, list[int]] = {}
    for index in rng.permutation(len(groups)).tolist():
        # The first of every group are all different, and so are the second, and so on.
        rounds.setdefault(seen[groups[index]], []).append(index)
        seen[groups[index]] += 1
    return np.concatenate([np.reshape(row[: len(row) // size * size], (-1, size)) for row in rounds.values()]).astype(
        int
    )
