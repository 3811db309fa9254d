"""Joints are found by name in the rigs of the world; the names here are those that each system documents."""

import pytest

from posellm_assets.motion.joint_names import canonical_names
from posellm_assets.motion.skeletons import skeleton_from_tree, usual_parents
from posellm_assets.poses import landmarks

LIMBS = ["hip", "knee", "ankle", "shoulder", "elbow", "wrist"]
# In each name the sides stand as left/right.
RIGS = {
    "mixamo": ("mixamorig:Left/Right", ("{}UpLeg", "{}Leg", "{}Foot", "{}Arm", "{}ForeArm", "{}Hand")),
    "motionbuilder": (
        "Character1_Left/Character1_Right",
        ("{}UpLeg", "{}Leg", "{}Foot", "{}Arm", "{}ForeArm", "{}Hand"),
    ),
    "bandai": ("L/R", ("UpperLeg_{}", "LowerLeg_{}", "Foot_{}", "UpperArm_{}", "LowerArm_{}", "Hand_{}")),
    "unreal": ("l/r", ("thigh_{}", "calf_{}", "foot_{}", "upperarm_{}", "lowerarm_{}", "hand_{}")),
    "3ds max": ("Bip01 L/Bip01 R", ("{} Thigh", "{} Calf", "{} Foot", "{} UpperArm", "{} Forearm", "{} Hand")),
    "blender": ("L/R", ("thigh.{}", "shin.{}", "foot.{}", "upper_arm.{}", "forearm.{}", "hand.{}")),
    "vrm": ("J_Bip_L/J_Bip_R", ("{}_UpperLeg", "{}_LowerLeg", "{}_Foot", "{}_UpperArm", "{}_LowerArm", "{}_Hand")),
    "optitrack": ("L/R", ("{}Thigh", "{}Shin", "{}Foot", "{}UArm", "{}FArm", "{}Hand")),
    "daz": ("l/r", ("{}Thigh", "{}Shin", "{}Foot", "{}Shldr", "{}ForeArm", "{}Hand")),
    "kinect": ("Left/Right", ("Hip{}", "Knee{}", "Ankle{}", "Shoulder{}", "Elbow{}", "Wrist{}")),
    "smpl": ("left/right", ("{}_hip", "{}_knee", "{}_ankle", "{}_shoulder", "{}_elbow", "{}_wrist")),
}


@pytest.mark.parametrize("rig", RIGS)
def test_the_limbs_of_a_rig_are_known_on_both_sides(rig):
    sides, names = RIGS[rig]
    for written, side in zip(sides.split("/"), ("left", "right"), strict=True):
        assert canonical_names([name.format(written) for name in names]) == [f"{side}_{part}" for part in LIMBS]


def test_a_shoulder_is_a_collar_bone_only_where_an_arm_begins_behind_it():
    assert canonical_names(["LeftShoulder", "LeftArm"]) == ["left_collar", "left_shoulder"]
    assert canonical_names(["LeftShoulder", "LeftElbow"]) == ["left_shoulder", "left_elbow"]
    assert canonical_names(["left_collar", "left_shoulder"]) == ["left_collar", "left_shoulder"]


def test_a_foot_is_a_toe_only_where_there_is_an_ankle():
    assert canonical_names(["left_ankle", "left_foot"]) == ["left_ankle", "left_toe"]
    assert canonical_names(["LeftFoot", "LeftToeBase"]) == ["left_ankle", "left_toe"]


def test_strange_joints_keep_their_words_and_no_two_are_equal():
    assert canonical_names(["L5", "Tail", "tail", "🎾", "LeftHandIndex1"]) == [
        "spine", "tail", "tail_2", "joint", "left_hand_index_1"
    ]  # fmt: skip


def test_names_by_hand_win():
    assert canonical_names(["a", "LeftLeg"], {"a": "left_knee"})[0] == "left_knee"
    with pytest.raises(ValueError, match="declared for b; the joints are a"):
        canonical_names(["a"], {"b": "head"})


def test_landmarks_without_a_tree_hang_together_as_a_body_does():
    names = ["pelvis", *landmarks.NAMES]
    tree = skeleton_from_tree(names, usual_parents(names))
    joint = tree.skeleton.index
    assert tree.skeleton.parents[joint("left_wrist")] == joint("left_elbow")
    assert tree.skeleton.parents[joint("right_toe")] == joint("right_ankle")
    assert len(tree.skeleton.mirror_pairs) == 16


def test_the_root_is_where_arms_and_legs_part_and_the_scene_is_left_out():
    names = ["Scene", "Camera", "Hips", "LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot"]
    names += ["Spine", "LeftArm", "RightArm"]
    tree = skeleton_from_tree(names, [-1, 0, 0, 2, 3, 4, 2, 6, 7, 2, 9, 9])
    assert tree.skeleton.joints[0] == "pelvis"
    assert 0 not in tree.order and 1 not in tree.order
    assert tree.skeleton.parents[0] == -1


def test_what_is_missing_is_named_with_the_way_to_declare_it():
    names = ["Hips", "LegA", "LegB", "LeftFoot", "RightFoot", "LeftArm", "RightArm"]
    parents = [-1, 0, 0, 1, 2, 0, 0]
    with pytest.raises(ValueError, match=r'no joint is known as left_hip, right_hip .*"names"'):
        skeleton_from_tree(names, parents)
    tree = skeleton_from_tree(names, parents, {"LegA": "left_hip", "LegB": "right_hip"})
    assert tree.skeleton.hips == (1, 2)


@pytest.mark.parametrize("parents", [[-1, 2, 1, 0, 0, 0, 0], [-1, 99, 0, 1, 2, 0, 0]])
def test_parents_that_are_no_tree_are_refused(parents):
    names = ["Hips", "LeftUpLeg", "RightUpLeg", "LeftFoot", "RightFoot", "LeftArm", "RightArm"]
    with pytest.raises(ValueError, match="do not lead to a root"):
        skeleton_from_tree(names, parents)
