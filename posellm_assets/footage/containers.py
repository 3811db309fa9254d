"""Opening footage with FFmpeg (through PyAV), and its pictures from any time on.

What a container says is not taken on trust: a seek counts only where it leads to a picture that is early enough, and a
packet that cannot be decoded costs no other.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video import VideoStream
from av.video.frame import VideoFrame

from posellm_assets.footage.capture import is_capture, is_landmarks

# Containers that hold their own frames. Playlists (HLS, DASH, concat) would make FFmpeg open other files and hosts.
CONTAINERS = "mov,mp4,m4a,3gp,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,gif,mxf,nut"
_RAW_STREAMS = "h264,hevc,vvc,obu,m4v,mpegvideo,h263,vc1,dirac,cavsvideo"
MAX_PIXELS = 8192 * 4320
"""8K. A few bytes can announce any size, and each picture takes three bytes a pixel and more."""

_MOST_PACKETS_BEFORE_KEY = 600
_AVI_REORDERING = 17  # an AVI tells when frames are decoded: at most so many before they are shown
_MOST_DAMAGED = 0.1


class UnreadableVideo(ValueError):
    """A file that cannot serve as footage. The message is the reason for the user, without the path."""


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """(container, video stream), decoding with one thread; FFmpeg's errors become UnreadableVideo."""
    if is_capture(path.name) or is_landmarks(path.name):
        raise UnreadableVideo(
            f"{path.name} holds {'motion capture' if is_capture(path.name) else 'landmarks'} and no pictures"
        )
    try:
        with open_container(path) as container:
            streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
            if not streams:
                raise UnreadableVideo("the file has no video stream (only sound or data)")
            stream = streams[0]
            if stream.codec_context is None:
                raise UnreadableVideo("the video's codec is unknown; convert it to H.264 in MP4")
            if stream.width * stream.height > MAX_PIXELS:
                raise UnreadableVideo(f"its pictures have {stream.width} x {stream.height} pixels; {_SMALLER}")
            if not stream.width or not stream.height:
                raise UnreadableVideo(f"the size of its pictures cannot be read, or is larger than 8K; {_SMALLER}")
            if not stream.time_base:
                raise UnreadableVideo("the video has no clock (no time base); export it again")
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            yield container, stream
    except av.FFmpegError as error:
        if isinstance(error, FileNotFoundError | PermissionError) and not os.access(path, os.R_OK):
            raise
        if path.is_dir():
            raise UnreadableVideo("this is a folder, and one video is wanted") from error
        if _is_raw(path):
            raise UnreadableVideo(
                "this is a raw video stream without a container, so its frames have no times; wrap it with the rate at "
                "which it was filmed: ffmpeg -r 30 -i FILE -c copy FILE.mp4"
            ) from error
        raise UnreadableVideo(
            f"this is not a video that can be read, or it is damaged ({error.strerror}); copy or export it again"
        ) from error


_SMALLER = "convert it to 8K (8192 x 4320) or less"


class Pictures:
    """The pictures of a file in the order of time, from the one on the screen at `start_s`.

    Times count from the first picture that is shown: edit lists, and what precedes the first key frame, are not.
    `first` is that picture, wherever reading began, and `pixel_aspect` the shape of its pixels. `damaged_s` are the
    times of the packets that could not be decoded, or not wholly. `is_sought` says whether a seek led to the
    start, or all was read from the beginning. All are known as far as has been read.
    """

    def __init__(self, path: Path, start_s: float = 0.0, damaged_s: list[float] | None = None):
        self.path, self.start_s = path, start_s
        self.damaged_s = [] if damaged_s is None else damaged_s
        self.first: VideoFrame | None = None
        self.pixel_aspect: Fraction | None = None
        self.is_sought = False
        self._packets = 0

    def __iter__(self) -> Iterator[tuple[float, VideoFrame]]:
        """Yield (seconds after the first picture, picture). Raises UnreadableVideo or OSError."""
        with opened(self.path) as (container, stream):
            clock, self.pixel_aspect = _Clock(container, stream), stream.sample_aspect_ratio
            pictures = self._decoded(_from_first_key(packets_of(container, stream)), clock)
            if self.start_s > 0:
                if next(pictures, None) is None:
                    return
                # In a program stream (MPG, VOB) the times are wrong for a while after a seek.
                back_s = math.inf if container.format.name == "mpeg" else 0.0
                while back_s < self.start_s:
                    sought = self._sought(container, stream, clock, back_s)
                    if sought is not None:
                        self.is_sought = True
                        yield from sought
                        return
                    back_s = 2 * back_s or 1.0
            else:
                yield from pictures
                return
        with opened(self.path) as (container, stream):
            yield from self._decoded(_from_first_key(packets_of(container, stream)), _Clock(container, stream))

    def check(self) -> None:
        """Raise UnreadableVideo where so much of what has been read is damaged that little is left of it."""
        if len(self.damaged_s) > max(1.0, _MOST_DAMAGED * self._packets):
            raise UnreadableVideo(
                f"{len(self.damaged_s)} of {self._packets} packets are damaged, the first at {self.damaged_s[0]:.2f} s;"
                " copy or export the video again"
            )

    def _sought(
        self, container: InputContainer, stream: VideoStream, clock: "_Clock", back_s: float
    ) -> Iterator[tuple[float, VideoFrame]] | None:
        """The pictures after a seek to `back_s` before the start, None where it led behind the start."""
        try:
            container.seek(clock.stamp_at(self.start_s - back_s), stream=stream)
        except av.FFmpegError:
            return None
        packets = packets_of(container, stream)
        key = next((packet for packet in packets if packet.is_keyframe and not _is_empty(packet)), None)
        if key is None or clock.latest_s(key) > self.start_s:
            return None
        clock.last = None
        pictures = self._decoded(chain([key], packets), clock)
        first = next(pictures, None)
        return None if first is None or first[0] > self.start_s else chain([first], pictures)

    def _decoded(self, packets: Iterator[Packet], clock: "_Clock") -> Iterator[tuple[float, VideoFrame]]:
        for packet in packets:
            if _is_empty(packet):  # the picture before is shown on; to a decoder it would mean the end
                continue
            pictures = _pictures_in(packet)
            at_s = clock.of_packet(packet)
            if at_s is None or at_s >= self.start_s:
                self._packets += packet.size > 0
                if packet.is_corrupt or pictures is None:
                    self.damaged_s.append(max(0.0, at_s or 0.0))
            for picture in pictures or ():
                self.first = self.first or picture
                yield clock.of_picture(picture), picture


