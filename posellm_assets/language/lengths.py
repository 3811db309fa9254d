"""How long motions are: medians over the training clips, kept beside the model for decoding."""

from collections.abc import Iterable
from pathlib import Path
from statistics import median_low

from pydantic import BaseModel, ConfigDict

from posellm_assets import lake
from posellm_assets.language.tasks import Clip

_FILE = "lengths.json"


class Lengths(BaseModel):
    """Median number of codes by text, by label and over all clips, and the row length of the training."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    row_tokens: int
    texts: dict[str, int]
    labels: dict[str, int]
    overall: int

    @classmethod
    def of(cls, clips: Iterable[Clip], row_tokens: int) -> "Lengths":
        """Medians over all views of `clips`."""
        texts: dict[str, list[int]] = {}
        labels: dict[str, list[int]] = {}
        overall: list[int] = []
        for clip in clips:
            for view in clip.views:
                overall.append(len(view.codes))
                if clip.label:
                    labels.setdefault(clip.label.lower(), []).append(len(view.codes))
                for text in view.texts:
                    texts.setdefault(text, []).append(len(view.codes))
        return cls(
            row_tokens=row_tokens,
            texts={text: median_low(lengths) for text, lengths in texts.items()},
            labels={label: median_low(lengths) for label, lengths in labels.items()},
            overall=median_low(overall),
        )

    def expected(self, text: str) -> int:
        """The median of this very text, else of the longest label that it begins with, else of all clips."""
        if text in self.texts:
            return self.texts[text]
        labels = [label for label in self.labels if text.lower().startswith(label)]
        return self.labels[max(labels, key=len)] if labels else self.overall

    def write(self, folder: Path) -> None:
        """Write into a model folder."""
        lake.write_json(folder / _FILE, self.model_dump())

    @classmethod
    def read(cls, folder: Path) -> "Lengths":
        """Read what `write` wrote."""
        return cls.model_validate(lake.read_json(folder / _FILE))
