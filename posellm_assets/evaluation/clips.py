"""The examples of a split with the real motion that each was tokenised from."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from posellm_assets.motion.config import FRAMES_PER_TOKEN
from posellm_assets.motion.motion import Motion
from posellm_assets.texts.captions import label_words


@dataclass(frozen=True)
class Clip:
    """One segment of a video: what is said of it, its codes, and its real motion."""

    key: str
    segment: int
    sport: str
    label: str | None
    """The label as it is written in texts."""
    participant: str | None
    texts: tuple[str, ...]
    codes: tuple[int, ...]
    motion: Motion


def read_rows(examples: str) -> list[dict[str, Any]]:
    """All rows of an examples file, variants included."""
    path = Path(examples)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there are no examples; materialize the asset `stage_dataset`")
    return pq.read_table(path).to_pylist()


def read_clips(examples: str, motions: Mapping[str, str]) -> list[Clip]:
    """The original (not augmented) examples of a split with their motions, in the order of the file.

    Raises ValueError where a video has no motion file in `motions`, or one that is not what was tokenised.
    """
    by_key: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_rows(examples):
        if row["variant"] == "original":
            by_key[row["key"]].append(row)
    clips = []
    for key, rows in by_key.items():
        if key not in motions:
            raise ValueError(f"{key} is among the examples of {examples}, but no motion file was given for it")
        clips += _clips_of(rows, Motion.read(Path(motions[key])), motions[key])
    return clips


def _clips_of(rows: list[dict[str, Any]], motion: Motion, path: str) -> list[Clip]:
    # Segments are numbered among those that were long enough to be tokenised; the shortest row says how long that was.
    shortest = min(len(row["codes"]) for row in rows) * FRAMES_PER_TOKEN
    segments = motion.segments(shortest / motion.fps)
    clips = []
    for row in rows:
        number = row["segment"]
        if number >= len(segments) or len(segments[number]) // FRAMES_PER_TOKEN != len(row["codes"]):
            raise ValueError(
                f"{row['key']}: segment {number} has {len(row['codes'])} codes, which does not fit the motion in "
                f"{path}; the motion has changed since: make the motion tokens and a new snapshot"
            )
        clips.append(
            Clip(
                key=row["key"],
                segment=number,
                sport=row["sport"],
                label=label_words(row["label"]) if row["label"] else None,
                participant=row["participant"],
                texts=tuple(row["texts"]),
                codes=tuple(row["codes"]),
                motion=segments[number],
            )
        )
    return clips
