"""The frames of an action that a vision-language model sees: evenly spaced, letterboxed, never stretched."""

from pathlib import Path

import numpy as np

from posellm_assets.footage import video
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.vision.config import FramesConfig

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge, as shares of the picture's width and height."""
_MARGIN = 0.1  # of the longer side, on each side: landmarks end at the wrists, and something may be held
_SCALE = (0.85, 1.15)
_SHIFT = 0.08  # of the picture's side
_LIGHT = (0.7, 1.3)


def read_frames(
    path: Path, start_s: float, end_s: float, hit_s: float | None, config: FramesConfig, box: Box | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(N, size, size, 3) uint8 RGB, what is on the screen in the middle of N equal spans, and their (N,) times in s.

    The spans fill the action, or what lies around its hit where that is known. Times count from the first of them. Of
    each picture the part in `box` is seen, or all of it.
    Raises UnreadableVideo where the file cannot be decoded or has no frame there, OSError where it is missing.
    """
    if hit_s is not None:
        start_s, end_s = max(start_s, hit_s - config.before_hit_s), min(end_s, hit_s + config.after_hit_s)
    times = start_s + (np.arange(config.count) + 0.5) / config.count * (end_s - start_s)
    taken: list[np.ndarray] = []
    shown: np.ndarray | None = None
    for frame in video.shown_frames(path, start_s, end_s):
        while shown is not None and len(taken) < len(times) and frame.time_s > times[len(taken)]:
            taken.append(letterboxed(shown, config.size_px))
        shown = inside(frame.rgb, box) if box else frame.rgb
    if shown is None:
        raise UnreadableVideo(f"the video has no frame between {start_s:.2f} and {end_s:.2f} s")
    taken += [letterboxed(shown, config.size_px)] * (len(times) - len(taken))
    return np.stack(taken), times - times[0]


def box_of(subject: SubjectPoses, start_s: float, end_s: float) -> Box | None:
    """A square (in pixels) around all that the subject reaches between two times; None where it is not in view."""
    during = (subject.time_s >= start_s) & (subject.time_s <= end_s) & subject.seen
    if not during.any():
        return None
    low, high = (edge(subject.pixels[during], axis=(0, 1)) for edge in (np.nanmin, np.nanmax))
    middle, half = (low + high) / 2, (high - low).max() * (0.5 + _MARGIN)
    sides = np.array([subject.width, subject.height])
    left, top = ((middle - half) / sides).tolist()
    right, bottom = ((middle + half) / sides).tolist()
    return left, top, right, bottom


def inside(rgb: np.ndarray, box: Box) -> np.ndarray:
    """The part of an (H, W, 3) picture that lies in a box, black where the box reaches beyond it."""
    height, width = rgb.shape[:2]
    left, right = round(box[0] * width), max(round(box[0] * width) + 1, round(box[2] * width))
    top, bottom = round(box[1] * height), max(round(box[1] * height) + 1, round(box[3] * height))
    part = np.zeros((bottom - top, right - left, 3), np.uint8)
    seen = rgb[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    part[max(-top, 0) : max(-top, 0) + seen.shape[0], max(-left, 0) : max(-left, 0) + seen.shape[1]] = seen
    return part


def letterboxed(rgb: np.ndarray, size_px: int) -> np.ndarray:
    """An (H, W, 3) picture in the middle of a black square, as large as fits; its shape is kept."""
    import cv2  # here, because the code server imports this module and starts without OpenCV

    height, width = rgb.shape[:2]
    scale = size_px / max(height, width)
    inner_width, inner_height = max(1, round(width * scale)), max(1, round(height * scale))
    shrunk = cv2.resize(
        rgb, (inner_width, inner_height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    square = np.zeros((size_px, size_px, 3), np.uint8)
    top, left = (size_px - inner_height) // 2, (size_px - inner_width) // 2
    square[top : top + inner_height, left : left + inner_width] = shrunk
    return square


def augmented(frames: np.ndarray, mirror: bool, generator: np.random.Generator) -> np.ndarray:
    """Frames (N, S, S, 3) uint8 as another camera in another light would have them."""
    import cv2

    side = frames.shape[1]
    scale = generator.uniform(*_SCALE)
    middle = side / 2 * (1 - scale) + generator.uniform(-_SHIFT, _SHIFT, 2) * side
    view = np.array([[scale, 0, middle[0]], [0, scale, middle[1]]])
    if mirror:
        frames = np.ascontiguousarray(frames[:, :, ::-1])
    moved = np.stack([cv2.warpAffine(frame, view, (side, side), borderMode=cv2.BORDER_REPLICATE) for frame in frames])
    light = generator.uniform(*_LIGHT, 3).astype(np.float32)
    return np.clip(moved * light, 0, 255).astype(np.uint8)
