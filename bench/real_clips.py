"""Real clips of other people that benches measure on, by source. They are no part of the repository.

`POSELLM_TEST_DATA` says where they are, or they lie in `../shared/data`: `real_poses` holds landmarks and `labels.csv`
what they show and from which source they come; `videos` holds footage and `MANIFEST.csv` from which repository. Clips
of one source show the same people or scene. What was tuned was tuned on the sources for which `is_for_tuning` is true,
and is reported on the others; every interval is over sources.
"""

import csv
import hashlib
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from posellm_assets.pool import LocalPool
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import PoseItem, extract_clips
from posellm_assets.poses.poses import Poses, SubjectPoses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.reports.metrics import Figure

Item = TypeVar("Item")
_DRAWS = 1000


@dataclass(frozen=True)
class RealClip:
    """One clip. `form` is correct, wrong or unknown (""); `repetitions` the least and most that an eye counts."""

    name: str
    sport: str
    label: str
    form: str
    source: str
    poses: Path
    video: Path | None
    repetitions: tuple[int, int] | None

    @cached_property
    def subject(self) -> SubjectPoses:
        """The person whom the clip is about."""
        return subject_of(Poses.read(self.poses))


def is_for_tuning(source: str) -> bool:
    """Whether choices may be made on a source: a half of them, by a hash of their names."""
    return hashlib.sha256(source.encode()).digest()[0] % 2 == 0


def data_folder() -> Path:
    """Where the clips are, or ends the bench with a sentence where they are not."""
    folder = Path(os.environ.get("POSELLM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (folder / "real_poses").is_dir() or not (folder / "videos").is_dir():
        print(f"skipped: no real clips in {folder}; set POSELLM_TEST_DATA")
        sys.exit(0)
    return folder


def read_clips(work: Path) -> list[RealClip]:
    """All clips; the poses of the videos are extracted into `work` where they are not there yet (minutes)."""
    data = data_folder()
    clips = [
        RealClip(
            name=row["file"].removesuffix(".parquet"),
            sport=row["sport"],
            label=row["label"],
            form=row["form"],
            source=row["source"],
            poses=data / "real_poses" / row["file"],
            video=None,
            repetitions=(int(row["repetitions_low"]), int(row["repetitions_high"])) if row["repetitions_low"] else None,
        )
        for row in _rows(data / "real_poses" / "labels.csv")
    ]
    for row in _rows(data / "videos" / "MANIFEST.csv"):
        video = data / "videos" / row["relative_path"]
        poses = work / "poses" / f"{video.stem}.parquet"
        clips.append(RealClip(video.stem, row["sport"], row["label"], "", row["repo"], poses, video, repetitions=None))
    missing = [clip for clip in clips if clip.video and not clip.poses.exists()]
    items = [
        PoseItem(clip.name, clip.video, clip.poses, clip.poses.with_suffix(".json"), clip.poses.with_suffix(".jpg"))
        for clip in missing
        if clip.video
    ]
    for key, outcome in extract_clips(items, LocalPool(), PoseConfig()):
        if isinstance(outcome, Exception):
            print(f"{key}: left out, {outcome}")
    return [clip for clip in clips if clip.poses.exists()]


def over_sources(
    items: Sequence[Item], source: Callable[[Item], str], measure: Callable[[Sequence[Item]], float]
) -> Figure:
    """`measure` of all items, n the number of items, with its 95 % bootstrap interval over their sources."""
    of_source: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        of_source[source(item)].append(item)
    groups, rng = list(of_source.values()), np.random.default_rng(0)
    drawn = [
        measure([item for place in rng.integers(len(groups), size=len(groups)) for item in groups[place]])
        for _ in range(_DRAWS if len(groups) > 1 else 0)
    ]
    interval = tuple(np.nanpercentile(drawn, (2.5, 97.5)).tolist()) if drawn else None
    return Figure(value=measure(items), n=len(items), interval=interval)


def shown(figure: Figure, digits: int = 3) -> str:
    """As a table shows it: the value, its interval, n."""
    between = " ({:.{d}f} to {:.{d}f})".format(*figure.interval, d=digits) if figure.interval else ""
    return f"{figure.value:.{digits}f}{between} n={figure.n}"


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
