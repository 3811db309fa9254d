"""What the training motions of each text were like, how long and of which codes: kept beside the model for decoding."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from statistics import median_low

from pydantic import Field

from posellm_assets import files
from posellm_assets.language.clips import TrainingClip
from posellm_assets.records import Record

_FILE = "lengths.json"
_ALIKE = 0.3
_RAREST = 8


class Lengths(Record):
    """Median number of codes by text, by label and over all clips, the codes seen with each text, and the row length
    of the training."""

    row_tokens: int
    texts: dict[str, int]
    labels: dict[str, int]
    overall: int
    codes: dict[str, list[int]] = Field(default_factory=dict)

    @classmethod
    def of(cls, clips: Iterable[TrainingClip], row_tokens: int) -> "Lengths":
        """Over all views of `clips`."""
        texts: dict[str, list[int]] = {}
        labels: dict[str, list[int]] = {}
        codes: dict[str, set[int]] = {}
        overall: list[int] = []
        for clip in clips:
            for view in clip.views:
                overall.append(len(view.codes))
                if clip.label:
                    labels.setdefault(clip.label.lower(), []).append(len(view.codes))
                for text in view.texts:
                    texts.setdefault(text, []).append(len(view.codes))
                    codes.setdefault(text, set()).update(view.codes)
        return cls(
            row_tokens=row_tokens,
            texts={text: median_low(lengths) for text, lengths in texts.items()},
            labels={label: median_low(lengths) for label, lengths in labels.items()},
            overall=median_low(overall),
            codes={text: sorted(seen) for text, seen in codes.items()},
        )

    def expected(self, text: str) -> int:
        """The median of this very text, else of the longest label that it begins with, else of the text or label that
        it is most like, else of all clips."""
        if text in self.texts:
            return self.texts[text]
        labels = [label for label in self.labels if text.lower().startswith(label)]
        if labels:
            return self.labels[max(labels, key=len)]
        alike = self._most_like(text)
        return self.overall if alike is None else {**self.labels, **self.texts}[alike]

    def write(self, folder: Path) -> None:
        """Write into a model folder."""
        files.write_json(folder / _FILE, self.model_dump())

    @classmethod
    def read(cls, folder: Path) -> "Lengths":
        """Read what `write` wrote."""
        return cls.model_validate(files.read_json(folder / _FILE))

    def _most_like(self, text: str) -> str | None:
        """The known text or label that shares the most with `text`, or None where none shares enough.

        Shared are pairs of letters, so that inflected words and languages without spaces are found too, and rare ones
        count more (weighted Jaccard index, weights log(texts / texts with the group)).
        """
        frequent = Counter({gram: len(texts) for gram, texts in self._texts_by_gram.items()})
        known = len({*self.texts, *self.labels})
        own = _grams(text)
        rarest = sorted((gram for gram in own if gram in frequent), key=lambda gram: (frequent[gram], gram))[:_RAREST]
        candidates = {candidate for gram in rarest for candidate in self._texts_by_gram[gram]}

        def weight(grams: set[str]) -> float:
            return sum(math.log1p(known / max(1, frequent[gram])) for gram in grams)

        def likeness(candidate: str) -> float:
            other = _grams(candidate)
            return weight(own & other) / weight(own | other)

        best = max(sorted(candidates), key=likeness, default=None)
        return best if best is not None and likeness(best) >= _ALIKE else None

    @cached_property
    def _texts_by_gram(self) -> dict[str, list[str]]:
        places = defaultdict(list)
        for text in sorted({*self.texts, *self.labels}):
            for gram in _grams(text):
                places[gram].append(text)
        return dict(places)


def _grams(text: str) -> set[str]:
    padded = f" {text.casefold().strip()} "
    return {padded[start : start + 2] for start in range(len(padded) - 1)}
