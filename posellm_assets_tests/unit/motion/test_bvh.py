"""BVH in and out. The second reader below shares nothing with ours but the format."""

import re

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from posellm_assets.motion.bvh import motion_from_bvh, read_bvh
from posellm_assets.motion.bvh_out import write_bvh
from posellm_assets.motion.skeletons import BODY, Skeleton
from posellm_assets.motion.sources import Declaration, UnusableSource
from posellm_assets_tests.unit.motion.people import STANDING, moving_person, random_motion, real_data

TINY = """HIERARCHY
ROOT Hips
{
  OFFSET 9 9 9
  CHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation
  JOINT Arm
  {
    OFFSET 1 0 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 0 2 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.0333333
1 2 3 0 0 0 0 0 0
1 2 3 90 0 0 90 0 0
"""


def second_reader(path):
    """Joint names and positions (T, J, 3) of a BVH file, read by tokens and with SciPy's rotations."""
    tokens = re.findall(r"[^\s{}]+|[{}]", path.read_text())
    motion = tokens.index("MOTION")
    names, parents, offsets, channels, stack = [], [], [], [], []
    for at, token in enumerate(tokens[:motion]):
        if token in ("ROOT", "JOINT", "End"):
            names.append(None if token == "End" else tokens[at + 1])
            parents.append(stack[-1] if stack else None)
            channels.append([])
        elif token == "{":
            stack.append(len(names) - 1)
        elif token == "}":
            stack.pop()
        elif token == "OFFSET":
            offsets.append([float(number) for number in tokens[at + 1 : at + 4]])
        elif token == "CHANNELS":
            channels[stack[-1]] = tokens[at + 2 : at + 2 + int(tokens[at + 1])]
    rows = np.array(tokens[motion + 6 :], float).reshape(int(tokens[motion + 2]), -1)
    world, turned, column = [], [], 0
    for joint, parent in enumerate(parents):
        local, order, angles = np.tile(offsets[joint], (len(rows), 1)), "", []
        for name in channels[joint]:
            if name.endswith("position"):
                local[:, "XYZ".index(name[0])] = rows[:, column]
            else:
                order += name[0]
                angles.append(rows[:, column])
            column += 1
        identity = Rotation.identity(len(rows))
        turn = Rotation.from_euler(order, np.stack(angles, 1), degrees=True) if order else identity
        world.append(local if parent is None else world[parent] + turned[parent].apply(local))
        turned.append(turn if parent is None else turned[parent] * turn)
    kept = [joint for joint, name in enumerate(names) if name]
    return [names[joint] for joint in kept], np.stack([world[joint] for joint in kept], axis=1)


def written_back(motion, path, rest_pose="t-pose"):
    """The joints of a motion as both readers find them in the BVH file written of it, in metres."""
    write_bvh(motion, path, rest_pose)
    bvh = read_bvh(path)
    joints = [number for number, joint in enumerate(bvh.joints) if not joint.is_tip]
    ours = dict(zip((bvh.joints[j].name for j in joints), np.moveaxis(bvh.positions()[:, joints], 1, 0), strict=True))
    names, theirs = second_reader(path)
    other = dict(zip(names, np.moveaxis(theirs, 1, 0), strict=True))
    assert bvh.fps == motion.fps
    return [np.stack([found[name] for name in motion.skeleton.joints], axis=1) / 100 for found in (ours, other)]


def test_rotations_apply_in_the_order_of_the_channels_and_positions_replace_offsets(tmp_path):
    (tmp_path / "a.bvh").write_text(TINY)
    bvh = read_bvh(tmp_path / "a.bvh")
    assert bvh.fps == 30.0
    np.testing.assert_allclose(bvh.positions()[0], [[1, 2, 3], [2, 2, 3], [2, 4, 3]], atol=1e-12)
    # a quarter turn about y takes x to -z; the arm's own about z takes its tip's y to -x, which is +z by then
    np.testing.assert_allclose(bvh.positions()[1], [[1, 2, 3], [1, 2, 2], [1, 2, 4]], atol=1e-12)


@pytest.mark.parametrize("rest_pose", ["t-pose", "first-frame"])
@pytest.mark.parametrize("make", [lambda: moving_person(40), lambda: random_motion(12, BODY, 3)])
def test_what_is_written_reads_back_as_the_same_joints_in_both_readers(tmp_path, make, rest_pose):
    motion = make()
    for joints in written_back(motion, tmp_path / "a.bvh", rest_pose):
        np.testing.assert_allclose(joints, motion.joints, atol=1e-5)


