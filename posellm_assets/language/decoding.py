"""Motion from text, text from motion, and how likely either is, with a trained model.

Works on ids. What is generated obeys the grammar by construction: a motion is whole time steps, each code in its place,
and ends after a whole time step; a text is text tokens. Of the head only the rows of the tokens that may come next are
computed. Everything is batched over a key-value cache, and a row that has ended leaves the batch.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import AutoModelForCausalLM

from posellm_assets.language import models
from posellm_assets.language.config import SamplingConfig, Task
from posellm_assets.language.losses import token_losses
from posellm_assets.language.origin import Origin
from posellm_assets.language.packing import IGNORE, collate, hidden_states, isolates, pack
from posellm_assets.language.sampling import Choices, LengthControl, MotionDraw
from posellm_assets.language.scoring import LabelTree
from posellm_assets.language.stepping import stepper_for
from posellm_assets.language.tasks import (
    MIN_CODES,
    between_prefix,
    build,
    continuation_prefix,
    m2t_prefix,
    t2m_prefix,
    windows,
)
from posellm_assets.language.taught import Taught
from posellm_assets.language.text_encoder import SentenceEncoder
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.texts.words import Words

_BATCH = 32
_MAX_TEXT_TOKENS = 96


class MotionLM:
    """A trained model, ready to generate and to score."""

    def __init__(self, model: Any, vocabulary: Vocabulary, taught: Taught, tasks: Sequence[Task] = get_args(Task)):
        self.model = model.eval()
        self.tasks = tasks
        self.vocabulary = vocabulary
        self.taught = taught
        self.device = next(model.parameters()).device
        self._least = -(-MIN_CODES // vocabulary.codes_per_step)
        self._masked = not isolates(models.body(model), len(vocabulary), masked=False)
        self._stepper = stepper_for(model)

    @classmethod
    def load(cls, folder: Path, text_encoder: str | None = None) -> "MotionLM":
        """Load the `final` folder of a stage, on the GPU where there is one; plain transformers, float32.

        `text_encoder` (Hugging Face id or folder), where given, says how near prompts are to what was taught, in the
        place of the words that they share.
        """
        vocabulary = Vocabulary.load(folder)
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False
        )
        model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(
            model,
            vocabulary,
            Taught.read(folder, SentenceEncoder.load(text_encoder) if text_encoder else Words),
            Origin.read(folder).tasks,
        )

    def motion_from_text(
        self,
        texts: Sequence[str],
        seed: int = 0,
        sampling: SamplingConfig | None = None,
        lengths: Sequence[LengthControl] | None = None,
        participants: Sequence[str | None] | None = None,
    ) -> list[list[int]]:
        """A motion (list of codes) for each text, in the manner of a participant where one is named.

        A text is asked for as what it is nearest to among what the model was taught (`Taught.asked`).
        Sample `i` is drawn from `seed + i` alone: it does not depend on what else is in the batch. `lengths` gives the
        bounds per text; without it they come from the lengths of the training motions, within what the model was
        trained on. Raises ValueError for a participant that the model does not know, and where a text, or a text with
        the asked length, is longer than what the model was trained on.
        """
        sampling = sampling or SamplingConfig()
        people = participants or [None] * len(texts)
        asked = [self._asked(text) for text in texts]
        prefixes = [t2m_prefix(text, self.vocabulary, person) for text, person in zip(asked, people, strict=True)]
        bounds = self._bounds(prefixes, lengths, [self.taught.expected(text) for text in texts], sampling)
        own = [self.taught.codes(text) if sampling.own_codes else None for text in texts]
        return self._motions(prefixes, bounds, own, seed, sampling)

    def continue_motion(
        self,
        beginnings: Sequence[Sequence[int]],
        seed: int = 0,
        sampling: SamplingConfig | None = None,
        lengths: Sequence[LengthControl] | None = None,
    ) -> list[list[int]]:
        """What may follow each beginning (codes). `lengths` bounds what is added, as in `motion_from_text`; without it
        the whole is about as long as the training motions. Of a long beginning the model reads the end.

        Raises ValueError where the model has not learned to, and for an empty beginning.
        """
        self._check_learned("continuation", beginnings)
        sampling = sampling or SamplingConfig()
        prefixes = [continuation_prefix(self._windows(codes)[-1], self.vocabulary) for codes in beginnings]
        missing = [self.taught.overall - len(codes) for codes in beginnings]
        bounds = self._bounds(prefixes, lengths, missing, sampling)
        return self._motions(prefixes, bounds, [None] * len(prefixes), seed, sampling)

    def between(
        self,
        gaps: Sequence[tuple[Sequence[int], Sequence[int]]],
        seed: int = 0,
        sampling: SamplingConfig | None = None,
        lengths: Sequence[LengthControl] | None = None,
    ) -> list[list[int]]:
        """What may come between the two motions (codes) of each gap; the rest as in `continue_motion`."""
        self._check_learned("between", [codes for gap in gaps for codes in gap])
        sampling = sampling or SamplingConfig()
        prefixes = [
            between_prefix(self._windows(before, 4)[-1], self._windows(after, 4)[0], self.vocabulary)
            for before, after in gaps
        ]
        missing = [self.taught.overall - len(before) - len(after) for before, after in gaps]
        bounds = self._bounds(prefixes, lengths, missing, sampling)
        return self._motions(prefixes, bounds, [None] * len(prefixes), seed, sampling)

    def text_from_motion(self, motions: Sequence[Sequence[int]], questions: Sequence[str] | None = None) -> list[str]:
        """The likeliest text, token by token, for each motion (codes), or its answer to the motion's question.

        Of a motion longer than the model was trained on, the window in the middle is described. Raises ValueError for a
        motion without codes.
        """
        choices = Choices(self.model, [self.vocabulary.end_of_text, *self.vocabulary.text_tokens])
        middles = [parts[len(parts) // 2] for parts in map(self._windows, motions)]
        asked = questions or [""] * len(motions)
        prefixes = [m2t_prefix(codes, self.vocabulary, one) for codes, one in zip(middles, asked, strict=True)]
        most = self.taught.row_tokens if questions else _MAX_TEXT_TOKENS
        texts = [""] * len(motions)

        def draw(hidden: torch.Tensor, step: int, live: torch.Tensor) -> torch.Tensor:
            return choices.scores(hidden).argmax(-1) + choices.first

        for chosen in _batches([len(prefix) for prefix in prefixes]):
            limits = [self._limit(prefixes[index], most) for index in chosen]
            rows = self._generate([prefixes[i] for i in chosen], limits, self.vocabulary.end_of_text, draw)
            for index, row in zip(chosen, rows, strict=True):
                texts[index] = self.vocabulary.decode_text(row)
        return texts

    def score_labels(self, motions: Sequence[Sequence[int]], labels: Sequence[str]) -> torch.Tensor:
        """(motions, labels) float32: log-probability that the text of a motion begins with a label.

        A label that begins another one ("jump", "jump rope") counts without the other's share. Motions longer than the
        model was trained on get the mean over their windows. Raises ValueError for a motion without codes, and for no,
        empty or repeated labels.
        """
        tree = LabelTree([self.vocabulary.encode_text(label) for label in labels])
        parts = [(index, window) for index, codes in enumerate(motions) for window in self._windows(codes)]
        prefixes = [m2t_prefix(window, self.vocabulary) for _, window in parts]
        scores = torch.zeros(len(parts), len(labels))
        for chosen in _batches([len(prefix) for prefix in prefixes]):
            scores[chosen] = tree.scores(self.model, [prefixes[index] for index in chosen], self.vocabulary.text_rows)
        owners = torch.tensor([index for index, _ in parts])
        counts = torch.bincount(owners, minlength=len(motions))
        return torch.zeros(len(motions), len(labels)).index_add_(0, owners, scores) / counts[:, None]

    @torch.inference_mode()
    def nll_per_code(self, motions: Sequence[Sequence[int]], texts: Sequence[str] | None = None) -> torch.Tensor:
        """(motions,) float32: negative log-probability of each motion, end included, over its number of codes.

        Given its text, or without `texts` as any motion.
        """
        row_tokens = self.taught.row_tokens
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
            losses = token_losses(self.model, hidden[:, :-1][labelled], batch.labels[:, 1:][labelled], self.vocabulary)
            owners = [int(example.key) for row in taken for example in row for _ in example.answer]
            totals.index_add_(0, torch.tensor(owners), losses.cpu())
        return totals / torch.tensor([len(codes) for codes in motions])

    def has_room(self, text: str) -> bool:
        """Whether a text leaves room for a motion in a row of the training."""
        return self._room(t2m_prefix(text, self.vocabulary)) >= self._least

    def _asked(self, text: str) -> str:
        """What is asked for a text; the text alone where there is no room for more."""
        asked = self.taught.asked(text)
        return asked if self.has_room(asked) else text

    def _room(self, prefix: Sequence[int]) -> int:
        return max(0, self.taught.row_tokens - len(prefix) - 1) // self.vocabulary.codes_per_step

    def _check_learned(self, task: Task, given: Sequence[Sequence[int]]) -> None:
        if task not in self.tasks:
            raise ValueError(
                f"the model has not learned the task {task}, only {', '.join(self.tasks)}: "
                f"give {task} a share in the tasks of a stage and train a generation"
            )
        if not all(given):
            raise ValueError("a motion without codes has no end to go on from")

    def _windows(self, codes: Sequence[int], parts: int = 2) -> list[Sequence[int]]:
        """A motion in pieces that the model was trained on, each at most one of `parts` of a row."""
        if not codes:
            raise ValueError("a motion without codes says nothing")
        return windows(codes, self.taught.row_tokens // parts, self.vocabulary.codes_per_step)

    def _bounds(
        self,
        prefixes: Sequence[Sequence[int]],
        lengths: Sequence[LengthControl] | None,
        medians: Sequence[int],
        sampling: SamplingConfig,
    ) -> Sequence[LengthControl]:
        """`lengths`, or bounds around the medians (codes); within what a row of the training has room for behind each
        prefix."""
        codes_per_step = self.vocabulary.codes_per_step
        rooms = [self._room(prefix) for prefix in prefixes]
        for index, (prefix, room) in enumerate(zip(prefixes, rooms, strict=True)):
            least = lengths[index].maximum if lengths else self._least
            if room < least:
                raise ValueError(
                    f"rows of {self.taught.row_tokens} tokens, which the model was trained on, have room for {room} "
                    f"time steps behind a prompt of {len(prefix)} tokens, not {least}: ask for less, or train with a "
                    "larger row_tokens"
                )
        return lengths or [
            LengthControl.around(max(1, median // codes_per_step), sampling).within(room)
            for median, room in zip(medians, rooms, strict=True)
        ]

    def _limit(self, prefix: Sequence[int], wanted: int) -> int:
        """`wanted` tokens, or as many as the model can read after `prefix`."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        return min(wanted, positions - len(prefix)) if positions else wanted

    def _motions(
        self,
        prefixes: Sequence[Sequence[int]],
        bounds: Sequence[LengthControl],
        own: Sequence[Sequence[int] | None],
        seed: int,
        sampling: SamplingConfig,
    ) -> list[list[int]]:
        """The codes drawn after each prefix; `own` are the only codes that a row may use, None for all."""
        vocabulary = self.vocabulary
        codes_per_step = vocabulary.codes_per_step
        # A motion ends after a whole time step, so only the codes of the first layer have the end beside them.
        grammar = [Choices(self.model, [vocabulary.end, *vocabulary.codes_of(0)])]
        grammar += [Choices(self.model, vocabulary.codes_of(place)) for place in range(1, codes_per_step)]
        motions: list[list[int]] = [[] for _ in prefixes]
        for chosen in _batches([bound.target for bound in bounds]):
            draw = MotionDraw(
                grammar,
                vocabulary,
                [bounds[index] for index in chosen],
                [own[index] for index in chosen],
                [seed + index for index in chosen],
                sampling,
                self.device,
            )
            limits = [bounds[index].maximum * codes_per_step for index in chosen]
            rows = self._generate([prefixes[index] for index in chosen], limits, vocabulary.end, draw)
            for index, row in zip(chosen, rows, strict=True):
                motions[index] = [vocabulary.code_of[token] for token in row]
        return motions

    @torch.inference_mode()
    def _generate(
        self,
        prefixes: Sequence[Sequence[int]],
        limits: Sequence[int],
        end: int,
        draw: Callable[[torch.Tensor, int, torch.Tensor], torch.Tensor],
    ) -> list[list[int]]:
        """Continue each prefix with the tokens that `draw(hidden, step, live rows)` gives, until it gives `end` or the
        row's limit is reached."""
        hidden = self._stepper.read(prefixes, max(limits))
        live = list(range(len(prefixes)))
        index = torch.tensor(live, device=self.device)
        rows: list[list[int]] = [[] for _ in prefixes]
        for step in range(max(limits)):
            tokens = draw(hidden, step, index)
            ended = []
            for place, (row, token) in enumerate(zip(live, tokens.tolist(), strict=True)):
                if token != end:
                    rows[row].append(token)
                if token == end or len(rows[row]) == limits[row]:
                    ended.append(place)
            if len(ended) == len(live):
                break
            if ended:
                order = _without(len(live), ended)
                live = [live[place] for place in order]
                index = torch.tensor(live, device=self.device)
                tokens = tokens[order]
                self._stepper.keep(order)
            hidden = self._stepper.step(tokens)
        return rows


def _without(count: int, ended: Sequence[int]) -> list[int]:
    """The places of a batch of `count` rows without the ended ones: each gap is filled from the back, because moving
    one row is cheaper than moving all that follow."""
    order = list(range(count))
    for place in reversed(ended):
        last = order.pop()
        if place < len(order):
            order[place] = last
    return order


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches of similar size, so that little is padded and rows end at about the same time."""
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    for start in range(0, len(order), _BATCH):
        yield order[start : start + _BATCH]
