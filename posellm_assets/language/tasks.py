"""Clips and the examples that are made of them: a prefix without loss, an answer with loss.

The tasks, in their compact prompt form (no chat template, no separators):

    motion    <T2M> <MOT_BEGIN>                                    -> codes <MOT_END>
    t2m       <T2M> text <MOT_BEGIN>                               -> codes <MOT_END>
    m2t       <M2T> <MOT_BEGIN> codes <MOT_END>                    -> text end-of-text
    denoise   <DENOISE> <MOT_BEGIN> masked codes <MOT_END> <MOT_BEGIN> -> codes <MOT_END>

An example that does not fit a row is split into windows of its motion; it is never cut off.
"""

import dataclasses
import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from posellm_assets.language.config import StageConfig, Task
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.texts.captions import label_words

_COLUMNS = ["key", "segment", "variant", "label", "participant", "texts", "codes"]
_MIN_CODES = 8


class UnusableData(ValueError):
    """The examples, or the model to start from, do not fit the job."""


@dataclass(frozen=True)
class View:
    """One variant of a clip: its codes, the texts that are true of it, and its label in words, where it has one."""

    codes: tuple[int, ...]
    texts: tuple[str, ...]
    label: str | None = None

    def description(self, text: str) -> str:
        """`text` as the answer to what this motion is: it names the movement first, where that is known.

        Without the name in front, a model that has learned several ways to describe a movement begins with any of
        them, and whether it knows the movement cannot be read off what it says.
        """
        named = self.label is None or text.casefold().startswith(self.label.casefold())
        return text if named else f"{self.label}: {text}"


@dataclass(frozen=True)
class Clip:
    """One segment of a video in all its variants (original, mirrored, other speeds)."""

    key: str
    label: str | None
    views: tuple[View, ...]
    participant: str | None = None


@dataclass(frozen=True)
class Example:
    """Token ids of one training example; the loss is on `answer` only."""

    key: str
    prefix: list[int]
    answer: list[int]

    def __len__(self) -> int:
        return len(self.prefix) + len(self.answer)


