"""A small dataset of coached sessions: a body at rest, and each time it leaves the rest a coach says so."""

from pathlib import Path

import numpy as np

from posellm_assets.coaching.streaming.config import CoachJob, StreamingConfig
from posellm_assets.coaching.streaming.sessions import RECORD, DatasetRecord, SessionRecord, windows_path
from posellm_assets.files import write_atomic, write_json
from posellm_assets.footage.labels import Feedback
from posellm_assets.footage.splits import Split
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import encode
from posellm_assets.motion.skeletons import BODY
from posellm_assets_tests.unit.motion.people import STANDING

FPS, DELAY_S, WINDOW_S = 20.0, 0.4, 0.2
SPLITS: tuple[Split, ...] = ("train", "train", "train", "train", "train", "train", "val", "test", "test")


def write_sessions(folder: Path, seconds: float = 24.0, splits: tuple[Split, ...] = SPLITS) -> Path:
    """Sessions of `seconds`; every few seconds an arm goes up for one second, and a word comes at its end."""
    sessions = [_written(folder, number, split, seconds) for number, split in enumerate(splits)]
    record = DatasetRecord(lineage="l-1", delay_s=DELAY_S, fps=FPS, sessions=sessions, refused={})
    write_json(folder / RECORD, record.model_dump(mode="json"))
    return folder


def job(dataset: Path, out: Path, **config: object) -> CoachJob:
    """A short training."""
    small = {
        "steps": 48,
        "hidden_size": 24,
        "rows_per_batch": 3,
        "dropout": 0.0,
        "learning_rate": 0.01,
        "no_repeat_s": 2,
    }
    return CoachJob(dataset=dataset, out=out, config=StreamingConfig.model_validate(small | config))


def _written(folder: Path, number: int, split: Split, seconds: float) -> SessionRecord:
    rng = np.random.default_rng(number)
    frames = round(seconds * FPS)
    joints = np.repeat(STANDING[None], frames, axis=0) + rng.normal(0, 0.003, (frames, len(BODY), 3))
    feedback = [Feedback(t=0.0, text="First up are arm raises!", transition=True)]
    start_s = float(rng.uniform(2, 4))
    while start_s + 2 < seconds:
        side = str(rng.choice(["left", "right"]))
        up = slice(round(start_s * FPS), round((start_s + 1) * FPS))
        joints[up, BODY.index(f"{side}_wrist"), 1] += 0.7
        feedback.append(Feedback(t=start_s + 1.4, text=f"That was your {side} arm."))
        start_s += float(rng.uniform(4.5, 7))
    motion = Motion(joints.astype(np.float32), FPS, BODY, np.zeros(frames, bool))
    start = np.arange(0, frames - 3, 4) / FPS
    arrays = {
        "start_s": start,
        "end_s": start + WINDOW_S,
        "codes": np.zeros((len(start), 1), np.int32),
        "features": encode(motion)[: 4 * len(start)].reshape(len(start), 4, -1).astype(np.float32),
    }
    key = f"gym.session.{number:08x}"
    write_atomic(windows_path(folder, key), lambda stream: np.savez_compressed(stream, **arrays))  # type: ignore[arg-type]
    return SessionRecord(
        key=key,
        participant=f"athlete-{number}",
        split=split,
        duration_s=seconds,
        language="en",
        windows=len(start),
        feedback=feedback,
    )
