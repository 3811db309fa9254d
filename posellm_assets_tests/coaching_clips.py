"""Measured clips with planted faults from exact truth: what a flawless pose estimator would have seen."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from posellm_assets.coaching.measurements import MeasuredClip
from posellm_assets.demo.faults import Repetition
from posellm_assets.demo.footage import FPS, SIZE_PX, ClipPlan, figure_of, plan, with_faults
from posellm_assets.demo.skeleton import landmarks
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.poses import SubjectPoses

DEEP = Repetition("shallow", strength=1.2)  # exact joints sink farther than estimated ones, on which limits were set


def planted(label: str, repetitions: Sequence[Repetition], azimuth_deg: float = 10.0) -> ClipPlan:
    """A clip of the demo's first athlete of that label with these repetitions, led by the right side."""
    clip = next(
        clip for clip in plan() if clip.label == label and clip.side == ("left" if "left" in label else "right")
    )
    return with_faults(replace(clip, camera=replace(clip.camera, azimuth_deg=azimuth_deg)), repetitions)


@cache
def measured(label: str, repetitions: tuple[Repetition, ...], azimuth_deg: float = 10.0) -> MeasuredClip:
    """The clip as it would be measured without error, every joint visible."""
    clip = planted(label, repetitions, azimuth_deg)
    points = landmarks(figure_of(clip).bones)
    centred = points - points[:, 23:25].mean(1, keepdims=True)
    image = clip.camera.project(points)[0] / SIZE_PX
    ones = np.ones(points.shape[:2], np.float32)
    subject = SubjectPoses(
        time_s=np.arange(len(points)) / FPS,
        landmarks=np.concatenate([image, 0 * image[..., :1]], -1).astype(np.float32),
        visibility=ones,
        presence=ones,
        world=(centred @ clip.camera.axes.T * [1, -1, -1]).astype(np.float32),
        width=SIZE_PX,
        height=SIZE_PX,
        fps=FPS,
    )
    return MeasuredClip(f"fitness.{clip.movement.name.replace(' ', '-')}.0123abcd", label, subject,
                        motion_from_poses(subject, MotionConfig()))  # fmt: skip
