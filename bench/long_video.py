"""Long rendered videos whose truth is known: a tennis practice with its hits, and sets of exercises with their counts.

The clips of a practice come one after the other without a pause, each by another athlete before another camera and
background, as after a cut. Athletes are those of a seed of their own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import cv2

from posellm_assets.demo.footage import FPS, ClipPlan, plan, rendered_athlete, rendered_frames
from posellm_assets.footage.writing import write_video

# The key pose of the cycle in which racket and ball meet: the arm is stretched out to the ball.
CONTACT = {"serve": 0.54, "forehand": 0.50}
SEED = 2
_PRACTICE = (
    ("serve", 4),
    ("run", 4),
    ("forehand", 4),
    ("side bend", 2),
    ("serve", 3),
    ("forehand", 3),
    ("squat", 2),
    ("serve", 3),
    ("run", 5),
    ("forehand", 4),
)
_SETS = ("squat", "jumping jack", "lunge", "arm raise", "side bend", "run", "kick")
_TIMES = (4, 6)


@dataclass(frozen=True)
class Practice:
    """A long video: what it shows from when to when (s), and the moments of its hits."""

    video: Path
    parts: list[tuple[str, float, float]]
    hits_s: list[float]


@dataclass(frozen=True)
class Set:
    """A video of one exercise, done so many times."""

    video: Path
    label: str
    times: int


def write_practice(folder: Path) -> Practice:
    """Render the practice as one video."""
    clips = _clips([(name, times) for name, times in _PRACTICE])
    parts, hits, start = [], [], 0.0
    for clip, times in clips:
        end = start + clip.frame_count / FPS
        parts.append((clip.label, start, end))
        cycle_s = clip.movement.cycle_s / clip.tempo
        if clip.movement.name in CONTACT:
            hits += [start + (cycle + CONTACT[clip.movement.name]) * cycle_s for cycle in range(times)]
        start = end
    video = folder / "practice.mp4"
    _write(video, [clip for clip, _ in clips])
    return Practice(video, parts, hits)


def write_sets(folder: Path) -> Iterator[Set]:
    """Render each exercise by two athletes, four and six times."""
    for clip, times in _clips([(name, times) for times in _TIMES for name in _SETS]):
        video = folder / f"{clip.label.replace(' ', '-')}-{times}.mp4"
        _write(video, [clip])
        yield Set(video, clip.label, times)


def _clips(wanted: Sequence[tuple[str, int]]) -> list[tuple[ClipPlan, int]]:
    """A clip for each (movement, whole cycles), every one by another athlete where there are enough."""
    takes = {name: [clip for clip in plan(SEED) if clip.movement.name == name] for name, _ in wanted}
    clips = []
    for name, times in wanted:
        clip = takes[name].pop(0)
        cycle_s = clip.movement.cycle_s / clip.tempo
        clips.append((replace(clip, phase=0.0, duration_s=times * cycle_s), times))
    return clips


def _write(video: Path, clips: Sequence[ClipPlan]) -> None:
    if video.exists():
        return
    cv2.setNumThreads(1)
    pictures = chain.from_iterable(rendered_frames(clip, rendered_athlete(clip)) for clip in clips)
    write_video(video, pictures, FPS, "bgr24")
