from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import savgol_filter

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import REFERENCE_SIZE_M, UNKNOWN, motion_from_poses, savitzky_golay_at
from posellm_assets.motion.motion import TooLittleSeen
from posellm_assets.motion.representation import heading, turn
from posellm_assets.motion.skeletons import BODY, BODY_LANDMARKS
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets_tests.unit.motion.people import STANDING

CONFIG = MotionConfig()


def filmed(joints, fps=30.0, time_s=None):
    """What a perfect landmarker would see of (T, 18, 3) joints: hip-centred, y down, z away from the camera."""
    world = np.zeros((len(joints), 33, 3), np.float32)
    for joint, landmarks in reversed(list(enumerate(BODY_LANDMARKS))):
        for landmark in landmarks:
            if len(landmarks) == 1:
                world[:, landmark] = joints[:, joint]
    head = BODY.index("head")
    world[:, 7] = joints[:, head] + np.array([0.07, 0, 0])
    world[:, 8] = joints[:, head] - np.array([0.07, 0, 0])
    world -= world[:, [23, 24]].mean(axis=1, keepdims=True)
    world *= np.array([1, -1, -1], np.float32)
    count = len(joints)
    ones = np.ones((count, 33), np.float32)
    time_s = np.arange(count) / fps if time_s is None else time_s
    landmarks = (world * 0.3 + np.array([0.5, 0.5, 0])).astype(np.float32)
    return SubjectPoses(time_s, landmarks, ones, ones, world, 640, 480, fps)


def standing(frames):
    return np.tile(STANDING, (frames, 1, 1))


def hidden(subject, start, stop):
    for channel in (subject.world, subject.landmarks, subject.visibility, subject.presence):
        channel[start:stop] = np.nan
    return subject


def wave(frames, fps=30.0, hertz=1.0):
    joints = standing(frames)
    joints[:, BODY.index("left_wrist"), 1] += 0.3 * np.sin(2 * np.pi * hertz * np.arange(frames) / fps)
    return joints


def test_a_person_who_faces_the_camera_stands_upright_on_the_floor_and_faces_forward():
    motion = motion_from_poses(filmed(standing(60)), CONFIG)
    frame = motion.joints[10]
    assert frame[BODY.index("head"), 1] > frame[BODY.index("pelvis"), 1] > frame[BODY.index("left_knee"), 1] > 0
    assert frame[:, 1].min() == pytest.approx(0, abs=1e-6)
    assert frame[BODY.index("left_wrist"), 0] > 0.2
    assert frame[BODY.index("left_toe"), 2] > frame[BODY.index("left_ankle"), 2]
    np.testing.assert_allclose(heading(motion.joints, BODY), 0, atol=1e-6)


def test_filmed_from_the_side_or_behind_the_first_frame_still_faces_forward():
    front = motion_from_poses(filmed(wave(60)), CONFIG)
    for angle in (1.5, 3.0, -2.0):
        other = motion_from_poses(filmed(turn(wave(60), angle)), CONFIG)
        np.testing.assert_allclose(other.joints, front.joints, atol=2e-2)


def test_small_and_tall_people_get_one_size():
    for size in (0.7, 1.0, 1.3):
        joints = motion_from_poses(filmed(standing(60) * size), CONFIG).joints[0]
        bone = lambda a, b: np.linalg.norm(joints[BODY.index(a)] - joints[BODY.index(b)])  # noqa: B023, E731
        total = bone("pelvis", "neck") + bone("left_hip", "left_knee") + bone("left_knee", "left_ankle")
        assert total == pytest.approx(REFERENCE_SIZE_M, abs=1e-4)


def test_it_says_what_one_camera_cannot_know_and_how_it_was_made():
    motion = motion_from_poses(filmed(standing(60)), CONFIG)
    assert motion.unknown == UNKNOWN
    assert motion.parameters["settings"] == CONFIG.model_dump()
    assert motion.parameters["scale"] == pytest.approx(REFERENCE_SIZE_M / (0.5 + 0.86), rel=0.02)


