"""A motion of any length as one row of numbers that a linear classifier can tell movements apart by.

Statistics over time of the features of `motion.representation`: how the body is held (means and deviations of the whole
and of its three thirds, so that the order of things counts), how far it goes (extremes), how fast it changes, and at
which rates it comes back (amplitudes in four bands).
"""

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import encode, layout

_PARTS = 3
_BANDS_HZ = ((0.0, 0.6), (0.6, 1.5), (1.5, 3.5), (3.5, 10.0))
_SPECTRUM_FRAMES = 256


def summary(motion: Motion) -> np.ndarray:
    """(F,) float32 statistics of a motion without gaps of three frames or more; F depends on the skeleton alone.

    Velocities count per second, so that motions of different frame rates can be compared.
    """
    features = encode(motion)
    parts = layout(motion.skeleton)
    for group in (parts.yaw_velocity, parts.planar_velocity, parts.velocities):
        features[:, group] *= motion.fps
    rows = [features.min(0), features.max(0)]
    for part in [features, *np.array_split(features, _PARTS)]:
        rows += [part.mean(0), part.std(0)]
    rows.append(np.abs(np.diff(features, axis=0)).mean(0) * motion.fps)
    return np.concatenate([*rows, *_amplitudes(features - features.mean(0), motion.fps)]).astype(np.float32)


def _amplitudes(centred: np.ndarray, fps: float) -> list[np.ndarray]:
    """Root mean power of each feature in each band; a length does not change it."""
    frames = max(_SPECTRUM_FRAMES, len(centred))
    power = np.abs(np.fft.rfft(centred, n=frames, axis=0)) ** 2 / len(centred)
    rate = np.fft.rfftfreq(frames, 1 / fps)
    return [np.sqrt(power[(rate > low) & (rate <= high)].mean(0)) for low, high in _BANDS_HZ]
