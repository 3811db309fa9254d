"""The packed rows that a stage trains on, in an order that depends on the seed alone."""

import random
from collections.abc import Sequence

from posellm_assets.language.clips import TrainingClip, UnusableData
from posellm_assets.language.config import Replay, StageConfig
from posellm_assets.language.packing import pack
from posellm_assets.language.replay import ClipSource
from posellm_assets.language.tasks import TokenExample, draw_epoch
from posellm_assets.language.vocabulary import Vocabulary

Row = list[TokenExample]


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