def test_a_squat_brings_the_pelvis_down():
    joints = standing(60)
    lowered = 0.4 * np.sin(np.linspace(0, np.pi, 60))[:, None]
    upper = [BODY.index(n) for n in BODY.joints if not n.endswith(("ankle", "toe", "knee"))]
    joints[:, upper, 1] -= lowered
    motion = motion_from_poses(filmed(joints), CONFIG)
    pelvis = motion.joints[:, 0, 1] / motion.parameters["scale"]
    assert pelvis[0] - pelvis[len(pelvis) // 2] == pytest.approx(0.4, abs=0.02)


def test_a_short_gap_is_filled_and_flagged():
    motion = motion_from_poses(hidden(filmed(wave(90)), 30, 36), CONFIG)
    assert motion.known.all()
    times = np.arange(len(motion)) / 20
    inside = (times > 29 / 30 + 1e-6) & (times < 36 / 30 - 1e-6)
    np.testing.assert_array_equal(motion.filled, inside)
    full = motion_from_poses(filmed(wave(90)), CONFIG)
    assert np.abs(motion.joints - full.joints).max() < 0.06


def test_a_gap_longer_than_a_fifth_of_a_second_stays_empty():
    motion = motion_from_poses(hidden(filmed(wave(90)), 30, 37), CONFIG)
    times = np.arange(len(motion)) / 20
    inside = (times > 29 / 30 + 1e-6) & (times < 37 / 30 - 1e-6)
    np.testing.assert_array_equal(motion.known, ~inside)
    assert not motion.filled.any()


def test_frames_that_the_camera_dropped_are_a_gap_too():
    keep = np.r_[0:30, 45:90]
    subject = filmed(wave(90)[keep], time_s=keep / 30)
    motion = motion_from_poses(subject, CONFIG)
    assert not motion.known[np.array([25, 28])].any()
    assert motion.known[:19].all()


def test_frames_that_cut_the_legs_off_count_as_unseen():
    subject = filmed(wave(120))
    subject.visibility[60:90, 25:] = 0.1
    subject.landmarks[60:90, 25:, 1] = 1.2
    motion = motion_from_poses(subject, CONFIG)
    times = np.arange(len(motion)) / 20
    np.testing.assert_array_equal(motion.known, (times <= 59 / 30 + 1e-6) | (times >= 3.0 - 1e-6))


def test_legs_hidden_within_the_picture_are_kept_as_guesses():
    subject = filmed(wave(60))
    subject.visibility[:, 25:] = 0.1
    motion = motion_from_poses(subject, CONFIG)
    legs = [BODY.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle", "toe")]
    assert motion.known.all()
    assert sorted(np.flatnonzero(motion.guessed.all(axis=0))) == sorted(legs)
    assert not np.delete(motion.guessed, legs, axis=1).any()


def test_where_the_landmarks_jump_as_no_body_does_nothing_moves():
    subject = filmed(standing(90))
    subject.landmarks[45:, :, 0] += 0.25
    assert [len(segment) for segment in motion_from_poses(subject, CONFIG).segments(0.5)] == [29, 30]


def test_frames_in_which_the_landmarks_were_elsewhere_for_a_moment_are_filled_and_break_nothing():
    subject, whole = filmed(wave(90)), motion_from_poses(filmed(wave(90)), CONFIG)
    subject.landmarks[40:42, :, 0] += 0.25
    subject.world[40:42] *= 0.5
    motion = motion_from_poses(subject, CONFIG)
    assert len(motion.segments(0.5)) == 1 and motion.filled.any()
    assert np.abs(motion.joints - whole.joints).max() < 0.05


def test_a_stretch_that_is_too_short_is_told_with_the_setting_that_takes_it():
    with pytest.raises(TooLittleSeen, match=r"is 0\.70 s, of 0\.8 s .* or set motion\.min_segment_s to 0\.7$"):
        motion_from_poses(filmed(standing(21)), CONFIG)
    assert len(motion_from_poses(filmed(standing(21)), CONFIG.model_copy(update={"min_segment_s": 0.7}))) == 14


def test_from_the_side_the_hidden_half_does_not_matter():
    subject = filmed(wave(60))
    subject.visibility[:, [11, 23, 25, 27]] = 0.1
    assert motion_from_poses(subject, CONFIG).known.all()


def test_title_cards_before_and_after_are_cut_and_the_time_in_the_video_is_kept():
    motion = motion_from_poses(hidden(hidden(filmed(wave(150)), 0, 30), 120, 150), CONFIG)
    assert motion.start_s == pytest.approx(1.0)
    assert motion.duration_s == pytest.approx(3.0, abs=0.1)
    assert motion.known.all()


@pytest.mark.parametrize("fps", [24.0, 30.0, 50.0, 60.0])
def test_the_same_movement_filmed_at_any_rate_is_the_same_motion(fps):
    motion = motion_from_poses(filmed(wave(int(3 * fps), fps), fps), CONFIG)
    time_s = np.arange(len(motion)) / 20
    wrist = motion.joints[:, BODY.index("left_wrist"), 1] - motion.joints[:, BODY.index("left_elbow"), 1]
    truth = (-0.25 + 0.3 * np.sin(2 * np.pi * time_s)) * motion.parameters["scale"]
    assert np.abs(wrist - truth)[2:-2].max() < 0.02


def test_uneven_frame_times_do_not_bend_the_movement():
    rng = np.random.default_rng(0)
    time_s = np.sort(np.arange(90) / 30 + rng.uniform(-0.012, 0.012, 90))
    joints = standing(90)
    joints[:, BODY.index("left_wrist"), 1] += 0.2 * time_s
    motion = motion_from_poses(filmed(joints, time_s=time_s), CONFIG)
    wrist = motion.joints[:, BODY.index("left_wrist"), 1] / motion.parameters["scale"]
    np.testing.assert_allclose(np.diff(wrist), 0.2 / 20, atol=1e-5)


def test_on_even_times_the_filter_is_scipys_savitzky_golay():
    values = np.random.default_rng(0).normal(size=(40, 3))
    time_s = np.arange(40) / 30
    ours = savitzky_golay_at(time_s, values, time_s, 7)
    np.testing.assert_allclose(ours, savgol_filter(values, 7, 2, axis=0), atol=1e-9)


def test_jitter_is_damped():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.01, (120, len(BODY), 3))
    noise[:, 0] = 0
    noisy = motion_from_poses(filmed(standing(120) + noise, 60.0), CONFIG)
    still = motion_from_poses(filmed(standing(120), 60.0), CONFIG)
    wrist = BODY.index("left_wrist")
    apart = (noisy.joints - still.joints)[:, wrist, 0]
    assert apart.std() < 0.0075


def test_nobody_in_view_is_an_error_in_words():
    with pytest.raises(ValueError, match="nobody is in view from shoulders to knees in any of the 40 frames"):
        motion_from_poses(hidden(filmed(standing(40)), 0, 40), CONFIG)


def test_too_short_a_view_says_how_short():
    with pytest.raises(ValueError, match=r"0\.\d\d s, of 0\.8 s.*min_segment_s"):
        motion_from_poses(hidden(filmed(standing(60)), 15, 60), CONFIG)


def test_landmarks_all_in_one_point_are_not_a_person():
    with pytest.raises(ValueError, match="not a person"):
        motion_from_poses(filmed(standing(60) * 0.0), CONFIG)


@pytest.mark.parametrize("fps", [6.0, 8.0, 10.0, 12.0, 15.0])
def test_rare_frames_are_not_smoothed_flat(fps):
    wrist = BODY.index("left_wrist")
    reach = {
        rate: np.ptp(motion_from_poses(filmed(wave(round(6 * rate), rate, 0.8), rate), CONFIG).joints[:, wrist, 1])
        for rate in (24.0, fps)
    }
    assert reach[fps] == pytest.approx(reach[24.0], rel=0.12)


def test_where_frames_become_rare_within_a_clip_the_window_holds_fewer_of_them():
    time_s = np.concatenate([np.arange(60) / 30, 2 + np.arange(32) / 8])
    joints = standing(len(time_s))
    joints[:, BODY.index("left_wrist"), 1] += 0.3 * np.sin(2 * np.pi * 0.8 * time_s)
    motion = motion_from_poses(filmed(joints, time_s=time_s), CONFIG)
    height = motion.joints[:, BODY.index("left_wrist"), 1]
    assert np.ptp(height[-60:]) == pytest.approx(np.ptp(height[:40]), rel=0.12)


def test_across_a_cut_nothing_moves():
    joints = standing(90)
    joints[45:, BODY.index("left_wrist"), 1] += 0.5
    subject = replace(filmed(joints), cuts_s=(1.5,))
    motion = motion_from_poses(subject, CONFIG)
    first, second = motion.segments(0.5)
    wrist = BODY.index("left_wrist")
    for segment in (first, second):
        assert np.ptp(segment.joints[:, wrist, 1]) == pytest.approx(0, abs=1e-4)
    assert second.joints[0, wrist, 1] - first.joints[0, wrist, 1] > 0.4
