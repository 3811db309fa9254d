"""From a video file to sentences about what moves in it, without storing anything."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from posellm_assets.footage.video import UnreadableVideo, probe
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.pool import LocalPool
from posellm_assets.poses.extract import Clip, extract_clips
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import choose_subject
from posellm_assets.settings import Settings
from posellm_assets.texts.config import Language
from posellm_assets.texts.describe import describe
from posellm_assets.texts.facts import measure


def describe_video(video: Path, settings: Settings, language: Language) -> dict[str, Any]:
    """What moves in `video`: sentences in `language`, the measured facts behind them, and the verdicts on its poses.

    Raises ValueError where the video cannot be read or shows nobody well enough to say anything.
    """
    try:
        probe(video)
    except UnreadableVideo as error:
        raise ValueError(f"{video}: {error}") from error
    with TemporaryDirectory() as name:
        folder = Path(name)
        clip = Clip(video.name, video, folder / "poses.parquet", folder / "quality.json", folder / "sheet.jpg")
        ((_, summary),) = extract_clips([clip], LocalPool(), settings.poses)
        if isinstance(summary, Exception):
            raise ValueError(f"{video}: {summary}") from summary
        if not summary.quality.passed:
            raise ValueError(f"{video}: {summary.quality.reason}")
        poses = Poses.read(clip.poses)
    facts = measure(motion_from_poses(poses.of(choose_subject(poses)), settings.motion))
    return {
        "video": str(video),
        "sentences": describe(facts, language),
        "facts": [fact.model_dump(mode="json") for fact in facts],
        "checks": [check.model_dump(mode="json") for check in summary.quality.checks],
    }
