import re
from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.lake import Lake
from posellm_assets.motion.motion import Motion
from posellm_assets.texts.captions import captions_for, label_words, read_captions, write_captions
from posellm_assets.texts.describe import describe
from posellm_assets.texts.fact import Fact
from posellm_assets.texts.facts import measure
from posellm_assets_tests.unit.texts.athletes import arm_raise, athlete, march, squat, wave

KEY = "fitness.squats.0123abcd"


def caption(motion=None, label="jump_squat", sport="fitness", user=(), key=KEY):
    return captions_for(key, motion or squat(8.0, 2.0, 90.0), sport=sport, label=label, user_captions=user)


def test_the_owners_words_come_first_and_verbatim():
    captions = caption(user=["  Ana's 3rd set — «slow»!\n", "  "])
    assert (captions.texts[0].text, captions.texts[0].kind) == ("  Ana's 3rd set — «slow»!\n", "user")
    assert [text.kind for text in captions.texts].count("user") == 1


def test_every_caption_of_a_labelled_clip_that_we_write_begins_with_the_words_of_its_label():
    for number in range(20):
        texts = [text for text in caption(key=f"fitness.squats.{number:08x}").texts if text.kind != "user"]
        assert texts[0].text == "jump squat"
        assert all(text.kind == "label" and text.text.startswith("jump squat") for text in texts)


def test_a_clip_without_a_label_gets_facts_only_and_no_invented_name():
    captions = caption(label=None)
    assert {text.kind for text in captions.texts} == {"facts"}
    assert all("both hips bend" in text.text and "squat" not in text.text for text in captions.texts)
    assert any("both knees bend" in text.text for text in captions.texts)


def test_the_same_key_gives_the_same_captions_and_keys_differ_in_phrasing():
    assert caption() == caption()
    assert len({caption(key=f"fitness.squats.{number:08x}").texts[-1].text for number in range(20)}) > 3


def test_every_number_in_a_caption_was_measured():
    for number in range(20):
        captions = caption(key=f"fitness.squats.{number:08x}")
        angles = [fact for fact in captions.facts if fact.to_value is not None]
        measured = {round(value / 10) * 10 for fact in angles for value in (fact.value, fact.to_value)}
        measured |= {round(abs(fact.value - (fact.to_value or 0)) / 10) * 10 for fact in angles}
        measured |= {int(fact.value) for fact in captions.facts if fact.kind == "repetition"}
        said = {int(found) for text in captions.texts for found in re.findall(r"\d+", text.text)}
        assert said <= measured


def test_a_clip_without_a_movement_claims_none():
    captions = caption(motion=athlete(6.0), label=None)
    assert {text.text for text in captions.texts} <= {"holding still", "keeping still"} and captions.texts


def test_a_clip_in_which_nothing_can_be_measured_and_nothing_is_given_has_no_texts():
    motion = squat(4.0, 2.0, 90.0)
    gone = Motion(np.full_like(motion.joints, np.nan), motion.fps, motion.skeleton, motion.filled)
    assert caption(motion=gone, label=None).texts == []
    assert [text.text for text in caption(motion=gone).texts] == ["jump squat"]


def test_left_and_right_that_were_counted_differently_are_not_given_one_count():
    left, right = wave(8.0, 1.0, 0, 90), wave(8.0, 2.0, 0, 90, phase=0.5)
    texts = caption(motion=athlete(8.0, left_arm=left, right_arm=right), label=None).texts
    assert not any("each" in text.text for text in texts)


def test_captions_come_back_from_the_lake_as_they_were_written(tmp_path):
    lake, captions = Lake(tmp_path), caption(user=["naïve 深蹲"])
    write_captions(lake, captions)
    assert read_captions(lake, KEY) == captions
    with pytest.raises(FileNotFoundError, match=r"fitness\.other\.0123abcd: there are no captions"):
        read_captions(lake, "fitness.other.0123abcd")


def test_damaged_captions_are_refused_with_their_path(tmp_path):
    lake = Lake(tmp_path)
    write_captions(lake, caption())
    path = lake.captions(KEY)
    path.write_text(path.read_text().replace('"facts"', '"fakts"'))
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_captions(lake, KEY)


@pytest.mark.parametrize("label", ["Jumping_Jack", "jumping-jack", " jumping  jack "])
def test_a_label_reads_as_words_however_the_folder_spells_it(label: str):
    assert label_words(label) == "jumping jack"


def test_a_description_says_what_moves_how_far_how_often_and_how_fast():
    assert "Both knees bend, from 180 to 90 degrees, 4 times, one every 2.0 s." in describe(
        measure(squat(8.0, 2.0, 90.0))
    )


def test_a_description_of_turns_gives_each_side_its_own_numbers():
    (sentence,) = [text for text in describe(measure(march(8.0, 2.0, 80.0))) if text.startswith("The left hip")]
    assert sentence.startswith("The left hip and the right hip bend in turn: the left from 180 to 100 degrees, 4 times")


def test_a_description_of_one_movement_says_when_and_in_which_direction():
    lowered = np.concatenate([np.full(40, 150.0), np.linspace(150, 10, 20), np.full(40, 10.0)])
    sentences = describe(measure(athlete(5.0, right_arm=lowered)))
    (sentence,) = [text for text in sentences if "comes down" in text]
    said = re.fullmatch(
        r"The right arm comes down, from 150 degrees at (\d\.\d) s to 10 degrees at (\d\.\d) s\.", sentence
    )
    assert said and float(said[1]) <= 2.0 and float(said[2]) >= 2.9


def test_a_description_of_nothing_says_so_instead_of_inventing():
    assert describe([]) == ["No joint was seen to move beyond the noise of the landmarks."]


def test_a_hold_is_described_with_its_posture():
    facts = measure(athlete(10.0, left_knee=90, right_knee=90, left_thigh=90, right_thigh=90))
    assert any("holds still for 9.9 s" in s and "the knees at 90 and 90 degrees" in s for s in describe(facts))


def test_hands_above_the_head_are_described():
    assert any(
        s.startswith("Both hands are above the head, by up to 0.")
        for s in describe(measure(arm_raise(6.0, 1.5, 175.0)))
    )


def test_an_unknown_kind_of_fact_is_refused():
    with pytest.raises(ValueError, match="kind"):
        Fact(kind="form", joint="knee", side=None, value=1, unit="degrees", start_s=0, end_s=1)


def test_each_stretch_of_a_clip_is_told_its_own_facts_and_the_names_are_told_of_all():
    squats = squat(6.0, 2.0, 90.0)
    gap, stillness = np.full((20, *squats.joints.shape[1:]), np.nan), np.repeat(squats.joints[:1], 100, axis=0)
    joints = np.concatenate([squats.joints, gap, stillness]).astype(np.float32)
    clip = replace(squats, joints=joints, filled=np.zeros(len(joints), bool), guessed=np.zeros(joints.shape[:2], bool))
    for label in ("squats", None):
        captions = caption(motion=clip, label=label, user=["Set one."]).texts
        moving, still = ({text.text for text in captions if text.tells_of(*span)} for span in ((0.0, 6.0), (7.0, 12.0)))
        general = {"Set one.", "squats"} if label else {"Set one."}
        assert {text.text for text in captions if text.of_all} == general == moving & still
        assert any("3 times" in text for text in moving) and not any("still" in text for text in moving)
        assert any("still" in text for text in still) and not any("bend" in text for text in still)
