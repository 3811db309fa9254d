"""What a file holds, read from its packets without decoding: its clock, its key frames, whether its end is there."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video import VideoStream

from posellm_assets.footage.containers import UnreadableVideo, packets_of, stamp_of

# Between two pictures that lie further apart nothing that moves can be seen, and work grows with the time.
_LONGEST_STILL_S = 600.0
_FEWEST_FPS = 0.1
_JUMP_BACK_S = 1.0


@dataclass(frozen=True)
class Packets:
    """The pictures that a stream holds: `stamps` (T,) int64, sorted, in ticks of the stream.

    `last_key` is the last key frame among them, or the first of them where there is none; `last_s` is how long the last
    one says that it is shown, 0 where it says nothing.
    """

    stamps: np.ndarray
    last_key: int
    last_s: float


def read_packets(path: Path, container: InputContainer, stream: VideoStream) -> Packets:
    """Read all packets of the stream.

    Raises UnreadableVideo where the file is cut short, holds no two pictures, or has a clock that cannot be used.
    """
    base = float(stream.time_base or 1)
    stamps: list[int] = []
    keys: list[int] = []
    ends = [0]
    count, last_dts, last_packet, cut = 0, None, (0, 0), False
    for packet in packets_of(container, stream):
        stamp = stamp_of(packet)
        if packet.size == 0 and stamp is None:
            continue
        if stamp is None:
            raise UnreadableVideo("the frames have no presentation times; convert the video to MP4 or MKV")
        count += 1
        cut = packet.is_corrupt
        if packet.is_discard:  # an edit list hides it
            continue
        ends.append(stamp + (packet.duration or 0))
        if packet.size == 0:  # the picture before is shown on
            continue
        if packet.dts is not None:
            if last_dts is not None and (last_dts - packet.dts) * base > _JUMP_BACK_S:
                back_s = (last_dts - packet.dts) * base
                raise UnreadableVideo(
                    f"the clock jumps back by {back_s:.1f} s after frame {len(stamps)}, as where recordings were put "
                    "together; write them anew: ffmpeg -i FILE -c copy FILE.mp4"
                )
            last_dts = packet.dts
        stamps.append(stamp)
        if packet.is_keyframe:
            keys.append(stamp)
        last_packet = max(last_packet, (stamp, packet.duration or 0))
    if cut:
        raise UnreadableVideo(f"the file is cut short after frame {len(stamps)}; copy it again")
    if not stamps:
        raise UnreadableVideo("the video has no frames; it may have been cut short while it was copied")
    if len(stamps) == 1:
        raise UnreadableVideo("the video has a single frame; movement needs at least two")
    ordered = np.unique(np.array(stamps, dtype=np.int64))  # of two frames at one time one is shown
    if len(ordered) == 1:
        raise UnreadableVideo("all frames have the same time (0 frames per second); export the video again")
    _refuse_if_cut_short(path, container, stream, count, (max(ends) - int(ordered[0])) * base)
    return Packets(ordered, keys[-1] if keys else int(ordered[0]), last_packet[1] * base)


def check_clock(times_s: np.ndarray) -> None:
    """Raise UnreadableVideo where the times of the pictures (T,) jump, or are too far apart."""
    span_s = float(times_s[-1] - times_s[0])
    gaps = np.diff(times_s)
    widest = int(gaps.argmax())
    if gaps[widest] > _LONGEST_STILL_S:
        raise UnreadableVideo(
            f"the clock jumps by {gaps[widest]:.0f} s after frame {widest + 1}, at {times_s[widest] - times_s[0]:.2f} "
            "s; cut the video there, or export it again"
        )
    if len(times_s) < _FEWEST_FPS * span_s - 1:
        raise UnreadableVideo(
            f"it has {len(times_s)} frames in {span_s:.0f} s: between them no movement can be seen; film with 24 frames"
            " a second or more"
        )


def _refuse_if_cut_short(path: Path, container: InputContainer, stream: VideoStream, count: int, held_s: float) -> None:
    """Compare what the container promises with what is there; how exactly that can be done depends on its kind."""
    formats = set(container.format.name.split(","))
    if "mp4" in formats and stream.frames:
        # Edit lists hide packets from the stream, and from this index as well.
        if (indexed := len(stream.index_entries)) > count:
            raise UnreadableVideo(
                f"the file is cut short: it announces {indexed} frames and holds {count}; copy it again"
            )
        return
    if "matroska" in formats and (announced := _matroska_bytes(path)):
        if announced > path.stat().st_size:
            raise UnreadableVideo(
                f"the file is cut short: it announces {announced} bytes and holds {path.stat().st_size}; copy it again"
            )
        return
    if "avi" in formats:
        # Empty chunks, which hold the picture before, are counted in the header, and are no packets.
        if stream.frames > held_s / float(stream.time_base or 1) + 0.5 and not _is_whole_riff(path):
            raise UnreadableVideo(
                f"the file is cut short: it announces {stream.frames} frames and holds {count}; copy it again"
            )
        return
    if "mpegts" in formats and not _ends_with_packet(path):
        raise UnreadableVideo(f"the file is cut short within a packet, after frame {count}; copy it again")
    if stream.duration and stream.time_base:
        announced_s = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:
        announced_s = container.duration / av.time_base
    else:
        return
    if held_s < 0.9 * announced_s - 1.0:
        raise UnreadableVideo(
            f"the file is cut short: it announces {announced_s:.1f} s and holds {held_s:.1f} s; copy it again"
        )


def _is_whole_riff(path: Path) -> bool:
    """Whether an AVI is as long as each of its parts says that it is."""
    size, position = path.stat().st_size, 0
    with path.open("rb") as stream:
        while position < size:
            stream.seek(position)
            head = stream.read(8)
            if head[:4] != b"RIFF":
                break
            length = int.from_bytes(head[4:], "little")
            position += 8 + length + length % 2
            if not length:
                return False
    return 0 < position <= size + 1


def _ends_with_packet(path: Path) -> bool:
    """Whether a transport stream ends where one of its packets does; true where no packets are found."""
    with path.open("rb") as stream:
        head = stream.read(2048)
    for length, before in ((188, 0), (192, 4), (204, 0)):
        for start in range(length):
            if head[start + before :: length][:4] == b"\x47" * 4:
                return (path.stat().st_size - start) % length == 0
    return True


def _matroska_bytes(path: Path) -> int | None:
    """How long a Matroska file says that it is; None where it was written without knowing."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    position = 4
    for is_segment in (False, True):
        if not is_segment and not head.startswith(b"\x1a\x45\xdf\xa3"):
            return None
        length = 9 - head[position].bit_length() if position < len(head) and head[position] else 0
        size = int.from_bytes(head[position : position + length], "big") & ((1 << 7 * length) - 1)
        position += length
        if not length or size == (1 << 7 * length) - 1:
            return None
        if is_segment:
            return position + size
        position += size
        if head[position : position + 4] != b"\x18\x53\x80\x67":
            return None
        position += 4
    return None
