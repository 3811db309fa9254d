"""BVH files in: joint positions from the file's hierarchy and channels. Writing them is in `bvh_out.py`.

The format is Biovision's, as described in Meredith and Maddock, "Motion Capture File Formats Explained" (Sheffield,
2001). Files come from anywhere, so nothing in them is trusted: not their depth, their counts or their numbers.
"""

import codecs
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import numpy as np

from posellm_assets.footage.capture import MAX_JOINTS
from posellm_assets.footage.labels import sidecar_of
from posellm_assets.motion.joint_names import canonical_names
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.sources import Declaration, UnusableSource, motion_from_joints
from posellm_assets.parquet import MAX_VALUES

MAX_BYTES = 1 << 30
MAX_DEPTH = 100
_MAX_LINE = 1 << 20
_FRAMES_AT_ONCE = 4096
_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass
class Joint:
    """A joint, or the tip of a limb (`End Site`), as the file declares it.

    `channels` are (axis, rotates) in the file's order.
    """

    name: str
    parent: int
    is_tip: bool = False
    offset: np.ndarray = field(default_factory=lambda: np.zeros(3))
    channels: list[tuple[int, bool]] = field(default_factory=list)


@dataclass(frozen=True)
class BVH:
    """A file's joints, parents before children, their channel values (T, C) and its frame rate."""

    joints: list[Joint]
    values: np.ndarray
    fps: float | None
    """None where the file gives a frame time that is no frame rate."""

    def positions(self) -> np.ndarray:
        """(T, J, 3) in the file's units and axes.

        Rotations apply in the order of the channels; where a joint has a position channel its value stands in place
        of the offset's component.
        """
        return np.concatenate(
            [self._positions(part) for part in np.split(self.values, range(4096, len(self.values), 4096))]
        )

    def _positions(self, values: np.ndarray) -> np.ndarray:
        frames = len(values)
        turned = np.empty((len(self.joints), frames, 3, 3))
        places = np.empty((frames, len(self.joints), 3))
        column = 0
        for number, joint in enumerate(self.joints):
            local, turn = np.tile(joint.offset, (frames, 1)), np.tile(np.eye(3), (frames, 1, 1))
            for axis, rotates in joint.channels:
                value = values[:, column]
                column += 1
                if rotates:
                    turn = turn @ _about(axis, np.deg2rad(value))
                else:
                    local[:, axis] = value
            if joint.parent < 0:
                places[:, number], turned[number] = local, turn
            else:
                above = turned[joint.parent]
                places[:, number] = places[:, joint.parent] + np.einsum("tij,tj->ti", above, local)
                turned[number] = above @ turn
        return places


def read_bvh(path: Path) -> BVH:
    """Read a BVH file; raises UnusableSource where it is damaged, OSError where it cannot be read."""
    if path.stat().st_size > MAX_BYTES:
        raise UnusableSource(f"it is larger than {MAX_BYTES >> 20} MiB; cut it into takes")
    # names of joints may be in any code page; what is not UTF-8 keeps its bytes in writing, so that names differ
    with path.open(encoding=_encoding(path), errors="backslashreplace") as stream:
        lines = _Lines(stream)
        joints = _hierarchy(lines)
        frames, fps = _motion_header(lines)
        channels = sum(len(joint.channels) for joint in joints)
        _refuse_absurd(frames, channels, len(joints), path.stat().st_size)
        values = _values(lines, frames, channels)
    return BVH(joints, values, fps)


