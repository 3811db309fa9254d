"""What a model was taught: the texts and movements of its training, how long their motions were and of which codes.

Kept beside the model. A prompt is asked of the model as what it is nearest to among them, and takes that length.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from statistics import median_low

from pydantic import Field, PrivateAttr

from posellm_assets import files
from posellm_assets.language.clips import TrainingClip
from posellm_assets.language.tasks import named_prompt
from posellm_assets.records import Record
from posellm_assets.texts.config import LANGUAGES
from posellm_assets.texts.glossary import Name
from posellm_assets.texts.nearest import Compare, Near, Nearest
from posellm_assets.texts.words import Words

_FILE = "taught.json"


class TaughtText(Record):
    """A text of the training: median number of codes of its motions, the codes seen with it, and the label of its
    motions where that is one."""

    length: int
    codes: tuple[int, ...] = ()
    label: str | None = None


class TaughtMovement(Record):
    """A label of the training: median number of codes, and what its movement is called and told as."""

    length: int
    names: tuple[Name, ...] = ()


class Taught(Record):
    """The texts and movements of a training by their words, the median number of codes over all its motions, and the
    length of its rows in tokens."""

    row_tokens: int
    overall: int
    texts: dict[str, TaughtText] = Field(default_factory=dict)
    movements: dict[str, TaughtMovement] = Field(default_factory=dict)
    _compare: Compare = PrivateAttr(Words)

    @classmethod
    def of(cls, clips: Iterable[TrainingClip], row_tokens: int) -> "Taught":
        """Over all views of `clips`."""
        lengths: dict[str, list[int]] = {}
        codes: dict[str, set[int]] = {}
        labels: dict[str, Counter[str | None]] = {}
        of_label: dict[str, list[int]] = {}
        names: dict[str, dict[Name, None]] = {}
        overall: list[int] = []
        for view in (view for clip in clips for view in clip.views):
            overall.append(len(view.codes))
            if view.label:
                of_label.setdefault(view.label, []).append(len(view.codes))
                names.setdefault(view.label, {}).update(dict.fromkeys(view.names))
            for text in view.texts:
                lengths.setdefault(text, []).append(len(view.codes))
                codes.setdefault(text, set()).update(view.codes)
                labels.setdefault(text, Counter())[view.label] += 1
        return cls(
            row_tokens=row_tokens,
            overall=median_low(overall),
            texts={
                text: TaughtText(
                    length=median_low(lengths[text]),
                    codes=tuple(sorted(codes[text])),
                    label=next(iter(labels[text])) if len(labels[text]) == 1 else None,
                )
                for text in lengths
            },
            movements={
                label: TaughtMovement(length=median_low(of_label[label]), names=tuple(names[label]))
                for label in of_label
            },
        )

    def near(self, prompt: str) -> Near:
        """What `prompt` is nearest to; nothing where nothing was taught in words."""
        return self._nearest(prompt) if self.texts or self.movements else Near("", None, 0.0, False)

    def asked(self, prompt: str) -> str:
        """What the model is asked for `prompt`: its words, with the label that they are taken for in front; where they
        are taken for a text without a label, that text; the words alone where they are near to nothing, or taught."""
        if prompt in self.texts or not prompt.strip():
            return prompt
        near = self.near(prompt)
        if not near.known:
            return prompt
        return near.text if near.label is None else named_prompt(near.label, prompt)

    def expected(self, prompt: str) -> int:
        """How many codes a motion for `prompt` has: the median of this very text, else of the movement or text that it
        is nearest to, else of all clips."""
        if prompt in self.texts:
            return self.texts[prompt].length
        near = self.near(prompt)
        if not near.known:
            return self.overall
        return self.texts[near.text].length if near.label is None else self.movements[near.label].length

    def codes(self, prompt: str) -> Sequence[int] | None:
        """The codes that the text was seen with; None where it is no text of the training."""
        return self.texts[prompt].codes if prompt in self.texts else None

    @cached_property
    def _nearest(self) -> Nearest:
        texts = {text: taught.label for text, taught in self.texts.items()}
        names = {label: movement.names for label, movement in self.movements.items()}
        spoken = {name.language for own in names.values() for name in own}
        languages = [language for language in LANGUAGES if language in spoken] or LANGUAGES
        return Nearest({**texts, **{label: label for label in names}}, names, languages, self._compare)

    def write(self, folder: Path) -> None:
        """Write into a model folder."""
        files.write_json(folder / _FILE, self.model_dump())

    @classmethod
    def read(cls, folder: Path, compare: Compare = Words) -> "Taught":
        """Read what `write` wrote; `compare` says how near prompts are to it."""
        taught = cls.model_validate(files.read_json(folder / _FILE))
        taught._compare = compare
        return taught
