import numpy as np
import pytest

from posellm_assets.motion.augment import change_speed, mirror
from posellm_assets.motion.motion import Motion
from posellm_assets.texts.describe import describe
from posellm_assets.texts.fact import Fact
from posellm_assets.texts.facts import measure
from posellm_assets_tests.unit.texts.athletes import FPS, arm_raise, athlete, bow, march, squat, wave


def only(facts: list[Fact], kind: str, joint: str, side: str | None) -> Fact:
    (fact,) = [fact for fact in facts if (fact.kind, fact.joint, fact.side) == (kind, joint, side)]
    return fact


def test_a_squat_of_ninety_degrees_is_measured_as_ninety_degrees_with_its_count_and_period():
    facts = measure(squat(seconds=8.0, period_s=2.0, depth=90.0))
    knee = only(facts, "angle", "knee", "both")
    assert knee.value == pytest.approx(180, abs=2) and knee.to_value == pytest.approx(90, abs=2)
    assert only(facts, "repetition", "knee", "both").value == 4
    assert only(facts, "period", "knee", "both").value == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("size", [0.7, 1.0, 1.4])
def test_angles_counts_and_relative_speeds_do_not_depend_on_body_size(size: float):
    reference, facts = measure(arm_raise(6.0, 1.5, 150.0)), measure(arm_raise(6.0, 1.5, 150.0, size=size))
    assert [(fact.kind, fact.joint, fact.side) for fact in facts] == [(f.kind, f.joint, f.side) for f in reference]
    assert [fact.value for fact in facts] == pytest.approx([fact.value for fact in reference], abs=0.05)


