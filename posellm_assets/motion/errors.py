"""How far one motion is from another, in the units of the field."""

import numpy as np

from posellm_assets.motion.motion import Motion


def mpjpe_mm(motion: Motion, reference: Motion) -> float:
    """Mean per-joint position error in millimetres with the roots laid over each other, headings as they are."""
    _check(motion, reference)
    apart = (motion.joints - motion.joints[:, :1]) - (reference.joints - reference.joints[:, :1])
    return float(np.linalg.norm(apart, axis=-1).mean() * 1000)


def acceleration_error_m_per_s2(motion: Motion, reference: Motion) -> float:
    """Mean length of the difference of joint accelerations in m/s², which jitter raises and MPJPE hardly shows."""
    _check(motion, reference)
    apart = np.diff(motion.joints.astype(np.float64) - reference.joints, n=2, axis=0)
    return float(np.linalg.norm(apart, axis=-1).mean() * motion.fps**2)


def _check(motion: Motion, reference: Motion) -> None:
    if motion.joints.shape != reference.joints.shape or motion.fps != reference.fps:
        raise ValueError(
            f"cannot compare {motion.joints.shape} at {motion.fps} frames/s "
            f"with {reference.joints.shape} at {reference.fps} frames/s"
        )
