"""Motions as pictures: a video of stick figures side by side, and the numbers that a page needs to draw them itself."""

from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from posellm_assets.files import write_bytes
from posellm_assets.footage.writing import write_video
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import turn
from posellm_assets.motion.skeletons import Skeleton
from posellm_assets.poses.drawing import ascii_of

PANEL = 320  # pixels, of the square that one figure gets
_TITLE = 32
_OVERSAMPLING = 2
_MOMENTS = 6  # of a strip
_STRIP_PX = 960  # its width
_HEAD_M = 0.09
_BACKGROUND = (250, 249, 247)
_GRID = (224, 222, 217)
_INK = (40, 40, 40)
_LEFT, _RIGHT, _MIDDLE = np.array([40, 110, 190]), np.array([222, 90, 60]), np.array([90, 90, 90])
# Seen a little from above, and from the front where the figure moves sideways (jumping jacks), rather from its left
# where it moves forwards (squats: from the front one of the bent knees looks straight).
_FRONT_YAW, _SIDE_YAW, _CAMERA_PITCH = np.radians(-25), np.radians(-60), np.radians(12)


def render_video(motions: Sequence[Motion], path: Path, titles: Sequence[str]) -> None:
    """Write an mp4 (H.264) of the motions side by side on a floor grid, the body's left in blue, its right in orange.

    Shorter motions wait, faded, in their last frame; frames without a person show the floor. The same motions give the
    same bytes. Raises ValueError where there is nothing to draw, or frame rates or the number of titles differ.
    """
    write_video(path, _pictures(motions, titles), motions[0].fps)


def render_gif(motions: Sequence[Motion], path: Path, titles: Sequence[str]) -> None:
    """Write what `render_video` shows as an animated GIF, which plays for ever and wherever pictures do."""
    first, *rest = [Image.fromarray(picture) for picture in _pictures(motions, titles)]
    # A GIF counts in hundredths of a second: single frames are rounded so that the whole keeps its time.
    ends = np.round(np.arange(len(rest) + 2) * 100 / motions[0].fps).astype(int) * 10
    buffer = BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=rest, duration=np.diff(ends).tolist(), loop=0)
    write_bytes(path, buffer.getvalue())