def motion_from_bvh(path: Path, said: Declaration) -> Motion:
    """The motion of a BVH file on its own skeleton; see `motion_from_joints` for units and axes.

    Tips are left out, because of two files of one rig one may have them and the other not; but the tip of a foot
    without toes is its toe. Raises UnusableSource, OSError where the file cannot be read.
    """
    bvh = read_bvh(path)
    fps = said.fps or bvh.fps
    if fps is None:
        raise UnusableSource(
            f'its frame time is no frame rate: declare it, with --fps or as {{"fps": 30}} in {sidecar_of(path).name}'
        )
    _refuse_idle_positions(bvh)
    known = canonical_names([joint.name for joint in bvh.joints], said.names)
    names = dict(said.names)
    kept = []
    for number, joint in enumerate(bvh.joints):
        side, _, part = known[joint.parent].partition("_")
        is_toe = joint.is_tip and part == "ankle" and f"{side}_toe" not in known
        if is_toe:
            names[joint.name] = f"{side}_toe"
        if is_toe or not joint.is_tip:
            kept.append(number)
    place = {number: index for index, number in enumerate(kept)}
    return motion_from_joints(
        bvh.positions()[:, kept],
        [bvh.joints[number].name for number in kept],
        [place.get(bvh.joints[number].parent, -1) for number in kept],
        fps,
        said.model_copy(update={"names": names}),
        path.name,
    )


def _encoding(path: Path) -> str:
    """By the byte order mark, or the zeros between letters; UTF-8 else."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    by_zeros = {b"H\0I\0": "utf-16-le", b"\0H\0I": "utf-16-be", b"H\0\0\0": "utf-32-le", b"\0\0\0H": "utf-32-be"}
    return by_zeros.get(head, "utf-8-sig")


def _refuse_absurd(frames: int, channels: int, joints: int, size: int) -> None:
    """Refuse counts that the file cannot hold, before memory is taken for them."""
    if frames * channels * 2 > size + 2:
        raise UnusableSource(f"it declares {frames} frames and is too short for them; copy or export it again")
    if frames * joints * 3 > MAX_VALUES:
        raise UnusableSource(
            f"it has {frames:,} frames of {joints:,} joints, more than {MAX_VALUES:,} numbers; cut it into takes"
        )


def _refuse_idle_positions(bvh: BVH) -> None:
    """Refuse positions of 0 that would stand in place of the bones' lengths, and leave a body of size 0."""
    column, bones, idle = 0, 0, []
    for joint in bvh.joints:
        places = [column + at for at, (_, rotates) in enumerate(joint.channels) if not rotates]
        column += len(joint.channels)
        if joint.parent >= 0 and not joint.is_tip and joint.offset.any():
            bones += 1
            if len(places) == 3 and not bvh.values[:, places].any():
                idle.append(joint.name)
    if len(idle) * 2 > bones:
        raise UnusableSource(
            f"{len(idle)} joints ({', '.join(idle[:3])}, ...) have position channels that are 0 in every frame, which "
            "puts them at the place of their parent: export again with rotations only, or with the positions written"
        )


