"""Reading footage: what a file holds, and its frames as they should be seen.

Everything that knows FFmpeg (through PyAV) is here: presentation times, rotation, pixel formats, and how a broken file
shows itself. What is done with the frames is not.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video import VideoStream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

# Containers that hold their own frames. Playlists (HLS, DASH, concat) would make FFmpeg open other files and hosts.
CONTAINERS = "mov,mp4,m4a,3gp,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,mxf,nut"


class UnreadableVideo(ValueError):
    """A file that cannot serve as footage. The message is the reason for the user, without the path."""


@dataclass(frozen=True)
class VideoInfo:
    """What a file holds. Width and height are as shown: rotated, with square pixels."""

    width: int
    height: int
    fps: float
    duration_s: float
    frame_count: int | None
    rotation_deg: int
    codec: str
    pixel_format: str
    variable_frame_rate: bool


@dataclass(frozen=True)
class Frame:
    """A frame as it should be shown: `time_s` after the first one; `rgb` is (H, W, 3) uint8, C-contiguous."""

    time_s: float
    rgb: np.ndarray


def probe(path: Path) -> VideoInfo:
    """Say what the video holds, having read every packet and decoded its first frames and its last key frame.

    Reading the packets finds a file that was cut short; it costs about 3 microseconds per frame, decoding some 20 ms.

    Raises:
        UnreadableVideo: the file is empty, not a video, cut short, damaged, or has fewer than two frames.
        OSError: the file is missing or may not be read.
    """
    if path.stat().st_size == 0:
        raise UnreadableVideo("the file is empty (0 bytes); copy it again")
    with _opened(path) as (container, stream):
        times, last_key = _packet_times(container, stream)
        with _opened(path) as (container_again, stream_again):
            head = [frame for frame, _ in zip(container_again.decode(stream_again), range(2), strict=False)]
            if len(head) < 2:
                raise UnreadableVideo("the video has a single frame; movement needs at least two")
            if last_key is not None:
                container_again.seek(last_key, stream=stream_again)
                if next(container_again.decode(stream_again), None) is None:
                    raise UnreadableVideo("the end of the video cannot be decoded; export or download it again")
        gaps = np.diff(times)
        span_s = float(times[-1] - times[0])
        if span_s <= 0:
            raise UnreadableVideo("all frames have the same time (0 frames per second); export the video again")
        width, height, rotation = _shown(head[0], stream.sample_aspect_ratio)
        # Millisecond containers round 60 fps to 16 and 17 ms: that alone does not make a variable frame rate.
        rounding_s = 2 * max(float(_time_base(stream)), 0.001)
        return VideoInfo(
            width=width,
            height=height,
            fps=len(gaps) / span_s,
            duration_s=span_s * len(times) / len(gaps),
            frame_count=len(times),
            rotation_deg=rotation,
            codec=stream.codec_context.name,
            pixel_format=head[0].format.name,
            variable_frame_rate=bool(gaps.max() - gaps.min() > 0.1 * np.median(gaps) + rounding_s),
        )


def frames(path: Path, start_s: float = 0.0, end_s: float = math.inf) -> Iterator[Frame]:
    """Yield the frames with start_s <= time_s < end_s, in order of strictly increasing presentation time.

    One frame is held at a time. Times count from the first frame of the video, whatever the container's clock says. A
    frame shown at the very time of the one before it (some screen recorders write such) is left out.

    Raises:
        UnreadableVideo: the file is not a video, or a frame is damaged or has no time.
    """
    with _opened(path) as (container, stream):
        time_base, origin = _time_base(stream), stream.start_time or 0
        if start_s > 0:
            container.seek(origin + math.floor(start_s / time_base), stream=stream)
        stamp_of = _avi_times(path) if container.format.name == "avi" else _presentation_time
        reformatter = VideoReformatter()
        last_s = -math.inf
        size: tuple[int, int] | None = None
        for frame in container.decode(stream):
            time_s = float((stamp_of(frame) - origin) * time_base)
            if time_s >= end_s:
                return
            if time_s < start_s or time_s <= last_s:
                continue
            last_s = time_s
            width, height, rotation = _shown(frame, stream.sample_aspect_ratio)
            size = size or (width, height)
            yield Frame(time_s, _rgb(frame, size, rotation, reformatter))


def _packet_times(container: InputContainer, stream: VideoStream) -> tuple[np.ndarray, int | None]:
    """Presentation times (s) of all frames, and the time stamp of the last key frame; refuses a file cut short."""
    stamps: list[int] = []
    last_key = None
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.is_corrupt:
            raise UnreadableVideo(f"the file is damaged or cut short after frame {len(stamps)}; copy it again")
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            raise UnreadableVideo("the frames have no presentation times; convert the video to MP4 or MKV")
        if packet.is_keyframe:
            last_key = stamp
        stamps.append(stamp)
    if not stamps:
        raise UnreadableVideo("the video has no frames; it may have been cut short while it was copied")
    if len(stamps) == 1:
        raise UnreadableVideo("the video has a single frame; movement needs at least two")
    times = np.sort(np.array(stamps, dtype=np.float64)) * float(_time_base(stream))
    _refuse_if_cut_short(container, stream, times)
    return times, last_key


def _refuse_if_cut_short(container: InputContainer, stream: VideoStream, times: np.ndarray) -> None:
    if stream.frames > len(times):
        raise UnreadableVideo(
            f"the file is cut short: it announces {stream.frames} frames and holds {len(times)}; copy it again"
        )
    if stream.duration:
        announced_s = float(stream.duration * _time_base(stream))
    elif container.duration and len(container.streams) == 1:
        announced_s = container.duration / av.time_base
    else:
        return
    held_s = times[-1] - times[0] + np.median(np.diff(times))
    if held_s < 0.9 * announced_s - 1.0:
        raise UnreadableVideo(
            f"the file is cut short: it announces {announced_s:.1f} s and holds {held_s:.1f} s; copy it again"
        )


def _time_base(stream: VideoStream) -> Fraction:
    if not stream.time_base:
        raise UnreadableVideo("the video has no clock (no time base); export it again")
    return stream.time_base


def _presentation_time(frame: VideoFrame) -> int:
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None:
        raise UnreadableVideo("a frame has no presentation time; convert the video to MP4 or MKV")
    return stamp


def _avi_times(path: Path) -> Callable[[VideoFrame], int]:
    """Presentation times of an AVI, which stores none and for which FFmpeg makes up wrong ones.

    The decoding times come out in the order of presentation, late by as much as the first one is; the last frames come
    without a time, one tick apart (an AVI has a constant rate).
    """
    with _opened(path) as (container, stream):
        first = next(container.decode(stream)).dts or 0
    last = -1

    def stamp(frame: VideoFrame) -> int:
        nonlocal last
        last = last + 1 if frame.dts is None else frame.dts - first
        return last

    return stamp


def _shown(frame: VideoFrame, pixel_aspect: Fraction | None) -> tuple[int, int, int]:
    """(width, height, rotation in degrees counter-clockwise) as the frame should be shown."""
    width = round(frame.width * pixel_aspect) if pixel_aspect else frame.width
    rotation = round(frame.rotation / 90) * 90 % 360
    return (frame.height, width, rotation) if rotation % 180 else (width, frame.height, rotation)


def _rgb(frame: VideoFrame, size: tuple[int, int], rotation: int, reformatter: VideoReformatter) -> np.ndarray:
    width, height = size[::-1] if rotation % 180 else size
    # One thread: the pool has a process for each core already.
    plane = reformatter.reformat(frame, width=width, height=height, format="rgb24", threads=1).planes[0]
    # The rows of a plane may be padded; without the padding this is a view, and no copy is made.
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, : 3 * width]
    upright = np.rot90(rows.reshape(height, width, 3), rotation // 90)
    return np.ascontiguousarray(upright)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """(container, video stream), decoding with one thread; FFmpeg's errors become UnreadableVideo."""
    try:
        # The prefix keeps FFmpeg from taking a name such as "a:b.mp4" for a protocol.
        with av.open(f"file:{path}", options={"format_whitelist": CONTAINERS}) as container:
            if not container.streams.video:
                raise UnreadableVideo("the file has no video stream (only sound or data)")
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise UnreadableVideo("the video's codec is unknown; convert it to H.264 in MP4")
            stream.codec_context.thread_count = 1
            yield container, stream
    except (FileNotFoundError, PermissionError):
        raise
    except av.FFmpegError as error:
        raise UnreadableVideo(
            f"this is not a video that can be read, or it is damaged ({error.strerror}); copy or export it again"
        ) from error
