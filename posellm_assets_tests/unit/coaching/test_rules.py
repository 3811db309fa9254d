"""The rules: data with sources, and what they find in clips whose faults are known."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.quantities import QUANTITIES
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.rules import Rule, all_rules, findings, repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.demo.faults import FAULTS_OF, DemoRepetition, timed
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets_tests.coaching_clips import DEEP, measured, planted, raised

CLEAN, LAGS = DemoRepetition(), DemoRepetition("asymmetric arms", "right")


def label(name: str, *repetitions: DemoRepetition, azimuth_deg: float = 10.0) -> CoachingLabel:
    return label_clip(measured(name, repetitions, azimuth_deg), RuleTeacher())


def told(found: CoachingLabel) -> set[tuple[str, str | None, tuple[int, ...]]]:
    return {(point.fault, point.side, point.repetitions) for point in found.feedback_points}


def test_every_movement_that_can_show_a_fault_has_a_rule_for_it() -> None:
    for movement, faults in FAULTS_OF.items():
        rules = rules_of(movement)
        assert rules is not None
        assert {rule.fault for rule in rules.rules} >= set(faults)


def test_every_rule_names_its_source_and_a_quantity_that_can_be_measured() -> None:
    for rules in all_rules():
        for rule in rules.rules:
            assert rule.quantity in QUANTITIES
            assert any(word in rule.source for word in ("doi", "Journal", "Army", "Marine", "ur own")), rule


@pytest.mark.parametrize("name", ["squat", "Squats", "left side bend", "goblet squat", "jumping_jack"])
def test_a_label_finds_its_exercise_however_it_is_written(name: str) -> None:
    assert rules_of(name) is not None


@pytest.mark.parametrize("name", ["serve", None, "", "squat-jump"])
def test_an_exercise_without_rules_is_said_to_have_none(name: str | None) -> None:
    assert rules_of(name) is None
    clip = replace(measured("squat", (CLEAN, CLEAN)), exercise=name)
    found = label_clip(clip, RuleTeacher())
    assert (found.status, found.progress_score, found.feedback_points) == ("no_rules", None, ())
    assert "there are rules for arm raise, burpee, calf raise, deadlift" in (found.error_message or "")


def test_a_rule_without_a_limit_or_of_an_unknown_quantity_is_refused() -> None:
    rule = all_rules()[0].rules[0].model_dump()
    with pytest.raises(ValidationError, match="at_least or at_most"):
        Rule.model_validate({**rule, "at_least": None, "at_most": None})
    with pytest.raises(ValidationError, match="no quantity 'spine_curl'"):
        Rule.model_validate({**rule, "quantity": "spine_curl"})


@pytest.mark.parametrize("name", ["squat", "lunge", "jumping jack", "arm raise", "left side bend"])
def test_clean_repetitions_are_found_one_by_one_praised_and_score_100(name: str) -> None:
    found = label(name, CLEAN, CLEAN, CLEAN)
    clip = planted(name, (CLEAN,) * 3)
    for seen, shown in zip(found.repetitions, timed(clip.movement, clip.tempo, (CLEAN,) * 3), strict=True):
        assert shown.start_s <= seen.start_s < seen.end_s <= shown.end_s
    assert (found.progress_score, found.feedback_points) == (100, ())
    assert found.positive_note


@pytest.mark.parametrize(
    ("name", "fault", "side"),
    [
        ("squat", DEEP, "both"),
        ("squat", DemoRepetition("knee valgus", "left"), "left"),
        ("squat", DemoRepetition("asymmetric arms", "right"), "right"),
        ("squat", DemoRepetition("too fast"), None),
        ("lunge", DemoRepetition("knee valgus", "right"), "right"),
        ("jumping jack", DemoRepetition("truncated range"), "both"),
        ("arm raise", DemoRepetition("asymmetric arms", "left"), "left"),
        ("left side bend", DemoRepetition("truncated range", strength=1.2), "both"),
    ],
)
def test_a_planted_fault_is_found_in_its_repetition_on_its_side_and_nothing_else_is(
    name: str, fault: DemoRepetition, side: str | None
) -> None:
    azimuth_deg = 40.0 if name == "lunge" else 10.0
    repetitions = (CLEAN, fault, CLEAN, CLEAN)
    found = label(name, *repetitions, azimuth_deg=azimuth_deg)
    assert told(found) == {(fault.fault, side, (2,))}
    clip = planted(name, repetitions)
    span = timed(clip.movement, clip.tempo, repetitions)[1]
    assert span.start_s <= found.feedback_points[0].mistake_timestamp_ms / 1000 <= span.end_s
    assert not found.rejected


def test_both_knees_that_fall_in_are_two_points() -> None:
    assert told(label("squat", CLEAN, DemoRepetition("knee valgus"), CLEAN)) == {
        ("knee valgus", "left", (2,)),
        ("knee valgus", "right", (2,)),
    }


@pytest.mark.parametrize("azimuth_deg", [-25.0, 10.0, 60.0, 190.0])
def test_a_knee_that_falls_in_is_the_same_knee_from_the_front_aslant_and_from_behind(azimuth_deg: float) -> None:
    for side in ("left", "right"):
        found = label("squat", CLEAN, DemoRepetition("knee valgus", side), CLEAN, azimuth_deg=azimuth_deg)  # type: ignore[arg-type]
        assert told(found) == {("knee valgus", side, (2,))}


def test_a_close_up_without_feet_is_not_measured() -> None:
    clip = measured("squat", (CLEAN, DEEP, CLEAN))
    visibility = clip.subject.visibility.copy()
    visibility[:, 27:29] = 0.1
    found = label_clip(replace(clip, subject=replace(clip.subject, visibility=visibility)), RuleTeacher())
    assert (found.status, found.error_message) == ("failed", "no repetition of the squat was found in the clip")


def test_knees_filmed_from_the_side_are_not_judged_and_the_label_says_so() -> None:
    found = label("squat", CLEAN, DemoRepetition("knee valgus"), CLEAN, azimuth_deg=-60.0)
    assert found.not_judged == ("knee valgus",)
    assert told(found) == set()


def test_a_fault_in_every_repetition_is_found_too() -> None:
    found = label("squat", *[DemoRepetition("too fast", strength=2.0)] * 4)
    assert told(found) == {("too fast", None, (1, 2, 3, 4))}


def test_a_fault_that_is_worse_is_graver() -> None:
    clip = measured("jumping jack", (CLEAN, DemoRepetition("truncated range", strength=0.8), CLEAN,
                                     DemoRepetition("truncated range", strength=1.3)))  # fmt: skip
    rules = rules_of("jumping jack")
    assert rules is not None
    found = findings(clip, rules, repetitions_of(clip, rules))
    assert [finding.repetition.number for finding in found] == [2, 4]
    assert found[0].excess < found[1].excess


def test_somebody_who_only_stands_gives_a_label_that_says_that_nothing_was_found() -> None:
    clip = measured("squat", (DemoRepetition("shallow", strength=1.99),) * 2)
    found = label_clip(clip, RuleTeacher())
    assert (found.status, found.error_message) == ("failed", "no repetition of the squat was found in the clip")


@pytest.mark.parametrize("name", ["squat", "jumping jack", "arm raise", "left side bend"])
def test_a_repetition_that_the_clip_cuts_off_is_not_judged(name: str) -> None:
    whole = measured(name, (CLEAN,) * 4)
    first, _, _, last = (one for one in repetitions_of(whole, rules_of(name)))  # type: ignore[arg-type]
    inside = slice(first.peak + 1, last.peak - 1)
    times_s = whole.time_s[inside]
    seen = (whole.subject.time_s >= times_s[0]) & (whole.subject.time_s <= times_s[-1])
    arrays = ("time_s", "landmarks", "visibility", "presence", "world")
    subject = replace(whole.subject, **{array: getattr(whole.subject, array)[seen] for array in arrays})
    cut = MeasuredClip(whole.key, name, subject, whole.motion.cut(inside.start, inside.stop))
    found = label_clip(cut, RuleTeacher())
    assert 1 <= len(found.repetitions) <= 2
    assert found.feedback_points == ()


def test_depth_that_the_camera_guesses_wrongly_changes_no_finding() -> None:
    clip = measured("squat", (CLEAN, DEEP, DemoRepetition("knee valgus", "left"), CLEAN))
    squeezed = replace(clip.subject, world=clip.subject.world * np.array([1, 1, 0.8], np.float32))
    guessed = replace(clip, subject=squeezed, motion=motion_from_poses(squeezed, MotionConfig()))
    assert told(label_clip(guessed, RuleTeacher())) == told(label_clip(clip, RuleTeacher()))


def test_a_cut_to_a_closer_camera_ends_a_shot_and_changes_no_finding() -> None:
    clip = measured("squat", (CLEAN, LAGS, CLEAN, CLEAN, DEEP, CLEAN))
    cut_s = repetitions_of(clip, rules_of("squat"))[2].end_s + 0.2  # type: ignore[arg-type]
    after = clip.subject.time_s > cut_s
    landmarks = clip.subject.landmarks.copy()
    landmarks[after, :, :2] = 0.5 + 1.5 * (landmarks[after, :, :2] - [0.5, 0.65])
    closer = replace(clip, subject=replace(clip.subject, landmarks=landmarks))
    found = label_clip(closer, RuleTeacher())
    assert len(found.repetitions) == 6
    assert told(found) == told(label_clip(clip, RuleTeacher())) == {
        ("asymmetric arms", "right", (2,)), ("shallow", "both", (5,))
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arms", "count"),
    [
        (("left",) * 5, 5),
        (("right",) * 3, 3),
        (("both",) * 5, 5),
        (("left",) * 5 + ("right",) * 5, 10),
        (("right", "right", "left", "left"), 4),
        (("both", "both", "left", "left", "left"), 5),
        (("left", "right") * 4, 4),
    ],
)
def test_arm_raises_are_counted_whichever_arms_rise_and_none_is_faulted(arms: tuple[str, ...], count: int) -> None:
    found = label_clip(raised(*arms), RuleTeacher())
    assert (len(found.repetitions), found.feedback_points, found.progress_score) == (count, (), 100)
