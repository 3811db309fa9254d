"""The same movement in another guise: mirrored, at another speed, begun a little later."""

from dataclasses import replace

import numpy as np

from posellm_assets.motion.motion import Motion


def mirror(motion: Motion) -> Motion:
    """Left and right exchanged; done twice it is the motion itself."""
    joints = motion.joints[:, motion.skeleton.mirror_order] * np.array([-1, 1, 1], np.float32)
    return replace(motion, joints=joints)


def change_speed(motion: Motion, factor: float) -> Motion:
    """The motion played `factor` times as fast at the same frame rate, by linear interpolation.

    Frames between a known and an unknown one are unknown; those made from a filled one count as filled. Raises
    ValueError where `factor` is not positive.
    """
    if not factor > 0:
        raise ValueError(f"a speed factor is positive, not {factor}")
    last = len(motion) - 1
    position = np.linspace(0, last, int(last / factor) + 1)
    before = position.astype(int)
    after = np.minimum(before + 1, last)
    share = (position - before).astype(np.float32)[:, None, None]
    joints = np.where(
        share > 0, (1 - share) * motion.joints[before] + share * motion.joints[after], motion.joints[before]
    )
    return replace(motion, joints=joints, filled=motion.filled[before] | motion.filled[after])


def shift_phase(motion: Motion, frames: int) -> Motion:
    """The motion without its first `frames` frames, so that tokens fall on other frames of the movement."""
    if not 0 <= frames < len(motion):
        raise ValueError(f"cannot cut {frames} frames off the front of {len(motion)}")
    return motion.cut(frames, len(motion))
