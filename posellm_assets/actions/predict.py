"""Recognising the actions of many videos of a lake, a batch in each worker."""

from pathlib import Path
from traceback import format_exception
from typing import Any

from posellm_assets.actions.config import RecognitionConfig
from posellm_assets.files import write_json
from posellm_assets.motion.config import MotionConfig
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.problems import attempted, sentence
from posellm_assets.records import Record


class PredictItem(Record):
    """One video, its poses and where its recognition goes."""

    key: str
    sport: str
    video: Path
    poses: Path
    out: Path


class PredictJob(Record):
    """What one worker does at a time."""

    recogniser: Path
    items: list[PredictItem]
    config: RecognitionConfig
    motion: MotionConfig


def predict_batch(job: PredictJob) -> dict[str, Any]:
    """Write the recognition of each video; returns the reasons of those that failed, by key."""
    # Imported here, because the code server imports this module and starts without SciPy and OpenCV.
    from posellm_assets.actions.recogniser import ActionRecogniser

    recogniser = ActionRecogniser(job.recogniser, job.config, job.motion)
    failed: dict[str, str] = {}
    for item in job.items:
        found = attempted(
            lambda one: recogniser.recognise_poses(one.video, subject_of(Poses.read(one.poses)), one.sport), item
        )
        if isinstance(found, Exception):
            failed[item.key] = sentence(found)
            print(f"{item.key}: {failed[item.key]}\n{''.join(format_exception(found))}", flush=True)
        else:
            write_json(item.out, found.model_dump(mode="json"))
    return failed
