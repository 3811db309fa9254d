"""Poses made of numbers: a stick body that can be placed anywhere."""

import numpy as np

from posellm_assets.poses.poses import Poses

FPS = 25.0
# Metres from the middle of the hips, y down, a person who faces the camera; left is on the picture's right.
_HALF = {11: (0.2, -0.5), 13: (0.3, -0.25), 15: (0.35, 0.0), 23: (0.1, 0.0), 25: (0.12, 0.4), 27: (0.12, 0.8)}
_HALF |= {17: (0.36, 0.05), 19: (0.35, 0.08), 21: (0.33, 0.05), 29: (0.12, 0.85), 31: (0.14, 0.88)}
_HALF |= {1: (0.02, -0.75), 2: (0.03, -0.75), 3: (0.04, -0.75), 7: (0.07, -0.72), 9: (0.03, -0.67)}
_MIRROR = {left: left + 1 for left in _HALF} | {1: 4, 2: 5, 3: 6, 7: 8, 9: 10}
BODY = np.zeros((33, 2), np.float32)
BODY[0] = 0.0, -0.72
for _left, (_x, _y) in _HALF.items():
    BODY[_left], BODY[_MIRROR[_left]] = (_x, _y), (-_x, _y)


def poses_of(people: list[np.ndarray], size: tuple[int, int] = (1280, 720)) -> Poses:
    """Poses of people, each (T, 3): hips' x and y in pixels, and pixels per metre; NaN where not seen."""
    width, height = size
    count = len(people[0])
    landmarks = np.full((count, len(people), 33, 3), np.nan, np.float32)
    for person, path in enumerate(people):
        pixels = path[:, None, :2] + BODY * path[:, None, 2:]
        landmarks[:, person, :, :2] = pixels / [width, height]
        landmarks[:, person, :, 2] = np.where(np.isnan(path[:, :1]), np.nan, 0)
    seen = np.isfinite(landmarks[..., 0])
    world = np.where(seen[..., None], np.concatenate([BODY, np.zeros((33, 1), np.float32)], axis=1), np.nan)
    sure = np.where(seen, 1.0, np.nan).astype(np.float32)
    time_s = np.arange(count) / FPS
    return Poses(time_s, landmarks, sure, sure.copy(), world.astype(np.float32), width, height, FPS, "0" * 64)


def standing(count: int, x: float, y: float = 360, px_per_metre: float = 200) -> np.ndarray:
    return np.tile([x, y, px_per_metre], (count, 1)).astype(float)


def walking(count: int, x: float, to_x: float, y: float = 360, px_per_metre: float = 200) -> np.ndarray:
    path = standing(count, x, y, px_per_metre)
    path[:, 0] = np.linspace(x, to_x, count)
    return path
