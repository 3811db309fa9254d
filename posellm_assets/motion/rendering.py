"""Motions as pictures: a video of stick figures side by side, and the numbers that a page needs to draw them itself."""

import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from upath import UPath

from posellm_assets.lake import write_bytes
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import turn
from posellm_assets.motion.skeletons import Skeleton

PANEL = 320  # pixels, of the square that one figure gets
_TITLE = 32
_OVERSAMPLING = 2
_BACKGROUND = (250, 249, 247)
_GRID = (224, 222, 217)
_INK = (40, 40, 40)
_LEFT, _RIGHT, _MIDDLE = np.array([222, 90, 60]), np.array([40, 110, 190]), np.array([90, 90, 90])
# Seen from the front, a little from the figure's left and from above, so that depth and sides can be told apart.
_CAMERA_YAW, _CAMERA_PITCH = np.radians(-30), np.radians(12)


def render_video(motions: Sequence[Motion], path: UPath | Path, titles: Sequence[str]) -> None:
    """Write an mp4 (H.264) of the motions side by side on a floor grid, the body's left in orange, its right in blue.

    Shorter motions wait, faded, in their last frame; frames without a person show the floor. The same motions give the
    same bytes. Raises ValueError where there is nothing to draw, or frame rates or the number of titles differ.
    """
    if not motions or not all(motion.known.any() for motion in motions):
        raise ValueError("nothing to render: each motion needs at least one known frame")
    if len({motion.fps for motion in motions}) > 1 or len(titles) != len(motions):
        raise ValueError("motions side by side need one frame rate and a title each")
    panels = [_Panel(motion, title) for motion, title in zip(motions, titles, strict=True)]
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(motions[0].fps).limit_denominator(1000))
        stream.width, stream.height = PANEL * len(panels), PANEL + _TITLE
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        stream.options = {"crf": "20", "preset": "veryfast"}
        for index in range(max(map(len, motions))):
            picture = np.concatenate([panel.draw(index) for panel in panels], axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    write_bytes(path, buffer.getvalue())


def motion_to_json(motion: Motion) -> dict[str, Any]:
    """What a page needs to draw the motion: fps, joint names, parents, sides, and joints (T, J, 3) in millimetre steps.

    A frame without a person is null.
    """
    frames = np.round(motion.joints.astype(float), 3)
    return {
        "fps": motion.fps,
        "names": list(motion.skeleton.joints),
        "parents": list(motion.skeleton.parents),
        "sides": _sides(motion.skeleton),
        "joints": [frame.tolist() if known else None for frame, known in zip(frames, motion.known, strict=True)],
    }


class _Panel:
    """One figure's square: a camera that holds still and keeps the whole motion in view."""

    def __init__(self, motion: Motion, title: str):
        self.motion = motion
        self.title = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()  # OpenCV draws ASCII only
        self.colours = [{"left": _LEFT, "right": _RIGHT, "middle": _MIDDLE}[side] for side in _sides(motion.skeleton)]
        known = motion.joints[motion.known].astype(float)
        low, high = known.min(axis=(0, 1)), known.max(axis=(0, 1))
        self.centre = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2])
        self.floor_m = float(low[1])
        seen = self._seen(known.reshape(-1, 3))
        self.pixels_per_m = 0.86 * PANEL / max(2 * np.abs(seen[:, :2]).max(), 0.5)
        self.depth = float(seen[:, 2].min()), float(np.ptp(seen[:, 2])) or 1.0
        self.empty = self._floor()

    def draw(self, index: int) -> np.ndarray:
        """(PANEL + title, PANEL, 3) uint8 RGB of a frame."""
        picture = self.empty.copy()
        over = index >= len(self.motion)
        index = min(index, len(self.motion) - 1)
        if self.motion.known[index]:
            self._figure(picture, self.motion.joints[index].astype(float), faded=over)
        size = (PANEL, PANEL)
        return np.concatenate([self._heading(), cv2.resize(picture, size, interpolation=cv2.INTER_AREA)])

    def _figure(self, picture: np.ndarray, joints: np.ndarray, faded: bool) -> None:
        seen, pixels = self._seen(joints), self._pixels(joints)
        nearness = (seen[:, 2] - self.depth[0]) / self.depth[1]
        bones = [(child, parent) for child, parent in enumerate(self.motion.skeleton.parents) if parent >= 0]
        for child, parent in sorted(bones, key=lambda bone: nearness[list(bone)].mean()):
            near = float(np.clip(nearness[[child, parent]].mean(), 0, 1))
            colour = self.colours[child] * (0.55 + 0.45 * near) + (1 - near) * 0.3 * np.array(_BACKGROUND)
            if faded:
                colour = 0.35 * colour + 0.65 * np.array(_BACKGROUND)
            width = max(2, round((0.03 + 0.015 * near) * self.pixels_per_m * _OVERSAMPLING))
            cv2.line(picture, pixels[parent], pixels[child], _rgb(colour), width, cv2.LINE_AA)

    def _floor(self) -> np.ndarray:
        picture = np.full((PANEL * _OVERSAMPLING, PANEL * _OVERSAMPLING, 3), _BACKGROUND, np.uint8)
        reach = np.ceil(PANEL / self.pixels_per_m)
        middle = np.round(self.centre)
        for offset in np.arange(-reach, reach + 0.5, 0.5):
            for axis in (0, 2):
                ends = np.tile(middle, (2, 1))
                ends[:, 1] = self.floor_m
                ends[:, axis] += offset
                ends[:, 2 - axis] += np.array([-reach, reach])
                start, end = self._pixels(ends)
                cv2.line(picture, start, end, _GRID, _OVERSAMPLING, cv2.LINE_AA)
        return picture

    def _heading(self) -> np.ndarray:
        band = np.full((_TITLE, PANEL, 3), _BACKGROUND, np.uint8)
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5
        while scale > 0.25 and cv2.getTextSize(self.title, font, scale, 1)[0][0] > PANEL - 16:
            scale -= 0.05
        cv2.putText(band, self.title, (8, 21), font, scale, _INK, 1, cv2.LINE_AA)
        return band

    def _seen(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) metres in the camera's axes: x right, y up, z towards the camera."""
        x, y, z = np.moveaxis(turn(points - self.centre, _CAMERA_YAW), -1, 0)
        cos, sin = np.cos(_CAMERA_PITCH), np.sin(_CAMERA_PITCH)
        return np.stack([x, cos * y - sin * z, sin * y + cos * z], axis=-1)

    def _pixels(self, points: np.ndarray) -> list[tuple[int, int]]:
        seen = self._seen(points)[:, :2] * self.pixels_per_m * _OVERSAMPLING
        middle = PANEL * _OVERSAMPLING / 2
        return [(round(middle + x), round(middle - y)) for x, y in seen.tolist()]


def _sides(skeleton: Skeleton) -> list[str]:
    sides = ["middle"] * len(skeleton)
    for left, right in skeleton.mirror_pairs:
        sides[left], sides[right] = "left", "right"
    return sides


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
    return red, green, blue