class _Lines:
    """The lines of a file that hold something, with braces on lines of their own."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.number = 0
        self._waiting: list[str] = []

    def next(self) -> str:
        """The next line without white space around it, or "" at the end of the file."""
        while not self._waiting:
            line = self.stream.readline(_MAX_LINE)
            if not line:
                return ""
            if len(line) == _MAX_LINE and not line.endswith("\n"):
                raise self.error("is longer than any line of motion")
            self.number += 1
            pieces = line.replace("{", "\n{\n").replace("}", "\n}\n").split("\n")
            self._waiting = [piece.strip() for piece in pieces if piece.strip()]
        return self._waiting.pop(0)

    def error(self, what: str) -> UnusableSource:
        return UnusableSource(f"line {self.number} {what}")


def _hierarchy(lines: _Lines) -> list[Joint]:
    if lines.next().upper() != "HIERARCHY":
        raise UnusableSource("it does not begin with HIERARCHY: this is not BVH")
    joints: list[Joint] = []
    open_joints: list[int] = []
    while True:
        line = lines.next()
        word, rest = [*line.split(None, 1), "", ""][:2]
        word = word.upper()
        if word == "MOTION" and joints and not open_joints:
            return joints
        if word in ("ROOT", "JOINT", "END"):
            if (word == "ROOT") != (not open_joints) or (word == "ROOT" and joints):
                raise lines.error(f"has {line!r} where a hierarchy of one root does not")
            if len(joints) >= MAX_JOINTS or len(open_joints) >= MAX_DEPTH:
                raise lines.error(f"goes beyond {MAX_JOINTS} joints or a depth of {MAX_DEPTH}")
            if word == "END":
                rest = f"{joints[open_joints[-1]].name}_end"
            if not rest:
                raise lines.error("has a joint without a name")
            joints.append(Joint(rest, open_joints[-1] if open_joints else -1, is_tip=word == "END"))
            open_joints.append(len(joints) - 1)
            if lines.next() != "{":
                raise lines.error(f"should open the braces of {rest}")
        elif word == "OFFSET" and open_joints:
            joints[open_joints[-1]].offset = _numbers(lines, rest, 3)
        elif word == "CHANNELS" and open_joints:
            joints[open_joints[-1]].channels = _channels(lines, rest)
        elif word == "}" and open_joints:
            open_joints.pop()
        else:
            raise lines.error(f"has {line[:40]!r}, which a hierarchy does not" if line else "ends before MOTION")


def _channels(lines: _Lines, rest: str) -> list[tuple[int, bool]]:
    count, *names = rest.split() or [""]
    if not count.isdecimal() or len(names) != int(count) or int(count) > 6:
        raise lines.error("does not name as many channels as it says (at most 6)")
    channels = []
    for name in names:
        axis, kind = name[0].lower(), name[1:].lower()
        if axis not in _AXES or kind not in ("position", "rotation"):
            raise lines.error(f"has the channel {name[:40]!r}; channels are Xposition to Zrotation")
        channels.append((_AXES[axis], kind == "rotation"))
    if len(set(channels)) < len(channels):
        raise lines.error("names a channel twice")
    return channels


def _motion_header(lines: _Lines) -> tuple[int, float | None]:
    name, _, count = lines.next().partition(":")
    if name.strip().lower() != "frames" or not count.strip().isdecimal():
        raise lines.error("should be 'Frames:' and how many")
    name, _, seconds = lines.next().partition(":")
    if name.strip().lower() != "frame time":
        raise lines.error("should be 'Frame Time:' and seconds")
    (frame_s,) = _numbers(lines, seconds, 1)
    if not 1e-5 < frame_s < 100:
        return int(count), None
    fps = 1 / float(frame_s)
    # files write 0.0333333 and mean 30 frames/s
    return int(count), float(round(fps)) if abs(fps - round(fps)) < 1e-4 * fps else fps


def _values(lines: _Lines, frames: int, channels: int) -> np.ndarray:
    if not channels:
        raise UnusableSource("no joint has a channel, so nothing moves")
    values, held = np.empty((frames, channels)), 0
    while line := lines.next():
        if held == frames:
            raise lines.error(f"has more lines than the {frames} frames that the file declares")
        values[held] = _numbers(lines, line, channels)
        held += 1
    if held != frames or not held:
        raise UnusableSource(f"it declares {frames} frames and holds {held}; copy or export it again")
    return values


def _numbers(lines: _Lines, text: str, count: int) -> np.ndarray:
    try:
        numbers = np.array(text.split(), np.float64)
    except ValueError as error:
        raise lines.error(f"has something that is not a number ({error})") from error
    if len(numbers) != count:
        raise lines.error(f"has {len(numbers)} numbers where {count} belong")
    if not np.isfinite(numbers).all():
        raise lines.error("has a number that is not finite")
    return numbers


def _about(axis: int, radians: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) about an axis."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    turn = np.tile(np.eye(3), (len(radians), 1, 1))
    turn[:, i, i] = turn[:, j, j] = np.cos(radians)
    turn[:, i, j], turn[:, j, i] = -np.sin(radians), np.sin(radians)
    return turn
