"""From clips to poses, quality verdicts and contact sheets, over a pool.

Of a clip of which only landmarks are at hand these are the poses, judged like those found here.

A worker takes a clip, or a piece of a long one, frame by frame: decoded frames are never held, landmarks are (1 KB
a frame and person, 230 MB for two hours of one person). MediaPipe is loaded by the workers only.
"""

import atexit
import ctypes
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from posellm_assets.files import write_bytes, write_json
from posellm_assets.footage.capture import LandmarksInfo, UnreadableCapture, is_landmarks, probe_landmarks
from posellm_assets.footage.cuts import CutFinder
from posellm_assets.footage.video import UnreadableVideo, VideoInfo, frames, is_mirrored, probe
from posellm_assets.pool import LocalPool, Pool
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.landmarks import COUNT
from posellm_assets.poses.models import Model, ensure_model, model_named
from posellm_assets.poses.poses import CHANNELS, Poses
from posellm_assets.poses.quality import Quality, assess
from posellm_assets.poses.subjects import choose_subject
from posellm_assets.records import Record

if TYPE_CHECKING:
    from posellm_assets.poses.contact_sheet import Tile
    from posellm_assets.poses.landmarker import ImageLandmarker

# How often a clip is looked at for several people: one look costs as much as two frames.
_LOOK_EVERY_S = 5.0
_FEWEST_LOOKS = 4
# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class PoseItem:
    """A video, or a file of its landmarks, and where poses (parquet), quality (JSON) and contact sheet (JPEG) go."""

    key: str
    video: Path
    poses: Path
    quality: Path
    contact_sheet: Path


class PoseSummary(Record):
    """What an extraction gave, for a log or a table."""

    key: str
    frames: int
    people: int
    tracks: int
    model_sha256: str
    quality: Quality


@dataclass(frozen=True)
class _Piece:
    clip: PoseItem
    info: VideoInfo | LandmarksInfo
    config: PoseConfig
    index: int
    of: int

    @property
    def span(self) -> tuple[float, float]:
        """(start, end) in seconds of the frames that the piece gives."""
        length = self.info.duration_s / self.of
        return self.index * length, (self.index + 1) * length if self.index + 1 < self.of else math.inf


def extract_clips(
    clips: Sequence[PoseItem],
    pool: Pool,
    config: PoseConfig,
    progress: Callable[[str, float], None] | None = None,
) -> Iterator[tuple[str, PoseSummary | Exception]]:
    """Extract clips over the pool; yield (key, summary or what went wrong) in the order of completion.

    Each clip's three files are written atomically, the poses last, so that where poses are the rest is too. A clip that
    fails writes nothing and stops no other. `progress(key, share)` is called after each piece of a clip.

    Raises:
        ModelUnavailable: before anything is extracted, where the model can be neither found nor fetched and is needed.
    """
    if not all(is_landmarks(clip.video.name) for clip in clips):
        ensure_model(config.network)  # once here, so that a missing model is one error and not one per clip
    unreadable: list[tuple[str, Exception]] = []
    parts: dict[str, list[_Followed]] = {}
    broken: set[str] = set()
    for piece, outcome in pool.map(_work, _pieces(clips, config, unreadable)):
        key = piece.clip.key
        if isinstance(outcome, Exception):
            if key not in broken:
                yield key, outcome
            broken.add(key)
        elif isinstance(outcome, PoseSummary):
            yield key, outcome
        elif key not in broken:
            parts.setdefault(key, []).append(outcome)
            if len(parts[key]) == piece.of:
                yield key, _finish(piece, parts.pop(key))
        if progress and key not in broken:
            progress(key, len(parts[key]) / piece.of if key in parts else 1.0)
        while unreadable:
            yield unreadable.pop()
    yield from unreadable


@dataclass(frozen=True)
class _Followed:
    """What one piece gave: T frames, (T, P, 33, 8) values with NaN where there is nobody, and its tiles.

    Also where the video was cut, and where packets were damaged.
    """

    time_s: np.ndarray
    values: np.ndarray
    cuts_s: list[float]
    damaged_s: list[float]
    tiles: "list[Tile]"


