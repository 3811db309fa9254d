"""How far one motion is from another, in the units of the field."""

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import CONTACT_SPEED_M_PER_S, heading, turn


def mpjpe_mm(motion: Motion, reference: Motion) -> float:
    """Mean per-joint position error in millimetres with the roots laid over each other, headings as they are."""
    _check(motion, reference)
    apart = (motion.joints - motion.joints[:, :1]) - (reference.joints - reference.joints[:, :1])
    return float(np.linalg.norm(apart, axis=-1).mean() * 1000)


def aligned_mpjpe_mm(motion: Motion, reference: Motion) -> float:
    """`mpjpe_mm` with the headings of each frame laid over each other too: what the body does, wherever it faces."""
    _check(motion, reference)
    apart = aligned(motion) - aligned(reference)
    return float(np.linalg.norm(apart, axis=-1).mean() * 1000)


def aligned(motion: Motion) -> np.ndarray:
    """(T, J, 3) joints in metres from the root, each frame turned to face +z."""
    local = motion.joints - motion.joints[:, :1]
    return turn(local, -heading(motion.joints, motion.skeleton)[:, None])


def global_mpjpe_mm(motion: Motion, reference: Motion) -> float:
    """Mean per-joint position error in millimetres as the motions lie: errors of the way and the heading add up."""
    _check(motion, reference)
    return float(np.linalg.norm(motion.joints - reference.joints, axis=-1).mean() * 1000)


def foot_skate_m_per_s(motion: Motion, planted: np.ndarray) -> float | None:
    """Mean speed over the floor of feet where they are planted, in m/s; None where none ever is.

    `planted` is (T-1, feet), see `planted_feet`. Ask it of the original, so that both are measured on the same steps.
    """
    if not planted.any():
        return None
    steps = np.diff(motion.joints[:, list(motion.skeleton.feet)].astype(np.float64), axis=0)[..., [0, 2]]
    return float(np.linalg.norm(steps, axis=-1)[planted].mean() * motion.fps)


def planted_feet(motion: Motion) -> np.ndarray:
    """(T-1, feet) bool: steps in which a foot joint is slower than `representation.CONTACT_SPEED_M_PER_S`."""
    steps = np.diff(motion.joints[:, list(motion.skeleton.feet)].astype(np.float64), axis=0)
    return np.asarray(np.linalg.norm(steps, axis=-1) * motion.fps < CONTACT_SPEED_M_PER_S)


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
