"""A person's landmarks drawn over a picture, and a line of words in its corner."""

import unicodedata

import cv2
import numpy as np

from posellm_assets.poses.landmarks import LEFT_LINES, MIDDLE_LINES, RIGHT_LINES
from posellm_assets.poses.poses import SubjectPoses

FONT = cv2.FONT_HERSHEY_SIMPLEX
PANEL, INK = (20, 22, 28), (255, 255, 255)
_COLOURED_LINES = ((MIDDLE_LINES, (240, 240, 240)), (LEFT_LINES, (64, 156, 255)), (RIGHT_LINES, (255, 140, 40)))
_SHIFT = 4  # OpenCV takes whole numbers: of sixteenths of a pixel


def line_width(picture: np.ndarray) -> int:
    """How thick a line is that can be seen well in a picture of this size, in pixels."""
    return max(1, round(min(picture.shape[:2]) / 200))


def draw_skeleton(
    picture: np.ndarray,
    landmarks: np.ndarray,
    thick: int | None = None,
    colour: tuple[int, int, int] | None = None,
) -> None:
    """Draw landmarks into an RGB picture: (33, 2 or more), x and y from 0 to 1 of its width and height.

    The body's left is blue, its right orange, or everything of one `colour`; lines are as thick as suits the picture
    unless `thick` says otherwise.
    """
    thick = thick or line_width(picture)
    height, width = picture.shape[:2]
    points = np.round(landmarks[:, :2] * [width, height] * (1 << _SHIFT)).astype(int).tolist()
    for lines, own in _COLOURED_LINES:
        for start, end in lines:
            cv2.line(picture, points[start], points[end], colour or own, thick, cv2.LINE_AA, shift=_SHIFT)


def draw_subject(picture: np.ndarray, time_s: float, subject: SubjectPoses) -> None:
    """Draw the skeleton that an athlete has at a time into an RGB picture; nothing where the athlete is not seen."""
    index = int(np.abs(subject.time_s - time_s).argmin())
    if subject.seen[index]:
        draw_skeleton(picture, subject.landmarks[index])


def draw_corner(picture: np.ndarray, text: str) -> None:
    """Write a line at the top left."""
    scale, thick = letters(picture)
    (wide, tall), below = cv2.getTextSize(ascii_of(text), FONT, scale, thick)
    cv2.rectangle(picture, (0, 0), (wide + 2 * tall, 2 * tall + below), PANEL, cv2.FILLED)
    draw_text(picture, text, (tall, round(1.5 * tall) + below // 2), scale, INK, thick)


def letters(picture: np.ndarray) -> tuple[float, int]:
    """Size and thickness of letters that can be read in a picture of this size."""
    scale = max(0.38, min(picture.shape[:2]) / 750)
    return scale, max(1, round(1.8 * scale))


def draw_text(
    picture: np.ndarray, text: str, place: tuple[int, int], scale: float, colour: tuple[int, int, int], thick: int
) -> None:
    """Write a line whose lower left corner is at `place`."""
    cv2.putText(picture, ascii_of(text), place, FONT, scale, colour, thick, cv2.LINE_AA)


def ascii_of(text: str) -> str:
    """What OpenCV can write of a text: its ASCII letters, others without their accents."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
