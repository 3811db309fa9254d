"""Where a video was cut: across a cut nobody moves, and a jump of every joint is no hit."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from posellm_assets.footage.video import frames
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.poses import SubjectPoses

_GRID = (18, 32)
# A picture is another one where its brightness differs by this much of 255 on average, and by so many times as much as
# pictures around it do: panning and running differ all the time.
_LEAST_CHANGE = 12.0
_SUDDEN = 4.0
_AROUND_FRAMES = 12
# The landmarks of the first frames after a cut are still those of whoever was there before.
_SETTLING_S = 0.1


def cuts(video: Path) -> list[float]:
    """The times (s) of the first pictures after a cut. Raises UnreadableVideo where a frame cannot be decoded."""
    times, pictures, shots = [], [], []
    for frame in frames(video):
        height, width = frame.rgb.shape[:2]
        rows, columns = (
            np.linspace(0, size - 1, count).astype(int) for size, count in zip((height, width), _GRID, strict=True)
        )
        times.append(frame.time_s)
        shots.append(frame.shot)
        pictures.append(frame.rgb[rows][:, columns].mean(axis=2))
    change = np.abs(np.diff(np.stack(pictures), axis=0)).mean(axis=(1, 2)) if len(pictures) > 1 else np.zeros(0)
    found = []
    for index, value in enumerate(change):
        around = np.delete(change, index)[max(0, index - _AROUND_FRAMES) : index + _AROUND_FRAMES]
        if shots[index + 1] != shots[index] or (
            value >= _LEAST_CHANGE and value >= _SUDDEN * (np.median(around) if len(around) else 0.0)
        ):
            found.append(times[index + 1])
    return found


def motions_of_shots(
    subject: SubjectPoses, cut_s: Sequence[float], config: MotionConfig
) -> tuple[list[Motion], list[str]]:
    """The subject's motion in each shot, in order, and of each shot without one the reason."""
    edges = [-np.inf, *cut_s, np.inf]
    motions, left_out = [], []
    for number, (start, end) in enumerate(pairwise(edges)):
        begins = start + _SETTLING_S if number else start
        inside = (subject.time_s >= begins) & (subject.time_s < end)
        if inside.sum() < 2:
            left_out.append(f"from {max(0.0, begins):.1f} s: a shot of fewer than two pictures")
            continue
        shot = replace(
            subject,
            time_s=subject.time_s[inside],
            landmarks=subject.landmarks[inside],
            visibility=subject.visibility[inside],
            presence=subject.presence[inside],
            world=subject.world[inside],
        )
        try:
            motions.append(motion_from_poses(shot, config))
        except ValueError as error:
            left_out.append(f"{shot.time_s[0]:.1f} to {shot.time_s[-1]:.1f} s: {error}")
    return motions, left_out
