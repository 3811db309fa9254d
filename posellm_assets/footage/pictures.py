"""A decoded picture as it should be seen: turned and mirrored as players do, with square pixels, in RGB."""

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from posellm_assets.footage.containers import MAX_PIXELS, UnreadableVideo

_WIDEST_PIXEL = 8


@dataclass(frozen=True)
class Orientation:
    """How a stored picture is laid on the screen: first its axes are exchanged, then the result is mirrored."""

    transposed: bool
    mirrored_across: bool
    mirrored_down: bool

    @property
    def rotation_deg(self) -> int:
        """By how much it is turned counter-clockwise, after the mirror if there is one."""
        quarter = 1 if self.transposed else 0
        if self.is_mirror:
            return 90 * (quarter + 2 * self.mirrored_down) % 360
        return (90 if self.mirrored_down else 270) if self.transposed else 180 * self.mirrored_across

    @property
    def is_mirror(self) -> bool:
        """Whether left and right are exchanged, with or without a turn."""
        return self.transposed ^ self.mirrored_across ^ self.mirrored_down

    def applied(self, picture: np.ndarray) -> np.ndarray:
        """The (H, W, 3) picture as shown; a view."""
        picture = picture.swapaxes(0, 1) if self.transposed else picture
        picture = picture[:, ::-1] if self.mirrored_across else picture
        return picture[::-1] if self.mirrored_down else picture


def orientation(frame: VideoFrame) -> Orientation:
    """What the display matrix of a frame says, to the nearest quarter of a turn."""
    try:
        data = frame.side_data["DISPLAYMATRIX"]  # type: ignore[typeddict-item]  # PyAV's types name one kind only
    except KeyError:
        return Orientation(False, False, False)
    # A point (x, y) of the picture goes to (a x + c y, b x + d y), with y down.
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)


def shown_size(frame: VideoFrame, pixel_aspect: Fraction | None, shown: Orientation) -> tuple[int, int]:
    """(width, height) of the picture as shown, laid on the screen as `shown` says.

    Raises UnreadableVideo where its pixels have a shape that no camera gives, or it would be larger than 8K.
    """
    aspect = pixel_aspect or Fraction(1)
    if not Fraction(1, _WIDEST_PIXEL) <= aspect <= _WIDEST_PIXEL:
        raise UnreadableVideo(
            f"its pixels are said to be {float(aspect):g} times as wide as high; export the video with square pixels"
        )
    width, height = max(1, round(frame.width * aspect)), frame.height
    if width * height > MAX_PIXELS:
        raise UnreadableVideo(f"its pictures have {width} x {height} pixels; convert it to 8K (8192 x 4320) or less")
    return (height, width) if shown.transposed else (width, height)


def fitted(own: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a picture of `own` size as it fits into another `size` without being squeezed."""
    if abs(own[0] * size[1] / (own[1] * size[0]) - 1) < 0.01:  # the same shape, larger or smaller
        return size
    scale = min(size[0] / own[0], size[1] / own[1])
    return max(1, round(own[0] * scale)), max(1, round(own[1] * scale))


def rgb_of(
    frame: VideoFrame,
    shown: Orientation,
    inner: tuple[int, int],
    size: tuple[int, int],
    mirrored: bool,
    reformatter: VideoReformatter,
) -> np.ndarray:
    """(H, W, 3) uint8, C-contiguous, of `size` (width, height): the picture as large as `inner`, black around it.

    `mirrored`: the camera stored the picture as a mirror shows it, so it is mirrored back. Raises UnreadableVideo where
    the picture's format cannot be converted.
    """
    width, height = inner[::-1] if shown.transposed else inner
    # One thread: the pool has a process for each core already.
    try:
        plane = reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1).planes[0]
    except av.FFmpegError as error:  # a damaged stream may claim a format that nothing converts
        raise UnreadableVideo(
            f"its pictures ({frame.format.name}) cannot be converted to RGB ({error.strerror}); convert the video to "
            "H.264 in MP4"
        ) from error
    # The rows of a plane may be padded; without the padding this is a view, and no copy is made.
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, : 3 * width]
    picture = shown.applied(rows.reshape(height, width, 3))
    picture = picture[:, ::-1] if mirrored else picture
    if inner == size:
        return np.ascontiguousarray(picture)
    whole = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    whole[top : top + inner[1], left : left + inner[0]] = picture
    return whole
