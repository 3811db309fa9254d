"""Codes that lie near one another stand for nearly the same movement: another take of it may be written as either.

So training takes one for another now and then. In what is read, a code gives way to one beside it; in what is to be
written, the codes beside the right one get a share of its probability (a label smoothing that knows what is alike,
Szegedy et al. 2016). A few hundred clips then say something of the many codes that none of them holds.
"""

import numpy as np
import torch

from posellm_assets.language.vocabulary import Vocabulary

_NEIGHBOURS = 8


class NearCodes:
    """The nearest codes of every code of a vocabulary, among those of its place in a step, and the weight of each.

    Weights fall with the squared distance of the code vectors, in units of what it is to the nearest code on average,
    and add up to 1. Nearest codes stand for a share `read` of the codes, and get a share `written` of the probability.
    """

    def __init__(self, vocabulary: Vocabulary, vectors: np.ndarray, read: float, written: float, device: torch.device):
        """`vectors`: (codebook_size, D) of the tokenizer."""
        self.read, self.written = read, written
        self._first = vocabulary.codes[0]
        by_place = torch.from_numpy(vectors.copy()).float().unflatten(0, (vocabulary.codes_per_step, -1))
        size = by_place.shape[1]
        tokens, weights = [], []
        for place, own in enumerate(by_place):
            distances = torch.cdist(own, own).square().fill_diagonal_(torch.inf)
            nearest, which = distances.topk(min(_NEIGHBOURS, size - 1), largest=False)
            tokens.append(which + self._first + place * size)
            weights.append((-nearest / nearest[:, 0].mean()).softmax(1))
        self._tokens, self._weights = torch.cat(tokens).to(device), torch.cat(weights).to(device)

    def blurred(self, ids: torch.Tensor) -> torch.Tensor:
        """`ids` in which some of the codes, drawn by chance, gave way to codes beside them."""
        changed = ids.clone()
        chosen = (torch.rand(ids.shape, device=ids.device) < self.read) & (ids >= self._first)
        chosen &= ids < self._first + len(self._tokens)
        rows = ids[chosen] - self._first
        drawn = self._weights[rows].multinomial(1) if len(rows) else rows[:, None]
        changed[chosen] = self._tokens[rows].gather(1, drawn)[:, 0]
        return changed

    def losses(self, scores: torch.Tensor, labels: torch.Tensor, first: int) -> torch.Tensor:
        """(N,) cross-entropy of scores (N, rows) of the tokens from `first` on, with labels (N,) among them, each of
        which shares with the codes beside it if it is a code."""
        likelihoods = scores.log_softmax(-1)
        right = -likelihoods.gather(1, (labels - first)[:, None])[:, 0]
        codes = labels >= self._first
        rows = labels[codes] - self._first
        beside = -(likelihoods[codes].gather(1, self._tokens[rows] - first) * self._weights[rows]).sum(1)
        return right.index_put((codes,), (1 - self.written) * right[codes] + self.written * beside)
