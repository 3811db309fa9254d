"""Clips seen otherwise in training: mirrored, moved, nearer or farther, in another light, all frames alike."""

import cv2
import numpy as np

from posellm_assets.actions.label_set import LabelSet
from posellm_assets.texts.mirror import can_mirror, mirror_text

_SCALE = (0.85, 1.15)
_SHIFT = 0.08  # of the picture's side
_LIGHT = (0.7, 1.3)


def mirror_classes(label_set: LabelSet) -> dict[str, str]:
    """What each class is in the mirror: itself, or the one of the other side. Without that, the class is left out."""
    mirrored = {}
    for one in label_set.classes:
        language = next((code for code in one.names if can_mirror(code)), None)
        name = one.names[language] if language else None
        other = name and mirror_text(name, language)
        found = one if other == name else label_set.class_of(other or "", language)
        if found:
            mirrored[one.id] = found.id
    return mirrored


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
