"""What is told, and what is measured and kept to oneself: hidden limbs, doubtful counts, depth."""

from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import BODY
from posellm_assets.texts.captions import captions_for
from posellm_assets.texts.certainty import SURE, sure
from posellm_assets.texts.describe import describe, describe_stretches
from posellm_assets.texts.facts import measure, measure_stretches
from posellm_assets_tests.unit.texts.athletes import FPS, athlete, bow, squat, wave


def hiding(motion: Motion, *joints: str, share: float = 1.0) -> Motion:
    """The motion with joints that the camera did not see in the first `share` of the frames."""
    guessed = motion.guessed.copy()
    guessed[: round(share * len(motion)), [BODY.index(joint) for joint in joints]] = True
    return replace(motion, guessed=guessed)


def towards(motion: Motion, camera_deg: float) -> Motion:
    """The motion as a camera saw it that stood at this angle from straight ahead."""
    return replace(motion, parameters={"turned_rad": float(np.radians(camera_deg))})


def test_a_limb_that_the_camera_did_not_see_gives_no_fact_and_the_other_is_told() -> None:
    seen = hiding(squat(8.0, 2.0, 90.0), "left_knee", "left_ankle")
    knees = {fact.side for fact in measure(seen) if fact.joint in ("knee", "hip", "ankle")}
    assert knees == {"right"}
    assert any(
        text.startswith("The right knee bends, from 180 to 90 degrees, 4 times") for text in describe(measure(seen))
    )


def test_elbows_that_move_under_a_body_that_hides_them_are_not_counted() -> None:
    bend = wave(8.0, 1.0, 0, 90)
    motion = athlete(8.0, left_elbow=bend, right_elbow=bend, lean=wave(8.0, 2.0, 0, 70))
    facts = measure(hiding(motion, "left_wrist", "right_wrist"))
    assert any(fact.joint == "trunk" for fact in facts)
    assert not any(fact.joint in ("elbow", "wrist") for fact in facts)


def test_a_limb_that_was_seen_half_of_the_time_is_less_sure_than_one_that_was_seen_always() -> None:
    always = {fact.certainty for fact in measure(squat(8.0, 2.0, 90.0)) if fact.joint == "knee"}
    partly = hiding(squat(8.0, 2.0, 90.0), "left_ankle", "right_ankle", share=0.4)
    assert always == {1.0}
    assert {fact.certainty for fact in measure(partly) if fact.joint == "knee" and fact.kind != "below"} == {0.6}


def test_a_movement_little_beyond_the_noise_is_measured_and_not_told() -> None:
    facts = measure(bow(6.0, 2.0, 26.0))
    leans = [fact for fact in facts if fact.joint == "trunk"]
    assert leans and all(fact.certainty < SURE for fact in leans)
    assert sure(leans) == [] and "lean" not in " ".join(describe(facts))


def test_a_single_repetition_is_told_there_and_back_and_one_way_is_told_as_one_way() -> None:
    assert "Both knees bend, from 180 to 90 degrees, and back again." in describe(measure(squat(3.0, 3.0, 90.0)))
    down = np.concatenate([np.zeros(20), np.linspace(0, 90, 20), np.full(20, 90.0)])
    once = describe(measure(athlete(3.0, left_knee=down, right_knee=down)))
    assert any(text.startswith("Both knees bend, from 180 degrees at") for text in once)
    texts = captions_for(
        "fitness.a.0123abcd", squat(3.0, 3.0, 90.0), sport="fitness", label=None, user_captions=[]
    ).texts  # fmt: skip
    assert all("there and back" in text.text for text in texts if "bend" in text.text)


@pytest.mark.filterwarnings("error")
def test_what_begins_bent_and_comes_back_to_it_straightens_there_and_back() -> None:
    bend = wave(3.0, 3.0, 0, 90, phase=0.5)
    told = describe(measure(athlete(3.0, left_knee=bend, right_knee=bend, left_elbow=bend, right_elbow=bend)))
    assert "Both knees straighten, from 90 to 180 degrees, and back again." in told


def test_a_count_without_a_rhythm_that_nothing_else_shares_is_not_told() -> None:
    gaps = [1.0, 4.2, 1.3, 3.1, 6.0, 1.1]
    bend = np.concatenate([np.concatenate([wave(1.0, 1.0, 0, 90), np.zeros(round(gap * FPS))]) for gap in gaps])
    facts = measure(athlete(len(bend) / FPS, left_elbow=bend))
    assert [fact.value for fact in facts if fact.kind == "repetition"] == [len(gaps)]
    assert not any(fact.joint == "elbow" for fact in sure(facts))
    together = measure(athlete(len(bend) / FPS, left_elbow=bend, right_elbow=bend))
    assert [fact.value for fact in sure(together) if fact.kind == "repetition"] == [len(gaps)]


def test_an_arm_that_points_at_the_camera_is_not_said_to_move_and_from_the_side_it_is() -> None:
    raised = wave(6.0, 2.0, 0, 90)  # sideways
    for camera_deg, told in ((0.0, True), (90.0, False)):
        facts = measure(towards(athlete(6.0, left_arm=raised, right_arm=raised), camera_deg))
        assert any(fact.joint == "shoulder" for fact in sure(facts)) is told


def test_each_stretch_is_described_by_itself_with_its_time() -> None:
    squats = squat(6.0, 2.0, 90.0)
    joints = np.concatenate([squats.joints, np.full((2, *squats.joints.shape[1:]), np.nan), squats.joints[:80]])
    cut = Motion(joints.astype(np.float32), FPS, BODY, np.zeros(len(joints), bool))
    sentences = describe_stretches(measure_stretches(cut))
    assert sentences[0] == "From 0.0 s to 6.0 s:" and "From 6.1 s to 10.1 s:" in sentences
    assert sum("3 times" in text for text in sentences) > 0 and sum("2 times" in text for text in sentences) > 0
    assert describe_stretches([]) == describe([])


def test_where_left_and_right_change_places_no_side_is_told() -> None:
    motion = athlete(6.0, left_arm=wave(6.0, 2.0, 0, 120), lean=wave(6.0, 2.0, 0, 60))
    for share, joints in ((0.0, {"shoulder", "hip", "trunk"}), (0.1, {"hip", "trunk"})):
        facts = sure(measure(replace(motion, parameters={"swap_share": share})))
        assert {fact.joint for fact in facts if fact.kind == "angle"} == joints
