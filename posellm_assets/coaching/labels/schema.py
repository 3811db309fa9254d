"""What a coaching label is: a typed, versioned file per video.

The fields of the label that coaching apps already read keep their names (`status` to `feedback_points`). The others are
what makes a label checkable: the joint, the side and the measured quantity of every point, where it was found, and what
was rejected and why. How a label comes to be is the business of `labelling`.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from posellm_assets.files import read_record, write_json
from posellm_assets.records import Record

MAX_POINTS = 5
Severity = Literal["major", "intermediate", "minor"]
SEVERITIES: tuple[Severity, ...] = ("major", "intermediate", "minor")
DEDUCTIONS: dict[Severity, int] = {"major": 12, "intermediate": 5, "minor": 2}
LOWEST_SCORE = 10
Side = Literal["left", "right", "both"]
Joint = Literal["shoulder", "elbow", "wrist", "hip", "knee", "ankle", "trunk"]
OverlayType = Literal["ANGLE_CORRECTION", "POSITION_MARKER", "PATH_TRACE", "POINT_HIGHLIGHT"]
Status = Literal["success", "compared", "no_rules", "failed"]
Point = tuple[float, float]
"""x and y as shares of the picture's width and height, y down."""


class _LabelPart(Record):
    # A value that is no number would be within every tolerance.
    model_config = ConfigDict(allow_inf_nan=False)


class FocusPoint(_LabelPart):
    """Where in the picture the eye should go, as shares of its width and height, y down."""

    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)


class Vector(_LabelPart):
    """An arrow in the picture. Current is red and Target is green."""

    start: Point
    end: Point
    color: str
    label: str


class Visuals(_LabelPart):
    """What is drawn over the picture at the moment of the mistake."""

    overlay_type: OverlayType
    focus_point: FocusPoint | None = None
    vectors: tuple[Vector, ...] = ()
    path_points: tuple[Point, ...] = ()


class MeasuredValue(_LabelPart):
    """What a point says of the body: the value of a quantity of `quantities`, and what it should be."""

    quantity: str
    value: float
    unit: Literal["degrees", "s", "share"]
    target: float


class FeedbackPoint(_LabelPart):
    """One thing to do better."""

    mistake_timestamp_ms: int = Field(ge=0)
    coaching_script: str = Field(min_length=1)
    severity: Severity
    visuals: Visuals
    fault: str
    """What is wrong, as the rules name it, or in a teacher's own words."""
    joint: Joint | None
    """None where the whole body is meant, such as for tempo."""
    side: Side | None
    measured: MeasuredValue
    repetitions: tuple[int, ...] = ()
    """Which repetitions of the label show it, from 1."""


class Span(_LabelPart):
    """A stretch of the clip, in seconds."""

    start_s: float
    end_s: float


class Difference(_LabelPart):
    """A joint that differs from a reference by more than its repetitions among themselves, where it differs most.

    `phase` goes from 0 to 1 with the farthest point at 0.5; `value`, `reference` and `spread` are in degrees.
    """

    joint: Joint
    side: Side
    phase: float = Field(ge=0, le=1)
    time_s: float
    repetition: int
    value: float
    reference: float
    spread: float
    script: str
    visuals: Visuals | None
    """None where the joint cannot be seen then."""


class Rejected(_LabelPart):
    """What a teacher said that could not be verified: kept as it was said, with every reason."""

    reasons: tuple[str, ...] = Field(min_length=1)
    """`check: what was said, what was measured`."""
    said: Any

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(reason.split(":", 1)[0] for reason in self.reasons)


class CoachingLabel(_LabelPart):
    """A video's label, and what of its teacher's answer was rejected."""

    schema_version: Literal[2] = 2
    key: str
    exercise: str | None
    teacher: str
    status: Status
    error_message: str | None = None
    positive_note: str = ""
    progress_score: int | None = Field(default=None, ge=LOWEST_SCORE, le=100)
    """Computed from the severities; None unless status is success."""
    improvement_delta: int | None = None
    """The score less that of the participant's previous clip of the exercise, where there is one."""
    feedback_points: tuple[FeedbackPoint, ...] = Field(default=(), max_length=MAX_POINTS)
    repetitions: tuple[Span, ...] = ()
    not_judged: tuple[str, ...] = ()
    """Faults of the exercise that cannot be seen from where the clip was filmed, or not from landmarks at all."""
    reference: str | None = None
    """With what it was compared besides, or in place of rules (status compared)."""
    differences: tuple[Difference, ...] = ()
    rejected: tuple[Rejected, ...] = ()

    @model_validator(mode="after")
    def _score_follows_from_severities(self) -> "CoachingLabel":
        expected = score(self.feedback_points) if self.status == "success" else None
        if self.progress_score != expected:
            raise ValueError(f"progress_score {self.progress_score} does not follow from the severities ({expected})")
        if list(self.feedback_points) != sorted(self.feedback_points, key=lambda point: point.mistake_timestamp_ms):
            raise ValueError("feedback_points are not in the order of their times")
        return self

    @property
    def rejections(self) -> Counter[str]:
        """How many things each check rejected."""
        return Counter(check for one in self.rejected for check in set(one.checks))


def score(points: tuple[FeedbackPoint, ...]) -> int:
    """100 less 12, 5 or 2 for each major, intermediate or minor point, and never below 10."""
    return max(LOWEST_SCORE, 100 - sum(DEDUCTIONS[point.severity] for point in points))


def read_label(path: Path) -> CoachingLabel:
    """The label at `path`; raises ValueError for a damaged one, FileNotFoundError where there is none."""
    return read_record(path, CoachingLabel, "make it again (posellm coaching label, or the job label_coaching)")


def write_label(path: Path, label: CoachingLabel) -> None:
    """Write a label."""
    write_json(path, label.model_dump(mode="json"))


class TeacherAnswer(_LabelPart):
    """What a teacher answers, before any of it is believed. The score is not its to give."""

    positive_note: str
    feedback_points: tuple[FeedbackPoint, ...]
