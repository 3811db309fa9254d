"""Exercises of a gym: each counted in its own way, and blamed for nothing that it does not do."""

from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.quantities import QUANTITIES
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.rules import all_rules, repetitions_of, rules_of
from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.coaching.live.rules import LiveRules
from posellm_assets.motion.config import MotionConfig
from posellm_assets.poses.landmarks import NAMES
from posellm_assets_tests.coaching_clips import performed
from posellm_assets_tests.unit.coaching.test_live_rules import lived

HANGS = {"b_arm": 5.0}
BAR = {"b_arm": 40.0, "b_elb": 140.0, "b_abd": 30.0}
SQUATS = {"drop": 0.44, "lean": 32.0, "bend": 8.0, "pelvis_z": -0.16, "b_knee_out": 16.0}
AT_THE_FLOOR = {"b_arm": 60.0, "b_elb": 5.0, "drop": 0.4, "lean": 70.0, "bend": 25.0, "pelvis_z": -0.2}
GRIPS = {"drop": 0.3, "lean": 55.0, "bend": 20.0, "pelvis_z": -0.15, "b_arm": 70.0}
PLANK, SAGS = {"b_arm": 90.0}, {"b_arm": 70.0, "lean": -12.0, "bend": -15.0}
GYM = (
    *(
        "push-up",
        "deadlift",
        "Romanian deadlift",
        "pull-up",
        "plank",
        "side plank",
        "sit-up",
        "burpee",
        "lateral raise",
    ),
    *("Russian twist", "high knees", "good morning", "step-up", "row", "calf raise"),
    *("squat", "lunge", "jumping jack", "arm raise", "side bend"),
)


def judged(clip: MeasuredClip) -> CoachingLabel:
    return label_clip(clip, RuleTeacher())


def faults(clip: MeasuredClip) -> set[tuple[str, str | None]]:
    found = judged(clip)
    assert found.status == "success"
    return {(point.fault, point.side) for point in found.feedback_points}


@pytest.mark.parametrize("name", GYM)
def test_the_exercises_of_a_gym_have_rules_that_can_be_measured(name: str) -> None:
    rules = rules_of(name)
    assert rules is not None and rules.exercise == name
    assert {rule.quantity for rule in rules.rules} <= set(QUANTITIES)
    sides = QUANTITIES[rules.counting.quantity].sides
    assert rules.counting.sides == "together" or {"left", "right"} <= set(sides)


def test_a_longer_name_is_another_exercise() -> None:
    names = [rules_of(name) for name in ("Romanian deadlift", "left side plank", "arm raise", "side raise")]
    assert [rules and rules.exercise for rules in names] == [
        "Romanian deadlift", "side plank", "arm raise", "lateral raise"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rule",
    [rule for rules in all_rules() for rule in rules.rules if not rule.beyond_own],
    ids=lambda rule: rule.fault,
)
def test_what_may_be_the_measurements_error_is_not_blamed(rule) -> None:  # type: ignore[no-untyped-def]
    error = QUANTITIES[rule.quantity].error
    limit = rule.at_least if rule.at_least is not None else rule.at_most
    past = -1 if rule.at_least is not None else 1
    assert error > 0
    assert rule.excess(limit + past * 0.9 * error) < 0 < rule.excess(limit + past * 1.1 * error)


def test_a_bar_that_is_put_down_is_no_repetition() -> None:
    bar = performed("barbell squat", BAR, *([BAR | SQUATS, BAR] * 3), AT_THE_FLOOR, BAR, step_s=1.2)
    rules = rules_of("barbell squat")
    assert rules is not None
    assert len(bar.repetitions("hip_drop", 0.05)) == 4
    assert len(repetitions_of(bar, rules)) == 3 and not faults(bar)


def test_deadlifts_are_counted_by_standing_up_so_that_gripping_and_putting_down_are_none() -> None:
    clip = performed("deadlift", HANGS, *([GRIPS, HANGS] * 4), azimuth_deg=80.0)
    found = judged(clip)
    assert len(found.repetitions) == 3
    assert found.feedback_points == () and found.not_judged == ("rounded back",)