def poses_of(video: Path, config: PoseConfig, pool: Pool | None = None) -> tuple[Poses, Quality]:
    """The poses of one video, or file of landmarks, and the verdicts on them, kept nowhere.

    Found by `pool`, by processes that end with it where none is given.

    Raises ValueError where it cannot be read, or shows nobody well enough to build on.
    """
    try:
        _probed(video)
    except (UnreadableVideo, UnreadableCapture) as error:
        raise ValueError(f"{video}: {error}") from error
    with TemporaryDirectory() as name:
        folder = Path(name)
        clip = PoseItem(video.name, video, folder / "poses.parquet", folder / "quality.json", folder / "sheet.jpg")
        ((_, summary),) = extract_clips([clip], pool or LocalPool(), config)
        if isinstance(summary, Exception):
            raise ValueError(f"{video}: {summary}") from summary
        if not summary.quality.passed:
            raise ValueError(f"{video}: {summary.quality.reason}")
        return Poses.read(clip.poses), summary.quality


def _probed(path: Path) -> VideoInfo | LandmarksInfo:
    return probe_landmarks(path) if is_landmarks(path.name) else probe(path)


def _pieces(clips: Iterable[PoseItem], config: PoseConfig, unreadable: list[tuple[str, Exception]]) -> Iterator[_Piece]:
    for clip in clips:
        try:
            info = _probed(clip.video)
        except (UnreadableVideo, UnreadableCapture, OSError) as error:
            unreadable.append((clip.key, error))
            continue
        is_whole = info.duration_s <= 1.5 * config.piece_s or isinstance(info, LandmarksInfo) or not info.seekable
        of = 1 if is_whole else math.ceil(info.duration_s / config.piece_s)
        yield from (_Piece(clip, info, config, index, of) for index in range(of))


def _work(piece: _Piece) -> PoseSummary | _Followed:
    """In a worker: a whole clip to its files, or a piece of one to its landmarks."""
    if isinstance(piece.info, LandmarksInfo):
        return _take_in(piece.clip, piece.info, piece.config)
    model = _prepared(piece.config.network)
    part = _follow(piece, model, people=1) or _follow(piece, model, people=piece.config.max_people)
    assert part is not None
    return part if piece.of > 1 else _finish(piece, [part])


@functools.cache
def _prepared(network: str) -> Model:
    """Once for each worker: the model, and an allocator that keeps the memory of a frame for the next one."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        # glibc otherwise maps and unmaps the pictures of every frame: 670 page faults, 1 ms a frame at 720p.
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 28)
        libc.mallopt(_M_TRIM_THRESHOLD, 1 << 29)
    return ensure_model(network)


def _follow(piece: _Piece, model: Model, people: int) -> _Followed | None:
    """Run the landmarker over a piece; None where one person was to be followed and several are in view."""
    from posellm_assets.poses.contact_sheet import small, tile_times
    from posellm_assets.poses.landmarker import VideoLandmarker

    config, info = piece.config, piece.info
    start_s, end_s = piece.span
    lead_s = config.overlap_frames / info.fps if piece.index else 0.0
    looks = _look_times(start_s, min(end_s, info.duration_s)) if people == 1 < config.max_people else []
    due = [time_s for time_s in tile_times(info.duration_s) if start_s <= time_s < end_s]
    time_s: list[float] = []
    found: list[np.ndarray] = []
    tiles: list[Tile] = []
    cuts_s: list[float] = []
    damaged_s: list[float] = []
    finder = CutFinder()
    with VideoLandmarker(model.path, people, config.min_confidence) as landmarker:
        for frame in frames(piece.clip.video, start_s - lead_s, end_s, damaged_s):
            if finder.is_cut(frame):
                landmarker.look_anew()
                cuts_s += [frame.time_s] if frame.time_s >= start_s else []
            if looks and frame.time_s >= looks[0]:
                looks.pop(0)
                if len(_looker(model, config).landmarks(frame.rgb)) > 1:
                    return None
            landmarks = landmarker.landmarks(frame.rgb, frame.time_s)
            if frame.time_s < start_s:
                continue
            time_s.append(frame.time_s)
            found.append(landmarks)
            if due and frame.time_s >= due[0]:
                due.pop(0)
                tiles.append(small(frame.time_s, frame.rgb))
    values = np.full((len(found), max(map(len, found), default=0), COUNT, len(CHANNELS)), np.nan, np.float32)
    for frame_index, landmarks in enumerate(found):
        values[frame_index, : len(landmarks)] = landmarks
    own_damaged_s = [damage_s for damage_s in damaged_s if start_s <= damage_s < end_s]
    return _Followed(np.array(time_s), values, cuts_s, own_damaged_s, tiles)


def _look_times(start_s: float, end_s: float) -> list[float]:
    count = max(_FEWEST_LOOKS, round((end_s - start_s) / _LOOK_EVERY_S))
    return [start_s + (index + 0.5) * (end_s - start_s) / count for index in range(count)]


@functools.cache
def _looker(model: Model, config: PoseConfig) -> "ImageLandmarker":
    """The worker's landmarker for single pictures: it remembers nothing, so one serves all clips."""
    from posellm_assets.poses.landmarker import ImageLandmarker

    looker = ImageLandmarker(model.path, config.max_people, config.min_confidence)
    atexit.register(looker.forget)
    return looker


