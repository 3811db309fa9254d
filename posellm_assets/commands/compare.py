"""A movement beside a reference: the reference measured, and what differs drawn."""

from pathlib import Path

from posellm_assets.coaching.labels.lake_labels import measured_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.coaching.live.comparison import draw_differences
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.video import VideoInfo
from posellm_assets.keys import InvalidKey
from posellm_assets.lake import Lake
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.extract import poses_of
from posellm_assets.poses.subjects import subject_of
from posellm_assets.settings import Settings


def measured(lake: Lake, settings: Settings, reference: str) -> MeasuredClip:
    """A reference by its key in the lake or the path of a video. Raises ValueError where it cannot be measured."""
    video = Path(reference)
    if not video.exists():
        try:
            return measured_clip(lake, reference)
        except (FileNotFoundError, InvalidKey) as error:
            raise ValueError(f"--reference {reference}: there is no such video file, nor a clip of this key") from error
    subject = subject_of(poses_of(video, settings.poses)[0])
    return MeasuredClip(video.name, None, subject, motion_from_poses(subject, settings.motion))


def drawn_beside(lake: Lake, label: CoachingLabel) -> Path | None:
    """The picture of what differs, written beside a label; None where nothing does or there are no pictures.

    Raises UnreadableVideo or OSError where the video cannot be read.
    """
    manifest, picture = read_manifest(lake, label.key), lake.coaching_label(label.key).with_suffix(".jpg")
    if not isinstance(manifest.video, VideoInfo):
        return None
    return picture if draw_differences(lake.raw / manifest.source, label, picture) else None