def test_hands_on_a_bar_are_not_told_to_rise_alike_and_free_ones_are() -> None:
    crooked = {"r_arm": 40.0, "r_elb": 140.0, "b_abd": 30.0, "l_arm": 70.0, "l_elb": 100.0}
    on_bar = performed("squat", crooked, *([crooked | SQUATS, crooked] * 3))
    assert not faults(on_bar)
    free = performed("squat", HANGS, *([SQUATS | {"r_arm": 120.0, "l_arm": 40.0}, HANGS] * 3))
    assert faults(free) == {("asymmetric arms", "left")}
    assert not faults(replace(free, exercise="dumbbell squat"))


def test_an_arm_that_the_body_hides_is_compared_with_nothing() -> None:
    free = performed("squat", HANGS, *([SQUATS | {"r_arm": 120.0, "l_arm": 40.0}, HANGS] * 3))
    visibility = free.subject.visibility.copy()
    visibility[:, NAMES.index("left_wrist")] = 0.4
    assert not faults(replace(free, subject=replace(free.subject, visibility=visibility)))


def test_every_knee_of_high_knees_counts_and_a_low_one_is_named() -> None:
    left, right = {"l_hip": 95.0, "l_knee": 100.0}, {"r_hip": 95.0, "r_knee": 100.0}
    clip = performed("high knees", {}, *([left, {}, right, {}] * 3), step_s=0.4, swinging="lr")
    found = judged(clip)
    assert len(found.repetitions) == 6 and found.feedback_points == ()
    low = performed("high knees", {}, *([left, {}, {"r_hip": 45.0}, {}] * 3), step_s=0.4, swinging="lr")
    assert faults(low) == {("low knees", "right")}


def test_a_lateral_raise_ends_at_shoulder_height_with_one_arm_or_both() -> None:
    both, one, high = {"b_abd": 90.0}, {"l_abd": 90.0}, {"b_abd": 150.0}
    down = {"b_abd": 8.0}
    for up in (both, one):
        found = judged(performed("lateral raise", down, *([up, down] * 3), step_s=0.8))
        assert (len(found.repetitions), found.feedback_points) == (3, ())
    assert faults(performed("lateral raise", down, *([high, down] * 3), step_s=0.8)) == {
        ("above shoulder height", "both")
    }


def test_a_plank_is_held_for_a_time_and_hips_that_sag_are_seen_from_the_side_only() -> None:
    held = performed("plank", *[PLANK] * 6, azimuth_deg=90.0, lying=True)
    (hold,) = judged(held).repetitions
    assert hold.end_s - hold.start_s == pytest.approx(held.duration_s, abs=0.3)
    assert not faults(held)
    sags = performed("plank", *[SAGS] * 6, azimuth_deg=90.0, lying=True)
    assert faults(sags) == {("sagging hips", "both")}
    head_on = judged(performed("plank", *[SAGS] * 6, azimuth_deg=0.0, lying=True))
    assert head_on.feedback_points == () and "sagging hips" in head_on.not_judged


def test_a_hold_is_judged_while_it_lasts_and_counted_when_it_is_over() -> None:
    stands = {"b_arm": 5.0}
    clip = performed("plank", *[SAGS] * 14, azimuth_deg=90.0, lying=True)
    rules = LiveRules("plank", None, MotionConfig())
    said = lived(clip, rules, over=True)
    assert said[0][0] < 7.0 and said[0][1].points[0].fault == "sagging hips"
    (counted,) = rules.counted
    assert counted.held and counted.end_s - counted.start_s == pytest.approx(clip.duration_s, abs=1.0)
    assert [point.fault for point in counted.points] == ["sagging hips"]
    assert not lived(performed("plank", *[stands] * 6), LiveRules("plank", None, MotionConfig()), over=True)


def test_somebody_who_stands_holds_no_plank() -> None:
    found = judged(performed("plank", *[HANGS] * 6))
    assert (found.status, found.error_message) == ("failed", "no hold of 2 s of the plank was found in the clip")
    assert np.isfinite(performed("plank", *[HANGS] * 6).signals["trunk_lean", "both"]).any()
