import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posellm_assets.motion.motion import Motion, UnreadableMotion
from posellm_assets.motion.skeletons import BODY, Skeleton
from posellm_assets_tests.unit.motion.people import moving_person, random_motion

PUPPET = Skeleton("puppet", ("root", "l", "r"), (-1, 0, 0), ((1, 2),), (1, 2), (1, 2), (1, 2))


def with_gap(motion, start, stop):
    motion.joints[start:stop] = np.nan
    return motion


def test_a_motion_file_gives_back_what_was_written_gaps_and_all(tmp_path):
    motion = with_gap(moving_person(60), 20, 30)
    motion.filled[5:7] = True
    guessed = np.random.default_rng(0).random(motion.joints.shape[:2]) < 0.3
    written = Motion(motion.joints, 20.0, BODY, motion.filled, ("scale",), 1.25, {"settings": {"gap_s": 0.2}}, guessed)
    written.write(tmp_path / "a.parquet")
    read = Motion.read(tmp_path / "a.parquet")
    np.testing.assert_array_equal(read.joints, written.joints)
    np.testing.assert_array_equal(read.filled, written.filled)
    np.testing.assert_array_equal(read.guessed, guessed)
    assert (read.fps, read.skeleton, read.unknown) == (20.0, BODY, ("scale",))
    assert (read.start_s, read.parameters) == (1.25, {"settings": {"gap_s": 0.2}})


def test_a_motion_file_is_plain_parquet_with_times_and_null_where_nobody_was_seen(tmp_path):
    with_gap(moving_person(10), 4, 6).cut(2, 10).write(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    assert table["time_s"].to_pylist() == pytest.approx([0.1 + frame / 20 for frame in range(8)])
    assert [row is None for row in table["joints"].to_pylist()] == [False, False, True, True, *[False] * 4]


def test_a_file_keeps_any_skeleton(tmp_path):
    random_motion(5, PUPPET, 0).write(tmp_path / "p.parquet")
    assert Motion.read(tmp_path / "p.parquet").skeleton == PUPPET


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    path = tmp_path / "a.parquet"
    moving_person(50).write(path)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UnreadableMotion, match=r"a\.parquet.*make it again"):
        Motion.read(path)


def test_parquet_that_is_no_motion_is_refused(tmp_path):
    pq.write_table(pa.table({"joints": [1, 2]}), tmp_path / "a.parquet")
    with pytest.raises(UnreadableMotion, match="not a motion"):
        Motion.read(tmp_path / "a.parquet")


def test_a_file_of_another_schema_version_is_refused(tmp_path):
    moving_person(5).write(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    about = table.schema.metadata[b"posellm_motion"].replace(b'"schema_version": 2', b'"schema_version": 99')
    pq.write_table(table.replace_schema_metadata({"posellm_motion": about}), tmp_path / "a.parquet")
    with pytest.raises(UnreadableMotion, match="version 99"):
        Motion.read(tmp_path / "a.parquet")


def test_segments_are_the_long_enough_stretches_between_gaps_with_their_times():
    motion = with_gap(with_gap(moving_person(100), 0, 10), 30, 35)
    motion = with_gap(motion, 40, 50)
    segments = motion.segments(min_s=0.5)
    assert [(segment.start_s, len(segment)) for segment in segments] == [(0.5, 20), (2.5, 50)]
    assert all(segment.known.all() for segment in segments)


def test_a_stretch_of_exactly_the_minimum_counts():
    assert len(moving_person(16).segments(0.8)) == 1
    assert moving_person(15).segments(0.8) == []


def test_joints_that_do_not_fit_the_skeleton_are_refused():
    with pytest.raises(ValueError, match=r"\(T, 18, 3\)"):
        Motion(np.zeros((5, 17, 3), np.float32), 20.0, BODY, np.zeros(5, bool))


def test_the_body_skeleton_is_one_tree_with_a_twin_for_every_left_joint():
    lefts = {name for name in BODY.joints if name.startswith("left")}
    twins = {BODY.joints[right] for _, right in BODY.mirror_pairs}
    assert {BODY.joints[left] for left, _ in BODY.mirror_pairs} == lefts
    assert twins == {name.replace("left", "right") for name in lefts}
    assert BODY.joints[BODY.parents[BODY.index("left_wrist")]] == "left_elbow"


@pytest.mark.parametrize(
    ("parents", "pairs", "complaint"),
    [
        ((0, 0, 0), ((1, 2),), "parent is -1"),
        ((-1, 2, 0), ((1, 2),), "after its parent"),
        ((-1, 0, 0), ((1, 3),), "outside"),
    ],
)
def test_a_skeleton_that_does_not_fit_together_is_refused(parents, pairs, complaint):
    with pytest.raises(ValueError, match=complaint):
        Skeleton("broken", ("root", "l", "r"), parents, pairs, (1, 2), (1, 2), (1,))


def test_asking_for_an_unknown_joint_says_which_there_are():
    with pytest.raises(ValueError, match=r"no joint 'tail'.*pelvis"):
        BODY.index("tail")


def test_what_the_code_server_imports_of_this_room_loads_no_torch():
    modules = ("config", "skeletons", "motion", "from_poses", "representation", "augment", "errors", "rendering")
    imports = ", ".join(f"posellm_assets.motion.{name}" for name in (*modules, "drift", "retarget", "tokenise"))
    code = f"import sys, {imports}; print([name for name in ('torch', 'mediapipe') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