def strip(motion: Motion) -> bytes:
    """Six moments of a motion side by side, each with its time in the clip, as a small JPEG.

    Raises ValueError where no frame is known.
    """
    known = np.flatnonzero(motion.known)
    if not len(known):
        raise ValueError("nothing to render: the motion needs at least one known frame")
    reach_m = _reach_m(motion)
    moments = [int(known[(2 * place + 1) * len(known) // (2 * _MOMENTS)]) for place in range(_MOMENTS)]
    yaw = _camera_yaw([motion])
    panels = [_Panel(motion, f"{motion.start_s + moment / motion.fps:.1f} s", reach_m, yaw) for moment in moments]
    row = np.concatenate([panel.draw(moment) for panel, moment in zip(panels, moments, strict=True)], axis=1)
    height = round(row.shape[0] * _STRIP_PX / row.shape[1])
    small = cv2.resize(row, (_STRIP_PX, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


PICTURES = {".mp4": render_video, ".gif": render_gif}
"""How motions become a picture, by the ending of its name."""


def _pictures(motions: Sequence[Motion], titles: Sequence[str]) -> Iterator[np.ndarray]:
    """The frames (H, W, 3) uint8 RGB of motions side by side; what cannot be drawn is refused before the first."""
    if not motions or not all(motion.known.any() for motion in motions):
        raise ValueError("nothing to render: each motion needs at least one known frame")
    if len({motion.fps for motion in motions}) > 1 or len(titles) != len(motions):
        raise ValueError("motions side by side need one frame rate and a title each")
    reach_m = max(_reach_m(motion) for motion in motions)
    yaw = _camera_yaw(motions)
    panels = [_Panel(motion, title, reach_m, yaw) for motion, title in zip(motions, titles, strict=True)]
    frames = range(max(map(len, motions)))
    return (np.concatenate([panel.draw(index) for panel in panels], axis=1) for index in frames)


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
    """One figure's square. The camera goes along with the root over the floor and never turns."""

    def __init__(self, motion: Motion, title: str, reach_m: float, yaw: float):
        self.motion, self.yaw = motion, yaw
        self.title = ascii_of(title)
        self.colours = [{"left": _LEFT, "right": _RIGHT, "middle": _MIDDLE}[side] for side in _sides(motion.skeleton)]
        self.heads = [joint for joint, name in enumerate(motion.skeleton.joints) if name.lower() == "head"]
        self.reach_m = reach_m
        self.pixels_per_m = 0.47 * PANEL * _OVERSAMPLING / reach_m
        heights = motion.joints[motion.known][..., 1].astype(float)
        self.floor_m, self.middle_m = float(heights.min()), float(heights.min() + heights.max()) / 2

    def draw(self, index: int) -> np.ndarray:
        """(PANEL + title, PANEL, 3) uint8 RGB of a frame."""
        over = index >= len(self.motion)
        index = min(index, len(self.motion) - 1)
        known = self.motion.known[index]
        joints = self.motion.joints[index if known else np.argmax(self.motion.known)].astype(float)
        centre = np.array([joints[0, 0], self.middle_m, joints[0, 2]])
        picture = np.full((PANEL * _OVERSAMPLING, PANEL * _OVERSAMPLING, 3), _BACKGROUND, np.uint8)
        self._floor(picture, centre)
        if known:
            self._figure(picture, joints, centre, faded=over)
        picture = cv2.resize(picture, (PANEL, PANEL), interpolation=cv2.INTER_AREA)
        return np.concatenate([self._heading(), picture])

    def _figure(self, picture: np.ndarray, joints: np.ndarray, centre: np.ndarray, faded: bool) -> None:
        nearness = np.clip(0.5 + _seen(joints, centre, self.yaw)[:, 2] / (2 * self.reach_m), 0, 1)
        pixels = self._pixels(joints, centre)
        bones = [(child, parent) for child, parent in enumerate(self.motion.skeleton.parents) if parent >= 0]
        for child, parent in sorted(bones, key=lambda bone: nearness[list(bone)].mean()):
            near = float(nearness[[child, parent]].mean())
            shade = 0.5 + 0.5 * near if not faded else 0.3
            colour = _rgb(shade * self.colours[child] + (1 - shade) * np.array(_BACKGROUND))
            width = max(2, round((0.035 + 0.02 * near) * self.pixels_per_m))
            cv2.line(picture, pixels[parent], pixels[child], colour, width, cv2.LINE_AA)
            if child in self.heads:
                cv2.circle(picture, pixels[child], round(_HEAD_M * self.pixels_per_m), colour, -1, cv2.LINE_AA)

    def _floor(self, picture: np.ndarray, centre: np.ndarray) -> None:
        far = 2 * self.reach_m
        for axis in (0, 2):
            for position in np.arange(np.ceil((centre[axis] - far) * 2) / 2, centre[axis] + far, 0.5):
                ends = np.tile(centre, (2, 1))
                ends[:, 1] = self.floor_m
                ends[:, axis] = position
                ends[:, 2 - axis] += np.array([-far, far])
                start, end = self._pixels(ends, centre)
                cv2.line(picture, start, end, _GRID, _OVERSAMPLING, cv2.LINE_AA)

    def _heading(self) -> np.ndarray:
        band = np.full((_TITLE, PANEL, 3), _BACKGROUND, np.uint8)
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.5
        while scale > 0.25 and cv2.getTextSize(self.title, font, scale, 1)[0][0] > PANEL - 16:
            scale -= 0.05
        cv2.putText(band, self.title, (8, 21), font, scale, _INK, 1, cv2.LINE_AA)
        return band

    def _pixels(self, points: np.ndarray, centre: np.ndarray) -> list[tuple[int, int]]:
        middle = PANEL * _OVERSAMPLING / 2
        seen = _seen(points, centre, self.yaw)[:, :2] * self.pixels_per_m
        return [(round(middle + x), round(middle - y)) for x, y in seen.tolist()]


def _camera_yaw(motions: Sequence[Motion]) -> float:
    """From where the motions are seen best, one for all that stand side by side: radians about the vertical."""
    moved = [motion.joints[motion.known] - motion.joints[motion.known][:, :1] for motion in motions]
    sideways, _, forwards = sum(joints.astype(float).var(axis=0).sum(axis=0) for joints in moved)
    return float(_SIDE_YAW if forwards > sideways else _FRONT_YAW)


def _seen(points: np.ndarray, centre: np.ndarray, yaw: float) -> np.ndarray:
    """(N, 3) metres in the camera's axes: x right, y up, z towards the camera."""
    x, y, z = np.moveaxis(turn(points - centre, yaw), -1, 0)
    cos, sin = np.cos(_CAMERA_PITCH), np.sin(_CAMERA_PITCH)
    return np.stack([x, cos * y - sin * z, sin * y + cos * z], axis=-1)


def _reach_m(motion: Motion) -> float:
    """How far the body reaches from the root over the floor, or to half its height, at any time; at least 0.5 m."""
    known = motion.joints[motion.known].astype(float)
    sideways = np.linalg.norm((known - known[:, :1])[..., [0, 2]], axis=-1).max()
    return float(max(sideways, np.ptp(known[..., 1]) / 2 + 0.1, 0.5))


def _sides(skeleton: Skeleton) -> list[str]:
    sides = ["middle"] * len(skeleton)
    for left, right in skeleton.mirror_pairs:
        sides[left], sides[right] = "left", "right"
    return sides


def _rgb(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
    return red, green, blue
