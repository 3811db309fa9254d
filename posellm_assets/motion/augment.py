"""The same movement in another guise: mirrored, at another speed, begun a little later."""

from dataclasses import replace

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.resampling import read_at


def mirror(motion: Motion) -> Motion:
    """Left and right exchanged; done twice it is the motion itself."""
    joints = motion.joints[:, motion.skeleton.mirror_order] * np.array([-1, 1, 1], np.float32)
    return replace(motion, joints=joints)


def change_speed(motion: Motion, factor: float) -> Motion:
    """The motion played `factor` times as fast at the same frame rate, by linear interpolation.

    Raises ValueError where `factor` is not positive.
    """
    if not factor > 0:
        raise ValueError(f"a speed factor is positive, not {factor}")
    last = len(motion) - 1
    return read_at(motion, np.linspace(0, last, int(last / factor) + 1))


def shift_phase(motion: Motion, frames: int) -> Motion:
    """The motion without its first `frames` frames, so that tokens fall on other frames of the movement."""
    if not 0 <= frames < len(motion):
        raise ValueError(f"cannot cut {frames} frames off the front of {len(motion)}")
    return motion.cut(frames, len(motion))
