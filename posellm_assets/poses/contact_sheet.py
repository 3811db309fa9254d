"""Six frames of a clip with the skeleton over them, so that a person sees at a glance whether it worked.

Left limbs are blue, right limbs orange, other people grey.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from posellm_assets.poses.drawing import FONT, draw_skeleton
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import Subject

TILES = 6
_TILE_PX = 320  # the longer side
_WIDTH_PX = 660  # what the Dagster UI shows without scrolling
_MAX_BYTES = 60_000
_OTHER = (150, 150, 150)


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
    return Tile(time_s, cv2.resize(rgb, _size(width, height), interpolation=cv2.INTER_AREA))


def blank(time_s: float, width: int, height: int) -> Tile:
    """The tile of a frame whose picture, of so many pixels, is not at hand: black."""
    across, down = _size(width, height)
    return Tile(time_s, np.zeros((down, across, 3), np.uint8))


def contact_sheet(tiles: list[Tile], poses: Poses, subject: Subject) -> bytes:
    """The sheet as a JPEG of at most 60 KB: two tiles in a row or three upright ones, each with its time."""
    drawn = [_drawn(tile, poses, subject) for tile in tiles]
    height, width = drawn[0].shape[:2]
    columns = min(3, _WIDTH_PX // width)
    rows = -(-len(drawn) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for index, picture in enumerate(drawn):
        row, column = divmod(index, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    sheet = cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR)
    for quality in range(85, 0, -10):
        jpeg = cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(jpeg) <= _MAX_BYTES:
            break
    return jpeg


def _size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of the tile of a picture."""
    scale = _TILE_PX / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _drawn(tile: Tile, poses: Poses, subject: Subject) -> np.ndarray:
    picture = tile.rgb.copy()
    frame = int(np.abs(poses.time_s - tile.time_s).argmin())
    shown = int(subject.person[frame])
    people = [int(person) for person in np.flatnonzero(poses.seen[frame])]
    # The subject last, over the others.
    for person in sorted(people, key=lambda person: person == shown):
        thick, colour = (2, None) if person == shown else (1, _OTHER)
        draw_skeleton(picture, poses.landmarks[frame, person], thick, colour)
    text = f"{tile.time_s:.1f} s"
    if shown < 0:
        text += "  nobody in view" if not people else "  subject not in view"
    _write(picture, text)
    return picture


def _write(picture: np.ndarray, text: str) -> None:
    place = (6, picture.shape[0] - 8)
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, place, FONT, 0.45, colour, thickness, cv2.LINE_AA)