@pytest.mark.parametrize("joint", ["knee", "elbow", "shoulder"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_one_side_that_moves_is_named_and_the_other_is_not(joint: str, side: str):
    flexion = {"knee": "knee", "elbow": "elbow", "shoulder": "arm"}[joint]
    facts = measure(athlete(6.0, **{f"{side}_{flexion}": wave(6.0, 1.5, 0, 80)}))
    assert {fact.side for fact in facts if fact.kind == "angle" and fact.joint == joint} == {side}


def test_thighs_that_rise_by_turns_are_said_to_take_turns_and_each_is_counted():
    facts = measure(march(seconds=8.0, period_s=2.0, depth=80.0))
    assert only(facts, "alternation", "hip", "both").value < -0.9
    assert only(facts, "repetition", "hip", "left").value == 4
    assert only(facts, "angle", "hip", "right").to_value == pytest.approx(100, abs=2)


@pytest.mark.parametrize(("direction", "side"), [(1, "left"), (-1, "right")])
def test_a_bend_to_one_side_is_told_with_its_direction_and_not_told_twice(direction: int, side: str):
    facts = measure(athlete(6.0, side=direction * wave(6.0, 2.0, 0, 40)))
    assert only(facts, "angle", "side", side).to_value == pytest.approx(40, abs=2)
    assert not [fact for fact in facts if fact.kind == "angle" and fact.joint == "trunk"]
    assert any(f"The trunk leans to the {side}, from 0 to 40 degrees, 3 times" in text for text in describe(facts))


def test_a_bow_is_no_bend_to_a_side():
    facts = measure(bow(6.0, 2.0, 70.0))
    assert only(facts, "angle", "trunk", None).to_value == pytest.approx(70, abs=2)
    assert not [fact for fact in facts if fact.joint == "side"]


def test_a_bow_of_somebody_whose_hips_are_seen_askew_is_no_bend_to_a_side():
    motion = bow(6.0, 2.0, 80.0)
    joints = motion.joints.copy()
    for hip, depth_m in ((motion.skeleton.hips[0], 0.08), (motion.skeleton.hips[1], -0.08)):
        joints[:, hip, 2] += depth_m
    facts = measure(Motion(joints, FPS, motion.skeleton, motion.filled))
    assert only(facts, "angle", "trunk", None).to_value == pytest.approx(80, abs=3)
    assert not [fact for fact in facts if fact.joint == "side"]


def test_a_mirrored_motion_gives_the_same_facts_with_the_sides_exchanged():
    motion = athlete(6.0, left_arm=wave(6.0, 1.5, 0, 120), right_knee=wave(6.0, 2.0, 0, 60))
    swapped = {"left": "right", "right": "left", "both": "both", None: None}
    expected = [fact.model_copy(update={"side": swapped[fact.side]}) for fact in measure(motion)]
    assert sorted(map(str, measure(mirror(motion)))) == sorted(map(str, expected))


def test_the_same_movement_played_slower_has_the_same_count_and_a_longer_period():
    motion = squat(seconds=8.0, period_s=2.0, depth=90.0)
    facts = measure(change_speed(motion, 0.8))
    assert only(facts, "repetition", "knee", "both").value == 4
    assert only(facts, "period", "knee", "both").value == pytest.approx(2.5, abs=0.1)


def test_the_jitter_of_monocular_landmarks_is_not_taken_for_movement():
    facts = measure(athlete(6.0, noise_m=0.005))
    assert [fact for fact in facts if fact.kind in ("angle", "repetition", "speed")] == []


def test_a_movement_under_the_noise_of_landmarks_is_not_told():
    assert not [fact for fact in measure(squat(6.0, 2.0, depth=15.0)) if fact.kind == "angle"]


def test_somebody_who_stands_still_holds_still_for_the_whole_clip_and_the_posture_is_measured():
    facts = measure(athlete(10.0, left_knee=90, right_knee=90, left_thigh=90, right_thigh=90))
    assert only(facts, "hold", "body", None).value == pytest.approx(10.0, abs=0.2)
    assert only(facts, "posture", "knee", "left").value == pytest.approx(90, abs=1)


def test_a_very_slow_movement_is_not_called_holding_still():
    facts = measure(athlete(60.0, lean=np.linspace(0, 80, round(60 * FPS))))
    assert not [fact for fact in facts if fact.kind == "hold"]


def test_hands_over_the_head_are_told_and_hands_at_the_hips_are_not():
    above = only(measure(arm_raise(6.0, 1.5, 175.0)), "above", "wrist", "both")
    assert (above.other, above.times) == ("head", 4) and above.value > 0.2
    assert not [fact for fact in measure(squat(6.0, 1.5, 90.0)) if fact.kind == "above"]


def test_peak_speed_is_that_of_the_swing_in_body_lengths():
    # A straight arm of 0.54 m through 0 to 100 degrees in a cosine: its peak angular speed is 50 degrees * 2 pi / 1 s.
    facts = measure(athlete(6.0, right_arm=wave(6.0, 1.0, 0, 100)))
    expected = 0.54 * np.radians(50) * 2 * np.pi / (0.52 + 0.43 + 0.41)
    assert only(facts, "speed", "wrist", "right").value == pytest.approx(expected, rel=0.05)


def test_every_fact_points_at_frames_of_the_clip_where_its_value_can_be_found():
    motion = bow(seconds=6.0, period_s=3.0, depth=70.0).cut(20, 120)
    for fact in measure(motion):
        assert motion.start_s <= fact.start_s <= fact.end_s <= motion.start_s + motion.duration_s


def test_repetitions_are_not_counted_across_a_gap_and_a_gap_is_never_stillness():
    motion = squat(seconds=12.0, period_s=2.0, depth=90.0)
    joints = motion.joints.copy()
    joints[round(3.8 * FPS) : round(8.2 * FPS)] = np.nan
    facts = measure(Motion(joints, FPS, motion.skeleton, motion.filled))
    # Turning points at 1, 3, 9 and 11 s are seen; those at 5 and 7 s are not.
    assert only(facts, "repetition", "knee", "both").value == 4
    assert only(facts, "period", "knee", "both").value == pytest.approx(2.0, abs=0.1)
    assert not [fact for fact in facts if fact.kind == "hold"]


def test_small_dips_between_large_ones_are_not_counted():
    dips = np.concatenate([wave(1.2, 1.2, 0, 110), wave(0.8, 0.8, 0, 52)] * 4)
    (fact,) = [f for f in measure(athlete(8.0, left_elbow=dips)) if f.kind == "repetition" and f.joint == "elbow"]
    assert fact.value == 4


def test_two_still_spans_with_a_gap_between_are_not_one():
    motion = athlete(12.0)
    joints = motion.joints.copy()
    joints[round(5.0 * FPS) : round(7.0 * FPS)] = np.nan
    hold = only(measure(Motion(joints, FPS, motion.skeleton, motion.filled)), "hold", "body", None)
    assert hold.value < 5.0 and not hold.start_s < 6.0 < hold.end_s


def test_a_clip_in_which_nobody_is_known_has_no_facts():
    motion = squat(4.0, 2.0, 90.0)
    assert measure(Motion(np.full_like(motion.joints, np.nan), FPS, motion.skeleton, motion.filled)) == []
