"""Motion from text, text from motion, and how likely either is, with a trained model.

Works on ids. Generated motion obeys the grammar (begin, codes, end) by construction: only the head's rows of the codes
and of the end are computed, so nothing else can be drawn. Everything is batched and uses the model's key-value cache.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from posellm_assets.language import models
from posellm_assets.language.config import SamplingConfig
from posellm_assets.language.lengths import Lengths
from posellm_assets.language.packing import IGNORE, collate, hidden_states, isolates, pack
from posellm_assets.language.tasks import build, m2t_prefix, t2m_prefix, windows
from posellm_assets.language.vocabulary import Vocabulary

_BATCH = 32
_MAX_TEXT_TOKENS = 96


@dataclass(frozen=True)
class LengthControl:
    """Bounds on a generated motion, in codes: never under `minimum` nor over `maximum`, drawn to end after `target`."""

    minimum: int
    target: int
    maximum: int

    @classmethod
    def around(cls, median: int, sampling: SamplingConfig) -> "LengthControl":
        """The bounds for a text whose motions have `median` codes."""
        minimum = max(1, int(sampling.min_length * median))
        return cls(minimum, median, max(minimum + 4, int(sampling.max_length * median)))


class MotionLM:
    """A trained model, ready to generate and to score."""

    def __init__(self, model: Any, vocabulary: Vocabulary, lengths: Lengths):
        self.model = model.eval()
        self.vocabulary = vocabulary
        self.lengths = lengths
        self.device = next(model.parameters()).device
        self._masked = not isolates(models.body(model), len(vocabulary), masked=False)

    @classmethod
    def load(cls, folder: Path) -> "MotionLM":
        """Load the `final` folder of a stage, on the GPU where there is one; plain transformers, float32."""
        vocabulary = Vocabulary.load(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(model, vocabulary, Lengths.read(folder))

    def motion_from_text(
        self,
        texts: Sequence[str],
        seed: int = 0,
        sampling: SamplingConfig | None = None,
        lengths: Sequence[LengthControl] | None = None,
    ) -> list[list[int]]:
        """A motion (list of codes) for each text.

        Sample `i` is drawn from `seed + i` alone: it does not depend on what else is in the batch. `lengths` gives the
        bounds per text; without it they come from the lengths of the training motions.
        """
        sampling = sampling or SamplingConfig()
        if lengths is None:
            lengths = [LengthControl.around(self.lengths.expected(text), sampling) for text in texts]
        legal = [self.vocabulary.end, *self.vocabulary.codes]
        prefixes = [t2m_prefix(text, self.vocabulary) for text in texts]
        motions: list[list[int]] = [[] for _ in texts]
        for chosen in _batches([len(prefix) for prefix in prefixes]):
            bounds = [lengths[index] for index in chosen]
            low, target, high = (
                torch.tensor([getattr(bound, name) for bound in bounds], device=self.device)
                for name in ("minimum", "target", "maximum")
            )
            uniform = torch.stack([_uniform(seed + index, int(high.max()) + 1) for index in chosen]).to(self.device)

            def draw(
                scores: torch.Tensor,
                step: int,
                low: torch.Tensor = low,
                target: torch.Tensor = target,
                high: torch.Tensor = high,
                uniform: torch.Tensor = uniform,
            ) -> torch.Tensor:
                scores[:, 0] += sampling.end_slope * (step - target).clamp(min=0)
                scores[:, 0] = scores[:, 0].masked_fill(step < low, -math.inf)
                scores[:, 1:] = scores[:, 1:].masked_fill((step >= high)[:, None], -math.inf)
                return _sample(scores, sampling.temperature, sampling.top_p, uniform[:, step])

            for index, row in zip(chosen, self._generate([prefixes[i] for i in chosen], legal, draw), strict=True):
                motions[index] = [choice - 1 for choice in row]
        return motions

    def text_from_motion(self, motions: Sequence[Sequence[int]]) -> list[str]:
        """The likeliest text, token by token, for each motion (codes). Of a motion longer than the model was trained
        on, the window in the middle is described."""
        legal = [self.vocabulary.end_of_text, *self.vocabulary.text_tokens]
        middles = [parts[len(parts) // 2] for parts in map(self._windows, motions)]
        prefixes = [m2t_prefix(codes, self.vocabulary) for codes in middles]
        texts = [""] * len(motions)

        def draw(scores: torch.Tensor, step: int) -> torch.Tensor:
            if step == _MAX_TEXT_TOKENS:
                return torch.zeros(len(scores), dtype=torch.long, device=scores.device)
            return scores.argmax(-1)

        for chosen in _batches([len(prefix) for prefix in prefixes]):
            for index, row in zip(chosen, self._generate([prefixes[i] for i in chosen], legal, draw), strict=True):
                texts[index] = self.vocabulary.decode_text([legal[choice] for choice in row])
        return texts

    @torch.inference_mode()
    def score_labels(self, motions: Sequence[Sequence[int]], labels: Sequence[str]) -> torch.Tensor:
        """(motions, labels) float32: log-probability that the text of a motion begins with a label.

        A label that begins another one ("jump", "jump rope") counts without the other's share. Motions longer than the
        model was trained on get the mean over their windows. The motion is read once for all labels.
        """
        spelled = [self.vocabulary.encode_text(label) for label in labels]
        if not all(spelled) or len({tuple(ids) for ids in spelled}) < len(spelled):
            raise ValueError(f"labels must be different from each other and not empty, got {list(labels)}")
        parts = [(index, window) for index, codes in enumerate(motions) for window in self._windows(codes)]
        prefixes = [m2t_prefix(window, self.vocabulary) for _, window in parts]
        scores = torch.zeros(len(parts), len(labels))
        for chosen in _batches([len(prefix) for prefix in prefixes]):
            scores[chosen] = self._continuations([prefixes[i] for i in chosen], spelled).cpu()
        scores = _without_longer_labels(scores, spelled)
        owners = torch.tensor([index for index, _ in parts])
        counts = torch.bincount(owners, minlength=len(motions))
        return torch.zeros(len(motions), len(labels)).index_add_(0, owners, scores) / counts[:, None]

    @torch.inference_mode()
    def nll_per_code(self, motions: Sequence[Sequence[int]], texts: Sequence[str] | None = None) -> torch.Tensor:
        """(motions,) float32: negative log-probability of each motion, end included, over its number of codes.

        Given its text, or without `texts` as any motion.
        """
        row_tokens = self.lengths.row_tokens
        examples = [
            example
            for index, codes in enumerate(motions)
            for example in build("t2m", str(index), codes, texts[index] if texts else "", self.vocabulary, row_tokens)
        ]
        totals = torch.zeros(len(motions))
        rows = pack(examples, row_tokens)
        for start in range(0, len(rows), _BATCH):
            taken = rows[start : start + _BATCH]
            batch = collate(taken, row_tokens, self.vocabulary.pad).to(self.device)
            labelled = batch.labels[:, 1:] != IGNORE
            hidden = hidden_states(models.body(self.model), batch, self._masked)
            scores = models.logits(self.model, hidden[:, :-1][labelled])
            losses = functional.cross_entropy(scores, batch.labels[:, 1:][labelled], reduction="none").cpu()
            owners = [int(example.key) for row in taken for example in row for _ in example.answer]
            totals.index_add_(0, torch.tensor(owners), losses)
        return totals / torch.tensor([len(codes) for codes in motions])

    def _windows(self, codes: Sequence[int]) -> list[Sequence[int]]:
        """A motion in pieces that the model was trained on, with half a row left for its text."""
        return windows(codes, self.lengths.row_tokens // 2)

    @torch.inference_mode()
    def _generate(
        self, prefixes: list[list[int]], legal: list[int], draw: Callable[[torch.Tensor, int], torch.Tensor]
    ) -> list[list[int]]:
        """Continue each prefix with indices into `legal`, drawn by `draw(scores, step)`, until it draws index 0."""
        rows = torch.tensor(legal, device=self.device)
        ids, attention, positions = self._left_padded(prefixes)
        cache = None
        ended = torch.zeros(len(prefixes), dtype=torch.bool, device=self.device)
        drawn: list[torch.Tensor] = []
        while not bool(ended.all()):
            output = models.body(self.model)(
                input_ids=ids,
                attention_mask=attention,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
            )
            cache = output.past_key_values
            choice = draw(models.logits(self.model, output.last_hidden_state[:, -1], rows), len(drawn))
            choice = choice.masked_fill(ended, 0)
            ended = ended | (choice == 0)
            drawn.append(choice)
            ids, positions = rows[choice][:, None], positions[:, -1:] + 1
            attention = functional.pad(attention, (0, 1), value=1)
        table = torch.stack(drawn, 1).tolist()
        return [row[: row.index(0)] for row in table]

    def _continuations(self, prefixes: list[list[int]], spelled: list[list[int]]) -> torch.Tensor:
        """(prefixes, continuations): summed log-probabilities, with each prefix read once into the cache."""
        count, longest = len(spelled), max(map(len, spelled))
        ids, attention, positions = self._left_padded(prefixes)
        first = models.body(self.model)(input_ids=ids, attention_mask=attention, position_ids=positions, use_cache=True)
        tokens = torch.full((count, longest), self.vocabulary.pad, device=self.device)
        used = torch.zeros_like(tokens, dtype=torch.bool)
        for index, label in enumerate(spelled):
            tokens[index, : len(label)] = torch.tensor(label, device=self.device)
            used[index, : len(label)] = True
        hidden = first.last_hidden_state[:, -1:].repeat_interleave(count, 0)
        if longest > 1:
            cache = first.past_key_values
            cache.batch_repeat_interleave(count)
            steps = torch.arange(1, longest, device=self.device)
            rest = models.body(self.model)(
                input_ids=tokens[:, :-1].repeat(len(prefixes), 1),
                attention_mask=functional.pad(attention.repeat_interleave(count, 0), (0, longest - 1), value=1),
                position_ids=positions[:, -1:].repeat_interleave(count, 0) + steps,
                past_key_values=cache,
                use_cache=True,
            )
            hidden = torch.cat([hidden, rest.last_hidden_state], 1)
        likelihood = models.logits(self.model, hidden).log_softmax(-1)
        chosen = likelihood.gather(-1, tokens.repeat(len(prefixes), 1)[..., None])[..., 0]
        return (chosen * used.repeat(len(prefixes), 1)).sum(1).view(len(prefixes), count)

    def _left_padded(self, prefixes: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Ids, attention mask and positions, each (prefixes, longest), aligned at the end."""
        longest = max(map(len, prefixes))
        ids = torch.full((len(prefixes), longest), self.vocabulary.pad)
        attention = torch.zeros_like(ids)
        for index, prefix in enumerate(prefixes):
            ids[index, longest - len(prefix) :] = torch.tensor(prefix)
            attention[index, longest - len(prefix) :] = 1
        positions = (attention.cumsum(1) - 1).clamp(min=0)
        return ids.to(self.device), attention.to(self.device), positions.to(self.device)


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches of similar size, so that little is padded."""
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    for start in range(0, len(order), _BATCH):
        yield order[start : start + _BATCH]


def _uniform(seed: int, count: int) -> torch.Tensor:
    return torch.rand(count, generator=torch.Generator().manual_seed(seed))


def _sample(scores: torch.Tensor, temperature: float, top_p: float, uniform: torch.Tensor) -> torch.Tensor:
    """Draw one index per row from the smallest set of choices that holds `top_p` of the probability (nucleus sampling,
    Holtzman et al. 2020), by inverting the cumulative distribution at `uniform`."""
    probability, order = (scores / temperature).softmax(-1).sort(-1, descending=True)
    mass = probability.cumsum(-1)
    kept = torch.where(mass - probability < top_p, probability, 0.0).cumsum(-1)
    place = torch.searchsorted(kept, (uniform * kept[:, -1])[:, None], right=True).clamp(max=kept.shape[1] - 1)
    return order.gather(-1, place)[:, 0]


def _without_longer_labels(scores: torch.Tensor, spelled: Sequence[Sequence[int]]) -> torch.Tensor:
    """Take from each label's probability that of the labels that continue it, so that no text counts for two."""
    result = scores.clone()
    for index, label in enumerate(spelled):
        longer = [other for other, ids in enumerate(spelled) if len(ids) > len(label) and ids[: len(label)] == label]
        outermost = [o for o in longer if not any(_begins(spelled[p], spelled[o]) for p in longer if p != o)]
        if outermost:
            share = (torch.logsumexp(scores[:, outermost], 1) - scores[:, index]).clamp(max=-1e-6)
            result[:, index] = scores[:, index] + torch.log1p(-share.exp())
    return result


def _begins(label: Sequence[int], other: Sequence[int]) -> bool:
    return len(label) < len(other) and other[: len(label)] == label
