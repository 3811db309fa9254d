"""The examples of a split with the real motion that each was tokenised from."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokens import ORIGINAL
from posellm_assets.texts.captions import label_words


@dataclass(frozen=True)
class MotionExample:
    """One segment of a video in one variant: what is said of it, and its codes. `label` is written as in texts."""

    key: str
    segment: int
    variant: str
    mirrored: bool
    sport: str
    label: str | None
    texts: tuple[str, ...]
    codes: tuple[int, ...]

    @property
    def about(self) -> str:
        """What a model is asked about it, by name."""
        return f"{self.key} part {self.segment}"


@dataclass(frozen=True)
class FilmedExample(MotionExample):
    """An example as it was filmed, with its real motion.

    `mirrored_texts` are what is true of its mirror image; none where that is not known, as of words in a language
    whose left and right are not.
    """

    motion: Motion
    mirrored_texts: tuple[str, ...] = ()


def read_examples(path: Path) -> list[MotionExample]:
    """All examples of a split, variants included; raises FileNotFoundError where there is no such file."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: there are no examples; materialize the asset `stage_dataset`")
    return [
        MotionExample(
            key=row["key"],
            segment=row["segment"],
            variant=row["variant"],
            mirrored=row["mirrored"],
            sport=row["sport"],
            label=label_words(row["label"]) if row["label"] else None,
            texts=tuple(row["texts"]),
            codes=tuple(row["codes"]),
        )
        for row in pq.read_table(path).to_pylist()
    ]


class Steps(Protocol):
    """What says how codes and frames of a motion belong together."""

    @property
    def codes_per_step(self) -> int:
        """How many codes stand for a step."""

    @property
    def frames_per_step(self) -> int:
        """How many frames a step is."""


def read_filmed(path: Path, motions: Mapping[str, Path], of: Steps) -> list[FilmedExample]:
    """The examples of a split as they were filmed, with their motions, in the order of the file.

    `of` is the tokenizer or its codebook. Raises ValueError where a video has no motion file in `motions`, or one that
    is not what was tokenised.
    """
    examples = read_examples(path)
    mirrored = {segment_id(example): example.texts for example in examples if example.mirrored}
    clips = with_motions(originals(examples), motions, of)
    return [replace(clip, mirrored_texts=mirrored.get(segment_id(clip), ())) for clip in clips]


def with_motions(examples: Iterable[MotionExample], motions: Mapping[str, Path], of: Steps) -> list[FilmedExample]:
    """The clips of examples as they were filmed, by video; all segments of a video have to be among them.

    Raises ValueError as `read_filmed` does.
    """
    by_key: dict[str, list[MotionExample]] = defaultdict(list)
    for example in examples:
        by_key[example.key].append(example)
    clips = []
    for key, segments in by_key.items():
        if key not in motions:
            raise ValueError(f"{key} is among the examples, but no motion file was given for it")
        clips += _with_motion(segments, Motion.read(motions[key]), motions[key], of)
    return clips


def originals(examples: Iterable[MotionExample]) -> list[MotionExample]:
    """The examples that are not augmented."""
    return [example for example in examples if example.variant == ORIGINAL]


def segment_id(example: MotionExample) -> tuple[str, int]:
    """What tells an example from all others of its split that were filmed: key of the video and segment."""
    return example.key, example.segment


def _with_motion(examples: list[MotionExample], motion: Motion, path: Path, of: Steps) -> list[FilmedExample]:
    # Segments are numbered among those that were long enough to be tokenised; the shortest example says how long.
    shortest = min(len(example.codes) for example in examples) // of.codes_per_step * of.frames_per_step
    segments = motion.segments(shortest / motion.fps)
    clips = []
    for example in examples:
        number, steps = example.segment, len(example.codes) // of.codes_per_step
        if number >= len(segments) or len(segments[number]) // of.frames_per_step != steps:
            raise ValueError(
                f"{example.key}: segment {number} has {len(example.codes)} codes, which does not fit the motion in "
                f"{path}; the motion has changed since: make the motion tokens and a new snapshot"
            )
        clips.append(FilmedExample(**vars(example), motion=segments[number]))
    return clips