def _take_in(clip: PoseItem, info: LandmarksInfo, config: PoseConfig) -> PoseSummary:
    """The files of a clip of its landmarks. No picture is at hand, so the sheet shows them on black."""
    from posellm_assets.poses.contact_sheet import blank, tile_times

    poses = Poses.read(clip.video, "copy the file again, or make it with `posellm import poses`")
    if is_mirrored(clip.video):
        poses = poses.mirrored()
    tiles = [blank(time_s, info.width, info.height) for time_s in tile_times(info.duration_s)]
    return _written(clip, poses, config, tiles)


def _finish(piece: _Piece, parts: list[_Followed]) -> PoseSummary:
    """Join the parts of a clip, judge them, and write its three files."""
    poses = _joined(parts, piece.info, piece.config)
    tiles = sorted((tile for part in parts for tile in part.tiles), key=lambda tile: tile.time_s)
    damaged_s = sorted(time_s for part in parts for time_s in part.damaged_s)
    return _written(piece.clip, poses, piece.config, tiles, damaged_s, piece.info.frame_count)


def _written(
    clip: PoseItem,
    poses: Poses,
    config: PoseConfig,
    tiles: "list[Tile]",
    damaged_s: Sequence[float] = (),
    frames: int | None = None,
) -> PoseSummary:
    """Judge the poses of a clip and write its three files."""
    from posellm_assets.poses.contact_sheet import contact_sheet

    subject = choose_subject(poses)
    quality = assess(poses.of(subject.person), config, damaged_s, frames)
    write_bytes(clip.contact_sheet, contact_sheet(tiles, poses, subject))
    write_json(clip.quality, quality.model_dump())
    poses.write(clip.poses)
    return PoseSummary(
        key=clip.key,
        frames=len(poses.time_s),
        people=poses.landmarks.shape[1],
        tracks=subject.tracks,
        model_sha256=poses.model_sha256,
        quality=quality,
    )


def _joined(parts: list[_Followed], info: VideoInfo | LandmarksInfo, config: PoseConfig) -> Poses:
    parts = sorted((part for part in parts if len(part.time_s)), key=lambda part: part.time_s[0])
    if sum(len(part.time_s) for part in parts) < 2:
        raise UnreadableVideo("fewer than two frames could be decoded; export the video again")
    people = max(1, *(part.values.shape[1] for part in parts))
    values = np.full((sum(len(part.time_s) for part in parts), people, COUNT, len(CHANNELS)), np.nan, np.float32)
    start = 0
    for part in parts:
        values[start : start + len(part.time_s), : part.values.shape[1]] = part.values
        start += len(part.time_s)
    return Poses(
        time_s=np.concatenate([part.time_s for part in parts]),
        landmarks=values[..., 0:3],
        visibility=values[..., 3],
        presence=values[..., 4],
        world=values[..., 5:8],
        width=info.width,
        height=info.height,
        fps=info.fps,
        model_sha256=model_named(config.network).sha256,
        parameters=config.model_dump(),
        cuts_s=tuple(cut_s for part in parts for cut_s in part.cuts_s),
    )
