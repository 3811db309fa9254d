"""What is trained on: clips of motion codes with the texts that are true of them, read from the examples of a snapshot.

Torch-free: the code server and the export of datasets import it.
"""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from posellm_assets.program import Refusal
from posellm_assets.texts.captions import label_words
from posellm_assets.texts.glossary import Name

_COLUMNS = [
    *("key", "segment", "variant", "label", "participant", "texts", "texts_of_parts", "names", "codes", "question")
]


class UnusableData(Refusal):
    """The examples, or the model to start from, do not fit the job."""


@dataclass(frozen=True)
class View:
    """One variant of a clip: its codes, the texts that are true of it, and its label in words, where it has one.

    `texts_of_parts` are those that hold for every part of it, None where all do. With a `question` the texts answer it,
    and it is read before the motion. `names` are what its movement is called, and told as.
    """

    codes: tuple[int, ...]
    texts: tuple[str, ...]
    label: str | None = None
    texts_of_parts: tuple[str, ...] | None = None
    question: str = ""
    names: tuple[Name, ...] = ()

    def description(self, text: str) -> str:
        """`text` as the answer to what this motion is: it names the movement first, where that is known.

        Without the name in front, a model that has learned several ways to describe a movement begins with any of
        them, and whether it knows the movement cannot be read off what it says.
        """
        named = self.label is None or text.casefold().startswith(self.label.casefold())
        return text if named else f"{self.label}: {text}"


@dataclass(frozen=True)
class TrainingClip:
    """One segment of a video in all its variants (original, mirrored, other speeds)."""

    key: str
    label: str | None
    views: tuple[View, ...]
    participant: str | None = None


def read_clips(path: Path, codebook_size: int, codes_per_step: int = 1) -> list[TrainingClip]:
    """Clips in the order of the file.

    A motion that is empty, of another codebook, or whose codes do not run through the `codes_per_step` places of a step
    in turn raises
    UnusableData naming its key.
    """
    views: dict[tuple[str, int], list[View]] = {}
    facts: dict[tuple[str, int], tuple[str | None, str | None]] = {}
    table = pq.read_table(path)
    for row in table.select([column for column in _COLUMNS if column in table.column_names]).to_pylist():
        where = f"{path}: {row['key']}, segment {row['segment']}, variant {row['variant']}"
        codes = row["codes"]
        if not codes:
            raise UnusableData(f"{where} has no motion codes; make the snapshot again")
        if min(codes) < 0 or max(codes) >= codebook_size:
            raise UnusableData(
                f"{where} has codes outside the codebook of {codebook_size}: another tokenizer made them"
            )
        size = codebook_size // codes_per_step
        if len(codes) % codes_per_step or any(
            code // size != place % codes_per_step for place, code in enumerate(codes)
        ):
            raise UnusableData(
                f"{where} has codes that are not {codes_per_step} of a step in turn; make the snapshot again"
            )
        clip = (row["key"], row["segment"])
        label = label_words(row["label"]) if row["label"] else None
        of_parts = row.get("texts_of_parts")
        texts = tuple(row["texts"] or ())
        question = row.get("question") or ""
        names = tuple(Name(**name) for name in row.get("names") or ())
        view = View(tuple(codes), texts, label, None if of_parts is None else tuple(of_parts), question, names)
        views.setdefault(clip, []).append(view)
        facts[clip] = row["label"], row["participant"]
    return [TrainingClip(clip[0], facts[clip][0], tuple(variants), facts[clip][1]) for clip, variants in views.items()]
