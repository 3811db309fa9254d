import numpy as np
import torch

from posellm_assets.motion.augment import mirror
from posellm_assets.motion.parts import features_of, joined, parts_of
from posellm_assets.motion.representation import placed
from posellm_assets.motion.skeletons import BODY, skeleton_from_tree
from posellm_assets_tests.unit.motion.people import moving_person, random_motion
from posellm_assets_tests.unit.motion.test_motion import PUPPET


def test_a_body_is_a_trunk_two_arms_and_two_legs() -> None:
    named = {part.name: [BODY.joints[joint] for joint in part.joints] for part in parts_of(BODY)}
    assert list(named) == ["trunk", "left arm", "right arm", "left leg", "right leg"]
    assert named["right arm"] == ["right_elbow", "right_wrist"]
    assert named["left leg"] == ["left_knee", "left_ankle", "left_toe"]
    assert sorted(joint for joints in named.values() for joint in joints) == sorted(BODY.joints[1:])


def test_the_joints_come_back_from_the_parts() -> None:
    for motion in (moving_person(60), random_motion(40, BODY, 0), random_motion(40, PUPPET, 0)):
        back = joined(features_of(motion), motion.skeleton).numpy()
        assert np.abs(back - placed(motion).joints).max() < 1e-4


def test_a_mirrored_body_has_the_limbs_of_the_other_side() -> None:
    motion = moving_person(40)
    trunk, left_arm, right_arm, left_leg, right_leg = features_of(motion)
    mirrored = features_of(mirror(motion))
    for found, expected in zip(mirrored[1:], (right_arm, left_arm, right_leg, left_leg), strict=True):
        assert torch.allclose(found, expected, atol=1e-4)
    assert not torch.allclose(mirrored[0], trunk, atol=1e-2)


def test_a_limb_does_not_know_how_the_body_leans_turns_or_walks() -> None:
    still = moving_person(40)
    tilt = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)  # onto the back
    moved = still.joints @ tilt.T + np.linspace(0, 3, 40, dtype=np.float32)[:, None, None]
    lying = type(still)(moved, still.fps, still.skeleton, still.filled)
    for limb, other in zip(features_of(still)[1:], features_of(lying)[1:], strict=True):
        assert torch.allclose(limb, other, atol=1e-4)


def test_a_part_that_a_rig_lacks_is_left_out() -> None:
    joints = ["pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle"]
    joints += ["neck", "left_shoulder", "right_shoulder"]
    rig = skeleton_from_tree(joints, [-1, 0, 1, 2, 0, 4, 5, 0, 7, 7]).skeleton
    assert [part.name for part in parts_of(rig)] == ["trunk", "left leg", "right leg"]
