"""How likely each of a fixed set of labels is as the text of a motion: one pass per batch of motions.

The labels' token ids form a tree. Every motion is read once, followed by the tree's inner nodes, each of which sees the
motion and its own ancestors only; that gives the probability of every token of every label at once.
"""

from collections.abc import Sequence
from typing import Any

import torch

from posellm_assets.language import models
from posellm_assets.language.stepping import left_padded


class LabelTree:
    """Labels (token ids each, not empty, all different) as a tree of the beginnings that they share."""

    def __init__(self, labels: Sequence[Sequence[int]]):
        self.labels = [tuple(label) for label in labels]
        if not self.labels:
            raise ValueError("there is no label to score: name at least one")
        if not all(self.labels) or len(set(self.labels)) < len(self.labels):
            raise ValueError("labels must be different from each other and not empty")
        beginnings = {label[:size] for label in self.labels for size in range(len(label) + 1)}
        # What comes after the root and the inner nodes is predicted there; leaves need not be read.
        inner = sorted({beginning[:-1] for beginning in beginnings if beginning} - {()}, key=lambda b: (len(b), b))
        self._places = {(): 0} | {beginning: place for place, beginning in enumerate(inner, 1)}
        self._inner = inner

    @torch.inference_mode()
    def scores(self, model: Any, prefixes: Sequence[Sequence[int]], rows: slice | None = None) -> torch.Tensor:
        """(prefixes, labels) float32: log-probability that `model` goes on with a label after a prefix (token ids),
        where only the ids of `rows` may stand.

        A label that begins another one ("jump", "jump rope") counts without the other's share.
        """
        ids, read = left_padded(prefixes)
        positions = (read.cumsum(1) - 1).clamp(min=0)
        device = next(model.parameters()).device
        output = models.body(model)(
            input_ids=torch.cat([ids, self.nodes.expand(len(ids), -1)], 1).to(device),
            attention_mask=self.mask(read, model.get_input_embeddings().weight.dtype).to(device),
            position_ids=torch.cat([positions, positions[:, -1:] + self.depths], 1).to(device),
            use_cache=False,
        )
        return self.scores_of(model, output.last_hidden_state[:, ids.shape[1] - 1 :], rows)

    @property
    def nodes(self) -> torch.Tensor:
        """(inner nodes,) token ids, to be read after a prefix."""
        return torch.tensor([beginning[-1] for beginning in self._inner], dtype=torch.long)

    @property
    def depths(self) -> torch.Tensor:
        """(inner nodes,) how many places after the prefix each stands."""
        return torch.tensor([len(beginning) for beginning in self._inner], dtype=torch.long)

    def mask(self, read: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """(prefixes, 1, span, span) additive mask for left-padded prefixes, `read` where they are 1, and the nodes."""
        count, longest = read.shape
        inner = self._inner
        ancestors = torch.tensor([[b[: len(a)] == a for a in inner] for b in inner], dtype=torch.bool)
        span = longest + len(inner)
        visible = torch.zeros(count, span, span, dtype=torch.bool)
        visible[:, :longest] = torch.ones(span, span, dtype=torch.bool).tril()[:longest]
        visible[:, longest:, :longest] = True
        if inner:
            visible[:, longest:, longest:] = ancestors
        visible[:, :, :longest] &= read[:, None] == 1
        # Additive, because a boolean mask is silently added as a number by eager attention.
        return torch.zeros(visible.shape, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)[:, None]

    def scores_of(self, model: Any, hidden: torch.Tensor, rows: slice | None = None) -> torch.Tensor:
        """(prefixes, labels), as `scores`, from the hidden states of each prefix's end and of the nodes after it."""
        parents = [self._places[label[:size]] for label in self.labels for size in range(len(label))]
        tokens = [token for label in self.labels for token in label]
        owners = torch.tensor([index for index, label in enumerate(self.labels) for _ in label])
        scores = []
        first = rows.start if rows else 0
        places = [token - first for token in tokens]
        # One motion at a time, because the head's output over a large vocabulary is large.
        for of_prefix in hidden:
            likelihood = models.logits(model, of_prefix, rows).log_softmax(-1)[parents, places].cpu()
            scores.append(torch.zeros(len(self.labels)).index_add_(0, owners, likelihood))
        return _without_longer_labels(torch.stack(scores), self.labels)


def _without_longer_labels(scores: torch.Tensor, spelled: Sequence[Sequence[int]]) -> torch.Tensor:
    """Take from each label's probability that of the labels that continue it, so that no text counts for two."""
    result = scores.clone()
    for index, label in enumerate(spelled):
        longer = [other for other, ids in enumerate(spelled) if _begins(label, ids)]
        outermost = [o for o in longer if not any(_begins(spelled[p], spelled[o]) for p in longer if p != o)]
        if outermost:
            share = (torch.logsumexp(scores[:, outermost], 1) - scores[:, index]).clamp(max=-1e-6)
            result[:, index] = scores[:, index] + torch.log1p(-share.exp())
    return result


def _begins(label: Sequence[int], other: Sequence[int]) -> bool:
    return len(label) < len(other) and other[: len(label)] == label
