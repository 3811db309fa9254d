"""The label file: it keeps the earlier fields, and its score follows from the severities."""

import json
from pathlib import Path

import pytest

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.schema import (
    CoachingLabel,
    FeedbackPoint,
    MeasuredValue,
    Visuals,
    read_label,
    score,
    write_label,
)
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets_tests.coaching_clips import measured

READ_BY_APPS = {
    "status",
    "error_message",
    "positive_note",
    "progress_score",
    "improvement_delta",
    "feedback_points",
}


@pytest.fixture
def label() -> CoachingLabel:
    clip = measured("jumping jack", (DemoRepetition(), DemoRepetition("asymmetric arms", "left"), DemoRepetition()))
    return label_clip(clip, RuleTeacher())


def point(severity: str, time_ms: int = 0) -> FeedbackPoint:
    return FeedbackPoint(
        mistake_timestamp_ms=time_ms,
        coaching_script="Slow down.",
        severity=severity,  # type: ignore[arg-type]
        visuals=Visuals(overlay_type="POINT_HIGHLIGHT"),
        fault="too fast",
        joint=None,
        side=None,
        measured=MeasuredValue(quantity="repetition_s", value=0.5, unit="s", target=1.0),
    )


def test_a_label_is_read_as_it_was_written_and_has_the_fields_that_apps_read(
    label: CoachingLabel, tmp_path: Path
) -> None:
    path = Path(tmp_path / "label.json")
    write_label(path, label)
    assert read_label(path) == label
    content = json.loads(path.read_text())
    assert content["schema_version"] == 2
    assert set(content) >= READ_BY_APPS
    first = content["feedback_points"][0]
    assert {"mistake_timestamp_ms", "coaching_script", "severity", "visuals"} <= set(first)
    assert {"overlay_type", "focus_point", "vectors", "path_points"} == set(first["visuals"])
    assert [(vector["label"], vector["color"]) for vector in first["visuals"]["vectors"]] == [
        ("Current", "#e53935"),
        ("Target", "#43a047"),
    ]


def test_the_score_is_12_5_and_2_off_and_never_below_10() -> None:
    assert score(()) == 100
    assert score((point("major"), point("intermediate"), point("minor"))) == 81
    assert score(tuple([point("major")] * 9)) == 10


def test_a_label_whose_score_was_not_computed_is_refused() -> None:
    with pytest.raises(ValueError, match="does not follow from the severities"):
        CoachingLabel(key="k", exercise="squat", teacher="t", status="success", progress_score=97)


def test_points_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="order of their times"):
        CoachingLabel(
            key="k", exercise="squat", teacher="t", status="success", progress_score=96,
            feedback_points=(point("minor", 900), point("minor", 100)),
        )  # fmt: skip


@pytest.mark.parametrize("content", ["{", "[]", '{"schema_version": 2, "key": 3}'])
def test_a_damaged_file_names_itself(content: str, tmp_path: Path) -> None:
    path = Path(tmp_path / "label.json")
    path.write_text(content)
    with pytest.raises(ValueError, match=r"label\.json"):
        read_label(path)
