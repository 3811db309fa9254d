"""Real people: which clips are kept out, and how often somebody repeats an exercise. `python bench/people_seen.py`

1. Of the clips that show an athlete at most 5 % are refused, and of those that show nobody, or hands or legs alone,
   none passes. Beside it what the gate of commit daf52f1 did. The animated avatar moves like a person, with limbs that
   keep their length, and is told apart by nothing here: it is counted by itself.
2. Of the sets whose repetitions were counted by eye at least 0.9 are counted within one, with a mean absolute error of
   at most 0.5. Juggling a ball is a count of its touches and no exercise, so it is counted by itself. Beside it is the
   count on the first principal component of the pose alone, as it was before.

Landmarks of clips whose videos are elsewhere (`real_poses`) and videos (four CPU minutes to find people in). Intervals
are bootstrapped over sources. What was tuned on was the half of the sources whose hash is even; figures are of all,
and of the other half.
"""

import csv
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mocap import data_folder
from rich.console import Console
from rich.table import Table

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.motion import Motion, TooLittleSeen
from posellm_assets.motion.representation import encode, layout
from posellm_assets.pool import LocalPool
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import PoseItem, PoseSummary, extract_clips
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.quality import assess
from posellm_assets.poses.subjects import subject_of
from posellm_assets.texts.counting import count
from posellm_assets.texts.repetition import repetitions

DRAWS = 2000
# Of the videos, by label, as their frames show; the first and the last may be cut off by a title.
SEEN = {
    "lunge": (8, 10),
    "squat": (11, 11),
    "jumping_jack": (7, 9),
    "high_knees": (28, 30),
    "bent_leg_raise": (5, 6),
    "wall_push_up": (5, 5),
    "single_leg_deadlift": (4, 4),
}
AVATAR, NEGATIVE, JUGGLING = "animated_avatar", "negative", "juggling"


@dataclass(frozen=True)
class Clip:
    """A clip and what is known of it; `before` is what the earlier gate did, None where it was not asked."""

    name: str
    label: str
    source: str
    poses: Path
    before: bool | None
    repetitions: tuple[int, int] | None

    @property
    def is_negative(self) -> bool:
        """Whether no athlete is in it."""
        return self.name.startswith(NEGATIVE)

    @property
    def is_reported(self) -> bool:
        """Whether its source is of the half that nothing was tuned on."""
        return hashlib.sha256(self.source.encode()).digest()[0] % 2 == 1


def main() -> int:
    """Print both tables; returns 1 where a claim does not hold."""
    console, data = Console(width=120), data_folder().parent
    with tempfile.TemporaryDirectory() as folder:
        clips = [*_landmarks(data / "real_poses"), *_videos(data / "videos", Path(folder))]
        return int(not (_gates(clips, console) & _counts(clips, console)))


def _landmarks(folder: Path) -> list[Clip]:
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [
        Clip(
            row["file"],
            row["label"],
            row["source"],
            folder / row["file"],
            row["passed_gate_before"] == "True",
            (int(row["repetitions_low"]), int(row["repetitions_high"])) if row["repetitions_low"] else None,
        )
        for row in rows
    ]


def _videos(folder: Path, out: Path) -> list[Clip]:
    """The videos with their poses in `out`; those that cannot be read are left out."""
    found = sorted(path for path in folder.glob("*/*/*") if path.is_file())
    items = [
        PoseItem(str(n), path, *(out / f"{n}.{end}" for end in ("parquet", "json", "jpg")))
        for n, path in enumerate(found)
    ]
    made = {key for key, one in extract_clips(items, LocalPool(), PoseConfig()) if isinstance(one, PoseSummary)}
    return [
        Clip(f"{sport}.{item.video.stem}", label, item.video.stem, item.poses, None, SEEN.get(label))
        for item in items
        for sport, label in [item.video.parts[-3:-1]]
        if item.key in made
    ]


