"""From a video file to sentences about what moves in it, without storing anything."""

from pathlib import Path
from typing import Any

from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.extract import poses_of
from posellm_assets.poses.subjects import subject_of
from posellm_assets.settings import Settings
from posellm_assets.texts.config import Language
from posellm_assets.texts.describe import describe
from posellm_assets.texts.facts import measure


def describe_video(video: Path, settings: Settings, language: Language) -> dict[str, Any]:
    """What moves in `video`: sentences in `language`, the measured facts behind them, and the verdicts on its poses.

    Raises ValueError where the video cannot be read or shows nobody well enough to say anything.
    """
    poses, quality = poses_of(video, settings.poses)
    facts = measure(motion_from_poses(subject_of(poses), settings.motion))
    return {
        "video": str(video),
        "sentences": describe(facts, language),
        "facts": [fact.model_dump(mode="json") for fact in facts],
        "checks": [check.model_dump(mode="json") for check in quality.checks],
    }
