"""Motion capture as footage: a parquet file of joint positions in the drop zone, in place of a video.

Only what a manifest needs is read here. The whole format is the motion room's, which also makes such files of BVH and
arrays (`posellm import motion`).
"""

from dataclasses import dataclass
from pathlib import Path

from posellm_assets.parquet import MAX_VALUES, UnreadableParquet, open_parquet, read_metadata, short

SUFFIX = ".motion.parquet"
MIN_FPS, MAX_FPS = 1.0, 10_000.0
MAX_JOINTS = 1000
MAX_NAME = 200
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
    if frames < 2 or not MIN_FPS <= fps <= MAX_FPS:
        raise UnreadableCapture(
            f"{frames} frames at {fps:g} frames/s: movement needs two frames, at {MIN_FPS:g} to {MAX_FPS:,.0f} a second"
        )
    if not 0 < joints <= MAX_JOINTS or frames * joints * 3 > MAX_VALUES or len(name) > MAX_NAME:
        raise UnreadableCapture(
            f"{frames:,} frames of {joints:,} joints: a motion has at most {MAX_JOINTS:,} joints and {MAX_VALUES:,} "
            "numbers; cut it into takes"
        )
    return CaptureInfo(frames, fps, frames / fps, joints, name)
