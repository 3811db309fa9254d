"""Verification: a true point is kept, and every lie about it is rejected by the check that should see it."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.rules import repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import FeedbackPoint, Rejected
from posellm_assets.coaching.labels.teachers import Answer
from posellm_assets.coaching.labels.verify import verify
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets_tests.coaching_clips import DEEP, measured

CLEAN = DemoRepetition()


class Says:
    """A teacher who says what it is given."""

    name = "says"

    def __init__(self, *points: Any):
        self.points = points

    def teach(self, clip: MeasuredClip) -> Answer:
        return Answer("Good.", self.points)


@pytest.fixture(scope="module")
def clip() -> MeasuredClip:
    """Four squats: clean, the right arm lags, the left knee falls in, shallow."""
    return measured(
        "squat", (CLEAN, DemoRepetition("asymmetric arms", "right"), DemoRepetition("knee valgus", "left"), DEEP, CLEAN)
    )


def true_points(clip: MeasuredClip) -> dict[str, dict[str, Any]]:
    return {point["fault"]: point for point in RuleTeacher().teach(clip).points}


def checks(clip: MeasuredClip, point: Any) -> set[str]:
    rules = rules_of(clip.exercise)
    assert rules is not None
    judged = verify(clip, point, repetitions_of(clip, rules))
    return set(judged.checks) if isinstance(judged, Rejected) else set()


def test_every_point_of_the_rules_is_verified(clip: MeasuredClip) -> None:
    points = true_points(clip)
    assert set(points) == {"asymmetric arms", "knee valgus", "shallow"}
    assert all(checks(clip, point) == set() for point in points.values())


def test_a_value_that_is_no_number_is_within_no_tolerance(clip: MeasuredClip) -> None:
    for field in ("value", "target"):
        point = true_points(clip)["asymmetric arms"]
        point["measured"][field] = float("nan")
        assert checks(clip, point) == {"schema"}


def swap_sides(point: dict[str, Any]) -> None:
    point["side"] = {"left": "right", "right": "left"}[point["side"]]
    words = point["coaching_script"].replace("left", "LEFT").replace("right", "left").replace("LEFT", "right")
    point["coaching_script"] = words


def swap_words_only(point: dict[str, Any]) -> None:
    side = point["side"]
    swap_sides(point)
    point["side"] = side


def invent_an_angle(point: dict[str, Any]) -> None:
    point["measured"]["value"] += 30 if point["measured"]["unit"] == "degrees" else 0.3


def say_another_number(point: dict[str, Any]) -> None:
    point["coaching_script"] += " Your elbow is at 145 degrees."


def come_too_late(point: dict[str, Any]) -> None:
    point["mistake_timestamp_ms"] = 60_000


def one_vector(point: dict[str, Any]) -> None:
    point["visuals"]["vectors"] = point["visuals"]["vectors"][:1]


def vectors_from_elsewhere(point: dict[str, Any]) -> None:
    for vector in point["visuals"]["vectors"]:
        vector["start"] = [0.05, 0.05]


def vectors_from_two_joints(point: dict[str, Any]) -> None:
    start = point["visuals"]["vectors"][1]["start"]
    point["visuals"]["vectors"][1]["start"] = [start[0] + 0.05, start[1]]


def current_to_nowhere(point: dict[str, Any]) -> None:
    point["visuals"]["vectors"][0]["end"] = [0.95, 0.02]


def vectors_on_a_highlight(point: dict[str, Any]) -> None:
    point["visuals"]["overlay_type"] = "POINT_HIGHLIGHT"


def focus_elsewhere(point: dict[str, Any]) -> None:
    point["visuals"]["focus_point"] = {"x": 0.02, "y": 0.02}


def unknown_quantity(point: dict[str, Any]) -> None:
    point["measured"]["quantity"] = "spine_curl"


def wrong_joint(point: dict[str, Any]) -> None:
    point["joint"] = "ankle"


def break_the_schema(point: dict[str, Any]) -> None:
    point["severity"] = "catastrophic"


def a_repetition_that_is_not_there(point: dict[str, Any]) -> None:
    point["repetitions"] = [12]


@pytest.mark.parametrize(
    ("lie", "check"),
    [
        (swap_sides, "side"),
        (swap_words_only, "side"),
        (invent_an_angle, "angle"),
        (say_another_number, "script"),
        (come_too_late, "timestamp"),
        (a_repetition_that_is_not_there, "timestamp"),
        (one_vector, "vectors"),
        (vectors_from_elsewhere, "vectors"),
        (vectors_from_two_joints, "vectors"),
        (current_to_nowhere, "vectors"),
        (vectors_on_a_highlight, "vectors"),
        (focus_elsewhere, "focus"),
        (unknown_quantity, "quantity"),
        (wrong_joint, "quantity"),
        (break_the_schema, "schema"),
    ],
)
@pytest.mark.parametrize("fault", ["asymmetric arms", "knee valgus"])
def test_a_lie_is_seen_by_its_check(
    clip: MeasuredClip, fault: str, lie: Callable[[dict[str, Any]], None], check: str
) -> None:
    point = copy.deepcopy(true_points(clip)[fault])
    lie(point)
    assert check in checks(clip, point)


@pytest.mark.parametrize("point", [None, 7, "squat deeper", [], {}, {"severity": "minor"}])
def test_what_is_no_point_at_all_is_rejected_and_kept(clip: MeasuredClip, point: Any) -> None:
    found = label_clip(clip, Says(point))
    assert (found.feedback_points, found.progress_score) == ((), 100)
    assert found.rejections.keys() == {"schema"}
    assert found.rejected[0].said == point


def test_a_fault_said_of_a_clean_repetition_is_no_mistake(clip: MeasuredClip) -> None:
    point = copy.deepcopy(true_points(clip)["shallow"])
    repetitions = repetitions_of(clip, rules_of("squat"))  # type: ignore[arg-type]
    point["mistake_timestamp_ms"] = round(1000 * repetitions[0].peak_s)
    point["measured"]["value"] = 0.4
    assert "mistake" in checks(clip, {**point, "coaching_script": "Squat deeper."})


def test_a_joint_that_is_hidden_cannot_be_spoken_of(clip: MeasuredClip) -> None:
    point = true_points(clip)["asymmetric arms"]
    hidden = copy.deepcopy(clip)
    hidden.subject.visibility = np.where(np.arange(33) == 12, 0.1, hidden.subject.visibility)  # the right shoulder
    assert "visible" in checks(hidden, point)


def test_a_side_word_that_is_no_side_does_not_count(clip: MeasuredClip) -> None:
    point = copy.deepcopy(true_points(clip)["knee valgus"])
    point["coaching_script"] = "Right at the bottom, push your left knee out."
    assert checks(clip, point) == set()


def test_good_points_survive_beside_bad_ones_and_both_are_counted(clip: MeasuredClip) -> None:
    true = true_points(clip)
    bad = copy.deepcopy(true["knee valgus"])
    swap_words_only(bad)
    found = label_clip(clip, Says(true["shallow"], bad, true["asymmetric arms"], true["shallow"]), previous_score=60)
    assert [point.fault for point in found.feedback_points] == ["asymmetric arms", "shallow"]
    assert found.rejections == {"side": 1, "duplicate": 1}
    severities = [point.severity for point in found.feedback_points]
    assert found.progress_score == 100 - sum({"major": 12, "intermediate": 5, "minor": 2}[one] for one in severities)
    assert found.improvement_delta == (found.progress_score or 0) - 60
    assert all(isinstance(point, FeedbackPoint) for point in found.feedback_points)
