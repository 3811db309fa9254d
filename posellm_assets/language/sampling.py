"""What may come next, how likely it is made, and how it is drawn: grammar, length control, nucleus sampling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from posellm_assets.language import models
from posellm_assets.language.config import SamplingConfig
from posellm_assets.language.vocabulary import Vocabulary

_LIKELIEST = 64


@dataclass(frozen=True)
class LengthControl:
    """Bounds on a generated motion, in time steps of the tokenizer (one code of each quantiser layer).

    Never under `minimum` nor over `maximum`, drawn to end after `target`.
    """

    minimum: int
    target: int
    maximum: int

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"a motion needs 1 <= minimum <= maximum time steps, got {self.minimum}, {self.maximum}")

    @classmethod
    def around(cls, median: int, sampling: SamplingConfig) -> "LengthControl":
        """The bounds for a text whose motions have `median` time steps."""
        minimum = max(1, int(sampling.min_length * median))
        return cls(minimum, median, max(minimum + 4, int(sampling.max_length * median)))

    def within(self, room: int) -> "LengthControl":
        """The same bounds, none over `room` time steps."""
        return LengthControl(min(self.minimum, room), min(self.target, room), min(self.maximum, room))


class Choices:
    """The tokens that may come next. The head's rows from the first to the last of them are computed as one view of its
    weight, and what lies between without being one of them is masked."""

    def __init__(self, model: Any, tokens: Sequence[int]):
        self._model = model
        self.first = min(tokens)
        self._rows = slice(self.first, max(tokens) + 1)
        mask = torch.full((self._rows.stop - self.first,), -math.inf)
        mask[torch.tensor(tokens) - self.first] = 0.0
        self.mask = mask.to(next(model.parameters()).device)
        self._complete = not mask.any()

    def scores(self, hidden: torch.Tensor) -> torch.Tensor:
        """(rows, tokens from `first` on) logits of `hidden` (rows, size); -inf where a token may not come."""
        scores = models.logits(self._model, hidden, self._rows)
        return scores if self._complete else scores + self.mask


class MotionDraw:
    """Draws the next token of each row of a batch of motions: grammar, length control, own codes, nucleus sampling."""

    def __init__(
        self,
        grammar: Sequence[Choices],
        vocabulary: Vocabulary,
        bounds: Sequence[LengthControl],
        own: Sequence[Sequence[int] | None],
        seeds: Sequence[int],
        sampling: SamplingConfig,
        device: torch.device,
    ):
        self._grammar, self._sampling = grammar, sampling
        self._end = vocabulary.end - grammar[0].first
        low, target, high = (
            torch.tensor([getattr(bound, name) for bound in bounds], device=device)[:, None]
            for name in ("minimum", "target", "maximum")
        )
        steps = torch.arange(int(high.max()), device=device)
        late = sampling.end_slope * (steps - target).clamp(min=0)
        self._end_scores = late.masked_fill(steps < low, -math.inf)
        draws = len(steps) * len(grammar)
        self._uniform = torch.stack([_uniform(seed, draws) for seed in seeds]).to(device)
        self._own = None
        if any(codes is not None for codes in own):
            self._own = [self._own_codes(choices, vocabulary, own) for choices in grammar]

    def __call__(self, hidden: torch.Tensor, step: int, live: torch.Tensor) -> torch.Tensor:
        time_step, layer = divmod(step, len(self._grammar))
        choices = self._grammar[layer]
        scores = choices.scores(hidden)
        if self._own is not None:
            scores = scores + self._own[layer][live]
        if layer == 0:
            scores[:, self._end] += self._end_scores[live, time_step]
        if not self._sampling.temperature:
            return scores.argmax(-1) + choices.first
        uniform = self._uniform[live, step]
        return _sample(scores, self._sampling.temperature, self._sampling.top_p, uniform) + choices.first

    @staticmethod
    def _own_codes(choices: Choices, vocabulary: Vocabulary, own: Sequence[Sequence[int] | None]) -> torch.Tensor:
        """(rows, choices): 0 for the codes that a row may use and for the end, -inf for the other codes."""
        mask = torch.zeros(len(own), len(choices.mask))
        for row, codes in enumerate(own):
            if codes is not None:
                allowed = torch.tensor([vocabulary.end, *vocabulary.encode_codes(codes)]) - choices.first
                allowed = allowed[(allowed >= 0) & (allowed < mask.shape[1])]
                mask[row] = mask[row].fill_(-math.inf).index_fill_(0, allowed, 0.0)
        return mask.to(choices.mask.device)


def _uniform(seed: int, count: int) -> torch.Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed))


def _sample(scores: torch.Tensor, temperature: float, top_p: float, uniform: torch.Tensor) -> torch.Tensor:
    """Draw one index per row from the smallest set of choices that holds `top_p` of the probability (nucleus sampling,
    Holtzman et al. 2020), by inverting the cumulative distribution at `uniform`."""
    probability = (scores / temperature).softmax(-1)
    # The nucleus nearly always lies within the likeliest few, which are found much faster than the order of all.
    largest, order = probability.topk(min(_LIKELIEST, scores.shape[1]))
    mass = largest.cumsum(-1)
    if bool((mass[:, -1] < top_p).any()):
        largest, order = probability.sort(-1, descending=True)
        mass = largest.cumsum(-1)
    kept = torch.where(mass - largest < top_p, largest, 0.0).cumsum(-1)
    place = torch.searchsorted(kept, (uniform * kept[:, -1])[:, None], right=True).clamp(max=kept.shape[1] - 1)
    return order.gather(-1, place)[:, 0]