def read_clips(path: Path, codebook_size: int, layers: int = 1) -> list[Clip]:
    """Clips in the order of the file.

    A motion that is empty, of another codebook, or whose codes are not those of layer 0 to `layers` - 1 in turn raises
    UnusableData naming its key.
    """
    views: dict[tuple[str, int], list[View]] = {}
    facts: dict[tuple[str, int], tuple[str | None, str | None]] = {}
    for row in pq.read_table(path, columns=_COLUMNS).to_pylist():
        where = f"{path}: {row['key']}, segment {row['segment']}, variant {row['variant']}"
        codes = row["codes"]
        if not codes:
            raise UnusableData(f"{where} has no motion codes; make the snapshot again")
        if min(codes) < 0 or max(codes) >= codebook_size:
            raise UnusableData(
                f"{where} has codes outside the codebook of {codebook_size}: another tokenizer made them"
            )
        size = codebook_size // layers
        if len(codes) % layers or any(code // size != place % layers for place, code in enumerate(codes)):
            raise UnusableData(
                f"{where} has codes that do not run through {layers} layers in turn; make the snapshot again"
            )
        clip = (row["key"], row["segment"])
        label = label_words(row["label"]) if row["label"] else None
        views.setdefault(clip, []).append(View(tuple(codes), tuple(row["texts"] or ()), label))
        facts[clip] = row["label"], row["participant"]
    return [Clip(clip[0], facts[clip][0], tuple(variants), facts[clip][1]) for clip, variants in views.items()]


def fit_texts(clips: Sequence[Clip], vocabulary: Vocabulary, row_tokens: int) -> tuple[list[Clip], list[str]]:
    """The clips without the texts that leave no room for motion in a row, and a sentence for each text left out."""
    kept, left_out = [], []
    for clip in clips:
        views = []
        for view in clip.views:
            fits = {
                text: _room("t2m", vocabulary, view.description(text), row_tokens) >= _MIN_CODES for text in view.texts
            }
            views.append(View(view.codes, tuple(text for text in view.texts if fits[text]), view.label))
            left_out += [
                f"{clip.key}: a text of {len(vocabulary.encode_text(text))} tokens ({text[:40]!r}...) is too long for "
                f"rows of {row_tokens}; shorten it or raise row_tokens"
                for text in view.texts
                if not fits[text]
            ]
        kept.append(dataclasses.replace(clip, views=tuple(views)))
    return kept, sorted(set(left_out))


def draw_epoch(
    clips: Sequence[Clip], stage: StageConfig, vocabulary: Vocabulary, generator: random.Random
) -> list[Example]:
    """One pass over the clips: for each a variant, one of its texts and a task, all drawn afresh.

    A view without texts takes the stage's tasks that need none; where the stage has none of those, it is not used.
    """
    examples = []
    for clip in clips:
        view = generator.choice(clip.views)
        shares = {task: share for task, share in stage.tasks.items() if share and (view.texts or not _needs_text(task))}
        if not shares:
            continue
        task = generator.choices(list(shares), list(shares.values()))[0]
        text = generator.choice(view.texts) if _needs_text(task) else ""
        text = view.description(text) if task == "m2t" else text
        examples += build(task, clip.key, view.codes, text, vocabulary, stage.row_tokens, stage.mask_rate, generator)
    return examples


def build(
    task: Task,
    key: str,
    codes: Sequence[int],
    text: str,
    vocabulary: Vocabulary,
    row_tokens: int,
    mask_rate: float = 0.0,
    generator: random.Random | None = None,
) -> list[Example]:
    """The examples of one task on one motion: one, or one per window where the motion is too long for a row.

    Raises UnusableData where the text leaves no room for motion.
    """
    room = _room(task, vocabulary, text, row_tokens)
    if room < 1:
        raise UnusableData(f"{key}: the text {text[:40]!r}... fills a row of {row_tokens} tokens; shorten it")
    examples = []
    for window in windows(codes, room):
        motion = vocabulary.encode_codes(window)
        if task == "m2t":
            prefix, answer = m2t_prefix(window, vocabulary), [*vocabulary.encode_text(text), vocabulary.end_of_text]
        elif task == "denoise":
            hidden = [vocabulary.mask if generator and generator.random() < mask_rate else token for token in motion]
            prefix = [
                *vocabulary.start,
                vocabulary.denoise,
                vocabulary.begin,
                *hidden,
                vocabulary.end,
                vocabulary.begin,
            ]
            answer = [*motion, vocabulary.end]
        else:
            prefix, answer = t2m_prefix(text, vocabulary), [*motion, vocabulary.end]
        examples.append(Example(key, prefix, answer))
    return examples


def t2m_prefix(text: str, vocabulary: Vocabulary) -> list[int]:
    """The ids that ask for a motion; an empty text asks for any motion."""
    return [*vocabulary.start, vocabulary.t2m, *vocabulary.encode_text(text), vocabulary.begin]


def m2t_prefix(codes: Sequence[int], vocabulary: Vocabulary) -> list[int]:
    """The ids that ask for the text of a motion."""
    return [*vocabulary.start, vocabulary.m2t, vocabulary.begin, *vocabulary.encode_codes(codes), vocabulary.end]


def windows(codes: Sequence[int], room: int) -> list[Sequence[int]]:
    """`codes` cut into as few windows of at most `room` codes as will do, of nearly equal length."""
    count = math.ceil(len(codes) / room)
    bounds = [round(index * len(codes) / count) for index in range(count + 1)]
    return [codes[start:stop] for start, stop in itertools.pairwise(bounds)]


def _needs_text(task: Task) -> bool:
    return task in ("t2m", "m2t")


def _room(task: Task, vocabulary: Vocabulary, text: str, row_tokens: int) -> int:
    """How many codes fit beside everything else of an example."""
    markers = len(vocabulary.start) + 4
    if task == "denoise":
        return (row_tokens - markers - 1) // 2
    return row_tokens - markers - len(vocabulary.encode_text(text))
