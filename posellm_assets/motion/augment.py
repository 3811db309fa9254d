"""Augmentation of a movement: mirrored, faster or slower, at a bent tempo, begun later, seen less exactly."""

from dataclasses import replace

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.resampling import read_at


def mirror(motion: Motion) -> Motion:
    """Left and right exchanged; done twice it is the motion itself."""
    joints = motion.joints[:, motion.skeleton.mirror_order] * np.array([-1, 1, 1], np.float32)
    return replace(motion, joints=joints, guessed=motion.guessed[:, motion.skeleton.mirror_order])


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


def warp_time(motion: Motion, strength: float, rng: np.random.Generator) -> Motion:
    """The motion with its tempo bent smoothly, about once a second: same frames, same first and last one.

    `strength` is the standard deviation of the tempo's logarithm: with 0.2 most of the motion plays between 0.8 and 1.2
    times as fast as before.
    """
    if len(motion) < 2:
        return motion
    tempo = np.exp(strength * _smooth(len(motion) - 1, motion.fps, (), rng))
    clock = np.concatenate([[0.0], np.cumsum(tempo)])
    return read_at(motion, np.minimum(clock * (len(motion) - 1) / clock[-1], len(motion) - 1))


def add_noise(motion: Motion, noise_mm: float, rng: np.random.Generator) -> Motion:
    """The motion with every coordinate `noise_mm` (a standard deviation) off, slowly varying as landmarks err."""
    noise = _smooth(len(motion), motion.fps / 4, motion.joints.shape[1:], rng) * noise_mm / 1000
    return replace(motion, joints=(motion.joints + noise).astype(np.float32))


def _smooth(frames: int, frames_per_knot: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Random curves (frames, *shape) of mean 0 and variance 1 over draws: a normal draw at each knot, cosines between.

    The weights' squares sum to 1 everywhere, so that the variance is the same at a knot and between two.
    """
    place = np.arange(frames) / frames_per_knot
    before = place.astype(int)
    drawn = rng.normal(size=(int(place[-1]) + 2, *shape))
    angle = ((place - before) * np.pi / 2).reshape(-1, *[1] * len(shape))
    return np.asarray(np.cos(angle) * drawn[before] + np.sin(angle) * drawn[before + 1])