def first_picture_s(path: Path) -> float:
    """When the first picture is shown, on the clock of the container. Raises UnreadableVideo or OSError."""
    with opened(path) as (container, stream):
        clock = _Clock(container, stream)
        for packet in _from_first_key(packets_of(container, stream)):
            for picture in _pictures_in(packet) or ():
                clock.of_picture(picture)
                return 0.0 if clock.is_avi else float((clock.origin or 0) * clock.base)
    raise UnreadableVideo("no picture can be decoded; copy or export the video again")


def _pictures_in(packet: Packet) -> list[VideoFrame] | None:
    """What a packet is decoded to, None where it is damaged."""
    try:
        return packet.decode()
    except MemoryError:
        raise
    except av.FFmpegError:
        return None


class _Clock:
    """The times of a stream, in seconds after the first picture that is decoded.

    An AVI stores no times of presentation, and FFmpeg makes up wrong ones. There the decoding times come out in the
    order of presentation, late by as much as the first one is; the last pictures come without a time, one tick apart.
    """

    def __init__(self, container: InputContainer, stream: VideoStream):
        self.base = stream.time_base or 1
        self.is_avi = container.format.name == "avi"
        self.origin: int | None = None
        self.last: int | None = None

    def of_picture(self, picture: VideoFrame) -> float:
        """Raises UnreadableVideo where the picture has no time."""
        stamp = picture.dts if self.is_avi or picture.pts is None else picture.pts
        if stamp is None and self.is_avi:
            stamp = 0 if self.last is None else self.last + 1
        if stamp is None:
            raise UnreadableVideo("a frame has no presentation time; convert the video to MP4 or MKV")
        self.last = stamp
        self.origin = stamp if self.origin is None else self.origin
        return float((stamp - self.origin) * self.base)

    def of_packet(self, packet: Packet) -> float | None:
        """When the packet's picture is shown, as far as the packet says; None before the first picture is known."""
        stamp = stamp_of(packet)
        return None if stamp is None or self.origin is None else float((stamp - self.origin) * self.base)

    def latest_s(self, packet: Packet) -> float:
        """The latest time at which the packet's picture can be shown."""
        at_s = self.of_packet(packet)
        if at_s is None:
            return math.inf
        return at_s + (float(_AVI_REORDERING * self.base) if self.is_avi else 0.0)

    def stamp_at(self, time_s: float) -> int:
        """The time as the stream writes it."""
        return (self.origin or 0) + math.floor(time_s / self.base)


def packets_of(container: InputContainer, stream: VideoStream) -> Iterator[Packet]:
    """All packets of the stream, and at the end an empty one that has no time."""
    try:
        yield from container.demux(stream)
    except IndexError:  # at the end PyAV stumbles over streams that appeared on the way, as in a damaged MPEG-TS
        return


def stamp_of(packet: Packet) -> int | None:
    """When the packet's picture is shown, or else decoded, in ticks of its stream."""
    return packet.pts if packet.pts is not None else packet.dts


def _is_empty(packet: Packet) -> bool:
    return packet.size == 0 and stamp_of(packet) is not None


def _from_first_key(packets: Iterator[Packet]) -> Iterator[Packet]:
    """The packets from the first key frame on: those before it refer to pictures that the file does not hold."""
    early: list[Packet] = []
    for packet in packets:
        if packet.is_keyframe:
            early = []
        elif len(early) < _MOST_PACKETS_BEFORE_KEY and packet.size:
            early.append(packet)
            continue
        yield from early  # nothing is marked as a key frame
        yield packet
        break
    yield from packets


def open_container(path: Path, formats: str = CONTAINERS) -> InputContainer:
    """Open a file of one of the formats; raises FFmpegError or OSError."""
    # The prefix keeps FFmpeg from taking a name such as "a:b.mp4" for a protocol.
    options = {"format_whitelist": formats, "max_pixels": str(MAX_PIXELS)}
    return av.open(f"file:{path}", options=options, metadata_errors="replace")


def _is_raw(path: Path) -> bool:
    try:
        with open_container(path, _RAW_STREAMS):
            return True
    except (av.FFmpegError, OSError):
        return False
