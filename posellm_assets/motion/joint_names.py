"""What the joints of a body are called in the files of the world, as data, and one name for each here.

A joint's name is read as a side (left, right or none) and the rest in lower case without separators: `UpperLeg_L`,
`LeftUpLeg`, `mixamorig:LeftUpLeg`, `Bip01 L Thigh`, `thigh_l` and `HipLeft` are all the left hip. The tables know the
names of BVH files (CMU, LaFAN1, Bandai-Namco, Xsens, OptiTrack), of Mixamo, Unreal, Blender, 3ds Max, DAZ and VRM rigs,
and of the joint sets of SMPL, Human3.6M, COCO, OpenPose, Kinect and MediaPipe.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

Side = Literal["left_", "right_", ""]

# One name here, and what it is called elsewhere, best first. Order decides where a word has two meanings: an arm begins
# at `Shoulder` in COCO and at `UpperArm` behind a collar bone called `Shoulder` in most rigs; `foot` is the ankle of a
# rig and the toe of SMPL, which has an `ankle`.
PAIRED: dict[str, tuple[str, ...]] = {
    "hip": ("upperleg", "upleg", "thigh", "hip"),
    "knee": ("knee", "lowerleg", "shin", "calf", "leg"),
    "ankle": ("ankle", "foot"),
    "toe": ("toe", "toes", "toebase", "toe0", "bigtoe", "footindex", "ball", "foot"),
    "heel": ("heel",),
    "shoulder": ("upperarm", "uparm", "uarm", "arm", "shldr", "shoulder"),
    "collar": ("collar", "clavicle", "shoulder"),
    "elbow": ("elbow", "lowerarm", "forearm", "farm"),
    "wrist": ("wrist", "hand"),
    "hand": ("hand",),
    "ear": ("ear",),
    "eye": ("eye",),
}
MIDDLE: dict[str, tuple[str, ...]] = {
    "pelvis": ("pelvis", "hips", "hip", "midhip", "spinebase", "root"),
    "spine": ("spine", "spine1", "spine01", "spinemid", "abdomen", "ab", "lowerback", "torso", "l5"),
    "chest": ("chest", "thorax", "upperchest", "spine3", "spine03", "spine2", "spine02", "spineshoulder", "t8"),
    "neck": ("neck", "neck1", "neck01"),
    "head": ("head",),
    "nose": ("nose",),
}

# Where a joint hangs in a file that declares no tree: on the first of these that the file has.
_LIMBS: dict[str, tuple[str, ...]] = {
    "knee": ("hip",),
    "ankle": ("knee",),
    "toe": ("ankle",),
    "heel": ("ankle",),
    "shoulder": ("collar",),
    "elbow": ("shoulder",),
    "wrist": ("elbow",),
    **dict.fromkeys(("hand", "index", "thumb", "pinky"), ("wrist",)),
}
_TRUNK: dict[str, tuple[str, ...]] = {
    "hip": ("pelvis",),
    "spine": ("pelvis",),
    "chest": ("spine", "pelvis"),
    "neck": ("chest", "spine", "pelvis"),
    **dict.fromkeys(("collar", "shoulder"), ("chest", "neck", "spine", "pelvis")),
    "head": ("neck", "chest", "spine", "pelvis"),
    "nose": ("head", "neck", "chest", "spine", "pelvis"),
    **dict.fromkeys(
        ("eye", "ear", "mouth", "eye_inner", "eye_outer"), ("head", "nose", "neck", "chest", "spine", "pelvis")
    ),
}

_PREFIX = re.compile(r"^.*:|^(mixamorig\d*|character\d*|bip\d+|def|j_bip|m_avg|f_avg)[ _.-]", re.IGNORECASE)
_WORD = re.compile(r"^[LRlr](?=[A-Z])|[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SIDES: dict[str, Side] = {"l": "left_", "left": "left_", "r": "right_", "right": "right_"}


def canonical_names(names: Sequence[str], declared: Mapping[str, str] | None = None) -> list[str]:
    """For each joint its name here: `left_hip` for `LeftUpLeg`; its own words where the tables do not know it.

    `declared` gives joints of the file a name by hand. No two names are equal: the second `hand` becomes `hand_2`.
    Raises ValueError where `declared` names a joint that the file does not have, or one name twice.
    """
    declared = declared or {}
    if absent := [name for name in declared if name not in names]:
        raise ValueError(f"names are declared for {', '.join(absent)}; the joints are {', '.join(names)}")
    if len(set(declared.values())) != len(declared):
        raise ValueError(f"one name is declared for two joints: {dict(declared)}")
    read = [_read(name) for name in names]
    found: dict[int, str] = {names.index(name): given for name, given in declared.items()}
    sides: tuple[Side, ...] = ("left_", "right_", "")
    for side in sides:
        for part, words in (PAIRED if side else MIDDLE).items():
            if side + part in found.values():
                continue
            candidates = ((side, word) for word in words)
            joint = next((read.index(c) for c in candidates if c in read and read.index(c) not in found), None)
            if joint is not None:
                found[joint] = side + part
    taken = set(found.values())
    for joint, name in enumerate(names):
        if joint not in found:
            found[joint] = _free(_snake_case(name), taken)
            taken.add(found[joint])
    return [found[joint] for joint in range(len(names))]


def usual_parent(name: str, names: Sequence[str]) -> str | None:
    """The joint of `names` (names of this module) that `name` hangs on in a body; None for the pelvis and strangers."""
    side = next((side for side in ("left_", "right_") if name.startswith(side)), "")
    part = name.removeprefix(side)
    above = [side + joint for joint in _LIMBS.get(part, ())] + list(_TRUNK.get(part, ()))
    return next((joint for joint in above if joint in names), None)


def _words(name: str) -> tuple[Side, list[str]]:
    words = [word.lower() for word in _WORD.findall(_PREFIX.sub("", name))]
    for place in (0, -1):
        rest = words[1:] if place == 0 else words[:-1]
        # `L5` is a vertebra, not something on the left
        if words and words[place] in _SIDES and any(word.isalpha() for word in rest):
            return _SIDES[words[place]], rest
    if len(words) > 1 and words[0] in ("c", "joint"):
        return "", words[1:]
    return "", words


def _read(name: str) -> tuple[Side, str]:
    side, words = _words(name)
    return side, "".join(words)


def _snake_case(name: str) -> str:
    side, words = _words(name)
    return side + "_".join(words) or "joint"


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
