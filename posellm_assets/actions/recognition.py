"""What was recognised in a video, as its JSON holds it."""

from collections import defaultdict
from pathlib import Path
from typing import Self

from posellm_assets.actions.members.ensemble import EnsembleAnswer
from posellm_assets.actions.members.opinions import NONE
from posellm_assets.files import read_record
from posellm_assets.records import Record


class HitRecord(Record):
    """A hit: its `timestamp` (s), the frame nearest to it, how far it stands out (0 to 1), and its stroke."""

    timestamp: float
    frame_index: int
    confidence: float
    action: str


class SegmentRecord(Record):
    """A stretch of the video, from `start_frame` to the frame before `end_frame`, and what it shows.

    `timestamp` is that of the hit, or of the beginning where there is none; `repetitions` are counted where the
    movement is periodic and no hit.
    """

    hit_frame: int | None
    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    hit_confidence: float | None
    answer: EnsembleAnswer
    timestamp: float
    repetitions: int | None = None
    period_s: float | None = None


class Recognition(Record):
    """Everything that was recognised in a video. `left_out` says which shots were not looked at, and why."""

    video: str
    duration_s: float
    fps: float
    hits: list[HitRecord]
    segments: list[SegmentRecord]
    method: str
    members: dict[str, float]
    """Weights by member."""
    absent: dict[str, str]
    """Members that were not asked, and why."""
    names: dict[str, dict[str, str]]
    """What the classes are called, by language."""
    left_out: list[str]
    seconds: float
    """CPU seconds of this process, without extracting the poses."""

    @property
    def lasting(self) -> str | None:
        """The action that is seen for the longest time; None where that is none of the classes."""
        lasted: dict[str, float] = defaultdict(float)
        for segment in self.segments:
            lasted[segment.answer.action] += segment.end_s - segment.start_s
        longest = max(lasted, key=lambda action: lasted[action], default=NONE)
        return None if longest == NONE else longest

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the predictions of a video; FileNotFoundError where there are none, ValueError where damaged."""
        return read_record(path, cls, f"remove it and materialize action_predictions for {path.stem} again")
