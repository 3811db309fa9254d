"""Motion capture that no body can move: what is not of the take is cut off, and what is no body is refused."""

import json

import numpy as np
import pytest

from posellm_assets.footage.labels import Feedback
from posellm_assets.motion.bvh_out import write_bvh
from posellm_assets.motion.formats import read_motions
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import BODY
from posellm_assets.motion.sources import Declaration, UnusableSource, declared, motion_from_joints
from posellm_assets_tests.unit.motion.people import STANDING, mocap, moving_person, real_data

UNDECLARED = Declaration()


def t_pose():
    """Somebody at the origin with the arms stretched out to the sides."""
    joints = STANDING.copy()
    for side, sign in (("left", 1), ("right", -1)):
        for part, x in (("elbow", 0.46), ("wrist", 0.71)):
            joints[BODY.index(f"{side}_{part}")] = (sign * x, 1.45, 0)
    return joints


def imported(joints, said=UNDECLARED, fps=20.0):
    return motion_from_joints(joints, BODY.joints, BODY.parents, fps, said, "test")


def fastest(motion):
    return np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1).max() * motion.fps


def read(path, said=UNDECLARED):
    (found,) = read_motions(path, said)
    return found.motion


@pytest.mark.parametrize("frames", [1, 5, 40])
@pytest.mark.parametrize("end", ["start", "end"])
def test_a_pose_held_before_or_behind_the_take_is_cut_off_with_a_word(frames, end):
    take, held = moving_person(60, walks=False).joints, np.tile(t_pose(), (frames, 1, 1))
    motion = imported(np.concatenate([held, take] if end == "start" else [take, held]))
    np.testing.assert_allclose(motion.joints, take, atol=1e-6)
    assert f"frames cut off: {frames} at the {end}" in motion.parameters["lost_frames"]


@pytest.mark.parametrize("case", ["29_tpose_first.bvh", "41_far_tpose_first.bvh"])
def test_case_of_a_t_pose_before_the_take(case):
    motion = read(real_data() / "cases" / case)
    assert (len(motion), motion.parameters["cut_off_s"]) == (89, pytest.approx(1 / 30, abs=1e-6))
    assert fastest(motion) < 2
    assert "1 at the start" in motion.parameters["lost_frames"]


@pytest.mark.parametrize("case", ["00_plain.bvh", "01_bom.bvh", "40_far.bvh"])
def test_case_of_a_whole_take_keeps_every_frame(case):
    motion = read(real_data() / "cases" / case)
    assert (len(motion), motion.parameters["lost_frames"]) == (90, "")


@pytest.mark.parametrize("fill", [0.0, -1.0, "rest pose"])
@pytest.mark.parametrize("frames", [[10], [10, 11, 12], [10, 12, 14], list(range(20, 35))])
def test_lost_frames_that_are_written_as_numbers_are_unknown(fill, frames):
    person = moving_person(60)
    joints = person.joints + np.array([2.0, 0, 1.0], np.float32)
    joints[frames] = t_pose() if fill == "rest pose" else fill
    motion = imported(joints)
    assert sorted(set(frames) - set(np.flatnonzero(~motion.known))) == []
    assert (~motion.known).sum() <= len(frames) + 2
    assert np.nanmax(np.linalg.norm(np.diff(motion.joints, axis=0), axis=-1)) * 20 < 6


def test_a_joint_that_is_lost_to_the_origin_is_unknown_there():
    joints = moving_person(30).joints.copy()
    wrist = BODY.index("left_wrist")
    joints[7:9, wrist] = 0
    assert np.flatnonzero(~imported(joints).known).tolist() == [7, 8]


def test_joints_about_the_pelvis_lose_no_frame():
    joints = moving_person(30).joints
    assert imported(joints - joints[:, :1]).known.all()


def test_where_two_takes_meet_no_motion_goes_from_one_to_the_other():
    first, second = moving_person(50, 1, walks=False).joints, moving_person(50, 2, walks=False).joints + 3
    motion = imported(np.concatenate([first, second]))
    assert np.flatnonzero(~motion.known).tolist() == [50]
    assert [len(segment) for segment in motion.segments(0.5)] == [50, 49]


def test_real_movements_at_any_rate_lose_no_frame():
    for original in mocap(60):
        for every in (1, 2, 3):
            kept = slice(None, None, every)
            thinned = Motion(original.joints[kept], original.fps, original.skeleton, original.filled[kept])
            said = declared(unit="m", up="y", handedness="right")
            motion = motion_from_joints(
                thinned.joints, original.skeleton.joints, original.skeleton.parents, original.fps / every, said, "mocap"
            )
            assert motion.parameters["lost_frames"] == ""


