"""What the coach draws into a frame: the skeleton, what it said, and a still of the moment that it means."""

import cv2
import numpy as np

from posellm_assets.coaching.labels.schema import Joint, Side, Visuals
from posellm_assets.poses.drawing import FONT, INK, PANEL, ascii_of, draw_text, letters
from posellm_assets.poses.landmarks import NAMES

_MARK = (255, 214, 64)
_STILL_PX = 480  # the longer side
_SHOWN = 0.6  # the part of a picture's width and height that a still shows
_LINES = 3


def small(rgb: np.ndarray) -> np.ndarray:
    """The picture with its longer side at most 480 pixels."""
    height, width = rgb.shape[:2]
    scale = min(1.0, _STILL_PX / max(height, width))
    return cv2.resize(rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)


def still(rgb: np.ndarray, visuals: Visuals) -> bytes:
    """The part of a picture that shows a mistake as a JPEG: where a limb is in red, where it should be in green."""
    picture = rgb.copy()
    height, width = picture.shape[:2]
    size = np.array([width, height])
    thick = max(2, round(min(height, width) / 90))
    for vector in visuals.vectors:
        start, end = (
            tuple(np.round(np.array(point) * size).astype(int).tolist()) for point in (vector.start, vector.end)
        )
        cv2.arrowedLine(picture, start, end, _rgb(vector.color), thick, cv2.LINE_AA, tipLength=0.18)
        draw_text(picture, vector.label, (end[0] + 4, end[1]), 0.4, _rgb(vector.color), 1)
    if visuals.focus_point:
        centre = round(visuals.focus_point.x * width), round(visuals.focus_point.y * height)
        cv2.circle(picture, centre, 4 * thick, _MARK, max(1, thick // 2), cv2.LINE_AA)
        picture = _around(picture, *centre)
    return bytes(cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())


def opened(still: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a still."""
    picture = cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return np.asarray(picture[..., ::-1])


def mark_joint(picture: np.ndarray, landmarks: np.ndarray, joint: Joint, side: Side | None) -> None:
    """Ring the joint that is spoken of, on each side that is meant."""
    height, width = picture.shape[:2]
    radius = round(min(height, width) / 25)
    names = ("shoulder", "hip") if joint == "trunk" else (joint,)
    for one in ("left", "right") if side in (None, "both") else (side,):
        for name in names:
            x, y = landmarks[NAMES.index(f"{one}_{name}"), :2] * [width, height]
            cv2.circle(picture, (round(float(x)), round(float(y))), radius, _MARK, max(2, radius // 8), cv2.LINE_AA)


def draw_message(picture: np.ndarray, text: str) -> None:
    """Write what the coach says over the bottom, wrapped; what three lines do not hold ends in dots."""
    scale, thick = letters(picture)
    height, width = picture.shape[:2]
    (_, tall), below = cv2.getTextSize("Ag", FONT, scale, thick)
    step = round(1.3 * (tall + below))
    lines = wrapped(text, width - 2 * step, scale, thick)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], lines[_LINES - 1] + " ..."]
    top = height - step * len(lines) - step // 2
    panel = picture[top:]
    panel[:] = (0.25 * panel + 0.75 * np.array(PANEL)).astype(np.uint8)
    for number, line in enumerate(lines, start=1):
        draw_text(picture, line, (step, top + number * step - step // 4), scale, INK, thick)


def wrapped(text: str, width_px: int, scale: float, thick: int) -> list[str]:
    """The words of a text in lines that are at most `width_px` wide, a longer word in a line of its own."""
    lines: list[str] = []
    for word in ascii_of(text).split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and cv2.getTextSize(longer, FONT, scale, thick)[0][0] <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def draw_inset(picture: np.ndarray, inset: np.ndarray) -> None:
    """Put a small picture into the top right corner, a third of the width at most, with a frame."""
    height, width = picture.shape[:2]
    scale = min(1.0, width / 3 / inset.shape[1], height / 2 / inset.shape[0])
    fitted = cv2.resize(
        inset, (round(inset.shape[1] * scale), round(inset.shape[0] * scale)), interpolation=cv2.INTER_AREA
    )
    tall, wide = fitted.shape[:2]
    edge = max(2, width // 300)
    left = width - wide - 4 * edge
    picture[3 * edge : tall + 5 * edge, left - edge : left + wide + edge] = _MARK
    picture[4 * edge : tall + 4 * edge, left : left + wide] = fitted


def _around(picture: np.ndarray, x: int, y: int) -> np.ndarray:
    """The part of the picture around a point, as near to it as the edges allow."""
    height, width = (round(_SHOWN * side) for side in picture.shape[:2])
    top = int(np.clip(y - height // 2, 0, picture.shape[0] - height))
    left = int(np.clip(x - width // 2, 0, picture.shape[1] - width))
    return picture[top : top + height, left : left + width]


def _rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as numbers; another name of a colour is drawn white."""
    digits = colour.removeprefix("#")
    if len(digits) != 6:
        return INK
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue
