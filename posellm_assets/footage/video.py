"""Reading footage: what a file holds, and its frames as they should be seen.

What is done with the frames is not here; how FFmpeg is asked for them is in `containers`, how a picture is laid on the
screen in `pictures`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from posellm_assets.footage.containers import Pictures, UnreadableVideo, opened
from posellm_assets.footage.labels import LabelError, Labels
from posellm_assets.footage.packets import check_clock, read_packets
from posellm_assets.footage.pictures import fitted, orientation, rgb_of, shown_size

_LONGEST_LAST_S = 1.0


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds. Width and height are as shown: rotated, with square pixels.

    `mirrored`: the container says that players are to mirror the picture, before it is turned by `rotation_deg`.
    `seekable`: reading can begin in the middle; else whatever is before has to be decoded too.
    """

    width: int
    height: int
    fps: float
    duration_s: float
    frame_count: int | None
    rotation_deg: int
    codec: str
    pixel_format: str
    variable_frame_rate: bool
    mirrored: bool = False
    seekable: bool = True


@dataclass(frozen=True)
class Frame:
    """A frame as it should be shown: `time_s` after the first one; `rgb` is (H, W, 3) uint8, C-contiguous.

    All frames of a video have the size of the first. Where the picture changes its shape, a new `shot` begins, and its
    frames lie on black.
    """

    time_s: float
    rgb: np.ndarray
    shot: int = 0


def probe(path: Path) -> VideoInfo:
    """Say what the video holds, having read every packet and decoded its first frames and its last key frame.

    Reading the packets finds a file that was cut short; it costs about 3 microseconds per frame, decoding some 20 ms.

    Raises:
        UnreadableVideo: the file is empty, not a video, cut short, damaged, too large, or has fewer than two frames.
        OSError: the file is missing or may not be read.
    """
    if path.stat().st_size == 0:
        raise UnreadableVideo("the file is empty (0 bytes); copy it again")
    with opened(path) as (container, stream):
        packets, time_base = read_packets(path, container, stream), stream.time_base or 1
        head = [picture for (_, picture), _ in zip(Pictures(path), range(2), strict=False)]
        if len(head) < 2:
            raise UnreadableVideo("fewer than two frames can be decoded; export or download the video again")
        first = head[0].pts if head[0].pts is not None and container.format.name != "avi" else packets.stamps[0]
        times = packets.stamps[packets.stamps >= first] * float(time_base)
        if len(times) < 2:
            raise UnreadableVideo("the video has a single frame; movement needs at least two")
        check_clock(times)
        last_key_s = float((packets.last_key - first) * time_base)
        end = Pictures(path, last_key_s)
        if last_key_s > 0 and not any(time_s >= last_key_s for time_s, _ in end):
            raise UnreadableVideo("the end of the video cannot be decoded; export or download it again")
        gaps, span_s = np.diff(times), float(times[-1] - times[0])
        shown = orientation(head[0])
        width, height = shown_size(head[0], stream.sample_aspect_ratio, shown)
        # Millisecond containers round 60 fps to 16 and 17 ms: that alone does not make a variable frame rate.
        rounding_s = 2 * max(float(time_base), 0.001)
        is_variable = bool(gaps.max() - gaps.min() > 0.1 * np.median(gaps) + rounding_s)
        duration_s = span_s * len(times) / len(gaps)
        if packets.last_s and (is_variable or packets.last_s < 0.9 * span_s / len(gaps)):
            # Held for longer, the last one is a picture that stands still.
            duration_s = span_s + min(packets.last_s, _LONGEST_LAST_S)
        return VideoInfo(
            width=width,
            height=height,
            fps=len(gaps) / span_s,
            duration_s=duration_s,
            frame_count=len(times),
            rotation_deg=shown.rotation_deg,
            codec=stream.codec_context.name,
            pixel_format=head[0].format.name,
            variable_frame_rate=is_variable,
            mirrored=shown.is_mirror,
            seekable=last_key_s <= 0 or end.is_sought,
        )


def frames(
    path: Path, start_s: float = 0.0, end_s: float = math.inf, damaged_s: list[float] | None = None
) -> Iterator[Frame]:
    """Yield the frames with start_s <= time_s < end_s, in order of strictly increasing presentation time.

    One frame is held at a time. Times count from the first frame of the video, whatever the container's clock says. A
    frame shown at the very time of the one before it (some screen recorders write such) is left out. A sidecar that
    says so has the picture mirrored back. Packets that cannot be decoded are left out; their times go to `damaged_s`.

    Raises:
        UnreadableVideo: the file is not a video, much of it is damaged, or a frame has no time.
    """
    return (frame for frame in shown_frames(path, start_s, end_s, damaged_s) if frame.time_s >= start_s)


def shown_frames(
    path: Path, start_s: float = 0.0, end_s: float = math.inf, damaged_s: list[float] | None = None
) -> Iterator[Frame]:
    """As `frames`, but first comes the frame that is on the screen at `start_s`, which may have begun before."""
    mirrored = is_mirrored(path)
    pictures = Pictures(path, start_s, damaged_s)
    reformatter = VideoReformatter()
    shot = 0
    size: tuple[int, int] | None = None
    inner: tuple[int, int] | None = None
    for time_s, picture in _on_screen(pictures, start_s, end_s):
        if size is None:
            first = pictures.first or picture
            size = shown_size(first, pictures.pixel_aspect, orientation(first))
        shown = orientation(picture)
        before, inner = inner, fitted(shown_size(picture, pictures.pixel_aspect, shown), size)
        shot += before is not None and inner != before
        yield Frame(time_s, rgb_of(picture, shown, inner, size, mirrored, reformatter), shot)
    pictures.check()


def is_mirrored(path: Path) -> bool:
    """Whether the sidecar says that the camera stored the picture as a mirror shows it.

    Raises UnreadableVideo where the sidecar cannot be used.
    """
    try:
        return Labels.beside(path).mirrored
    except LabelError as error:
        raise UnreadableVideo(str(error)) from error


def _on_screen(pictures: Pictures, start_s: float, end_s: float) -> Iterator[tuple[float, VideoFrame]]:
    """The last picture up to `start_s`, and those that follow before `end_s`."""
    last_s, waiting = -math.inf, None
    for time_s, picture in pictures:
        if time_s >= end_s:
            break
        if time_s <= last_s:
            continue
        last_s = time_s
        if time_s <= start_s:
            waiting = time_s, picture
            continue
        if waiting:
            yield waiting
            waiting = None
        yield time_s, picture
    if waiting:
        yield waiting
