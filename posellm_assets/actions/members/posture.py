"""Statistics of how a body is held and moves: what the motion classifier and the familiarity of a motion are made of.

Joint angles, directions of limbs against the vertical, heights and distances do not depend on which way somebody faces,
and less on how the depth of a landmark was guessed than its position does. How much something moves is told by its
logarithm: whoever holds a plank still moves a tenth as much as whoever does push-ups, and both move little.
"""

from collections.abc import Iterable

import numpy as np

from posellm_assets.motion.motion import Motion

_BANDS_HZ = ((0.0, 0.6), (0.6, 1.5), (1.5, 3.5), (3.5, 10.0))
_SPECTRUM_FRAMES = 256
# Radians (or half metres): movement under this is the shake of landmarks.
_STILL, _STILL_PER_S = 0.03, 0.1
_PER_HALF_METRE = 2.0  # distances then vary about as much as angles in radians
_SIDES = ("left", "right")
_HINGES = (
    ("shoulder", "elbow", "wrist"),
    ("hip", "knee", "ankle"),
    ("neck", "hip", "knee"),
    ("pelvis", "shoulder", "elbow"),
)
_LIMBS = (("shoulder", "wrist"), ("hip", "ankle"), ("hip", "knee"))
_HEIGHTS = ("wrist", "ankle", "knee")
_REACHES = (("wrist", "head"), ("wrist", "hip"))
_MIDDLE = ("neck", "pelvis", "head")


def statistics(motion: Motion) -> np.ndarray:
    """(F,) float32 statistics of a motion without gaps of three frames or more; F is the same for all motions.

    Raises ValueError where the skeleton lacks a joint that is looked at.
    """
    signals = posture(motion)
    centred = signals - signals.mean(0)
    speed = np.abs(np.diff(signals, axis=0)).mean(0) * motion.fps
    low, high = np.percentile(signals, (5, 95), axis=0)
    moves = [np.log(amount + _STILL) for amount in (signals.std(0), *_amplitudes(centred, motion.fps))]
    return np.concatenate([signals.mean(0), low, high, *moves, np.log(speed + _STILL_PER_S)]).astype(np.float32)


def posture(motion: Motion) -> np.ndarray:
    """(T, S) signals: angles in radians, heights over the pelvis and distances in half metres."""
    joints = motion.joints.astype(np.float64)

    def at(name: str) -> np.ndarray:
        return joints[:, motion.skeleton.index(name)]

    signals = [_from_vertical(at("neck") - at("pelvis"))]
    for side in _SIDES:
        own = {name: at(name if name in _MIDDLE else f"{side}_{name}") for name in _names()}
        signals += [_angle(own[start] - own[corner], own[end] - own[corner]) for start, corner, end in _HINGES]
        signals += [_from_vertical(own[end] - own[start]) for start, end in _LIMBS]
        signals += [_PER_HALF_METRE * (own[name] - own["pelvis"])[:, 1] for name in _HEIGHTS]
        signals += [_PER_HALF_METRE * np.linalg.norm(own[one] - own[other], axis=1) for one, other in _REACHES]
    for name in ("wrist", "ankle"):
        signals.append(_PER_HALF_METRE * np.linalg.norm(at(f"left_{name}") - at(f"right_{name}"), axis=1))
    signals += [_PER_HALF_METRE * (at("head") - at("pelvis"))[:, 1], _PER_HALF_METRE * at("pelvis")[:, 1]]
    return np.stack(signals, axis=1)


def _names() -> Iterable[str]:
    return dict.fromkeys([*(name for group in (*_HINGES, *_LIMBS, *_REACHES) for name in group), *_HEIGHTS])


def _angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Radians between two vectors over time."""
    size = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.arccos(np.clip((first * second).sum(1) / np.maximum(size, 1e-9), -1, 1))


def _from_vertical(vector: np.ndarray) -> np.ndarray:
    return _angle(vector, np.broadcast_to(np.array([0.0, 1.0, 0.0]), vector.shape))


def _amplitudes(centred: np.ndarray, fps: float) -> list[np.ndarray]:
    """Root mean power of each signal in each band; a length does not change it."""
    frames = max(_SPECTRUM_FRAMES, len(centred))
    power = np.abs(np.fft.rfft(centred, n=frames, axis=0)) ** 2 / len(centred)
    rate = np.fft.rfftfreq(frames, 1 / fps)
    return [np.sqrt(power[(rate > low) & (rate <= high)].mean(0)) for low, high in _BANDS_HZ]
