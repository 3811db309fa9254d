"""What a language model is asked and answers about clips, and how its answers are measured against labels."""

from dataclasses import replace

import pytest

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.model.answer_metrics import agreement
from posellm_assets.coaching.model.answers import (
    SaidLabel,
    SaidPoint,
    answer_to,
    question,
    read_answer,
    read_teacher_answer,
    row,
)
from posellm_assets.coaching.model.dataset import answer_of
from posellm_assets.coaching.model.report import commonest
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets_tests.coaching_clips import measured

CLEAN, LAGS, FAST = DemoRepetition(), DemoRepetition("asymmetric arms", "right"), DemoRepetition("too fast")


def point(fault: str, side: str | None, value: float = 60, at_ms: int = 1000, joint: str = "shoulder") -> SaidPoint:
    return SaidPoint(fault=fault, joint=joint, side=side, severity="major", mistake_timestamp_ms=at_ms,
                     quantity="arm_lag", value=value, repetitions=(1,))  # fmt: skip


def said(*points: SaidPoint) -> SaidLabel:
    return SaidLabel(feedback_points=points)


def test_the_question_tells_each_repetition_by_what_the_rules_of_the_exercise_look_at() -> None:
    clip = measured("squat", (CLEAN, LAGS, CLEAN, FAST))
    first, *repetitions = question(clip).splitlines()
    assert first == f"squat {clip.duration_s:.1f} s"
    assert [line.split(" ")[0] for line in repetitions] == ["1", "2", "3", "4"]
    assert all(name in repetitions[0] for name in ("hip_drop both", "knee_in left", "arm_lag left", "repetition_s"))
    assert "trunk_angle" not in repetitions[0]
    unknown = question(replace(clip, exercise="serve"))
    assert unknown.startswith("serve") and "trunk_angle both" in unknown and "repetition_s" not in unknown


def test_an_answer_says_what_the_label_says_and_comes_back_from_its_json() -> None:
    label = label_clip(measured("squat", (CLEAN, LAGS, CLEAN, FAST)), RuleTeacher())
    answer = answer_to(label.feedback_points)
    assert [(one.fault, one.side, one.repetitions) for one in answer.feedback_points] == [
        (one.fault, one.side, one.repetitions) for one in label.feedback_points
    ]
    assert read_answer(answer.model_dump_json()) == answer
    lag = next(one for one in answer.feedback_points if one.fault == "asymmetric arms")
    assert lag.value == round(lag.value) > 28
    written = answer.model_dump_json()
    no_number = written.replace(f'"value":{lag.value}', '"value":NaN')
    assert no_number != written
    for broken in ("", "{}", '{"feedback_points": [{"fault": "x"}]}', written[:-1], no_number):
        assert read_answer(broken) is None


def test_a_teachers_whole_answer_is_read_as_what_it_says() -> None:
    points = label_clip(measured("squat", (CLEAN, LAGS, CLEAN, FAST)), RuleTeacher()).feedback_points
    written = answer_of("Good.", points).model_dump_json()
    assert points and read_teacher_answer(written) == answer_to(points)
    first = points[0].measured
    invented = read_teacher_answer(written.replace(f'"{first.quantity}"', '"swagger"'))
    assert invented and invented.feedback_points[0].quantity == "swagger"
    assert invented.feedback_points[0].value == first.value
    broken = (
        written[:-1],
        written.replace(f'"value":{first.value}', '"value":NaN'),
        answer_to(points).model_dump_json(),
    )
    assert [read_teacher_answer(text) for text in broken] == [None] * 3


def test_agreement_by_hand() -> None:
    """Three clips. The first is answered right but for 6 degrees and half a second; of the second the side is wrong and
    a fault is made up; the third is no schema, and its point counts as not said."""
    arms, other = point("asymmetric arms", "left"), point("asymmetric arms", "right")
    answers = [
        said(point("asymmetric arms", "left", value=66, at_ms=1500)),
        said(other, point("knee valgus", "left", joint="knee")),
        None,
    ]
    figures, absent = agreement([said(arms)] * 3, answers)
    found = {name: (figure.value, figure.n) for name, figure in figures.items()}
    assert found["schema_valid"] == (pytest.approx(2 / 3), 3)
    assert found["exactly_right"] == (pytest.approx(1 / 3), 3)
    assert found["fault_recall"] == (pytest.approx(2 / 3), 3)
    assert found["fault_precision"] == (pytest.approx(2 / 3), 3)
    assert found["joint_agreement"] == (pytest.approx(2 / 3), 3)
    assert found["side_agreement"] == (pytest.approx(1 / 3), 3)
    assert found["angle_error_deg"] == (3.0, 2)
    assert found["time_error_s"] == (0.25, 2)
    assert absent == []


def test_one_said_point_cannot_stand_for_two() -> None:
    both = said(point("asymmetric arms", "left"), point("asymmetric arms", "right", at_ms=3000))
    figures, _ = agreement([both], [said(point("asymmetric arms", "right"))])
    assert figures["fault_recall"].value == figures["side_agreement"].value == 0.5


def test_saying_nothing_finds_nothing_and_has_no_errors_to_show() -> None:
    figures, absent = agreement([said(point("asymmetric arms", "left")), said()], [said(), said()])
    assert (figures["exactly_right"].value, figures["fault_recall"].value) == (0.5, 0.0)
    assert set(absent) == {"fault_precision", "severity_agreement", "angle_error_deg", "time_error_s"}


def test_the_commonest_label_is_that_of_the_exercise_and_repeats_do_not_count() -> None:
    arms, knees = said(point("asymmetric arms", "left")), said(point("knee valgus", "left", joint="knee"))
    rows = [row(key, "squat", "q", answer, [1]) for key, answer in (("a", arms), ("b", arms), ("c", knees))]
    rows += [row("c", "squat", "q", knees, [1], turn) for turn in (1, 2)] + [row("d", "lunge", "q", said(), [1])]
    assert commonest(rows) == {"squat": arms, "lunge": said()}


def test_labels_older_than_the_name_of_a_quantity_are_still_compared() -> None:
    old = said(point("asymmetric arms", "left").model_copy(update={"quantity": "arm_span"}))
    figures, absent = agreement([old], [old])
    assert figures["exactly_right"].value == 1.0 and absent == ["angle_error_deg"]