def test_a_throw_loses_no_frame():
    """A hand that reaches 30 m/s within 0.1 s and stops as fast, at 120 and at 30 frames/s."""
    for fps in (30.0, 120.0):
        time_s = np.arange(int(2 * fps)) / fps
        joints = np.tile(STANDING, (len(time_s), 1, 1))
        way = np.cumsum(30 * np.exp(-(((time_s - 1) / 0.05) ** 2)) / fps)
        for part, share in (("wrist", 1.0), ("elbow", 0.6), ("shoulder", 0.3)):
            joints[:, BODY.index(f"right_{part}"), 2] += share * way
        joints[:, [BODY.index("neck"), BODY.index("head"), BODY.index("nose")], 2] += 0.25 * way[:, None]
        assert imported(joints, declared(unit="m", handedness="right", up="y"), fps).known.all()


@pytest.mark.parametrize("unit", [None, "cm", "m", "mm"])
def test_positions_of_0_in_place_of_offsets_are_refused_for_what_they_are(tmp_path, unit):
    """The case 13_six_zero.bvh: six channels on every joint, and the positions are 0."""
    write_bvh(moving_person(20), tmp_path / "a.bvh")
    head, _, rows = (tmp_path / "a.bvh").read_text().partition("MOTION")
    count = head.count("CHANNELS")
    head = head.replace("CHANNELS 3 ", "CHANNELS 6 Xposition Yposition Zposition ")
    row = " ".join(["0 1 0 1 2 3"] + ["0 0 0 1 2 3"] * (count - 1))
    times = rows.split("\n")[1:3]
    (tmp_path / "b.bvh").write_text("\n".join([head + "MOTION", *times, *[row] * 20]) + "\n")
    with pytest.raises(ValueError, match="position channels that are 0 in every frame"):
        read(tmp_path / "b.bvh", declared(unit=unit))


def test_case_13_six_zero():
    for unit in (None, "cm"):
        with pytest.raises(ValueError, match=r"13_six_zero\.bvh: 20 joints .*position channels that are 0"):
            read(real_data() / "cases" / "13_six_zero.bvh", declared(unit=unit))


@pytest.mark.parametrize(("unit", "size"), [("mm", "0.00"), ("100", "13")])
def test_a_unit_that_makes_no_body_is_refused(unit, size):
    with pytest.raises(UnusableSource, match=rf"together are {size}"):
        imported(moving_person(20).joints, declared(unit=unit))


def test_a_limb_without_a_length_is_refused():
    joints = moving_person(20).joints.copy()
    joints[:, BODY.index("left_wrist")] = joints[:, BODY.index("left_elbow")]
    with pytest.raises(UnusableSource, match="left_wrist and left_elbow are at one place"):
        imported(joints)


@pytest.mark.parametrize("seconds", ["0", "-1", "0.000000001", "1e9"])
def test_a_frame_time_that_is_none_gives_way_to_the_declared_rate_or_asks_for_it(tmp_path, seconds):
    write_bvh(moving_person(20), tmp_path / "a.bvh")
    text = (tmp_path / "a.bvh").read_text().replace("Frame Time: 0.05000000", f"Frame Time: {seconds}")
    (tmp_path / "a.bvh").write_text(text)
    with pytest.raises(ValueError, match=r"declare it, with --fps or .* in a\.bvh\.json"):
        read(tmp_path / "a.bvh")
    assert read(tmp_path / "a.bvh", declared(fps=25)).fps == 25
    (tmp_path / "a.bvh.json").write_text('{"fps": 40}')
    assert read(tmp_path / "a.bvh").fps == 40


def test_case_27_frame_time_0():
    path = real_data() / "cases" / "27_frame_time_0.bvh"
    with pytest.raises(ValueError, match="its frame time is no frame rate: declare it"):
        read(path)
    assert read(path, declared(fps=30)).fps == 30


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp932"])
def test_a_bvh_file_in_any_encoding_is_read(tmp_path, encoding):
    motion = moving_person(20)
    write_bvh(motion, tmp_path / "a.bvh")
    tail = {"latin-1": "Hüfte", "cp932": "頭"}.get(encoding, "Hüfte 頭")
    text = (tmp_path / "a.bvh").read_text().replace("JOINT nose", f"JOINT {tail}")
    (tmp_path / "a.bvh").write_bytes(text.encode(encoding))
    found = read(tmp_path / "a.bvh")
    assert len(found) == 20 and len(found.skeleton) == 18


def test_feedback_is_counted_from_what_is_left_of_the_take(tmp_path):
    held = np.tile(t_pose(), (40, 1, 1))
    joints = np.concatenate([held, moving_person(60, walks=False).joints]).astype(np.float32)
    write_bvh(Motion(joints, 20.0, BODY, np.zeros(100, bool)), tmp_path / "a.bvh")
    said = {"feedback": [{"t": 1.0, "text": "ready"}, {"t": 3.0, "text": "lower"}]}
    (tmp_path / "a.bvh.json").write_text(json.dumps(said))
    (found,) = read_motions(tmp_path / "a.bvh", UNDECLARED)
    assert found.labels.feedback == [Feedback(t=1.0, text="lower")]