def rest_of(path):
    """Where the joints are with every channel at 0 and the offsets in force, in metres by name."""
    bvh = read_bvh(path)
    places = np.zeros((len(bvh.joints), 3))
    for number, joint in enumerate(bvh.joints):
        places[number] = joint.offset / 100 + (places[joint.parent] if joint.parent >= 0 else 0)
    return {joint.name: place for joint, place in zip(bvh.joints, places, strict=True)}


def test_the_rest_pose_is_a_t_pose_whatever_the_motion_begins_with(tmp_path):
    motion = moving_person(40)
    turned = Rotation.from_euler("yx", [130, 60], degrees=True).as_matrix()
    motion.joints[:] = motion.joints @ turned.T
    write_bvh(motion, tmp_path / "a.bvh")
    rest = rest_of(tmp_path / "a.bvh")
    for side, sign in (("left", 1), ("right", -1)):
        arm = rest[f"{side}_wrist"] - rest[f"{side}_shoulder"]
        leg = rest[f"{side}_ankle"] - rest[f"{side}_hip"]
        foot = rest[f"{side}_toe"] - rest[f"{side}_ankle"]
        np.testing.assert_allclose(arm / np.linalg.norm(arm), (sign, 0, 0), atol=1e-5)
        np.testing.assert_allclose(leg / np.linalg.norm(leg), (0, -1, 0), atol=1e-5)
        assert foot[2] > 0.9 * np.linalg.norm(foot)
    trunk = rest["head"] - rest["pelvis"]
    assert trunk[1] > 0.98 * np.linalg.norm(trunk)
    assert rest["nose"][2] > rest["head"][2]
    hips = np.linalg.norm(motion.joints[:, BODY.index("left_knee")] - motion.joints[:, BODY.index("left_hip")], axis=-1)
    assert np.linalg.norm(rest["left_knee"] - rest["left_hip"]) == pytest.approx(np.median(hips), abs=1e-5)


def test_the_first_frame_is_kept_as_the_rest_pose_where_that_is_asked_for(tmp_path):
    motion = moving_person(20)
    motion.joints[:] = motion.joints[:1]
    write_bvh(motion, tmp_path / "a.bvh", "first-frame")
    rest = rest_of(tmp_path / "a.bvh")
    for joint, name in enumerate(BODY.joints):
        np.testing.assert_allclose(rest[name], motion.joints[0, joint] - motion.joints[0, 0], atol=1e-5)


def test_joints_may_come_in_any_order_that_has_parents_first(tmp_path):
    """Breadth first, as in SMPL, while a BVH file nests."""
    depth = [0] * len(BODY)
    for joint, parent in enumerate(BODY.parents[1:], start=1):
        depth[joint] = depth[parent] + 1
    order = sorted(range(len(BODY)), key=lambda joint: depth[joint])
    parents = tuple(-1 if BODY.parents[j] < 0 else order.index(BODY.parents[j]) for j in order)
    skeleton = Skeleton("wide", tuple(BODY.joints[j] for j in order), parents, (), (1, 2), (1, 2), (1,))
    motion = random_motion(6, skeleton, 1)
    for joints in written_back(motion, tmp_path / "a.bvh"):
        np.testing.assert_allclose(joints, motion.joints, atol=1e-5)


def test_a_stiff_body_needs_positions_at_its_root_only(tmp_path):
    motion = random_motion(5, BODY, 0)
    turns = Rotation.random(5, random_state=1).as_matrix()
    motion.joints[:] = np.einsum("tij,nj->tni", turns, STANDING)
    write_bvh(motion, tmp_path / "a.bvh")
    assert (tmp_path / "a.bvh").read_text().count("CHANNELS 6") == 1


def test_a_motion_with_a_gap_is_not_written_as_bvh(tmp_path):
    motion = moving_person(10)
    motion.joints[4] = np.nan
    with pytest.raises(ValueError, match="without a gap"):
        write_bvh(motion, tmp_path / "a.bvh")
    assert list(tmp_path.iterdir()) == []