def _gates(clips: Sequence[Clip], console: Console) -> bool:
    passed = {clip.name: not _refusal(clip) for clip in clips}
    groups = {
        "athletes": [clip for clip in clips if not clip.is_negative],
        "athletes, report half": [clip for clip in clips if not clip.is_negative and clip.is_reported],
        "nobody, hands, legs": [clip for clip in clips if clip.is_negative and clip.label != AVATAR],
        "an avatar": [clip for clip in clips if clip.label == AVATAR],
    }
    table = Table("clips", "n", "refused", "95 %", "before", title="kept out")
    for name, group in groups.items():
        refused = [float(not passed[clip.name]) for clip in group]
        before = [float(not clip.before) for clip in group if clip.before is not None]
        low, high = _interval(refused, [clip.source for clip in group])
        earlier = f"{np.mean(before):.3f} of {len(before)}" if before else "-"
        table.add_row(name, str(len(group)), f"{np.mean(refused):.3f}", f"{low:.3f} to {high:.3f}", earlier)
    console.print(table)
    for clip in groups["athletes"]:
        if not passed[clip.name]:
            console.print(f"{clip.name}: {_refusal(clip)}")
    athletes, nobody = groups["athletes"], groups["nobody, hands, legs"]
    return np.mean([passed[clip.name] for clip in athletes]) >= 0.95 and not any(passed[clip.name] for clip in nobody)


def _refusal(clip: Clip) -> str:
    """Why a clip is kept out of everything behind its poses, or nothing."""
    subject = subject_of(Poses.read(clip.poses))
    quality = assess(subject, PoseConfig())
    try:
        motion_from_poses(subject, MotionConfig())
    except TooLittleSeen as error:
        return quality.reason or str(error)
    return quality.reason


def _counts(clips: Sequence[Clip], console: Console) -> bool:
    sets = [clip for clip in clips if clip.repetitions and not clip.is_negative]
    errors, earlier = {}, {}
    for clip in sets:
        try:
            stretches = motion_from_poses(subject_of(Poses.read(clip.poses)), MotionConfig()).segments(1.0)
        except TooLittleSeen:
            stretches = []
        errors[clip.name] = _error(clip, sum(count(stretch).repetitions for stretch in stretches))
        earlier[clip.name] = _error(clip, sum(_first_component(stretch) for stretch in stretches))
    groups = {
        "exercises": [clip for clip in sets if clip.label != JUGGLING],
        "exercises, report half": [clip for clip in sets if clip.label != JUGGLING and clip.is_reported],
        "touches of a juggled ball": [clip for clip in sets if clip.label == JUGGLING],
    }
    table = Table("sets", "n", "within one", "95 %", "mean error", "within one before", title="counted")
    for name, group in groups.items():
        found = [errors[clip.name] for clip in group]
        within = [float(error <= 1) for error in found]
        low, high = _interval(within, [clip.source for clip in group])
        before = np.mean([earlier[clip.name] <= 1 for clip in group])
        table.add_row(
            name,
            str(len(group)),
            f"{np.mean(within):.2f}",
            f"{low:.2f} to {high:.2f}",
            f"{np.mean(found):.2f}",
            f"{before:.2f}",
        )
    console.print(table)
    found = [errors[clip.name] for clip in groups["exercises"]]
    return bool(np.mean(np.array(found) <= 1) >= 0.9 and np.mean(found) <= 0.5)


def _error(clip: Clip, counted: int) -> int:
    assert clip.repetitions
    low, high = clip.repetitions
    return max(low - counted, counted - high, 0)


def _first_component(motion: Motion) -> int:
    features = encode(motion)[:, layout(motion.skeleton).positions]
    centred = features - features.mean(0)
    signal = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return max(len(repetitions(side * signal, motion.fps, 0.25).peaks) for side in (1, -1))


def _interval(values: Sequence[float], sources: Sequence[str]) -> tuple[float, float]:
    """The 95 % interval of a mean, by drawing sources."""
    rng, names = np.random.default_rng(0), sorted(set(sources))
    of_source = {name: [value for value, one in zip(values, sources, strict=True) if one == name] for name in names}
    if not names:
        return np.nan, np.nan
    drawn = [
        np.mean([value for name in rng.choice(names, len(names)) for value in of_source[name]]) for _ in range(DRAWS)
    ]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


if __name__ == "__main__":
    sys.exit(main())
