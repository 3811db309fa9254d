"""Motion capture as footage: a parquet file of joint positions in the drop zone, in place of a video.

Only what a manifest needs is read here. The whole format is the motion room's, which also makes such files of BVH and
arrays (`posellm import motion`).
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SUFFIX = ".motion.parquet"
METADATA_KEY = b"posellm_motion"
FOREIGN_SUFFIXES = (".bvh", ".npy", ".parquet")
"""Motion files that are made into ours before they enter the drop zone."""


class UnreadableCapture(ValueError):
    """A file that cannot serve as motion capture. The message is the reason for the user, without the path."""


@dataclass(frozen=True)
class CaptureInfo:
    """What a motion-capture file holds."""

    frames: int
    fps: float
    duration_s: float
    joints: int
    skeleton: str


def is_capture(name: str) -> bool:
    """Whether a file of this name is motion capture rather than a video."""
    return name.lower().endswith(SUFFIX)


def probe_capture(path: Path) -> CaptureInfo:
    """Say what a motion-capture file holds, from its metadata.

    Raises UnreadableCapture where it is not a whole motion file, OSError where it is missing or may not be read.
    """
    try:
        with path.open("rb") as stream:
            metadata = pq.read_metadata(stream)
        about = json.loads((metadata.metadata or {})[METADATA_KEY])
        fps, joints, name = float(about["fps"]), len(about["skeleton"]["joints"]), str(about["skeleton"]["name"])
    except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise UnreadableCapture(
            f"this is not a motion file of this project, or it is cut short ({error!r}); make it with `posellm import "
            "motion`"
        ) from error
    if metadata.num_rows < 2 or not (math.isfinite(fps) and fps > 0):
        raise UnreadableCapture(f"{metadata.num_rows} frames at {fps} frames/s: movement needs at least two frames")
    return CaptureInfo(metadata.num_rows, fps, metadata.num_rows / fps, joints, name)