def test_real_files_come_in_and_go_out_as_the_same_joints(tmp_path):
    for path in sorted((real_data() / "motion" / "bvh").glob("dataset-1_walk*.bvh")):
        motion = motion_from_bvh(path, Declaration())
        assert motion.skeleton.joints[0] == "pelvis" and len(motion.skeleton) == 21
        names, theirs = second_reader(path)
        assert names[0] == "joint_Root"
        np.testing.assert_allclose(motion.joints, theirs[:, 1:] / 100, atol=1e-5)
        for joints in written_back(motion, tmp_path / "a.bvh"):
            np.testing.assert_allclose(joints, motion.joints, atol=1e-5)


def test_the_tip_of_a_foot_without_toes_is_its_toe(tmp_path):
    motion = moving_person(6)
    motion.joints[:] = STANDING
    write_bvh(motion, tmp_path / "a.bvh")
    text = (tmp_path / "a.bvh").read_text()
    for side in ("left", "right"):
        toe = re.search(rf"JOINT {side}_toe\s+{{\s+OFFSET ([^\n]+)\s+CHANNELS.*?}}\s+}}", text, re.DOTALL)
        text = text.replace(toe.group(0), f"End Site\n{{\nOFFSET {toe.group(1)}\n}}")
    columns = len(read_bvh(tmp_path / "a.bvh").values[0])
    head, _, _ = text.partition("Frame Time: 0.05000000\n")
    count = sum(int(number) for number in re.findall(r"CHANNELS (\d)", head))
    assert count < columns
    rows = "\n".join(" ".join(["0"] * count) for _ in range(6))
    (tmp_path / "b.bvh").write_text(f"{head}Frame Time: 0.05\n{rows}\n")
    joints = motion_from_bvh(tmp_path / "b.bvh", Declaration(unit="cm", handedness="right")).skeleton.joints
    assert {"left_toe", "right_toe"} < set(joints)


WRONG = {
    "not BVH": ("", "HIERARCHY"),
    "HIERARCHY\nMOTION": ("HIERARCHY\nMOTION\n", "line 2 has 'MOTION'"),
    "cut in the hierarchy": (TINY[:60], "ends before MOTION|opens|numbers|name as many"),
    "cut in the motion": (TINY[: TINY.index("1 2 3 90")], "declares 2 frames and holds 1"),
    "too many frames": (TINY + "1 2 3 0 0 0 0 0 0\n", "has more lines than the 2 frames"),
    "frames of another world": (
        TINY.replace("Frames: 2", "Frames: 999999999999"),
        "declares 999999999999 frames and is too short",
    ),
    "a short row": (TINY.replace("90 0 0 90 0 0", "90 0 0"), "line 20 has 6 numbers where 9 belong"),
    "nan": (TINY.replace("90 0 0 90", "nan 0 0 90"), "line 20 has a number that is not finite"),
    "a word": (TINY.replace("90 0 0 90", "ninety 0 0 90"), "line 20 has something that is not a number"),
    "no MOTION": (TINY[: TINY.index("MOTION")], "ends before MOTION"),
    "an unknown channel": (TINY.replace("3 Zrotation", "3 Wrotation"), "channel 'Wrotation'"),
    "too few channels": (TINY.replace("3 Zrotation", "4 Zrotation"), "as many channels"),
    "a channel twice": (TINY.replace("3 Zrotation Yrotation", "3 Zrotation Zrotation"), "twice"),
    "two roots": (TINY.replace("MOTION", "ROOT Other\n{\nMOTION"), "one root"),
    "no channels": (TINY.replace("CHANNELS 6", "CHANNELS 7"), "as many channels"),
    "endless depth": ("HIERARCHY\nROOT a\n{\n" + "JOINT a\n{\n" * 5000, "beyond 1000 joints or a depth of 100"),
    "endless joints": ("HIERARCHY\nROOT a\n{\n" + "JOINT a\n{\n}\n" * 5000, "beyond 1000 joints"),
    "an endless line": (TINY + "1 " * (1 << 20), "longer than any line"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_damaged_or_hostile_file_is_refused_with_its_line(tmp_path, case):
    text, reason = WRONG[case]
    (tmp_path / "a.bvh").write_text(text)
    with pytest.raises(UnusableSource, match=reason):
        read_bvh(tmp_path / "a.bvh")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.bvh").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(UnusableSource, match="HIERARCHY"):
        read_bvh(tmp_path / "a.bvh")
