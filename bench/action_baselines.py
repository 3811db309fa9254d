"""Naming a movement without a language model: what the project's models have to beat."""

from collections.abc import Sequence

import numpy as np
import torch
from mocap import Take
from rapidfuzz.distance import Levenshtein
from torch.nn import functional

from posellm_assets.motion.representation import encode


def nearest_by_dtw(train: Sequence[Take], asked: Sequence[Take]) -> list[str]:
    """The label of the training clip that is nearest by dynamic time warping (Sakoe and Chiba 1978) of raw features.

    Features are those of `motion.representation`, each divided by its deviation in training; the cost of a path is the
    sum of Euclidean distances over the frames of both clips.
    """
    known = [encode(take.motion) for take in train]
    whole = np.concatenate(known)
    mean, std = whole.mean(0), whole.std(0) + 0.02
    known = [(features - mean) / std for features in known]
    lengths = np.array([len(features) for features in known])
    padded = np.zeros((len(known), lengths.max(), len(mean)), np.float32)
    for row, features in enumerate(known):
        padded[row, : len(features)] = features
    labels = []
    for take in asked:
        features = ((encode(take.motion) - mean) / std).astype(np.float32)
        distance = _dtw(features, padded, lengths) / (len(features) + lengths)
        labels.append(train[int(distance.argmin())].label)
    return labels


def _dtw(features: np.ndarray, padded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(N,) costs of the cheapest paths between (T, D) features and N padded clips (N, L, D).

    A row of the table is one cumulative minimum: the cheapest way to reach a cell along its row is the cheapest entry
    into the row before it, plus the costs between.
    """
    squares = (padded**2).sum(-1)[:, None] + (features**2).sum(-1)[None, :, None]
    cost = np.sqrt(np.maximum(squares - 2 * (features @ padded.transpose(0, 2, 1)), 0)).astype(np.float64)
    table = cost[:, 0].cumsum(1)
    for row in range(1, len(features)):
        entry = table.copy()
        entry[:, 1:] = np.minimum(entry[:, 1:], table[:, :-1])
        along = cost[:, row].cumsum(1)
        table = along + np.minimum.accumulate(entry - along + cost[:, row], axis=1)
    return table[np.arange(len(lengths)), lengths - 1]


def nearest_by_edit_distance(
    train: Sequence[Sequence[int]], labels: Sequence[str], asked: Sequence[Sequence[int]]
) -> list[str]:
    """The label of the training code sequence with the smallest normalised Levenshtein distance."""
    return [
        labels[int(np.argmin([Levenshtein.normalized_distance(codes, known) for known in train]))] for codes in asked
    ]


def linear_on_histograms(
    train: Sequence[Sequence[int]], labels: Sequence[str], asked: Sequence[Sequence[int]], codebook_size: int
) -> list[str]:
    """Softmax regression on histograms of codes, trained to convergence with a small ridge."""
    names = sorted(set(labels))
    known, wanted = (torch.stack([_histogram(codes, codebook_size) for codes in part]) for part in (train, asked))
    truth = torch.tensor([names.index(label) for label in labels])
    weight = torch.zeros(codebook_size, len(names), requires_grad=True)
    bias = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = functional.cross_entropy(known @ weight + bias, truth) + 1e-4 * weight.square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    with torch.no_grad():
        return [names[index] for index in (wanted @ weight + bias).argmax(1).tolist()]


def _histogram(codes: Sequence[int], codebook_size: int) -> torch.Tensor:
    """Square roots of the shares of codes: a unit vector."""
    return (torch.bincount(torch.tensor(list(codes)), minlength=codebook_size).float() / len(codes)).sqrt()
