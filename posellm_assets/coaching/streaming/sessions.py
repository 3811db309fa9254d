"""Sessions as the streaming coach learns from them: windows of live motion, and what was said when.

The dataset is a folder: `dataset.json` lists the sessions, `windows/<key>.npz` holds each one's windows as `LiveTokens`
gives them, so that training sees what serving will see.
"""

from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from posellm_assets.coaching.streaming.config import StreamingConfig
from posellm_assets.coaching.streaming.scores import Message
from posellm_assets.files import read_record
from posellm_assets.footage.labels import Feedback
from posellm_assets.footage.splits import Split
from posellm_assets.npy import UnreadableArray, read_npz
from posellm_assets.records import Record

RECORD = "dataset.json"


class UnusableSessions(ValueError):
    """A dataset that cannot be trained on; the message says why and what to do."""


class SessionRecord(Record):
    """One session of the dataset."""

    key: str
    participant: str | None
    split: Split
    duration_s: float
    language: str | None
    windows: int
    feedback: list[Feedback]


class DatasetRecord(Record):
    """What `dataset.json` holds; `refused` says by key why a session is not in it."""

    lineage: str
    """The tokenizer whose codes the windows have."""
    delay_s: float
    """A window is known so long after its end."""
    fps: float
    sessions: list[SessionRecord]
    refused: dict[str, str]


@dataclass(frozen=True, eq=False)
class CoachedSession:
    """A session, or a stretch of one, in memory.

    start_s, end_s: (N,) seconds of the windows; codes: (N, codes_per_step); features: (N, frames_per_step, D).
    `messages` are what a coach said, without transitions; `before` is what was said last before the stretch begins.
    """

    key: str
    language: str | None
    duration_s: float
    start_s: np.ndarray
    end_s: np.ndarray
    codes: np.ndarray
    features: np.ndarray
    messages: tuple[Message, ...]
    transitions_s: tuple[float, ...]
    before: Message | None = None

    def window_s(self, fps: float) -> float:
        """How long a window is."""
        return float(self.features.shape[1] / fps)

    def cut(self, start_s: float, end_s: float) -> "CoachedSession":
        """The windows that begin within [start_s, end_s), with what is said there; times stay those of the session."""
        inside = slice(*np.searchsorted(self.start_s, [start_s, end_s]).tolist())
        first, last = (bisect_left(self.messages, time_s, key=lambda one: one.time_s) for time_s in (start_s, end_s))
        return replace(
            self,
            **{name: getattr(self, name)[inside] for name in ("start_s", "end_s", "codes", "features")},
            messages=self.messages[first:last],
            transitions_s=tuple(time_s for time_s in self.transitions_s if start_s <= time_s < end_s),
            before=self.messages[first - 1] if first else self.before,
        )


def read_dataset_record(folder: Path) -> DatasetRecord:
    """What a dataset holds; raises UnusableSessions where there is none, ValueError where it is damaged."""
    if not (folder / RECORD).is_file():
        raise UnusableSessions(f"{folder} holds no {RECORD}; materialize feedback_dataset first")
    return read_record(folder / RECORD, DatasetRecord, "materialize feedback_dataset again")


def read_sessions(folder: Path, record: DatasetRecord, split: Split) -> list[CoachedSession]:
    """The sessions of a split."""
    return [_read(folder, one) for one in record.sessions if one.split == split]


def rows_of(session: CoachedSession, config: StreamingConfig) -> list[CoachedSession]:
    """The training rows of a session in the mode of `config`; every message is in one at least.

    A clip is the stretch of one exercise, from one transition to the next (section 4 of the QEVD paper). Sliding
    windows overlap by half.
    """
    if config.mode == "full_session" or not len(session.start_s):
        rows = [session]
    elif config.mode == "clip":
        edges = [0.0, *(time_s for time_s in session.transitions_s if time_s > 0), np.inf]
        rows = [replace(session.cut(*span), before=None) for span in pairwise(edges)]
    else:
        hop_s = config.window_s / 2
        count = max(1, int(np.ceil((session.end_s[-1] - config.window_s) / hop_s)) + 1)
        rows = [session.cut(turn * hop_s, turn * hop_s + config.window_s) for turn in range(count)]
    return [row for row in rows if len(row.start_s)]


def windows_path(folder: Path, key: str) -> Path:
    """Where the windows of a session lie."""
    return folder / "windows" / f"{key}.npz"


def _read(folder: Path, record: SessionRecord) -> CoachedSession:
    path = windows_path(folder, record.key)
    try:
        arrays = read_npz(path)
    except UnreadableArray as error:
        raise UnusableSessions(f"{path}: {error}; materialize feedback_dataset again") from error
    windows: dict[str, Any] = {name: arrays[name] for name in ("start_s", "end_s", "codes", "features")}
    return CoachedSession(
        key=record.key,
        language=record.language,
        duration_s=record.duration_s,
        messages=tuple(Message(one.t, one.text) for one in record.feedback if not one.transition),
        transitions_s=tuple(one.t for one in record.feedback if one.transition),
        **windows,
    )
