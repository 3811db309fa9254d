"""Six frames of a clip with the skeleton over them, so that a person sees at a glance whether it worked.

Left limbs are blue, right limbs orange, other people grey.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from posellm_assets.poses.landmarks import LEFT_LINES, MIDDLE_LINES, RIGHT_LINES
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import Subject

TILES = 6
_COLUMNS = 3
_TILE_PX = 320  # the longer side
_MAX_BYTES = 60_000
_LEFT, _RIGHT, _MIDDLE, _OTHER = (64, 156, 255), (255, 140, 40), (240, 240, 240), (150, 150, 150)


@dataclass(frozen=True)
class Tile:
    """A frame of the clip made small: `rgb` (h, w, 3) uint8 at `time_s`."""

    time_s: float
    rgb: np.ndarray


def tile_times(duration_s: float) -> list[float]:
    """When to take the tiles of a clip: the middles of six equal parts."""
    return [(index + 0.5) * duration_s / TILES for index in range(TILES)]


def small(time_s: float, rgb: np.ndarray) -> Tile:
    """The tile of a frame."""
    height, width = rgb.shape[:2]
    scale = _TILE_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return Tile(time_s, cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


def contact_sheet(tiles: list[Tile], poses: Poses, subject: Subject) -> bytes:
    """The sheet as a JPEG of at most 60 KB: three tiles in a row, each with its time in the clip."""
    drawn = [_drawn(tile, poses, subject) for tile in tiles]
    height, width = drawn[0].shape[:2]
    rows = -(-len(drawn) // _COLUMNS)
    sheet = np.zeros((rows * height, _COLUMNS * width, 3), np.uint8)
    for index, picture in enumerate(drawn):
        row, column = divmod(index, _COLUMNS)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    sheet = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
    for quality in range(85, 0, -10):
        jpeg = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(jpeg) <= _MAX_BYTES:
            break
    return jpeg


def _drawn(tile: Tile, poses: Poses, subject: Subject) -> np.ndarray:
    picture = tile.rgb.copy()
    height, width = picture.shape[:2]
    frame = int(np.abs(poses.time_s - tile.time_s).argmin())
    shown = int(subject.person[frame])
    people = [int(person) for person in np.flatnonzero(poses.seen[frame])]
    # The subject last, over the others.
    for person in sorted(people, key=lambda person: person == shown):
        points = np.round(poses.landmarks[frame, person, :, :2] * [width, height] * 16).astype(int)
        for lines, colour in ((MIDDLE_LINES, _MIDDLE), (LEFT_LINES, _LEFT), (RIGHT_LINES, _RIGHT)):
            for start, end in lines:
                cv2.line(
                    picture,
                    points[start].tolist(),
                    points[end].tolist(),
                    colour if person == shown else _OTHER,
                    2 if person == shown else 1,
                    cv2.LINE_AA,
                    shift=4,
                )
    text = f"{tile.time_s:.1f} s"
    if shown < 0:
        text += "  nobody in view" if not people else "  subject not in view"
    _write(picture, text)
    return picture


def _write(picture: np.ndarray, text: str) -> None:
    place = (6, picture.shape[0] - 8)
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, thickness, cv2.LINE_AA)
