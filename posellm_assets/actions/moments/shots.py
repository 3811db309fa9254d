"""The motion of each shot of a video by itself: across a cut nobody moves, and a jump of every joint is no hit."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.breaks import breaks
from posellm_assets.poses.poses import SubjectPoses


def motions_of_shots(subject: SubjectPoses, config: MotionConfig) -> tuple[list[Motion], list[str]]:
    """The subject's motion in each shot, in order, and of each shot without one the reason."""
    motions, left_out = [], []
    for start, end in pairwise([-np.inf, *breaks(subject).at_s, np.inf]):
        inside = (subject.time_s >= start) & (subject.time_s < end)
        if inside.sum() < 2:
            left_out.append(f"from {max(0.0, start):.1f} s: a shot of fewer than two pictures")
            continue
        shot = replace(
            subject,
            time_s=subject.time_s[inside],
            landmarks=subject.landmarks[inside],
            visibility=subject.visibility[inside],
            presence=subject.presence[inside],
            world=subject.world[inside],
            cuts_s=(),
        )
        try:
            motions.append(motion_from_poses(shot, config))
        except ValueError as error:
            left_out.append(f"{shot.time_s[0]:.1f} to {shot.time_s[-1]:.1f} s: {error}")
    return motions, left_out
