"""Writes the dataset of coached sessions: `python -m posellm_assets.coaching.streaming.dataset JOB.json`.

The windows come from stored poses through `LiveTokens`, which gives what it would have given while they were filmed.
"""

from pathlib import Path
from typing import Any

import numpy as np

from posellm_assets.coaching.streaming.config import FeedbackItem, FeedbackJob
from posellm_assets.coaching.streaming.sessions import (
    RECORD,
    DatasetRecord,
    SessionRecord,
    UnusableSessions,
    windows_path,
)
from posellm_assets.files import sha256_of, write_atomic, write_json
from posellm_assets.motion.live import DELAY_S, windows_of
from posellm_assets.motion.tokenizer import MotionTokenizer
from posellm_assets.npy import read_npz
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.problems import attempted
from posellm_assets.program import Report, run_program


def write_dataset(job: FeedbackJob, report: Report) -> dict[str, Any]:
    """Write `dataset.json` and the windows to `job.out`; returns the former.

    A session that cannot be used is listed there with the reason. Raises UnusableSessions where no training session has
    a message.
    """
    tokenizer = MotionTokenizer.load(job.tokenizer)
    sessions: list[SessionRecord] = []
    refused = dict(job.left_out)
    for item in job.items:
        try:
            sessions.append(_written(item, job, tokenizer))
        except (ValueError, OSError) as error:
            refused[item.key] = str(error)
            report(f"{item.key}: {error}")
    if not any(one.split == "train" and _messages(one) for one in sessions):
        raise UnusableSessions(
            f"of {len(sessions) + len(refused)} sessions with feedback none that can be used is of a training "
            f"participant ({len(refused)} refused); add sessions of more participants"
        )
    record = DatasetRecord(
        lineage=tokenizer.lineage, delay_s=DELAY_S, fps=tokenizer.fps, sessions=sessions, refused=refused
    )
    content: dict[str, Any] = record.model_dump(mode="json")
    write_json(job.out / RECORD, content)
    report(f"{len(sessions)} sessions with {sum(map(_messages, sessions))} messages, {len(refused)} refused")
    return content


def _written(item: FeedbackItem, job: FeedbackJob, tokenizer: MotionTokenizer) -> SessionRecord:
    path = windows_path(job.out, item.key)
    source = f"{sha256_of(item.poses)} {tokenizer.lineage} {DELAY_S} {job.motion.model_dump_json()}"
    if path.exists() and (there := _windows_in(path, source)):  # of a run that was killed
        return _record(item, there)
    poses = Poses.read(item.poses)
    windows = windows_of(subject_of(poses), tokenizer, job.motion)
    if not windows:
        raise ValueError("nobody is in view long enough for one window")
    arrays = {
        "source": np.array(source),
        "start_s": np.array([one.start_s for one in windows]),
        "end_s": np.array([one.end_s for one in windows]),
        "codes": np.array([one.codes for one in windows], np.int32),
        "features": np.stack([one.features for one in windows]).astype(np.float32),
    }
    write_atomic(path, lambda stream: np.savez_compressed(stream, **arrays))  # type: ignore[arg-type]
    return _record(item, len(windows))


def _windows_in(path: Path, source: str) -> int:
    """How many windows a file holds; 0 where it was made from something else than `source`, or is damaged."""
    arrays = attempted(read_npz, path)
    if isinstance(arrays, Exception) or not {"start_s", "source"} <= arrays.keys():
        return 0
    return len(arrays["start_s"]) if str(arrays["source"]) == source else 0


def _record(item: FeedbackItem, windows: int) -> SessionRecord:
    said = item.model_dump(include={"key", "participant", "split", "duration_s", "language", "feedback"})
    return SessionRecord(**said, windows=windows)


def _messages(session: SessionRecord) -> int:
    return sum(not one.transition for one in session.feedback)


if __name__ == "__main__":
    run_program("feedback dataset", FeedbackJob, write_dataset)
