"""Several examples in one row, so that no computation is spent on padding, and none sees another.

Rows restart `position_ids` at every example. Most models of transformers >= 5 read the boundaries from that, as long as
there is no attention mask and no cache; `isolates` measures whether a loaded model does. For the others the boundaries
are given as an explicit mask. `Rows` are all the rows of a training, in an order that depends on the seed alone.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from posellm_assets.language.clips import TrainingClip, UnusableData
from posellm_assets.language.config import Replay, StageConfig
from posellm_assets.language.replay import ClipSource
from posellm_assets.language.tasks import TokenExample, draw_epoch
from posellm_assets.language.vocabulary import Vocabulary

IGNORE = -100

Row = list[TokenExample]


@dataclass(frozen=True)
class PackedBatch:
    """Packed rows: `ids`, `positions` and `labels`, each (rows, tokens) int64; a label belongs to the id above it."""

    ids: torch.Tensor
    positions: torch.Tensor
    labels: torch.Tensor

    def to(self, device: torch.device) -> "PackedBatch":
        return PackedBatch(self.ids.to(device), self.positions.to(device), self.labels.to(device))

    def mask(self, dtype: torch.dtype) -> torch.Tensor:
        """(rows, 1, tokens, tokens): 0 where a token may look, the most negative number elsewhere.

        Additive, because a boolean mask is silently added as a number by eager attention.
        """
        document = (self.positions == 0).cumsum(1)
        order = torch.arange(self.ids.shape[1], device=self.ids.device)
        visible = (document[:, :, None] == document[:, None, :]) & (order[None, :, None] >= order[None, None, :])
        hidden = torch.zeros(visible.shape, dtype=dtype, device=self.ids.device)
        return hidden.masked_fill(~visible, torch.finfo(dtype).min)[:, None]


def pack(examples: Sequence[TokenExample], row_tokens: int) -> list[Row]:
    """Best-fit decreasing: each example, longest first, goes into the fullest row that still has room for it."""
    rows: list[Row] = []
    rows_by_room: list[list[int]] = [[] for _ in range(row_tokens + 1)]
    for example in sorted(examples, key=len, reverse=True):
        if len(example) > row_tokens:
            raise ValueError(f"{example.key}: an example of {len(example)} tokens does not fit a row of {row_tokens}")
        room = next((room for room in range(len(example), row_tokens + 1) if rows_by_room[room]), None)
        if room is None:
            room, row = row_tokens, len(rows)
            rows.append([])
        else:
            row = rows_by_room[room].pop()
        rows[row].append(example)
        rows_by_room[room - len(example)].append(row)
    return rows


def collate(rows: Sequence[Row], row_tokens: int, pad: int) -> PackedBatch:
    """Packed rows as tensors. Padding at the end of a row counts as an example of its own, without labels."""
    ids = torch.full((len(rows), row_tokens), pad)
    positions = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORE)
    for index, row in enumerate(rows):
        start = 0
        for example in row:
            stop = start + len(example)
            ids[index, start:stop] = torch.tensor([*example.prefix, *example.answer])
            positions[index, start:stop] = torch.arange(stop - start)
            labels[index, start + len(example.prefix) : stop] = torch.tensor(example.answer)
            start = stop
        positions[index, start:] = torch.arange(row_tokens - start)
    return PackedBatch(ids, positions, labels)


@torch.no_grad()
def isolates(body: Any, vocabulary_size: int, masked: bool) -> bool:
    """Whether `body` (ids to hidden states) computes an example the same whatever stands before it in its row.

    `masked`: give it the explicit mask. Measured in the state (training or not) that the model is in, with the same
    dropout for both neighbours.
    """
    device = next(body.parameters()).device
    first, second = torch.arange(12) % vocabulary_size, torch.arange(40, 60) % vocabulary_size
    outputs = []
    for neighbour in (first, (first + vocabulary_size // 2) % vocabulary_size):
        row = [TokenExample("", [], neighbour.tolist()), TokenExample("", [], second.tolist())]
        batch = collate([row], len(first) + len(second), pad=0).to(device)
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
            torch.manual_seed(0)
            outputs.append(hidden_states(body, batch, masked)[0, len(first) :].float())
    scale = outputs[0].std()
    return bool((outputs[0] - outputs[1]).abs().max() < 0.05 * scale)


def hidden_states(body: Any, batch: PackedBatch, masked: bool) -> torch.Tensor:
    """(rows, tokens, size): the last hidden states of packed rows."""
    mask = {"attention_mask": batch.mask(next(body.parameters()).dtype)} if masked else {}
    return body(input_ids=batch.ids, position_ids=batch.positions, use_cache=False, **mask).last_hidden_state


class Rows:
    """Packed rows without end. An epoch is drawn from the seed and its number: (epoch, row) is a place in them."""

    def __init__(
        self,
        clips: Sequence[TrainingClip],
        stage: StageConfig,
        vocabulary: Vocabulary,
        seed: int,
        replay: Replay | None = None,
    ):
        self.source = ClipSource(clips, replay)
        self._stage, self._vocabulary, self._seed = stage, vocabulary, seed
        self.seek((0, 0))

    def place(self) -> tuple[int, int]:
        """(epoch, row) of the row that is taken next."""
        return self.epoch, self.row

    def seek(self, place: Sequence[int]) -> None:
        """Go to a place that a checkpoint remembers."""
        epoch, self.row = place
        self.epoch = epoch
        generator = random.Random(f"{self._seed}/{self._stage.name}/{epoch}")
        clips = self.source.draw(generator)
        self._rows = pack(draw_epoch(clips, self._stage, self._vocabulary, generator), self._stage.row_tokens)
        if not self._rows:
            raise UnusableData(f"none of {len(clips)} clips can be used by the tasks {self._stage.tasks}")
        generator.shuffle(self._rows)

    def take(self, count: int) -> list[Row]:
        """The next `count` rows, from the next epoch too where this one ends."""
        taken: list[Row] = []
        while len(taken) < count:
            if self.row >= len(self._rows):
                self.seek((self.epoch + 1, 0))
            taken.append(self._rows[self.row])
            self.row += 1
        return taken
