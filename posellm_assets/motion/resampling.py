"""Reading a motion between its frames: another frame rate, another speed, a bent clock."""

from dataclasses import replace

import numpy as np

from posellm_assets.motion.motion import Motion


def read_at(motion: Motion, position: np.ndarray) -> Motion:
    """The motion at fractional frame numbers `position` (N,), each from 0 to T - 1, by linear interpolation.

    Frames between a known and an unknown one are unknown; those made from a filled one count as filled, and joints
    made from a guessed one as guessed.
    """
    before = position.astype(int)
    after = np.minimum(before + 1, len(motion) - 1)
    share = (position - before).astype(np.float32)[:, None, None]
    joints = np.where(
        share > 0, (1 - share) * motion.joints[before] + share * motion.joints[after], motion.joints[before]
    )
    return replace(
        motion,
        joints=joints,
        filled=motion.filled[before] | motion.filled[after],
        guessed=motion.guessed[before] | motion.guessed[after],
    )


def resample(motion: Motion, fps: float) -> Motion:
    """The motion at `fps` frames/s from its first frame on, by linear interpolation of the joints' positions.

    Between two frames of motion capture (8 to 33 ms) a joint moves nearly straight; a bone that turns by 10 degrees
    between two frames is 0.4 % short halfway. What is faster than half the new rate is not filtered away: a body holds
    next to nothing there, noise of a camera does, and footage has its own filter in `from_poses`.
    """
    if fps == motion.fps:
        return motion
    frames = int((len(motion) - 1) / motion.fps * fps + 1e-6) + 1
    position = np.minimum(np.arange(frames) * (motion.fps / fps), len(motion) - 1)
    # 30 to 20 frames/s is every 1.5th frame: rounding must not make 3.0 into 2.9999
    near = np.abs(position - np.round(position)) < 1e-6
    return replace(read_at(motion, np.where(near, np.round(position), position)), fps=fps)
