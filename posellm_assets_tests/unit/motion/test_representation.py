import numpy as np
import pytest

from posellm_assets.motion import representation
from posellm_assets.motion.augment import change_speed, mirror, shift_phase
from posellm_assets.motion.representation import decode, encode, heading, layout, placed, turn
from posellm_assets.motion.skeletons import BODY
from posellm_assets_tests.unit.motion.people import STANDING, mocap, moving_person, random_motion
from posellm_assets_tests.unit.motion.test_motion import PUPPET


def round_trip_error_m(motion):
    back = decode(encode(motion), motion.skeleton, motion.fps)
    return np.abs(back.joints - placed(motion).joints).max()


@pytest.mark.parametrize("skeleton", [BODY, PUPPET], ids=lambda s: s.name)
@pytest.mark.parametrize("seed", range(10))
def test_features_decode_to_the_motion_in_every_frame_whatever_it_is(skeleton, seed):
    frames = int(np.random.default_rng(seed).integers(1, 300))
    assert round_trip_error_m(random_motion(frames, skeleton, seed)) < 1e-5


def test_a_long_walk_does_not_drift():
    assert round_trip_error_m(moving_person(12_000)) < 1e-5


def test_real_motion_capture_decodes_to_itself():
    motions = mocap(40)
    assert max(round_trip_error_m(motion) for motion in motions) < 1e-5


def test_features_do_not_depend_on_where_somebody_stands_and_faces():
    motion = moving_person(50)
    elsewhere = random_motion(50, BODY, 0)
    elsewhere.joints[:] = turn(motion.joints, 2.0) + np.array([3.0, 0.0, -5.0])
    np.testing.assert_allclose(encode(elsewhere), encode(motion), atol=1e-5)


def test_placing_turns_the_first_frame_to_face_forward_over_the_origin_and_moves_nothing_else():
    motion = placed(moving_person(50, seed=3))
    assert heading(motion.joints, BODY)[0] == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(motion.joints[0, 0, [0, 2]], 0, atol=1e-7)
    apart = np.linalg.norm(np.diff(moving_person(50, seed=3).joints, axis=0), axis=-1)
    np.testing.assert_allclose(np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1), apart, atol=1e-6)


def test_somebody_who_turns_to_their_left_turns_towards_x():
    yaw = np.linspace(0, np.pi / 2, 10)
    joints = np.stack([turn(STANDING, angle) for angle in yaw])
    np.testing.assert_allclose(heading(joints, BODY), yaw, atol=1e-9)


def test_lying_on_a_side_keeps_the_heading_from_spinning():
    lying = STANDING[:, [1, 0, 2]]  # the left side is up
    rng = np.random.default_rng(0)
    joints = np.concatenate([[STANDING], lying + rng.normal(0, 0.01, (50, *lying.shape)), [STANDING]])
    assert np.abs(heading(joints, BODY)).max() < 0.05


def test_groups_cover_every_feature_once():
    parts = layout(BODY)
    covered = [index for group in parts.groups for index in range(group.start, group.stop)]
    assert covered == list(range(encode(moving_person(5)).shape[1]))
    assert parts.size == len(covered)


def test_feet_that_rest_are_in_contact_and_feet_that_move_are_not():
    motion = random_motion(10, BODY, 0)
    motion.joints[:] = STANDING
    toe = BODY.index("left_toe")
    motion.joints[5:, toe, 1] += np.linspace(0.05, 0.3, 5)
    contacts = encode(motion)[:, layout(BODY).contacts]
    place = BODY.feet.index(toe)
    assert contacts[:4].all()
    assert not contacts[5:, place].any()
    assert np.delete(contacts, place, axis=1).all()


def test_a_motion_with_a_gap_is_refused_and_not_guessed():
    motion = moving_person(20)
    motion.joints[3] = np.nan
    with pytest.raises(ValueError, match=r"1 of 20 frames are unknown.*segments"):
        encode(motion)


def test_features_of_another_skeleton_are_refused():
    with pytest.raises(ValueError, match="skeleton puppet"):
        decode(encode(moving_person(5)), PUPPET, 20.0)


def test_a_motion_mirrored_twice_is_itself():
    motion = moving_person(30)
    np.testing.assert_array_equal(mirror(mirror(motion)).joints, motion.joints)


def test_a_raised_left_arm_is_a_raised_right_arm_in_the_mirror():
    motion = random_motion(4, BODY, 0)
    motion.joints[:] = STANDING
    motion.joints[:, BODY.index("left_wrist")] = (0.3, 1.9, 0.1)
    mirrored = mirror(motion).joints[0]
    np.testing.assert_allclose(mirrored[BODY.index("right_wrist")], (-0.3, 1.9, 0.1), rtol=1e-6)
    np.testing.assert_allclose(mirrored[BODY.index("left_wrist")], STANDING[BODY.index("left_wrist")], atol=1e-6)


def test_mirroring_turns_the_other_way():
    motion = moving_person(40, seed=2)
    yaw = layout(BODY).yaw_velocity
    np.testing.assert_allclose(encode(mirror(motion))[:, yaw], -encode(motion)[:, yaw], atol=1e-6)


def test_twice_the_speed_shows_every_second_frame():
    motion = moving_person(41)
    np.testing.assert_allclose(change_speed(motion, 2.0).joints, motion.joints[::2], atol=1e-6)


def test_a_slower_motion_begins_and_ends_like_the_original():
    motion = moving_person(41)
    slow = change_speed(motion, 0.5)
    assert len(slow) == 81
    np.testing.assert_allclose(slow.joints[[0, -1]], motion.joints[[0, -1]], atol=1e-6)


def test_changing_speed_does_not_fill_a_gap():
    motion = moving_person(40)
    motion.joints[10:20] = np.nan
    assert not np.isfinite(change_speed(motion, 0.5).joints[21:38]).any()


def test_shifting_the_phase_only_cuts_the_front():
    motion = moving_person(20)
    shifted = shift_phase(motion, 2)
    np.testing.assert_array_equal(shifted.joints, motion.joints[2:])
    assert shifted.start_s == pytest.approx(0.1)
    with pytest.raises(ValueError, match="cannot cut 20 frames"):
        shift_phase(motion, 20)


def test_speeds_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="positive"):
        change_speed(moving_person(20), 0.0)


def test_the_documented_contact_speed_is_a_speed_not_a_step():
    slow_frames = moving_person(20)
    fast_frames = change_speed(slow_frames, 0.5)
    object.__setattr__(fast_frames, "fps", 40.0)
    contacts = layout(BODY).contacts
    share = [encode(motion)[:, contacts].mean() for motion in (slow_frames, fast_frames)]
    assert share[0] == pytest.approx(share[1], abs=0.15)
    assert representation.CONTACT_SPEED_M_PER_S == 0.2
