"""Motions on other skeletons and at other frame rates."""

from dataclasses import replace

import numpy as np
import pytest

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import decode, encode, placed
from posellm_assets.motion.resampling import resample
from posellm_assets.motion.retarget import motion_from_capture, retarget
from posellm_assets.motion.skeletons import BODY, skeleton_from_tree, usual_parents
from posellm_assets.texts.facts import measure
from posellm_assets_tests.unit.motion.people import FPS, moving_person

RIG = [
    "Hips", "Spine", "Chest", "Neck", "Head", "Shoulder_L", "UpperArm_L", "LowerArm_L", "Hand_L", "Shoulder_R",
    "UpperArm_R", "LowerArm_R", "Hand_R", "UpperLeg_L", "LowerLeg_L", "Foot_L", "Toes_L", "UpperLeg_R", "LowerLeg_R",
    "Foot_R", "Toes_R",
]  # fmt: skip


def rig_skeleton(names=RIG):
    return skeleton_from_tree(names, usual_parents(names)).skeleton


def on(skeleton, motion):
    return retarget(motion, skeleton)


def test_there_and_back_every_shared_joint_is_where_it_was():
    person = moving_person(40)
    rigged = on(rig_skeleton(), person)
    assert set(rigged.unknown) == {"spine", "chest", "left_collar", "right_collar"}
    back = on(BODY, rigged)
    measured = [joint for joint, name in enumerate(BODY.joints) if name not in ("nose", "pelvis", "neck")]
    np.testing.assert_array_equal(back.joints[:, measured], person.joints[:, measured])
    assert "nose" in back.unknown


def test_the_nose_is_in_front_of_the_head_and_follows_it():
    person = moving_person(40)
    back = on(BODY, on(rig_skeleton(), person))
    nose, head = back.joints[:, BODY.index("nose")], back.joints[:, BODY.index("head")]
    real = person.joints[:, BODY.index("nose")] - head
    ahead = (nose - head) / np.linalg.norm(nose - head, axis=1, keepdims=True)
    assert np.linalg.norm(nose - head, axis=1) == pytest.approx(0.11, abs=0.01)
    assert ((ahead * real).sum(1) / np.linalg.norm(real, axis=1)).min() > 0.9


def test_feet_that_nobody_measured_are_refused():
    names = [name for name in RIG if not name.startswith("Toes")]
    skeleton = rig_skeleton(names)
    motion = Motion(np.zeros((30, len(skeleton), 3), np.float32), FPS, skeleton, np.zeros(30, bool))
    with pytest.raises(ValueError, match="no left_toe, right_toe, and nothing tells where"):
        retarget(motion)


def test_resampling_keeps_time_places_and_gaps():
    t = np.arange(61) / 30
    person = moving_person(61)
    joints = person.joints * 0 + (2 * t)[:, None, None].astype(np.float32)
    joints[30:33] = np.nan
    slow = resample(replace(person, joints=joints, fps=30.0), 20.0)
    assert (len(slow), slow.fps) == (41, 20.0)
    known = slow.known
    np.testing.assert_allclose(slow.joints[known, 0, 0], 2 * np.arange(41)[known] / 20, atol=1e-6)
    assert np.flatnonzero(~known).tolist() == [20, 21]


def test_resampling_hits_frames_that_coincide_exactly():
    person = replace(moving_person(901), fps=30.0)
    slow = resample(person, 10.0)
    np.testing.assert_array_equal(slow.joints, person.joints[::3])
    assert resample(person, 30.0) is person


def test_motion_capture_enters_the_lake_on_the_skeleton_of_videos_or_its_own():
    rigged = replace(on(rig_skeleton(), moving_person(90)), fps=30.0)
    motion = motion_from_capture(rigged, MotionConfig())
    assert (motion.skeleton, motion.fps, len(motion)) == (BODY, 20.0, 60)
    own = motion_from_capture(rigged, MotionConfig(skeleton="source"))
    assert own.skeleton == rigged.skeleton
    with pytest.raises(ValueError, match=r"longest stretch without a gap is 0\.60 s"):
        motion_from_capture(rigged.cut(0, 18), MotionConfig())


def test_any_rig_has_an_exact_representation_and_the_same_facts():
    person = moving_person(80)
    for joint, swing in (("left_knee", 0.5), ("left_ankle", 0.0)):
        wave = swing * np.sin(np.arange(80) / 5).astype(np.float32)
        person.joints[:, BODY.index(joint), 2] += wave
    rigged = on(rig_skeleton(), person)
    np.testing.assert_allclose(decode(encode(rigged), rigged.skeleton, FPS).joints, placed(rigged).joints, atol=1e-5)
    knees = [[fact for fact in measure(motion) if fact.joint == "knee"] for motion in (person, rigged)]
    assert knees[0] and knees[0] == knees[1]
