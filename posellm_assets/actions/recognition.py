"""What was recognised in a video: the JSON of the earlier system with its fields, and what else is worth knowing.

`hits`, `segments`, `total_hits`, `total_segments`, `processing_method`, `qwen_vl_enabled` and `ensemble_used` are as
that system had them; here confidences are measured, and `action_classification` holds the answers of all members.
"""

from posellm_assets.actions.members.ensemble import EnsembleAnswer
from posellm_assets.records import Record


class HitRecord(Record):
    """A hit: its `timestamp` (s), the frame nearest to it, how far it stands out (0 to 1), and its stroke."""

    timestamp: float
    frame_index: int
    confidence: float
    action_class: str


class SegmentRecord(Record):
    """A stretch of the video, from `start_frame` to the frame before `end_frame`, and what it shows.

    `timestamp` is that of the hit, or of the beginning where there is none; `repetitions` are counted where the
    movement is periodic and no hit.
    """

    segment_index: int
    segment_path: str | None = None
    hit_frame: int | None
    start_frame: int
    end_frame: int
    start_s: float
    end_s: float
    hit_confidence: float | None
    action_classification: EnsembleAnswer
    timestamp: float
    repetitions: int | None = None
    period_s: float | None = None


class Recognition(Record):
    """Everything that was recognised in a video. `left_out` says which shots were not looked at, and why."""

    video_path: str
    duration_s: float
    fps: float
    hits: list[HitRecord]
    segments: list[SegmentRecord]
    total_hits: int
    total_segments: int
    processing_method: str
    qwen_vl_enabled: bool
    ensemble_used: bool
    members: dict[str, float]
    """Weights by member."""
    absent: dict[str, str]
    """Members that were not asked, and why."""
    names: dict[str, dict[str, str]]
    """What the classes are called, by language."""
    left_out: list[str]
    seconds: float
    """CPU seconds of this process, without extracting the poses."""
