"""What a language model is asked about a measured clip, and what it answers: the parts of a label that are its to say.

Scores and overlays follow from the measured pose, and scripts from the rules' wording, so that none of them is asked
for: what a model invents there would be thrown away.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ConfigDict, Field, ValidationError

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.quantities import QUANTITIES, measure_quantity
from posellm_assets.coaching.labels.rules import repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import MAX_POINTS, FeedbackPoint, Joint, Severity, Side, TeacherAnswer
from posellm_assets.coaching.model.dataset import CoachingExample, balanced
from posellm_assets.coaching.model.images import LeftOut
from posellm_assets.files import write_atomic
from posellm_assets.footage.splits import SPLITS
from posellm_assets.lake import Lake, split_file
from posellm_assets.motion.tokens import ORIGINAL, MotionTokens
from posellm_assets.records import Record

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("segment", pa.int32(), nullable=False),
        pa.field("variant", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("participant", pa.string()),
        pa.field("texts", pa.list_(pa.string()), nullable=False),
        pa.field("texts_of_parts", pa.list_(pa.string())),
        pa.field("codes", pa.list_(pa.int32()), nullable=False),
        pa.field("question", pa.string(), nullable=False),
        pa.field("exercise", pa.string(), nullable=False),
    ]
)


class SaidPoint(Record):
    """One thing to do better, as the model says it; fields as in `schema.FeedbackPoint`."""

    model_config = ConfigDict(allow_inf_nan=False)

    fault: str
    joint: Joint | None
    side: Side | None
    severity: Severity
    mistake_timestamp_ms: int = Field(ge=0)
    quantity: str
    value: float
    """In degrees, seconds, or per cent where the quantity is a share."""
    repetitions: tuple[int, ...]


class SaidLabel(Record):
    """What the model answers."""

    feedback_points: tuple[SaidPoint, ...] = Field(max_length=MAX_POINTS)


def question(clip: MeasuredClip) -> str:
    """The exercise and, for each repetition, the quantities that the rules of the exercise look at (all without rules).

    Degrees and per cent are whole numbers but for `knee_in`, whose limit is 1.5 %; seconds have one decimal.
    """
    rules = rules_of(clip.exercise)
    names = dict.fromkeys(rule.quantity for rule in rules.rules) if rules else QUANTITIES
    lines = [f"{rules.exercise if rules else clip.exercise} {clip.duration_s:.1f} s"]
    for one in (repetitions_of(clip, rules) if rules else []) or [clip.around(clip.duration_s / 2)]:
        told = [f"{name} {values}" for name in names if (values := _values(clip, name, one))]
        lines.append(f"{one.number} at {round(100 * one.peak_s) * 10} ms: {', '.join(told)}")
    return "\n".join(lines)


def answer_to(points: Sequence[FeedbackPoint]) -> SaidLabel:
    """The answer that says what a label says."""
    return SaidLabel(feedback_points=tuple(_said(point) for point in points))


def read_answer(text: str) -> SaidLabel | None:
    """The answer in a text, None where it does not follow the schema."""
    try:
        return SaidLabel.model_validate_json(text)
    except ValidationError:
        return None


def read_teacher_answer(text: str) -> SaidLabel | None:
    """What a teacher's answer, with scripts and overlays, says of it; None where it does not follow the schema."""
    try:
        return answer_to(TeacherAnswer.model_validate_json(text).feedback_points)
    except (ValueError, OverflowError):  # of pydantic, or of rounding what is no number
        return None


def row(key: str, exercise: str, asked: str, answer: SaidLabel, codes: Sequence[int], turn: int = 0) -> dict[str, Any]:
    """An example for `language.train`; `turn` counts the repeats of a rare one."""
    return {
        "key": key,
        "segment": turn,
        "variant": ORIGINAL,
        # A label would be written in front of the answer, and a marker of the participant help nobody new.
        "label": None,
        "participant": None,
        "texts": [answer.model_dump_json()],
        "texts_of_parts": [],
        "codes": list(codes),
        "question": asked,
        "exercise": exercise,
    }


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write examples for `language.train`."""
    write_atomic(path, partial(pq.write_table, pa.Table.from_pylist(list(rows), schema=SCHEMA)))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """What `write_rows` wrote."""
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def _said(point: FeedbackPoint) -> SaidPoint:
    measured = point.measured
    return SaidPoint(
        fault=point.fault,
        joint=point.joint,
        side=point.side,
        severity=point.severity,
        mistake_timestamp_ms=point.mistake_timestamp_ms,
        quantity=measured.quantity,
        value=_rounded(measured.quantity, measured.value),
        repetitions=point.repetitions,
    )


def _values(clip: MeasuredClip, name: str, repetition: Repetition) -> str:
    if name == "repetition_s" and not repetition.number:
        return ""
    values = [(side, measure_quantity(clip, name, side, repetition)) for side in QUANTITIES[name].sides]
    return " ".join(f"{side or ''} {_rounded(name, value):g}".strip() for side, value in values if value is not None)


def _rounded(name: str, value: float) -> float:
    if name not in QUANTITIES:  # invented, or older than a quantity's name
        return value
    unit = QUANTITIES[name].unit
    if unit == "degrees":
        return round(value)
    return round(value, 1) if unit == "s" else round(100 * value, 1 if name == "knee_in" else None)


def write_language_rows(
    lake: Lake, lineage: str, examples: Iterable[CoachingExample], out: Path, most_repeats: int
) -> list[LeftOut]:
    """Write `train.parquet`, `val.parquet` and `test.parquet` to `out`; returns the videos without motion codes.

    Training examples of rare activities are repeated as in `dataset.balanced`.
    """
    codes: dict[str, Sequence[int]] = {}
    left_out, used = [], []
    for example in examples:
        tokens = lake.motion_tokens(lineage, example.key) if example.key else None
        if tokens is None or not tokens.exists():
            left_out.append(LeftOut(example.id, f"it has no motion tokens of {lineage}: materialise motion_tokens"))
            continue
        # The facts are of the whole clip; of its motion the longest stretch in view is shown.
        codes[example.id] = MotionTokens.read(tokens).longest.codes
        used.append(example)
    for split in SPLITS:
        own = [example for example in used if example.split == split]
        turns: Counter[str] = Counter()
        rows = []
        for one in balanced(own, most_repeats) if split == "train" else own:
            answer = answer_to(one.answer.feedback_points)
            rows.append(row(one.id, one.activity, one.question, answer, codes[one.id], turns[one.id]))
            turns[one.id] += 1
        write_rows(split_file(out, split), rows)
    return left_out
