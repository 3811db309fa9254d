"""Clips seen otherwise in training: mirrored, moved, nearer or farther, in another light, all frames alike."""

import cv2
import numpy as np

_SCALE = (0.85, 1.15)
_SHIFT = 0.08  # of the picture's side
_LIGHT = (0.7, 1.3)


def augmented(frames: np.ndarray, mirror: bool, generator: np.random.Generator) -> np.ndarray:
    """Frames (N, S, S, 3) uint8 as another camera in another light would have them."""
    side = frames.shape[1]
    scale = generator.uniform(*_SCALE)
    middle = side / 2 * (1 - scale) + generator.uniform(-_SHIFT, _SHIFT, 2) * side
    view = np.array([[scale, 0, middle[0]], [0, scale, middle[1]]])
    if mirror:
        frames = np.ascontiguousarray(frames[:, :, ::-1])
    moved = np.stack([cv2.warpAffine(frame, view, (side, side), borderMode=cv2.BORDER_REPLICATE) for frame in frames])
    light = generator.uniform(*_LIGHT, 3).astype(np.float32)
    return np.clip(moved * light, 0, 255).astype(np.uint8)
