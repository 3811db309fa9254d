"""Footage without pictures: a parquet file in the drop zone in place of a video.

It holds motion capture (joint positions), or landmarks that were found in pictures elsewhere. Only what a manifest
needs is read here. The whole formats are the business of the motion room and the poses room, which also make such files
of others (`posellm import motion`, `posellm import poses`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from posellm_assets.parquet import (
    FAULTS,
    MAX_VALUES,
    UnreadableParquet,
    count_values,
    open_parquet,
    read_metadata,
    short,
)

SUFFIX = ".motion.parquet"
LANDMARKS_SUFFIX = ".poses.parquet"
MIN_FPS, MAX_FPS = 1.0, 10_000.0
MAX_JOINTS = 1000
MAX_PEOPLE = 16
MAX_NAME = 200
MAX_SIDE = 100_000
"""Pixels of a side of the pictures in which landmarks were found."""
METADATA_KEY = b"posellm_motion"
LANDMARKS_KEY = b"posellm_poses"
FOREIGN_SUFFIXES = (".bvh", ".npy", ".parquet")
"""Motion and landmarks that are made into ours before they enter the drop zone."""


class UnreadableCapture(ValueError):
    """A file that cannot serve as footage without pictures. The message is the reason, for the user."""


@dataclass(frozen=True)
class CaptureInfo:
    """What a motion-capture file holds."""

    frames: int
    fps: float
    duration_s: float
    joints: int
    skeleton: str


@dataclass(frozen=True)
class LandmarksInfo:
    """What a file of landmarks holds; `width` and `height` are those of the pictures in which they were found."""

    frame_count: int
    fps: float
    duration_s: float
    people: int
    width: int
    height: int


def is_capture(name: str) -> bool:
    """Whether a file of this name is motion capture rather than a video."""
    return name.lower().endswith(SUFFIX)


def is_landmarks(name: str) -> bool:
    """Whether a file of this name holds landmarks rather than a video."""
    return name.lower().endswith(LANDMARKS_SUFFIX)


def stem_of(name: str) -> str:
    """The name of a clip, of the name of its file."""
    ending = SUFFIX if is_capture(name) else LANDMARKS_SUFFIX if is_landmarks(name) else Path(name).suffix
    return name[: len(name) - len(ending)]


def probe_capture(path: Path) -> CaptureInfo:
    """Say what a motion-capture file holds, from its metadata.

    Raises UnreadableCapture where it is not a whole motion file, OSError where it is missing or may not be read.
    """
    try:
        with path.open("rb") as stream:
            metadata = open_parquet(stream).metadata
        about = read_metadata(metadata.metadata, METADATA_KEY)
        fps, joints, name = float(about["fps"]), len(about["skeleton"]["joints"]), str(about["skeleton"]["name"])
    except UnreadableParquet as error:
        raise UnreadableCapture(f"{error}; copy it again, or make it with `posellm import motion`") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnreadableCapture(
            f"this is not a motion file of this project, or it is cut short ({short(error)}); make it with `posellm "
            "import motion`"
        ) from error
    frames = metadata.num_rows
    _check_frames(frames, fps)
    if not 0 < joints <= MAX_JOINTS or frames * joints * 3 > MAX_VALUES or len(name) > MAX_NAME:
        raise UnreadableCapture(
            f"{frames:,} frames of {joints:,} joints: a motion has at most {MAX_JOINTS:,} joints and {MAX_VALUES:,} "
            "numbers; cut it into takes"
        )
    return CaptureInfo(frames, fps, frames / fps, joints, name)


def probe_landmarks(path: Path) -> LandmarksInfo:
    """Say what a file of landmarks holds, from its metadata and the times of its frames.

    Raises UnreadableCapture where it is not a whole file of poses, OSError where it is missing or may not be read.
    """
    try:
        with path.open("rb") as stream:
            file = open_parquet(stream)
            about = read_metadata(file.metadata.metadata, LANDMARKS_KEY)
            fps, people, width, height = float(about["fps"]), about["people"], about["width"], about["height"]
            _check_size(file, people, width, height)
            time_s = _times_of_frames(file)
    except UnreadableParquet as error:
        raise UnreadableCapture(f"{error}; copy it again, or make it with `posellm import poses`") from error
    except (UnreadableCapture, FileNotFoundError, PermissionError):
        raise
    except FAULTS as error:
        raise UnreadableCapture(
            f"this is not a file of poses of this project, or it is cut short ({short(error)}); make it with `posellm "
            "import poses`"
        ) from error
    frames = len(time_s)
    _check_frames(frames, fps)
    span_s = float(time_s[-1] - time_s[0])
    if not (np.isfinite(time_s).all() and (np.diff(time_s) > 0).all() and time_s[0] >= 0):
        raise UnreadableCapture(f"the times of its {frames} frames do not increase from 0 on; export it again")
    _check_frames(frames, (frames - 1) / span_s)
    return LandmarksInfo(frames, fps, span_s * frames / (frames - 1), people, width, height)


def _check_frames(frames: int, fps: float) -> None:
    if frames < 2 or not MIN_FPS <= fps <= MAX_FPS:
        raise UnreadableCapture(
            f"{frames} frames at {fps:g} frames/s: movement needs two frames, at {MIN_FPS:g} to {MAX_FPS:,.0f} a second"
        )


def _check_size(file: pq.ParquetFile, people: object, width: object, height: object) -> None:
    """Refuse what claims more people, pixels or numbers than a clip has; every frame has room for all its people."""
    if not isinstance(people, int) or not 0 < people <= MAX_PEOPLE:
        raise UnreadableCapture(f"{people!r:.40} people: a clip has 1 to {MAX_PEOPLE}; export it again")
    if not all(isinstance(side, int) and 0 < side <= MAX_SIDE for side in (width, height)):
        raise UnreadableCapture(f"pictures of {width!r:.40} x {height!r:.40}: a side has 1 to {MAX_SIDE:,} pixels")
    if (numbers := people * count_values(file)) > MAX_VALUES:
        raise UnreadableCapture(f"room for {numbers:,} numbers, of at most {MAX_VALUES:,}; cut it into clips")


def _times_of_frames(file: pq.ParquetFile) -> np.ndarray:
    """(T,) float64 seconds; a frame has a row for each person in it, or one for nobody."""
    table = file.read(columns=["frame", "time_s"], use_threads=False)
    frame, time_s = table["frame"].to_numpy(), table["time_s"].to_numpy()
    steps = np.diff(frame, prepend=-1)
    if not np.isin(steps, (0, 1)).all():
        raise ValueError("its frames are not counted one by one from 0")
    return np.asarray(time_s[steps == 1], np.float64)
