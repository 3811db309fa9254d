"""Joint trees as data. A motion can be of any skeleton, declared here or read from a file."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from posellm_assets.motion.joint_names import canonical_names, usual_parent

_NEEDED = ("left_hip", "right_hip", "left_shoulder", "right_shoulder", "left_ankle", "right_ankle")
_FEET = ("left_ankle", "left_toe", "right_ankle", "right_toe")


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints, root first, and the few things about it that heading, mirroring and contacts need.

    `parents[i] < i`, the root's is -1. `hips` and `shoulders` are (left, right); `feet` are the joints that touch the
    floor; `mirror_pairs` are the (left, right) joints that change places in a mirror. All are indices into `joints`.
    Raises ValueError where these do not fit together.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    mirror_pairs: tuple[tuple[int, int], ...]
    hips: tuple[int, int]
    shoulders: tuple[int, int]
    feet: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.parents) != len(self.joints) or len(set(self.joints)) != len(self.joints):
            raise ValueError(f"skeleton {self.name}: joints need different names and one parent each")
        if not self.joints or self.parents[0] != -1:
            raise ValueError(f"skeleton {self.name}: the first joint is the root and its parent is -1")
        if any(not 0 <= parent < child for child, parent in enumerate(self.parents) if child):
            raise ValueError(f"skeleton {self.name}: every joint comes after its parent")
        paired = [joint for pair in self.mirror_pairs for joint in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(f"skeleton {self.name}: a joint is in two mirror pairs")
        if any(not 0 <= joint < len(self.joints) for joint in (*paired, *self.hips, *self.shoulders, *self.feet)):
            raise ValueError(f"skeleton {self.name}: a joint index is outside 0 to {len(self.joints) - 1}")

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """The index of the joint with this name; raises ValueError where there is none."""
        if joint not in self.joints:
            raise ValueError(f"skeleton {self.name} has no joint {joint!r}; it has {', '.join(self.joints)}")
        return self.joints.index(joint)

    @property
    def mirror_order(self) -> list[int]:
        """For each joint the index of the joint that takes its place in a mirror."""
        order = list(range(len(self.joints)))
        for left, right in self.mirror_pairs:
            order[left], order[right] = right, left
        return order

    def to_json(self) -> dict[str, Any]:
        """The skeleton as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Skeleton":
        """The inverse of `to_json`; raises ValueError where a part is missing or wrong."""
        try:
            return cls(
                name=content["name"],
                joints=tuple(content["joints"]),
                parents=tuple(content["parents"]),
                mirror_pairs=tuple((left, right) for left, right in content["mirror_pairs"]),
                hips=(content["hips"][0], content["hips"][1]),
                shoulders=(content["shoulders"][0], content["shoulders"][1]),
                feet=tuple(content["feet"]),
            )
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"not the description of a skeleton: {error!r}") from error


@dataclass(frozen=True)
class NamedTree:
    """A skeleton made from a file's joints, and `order`: the file's joint at each of its places."""

    skeleton: Skeleton
    order: tuple[int, ...]


def skeleton_from_tree(
    names: Sequence[str], parents: Sequence[int], declared: Mapping[str, str] | None = None
) -> NamedTree:
    """The skeleton of a file's joint tree, with the names of `joint_names`.

    Its root is the joint from which legs and arms part: what lies above (a scene's root, a camera) or beside it moves
    no limb and is left out. `declared` names joints by hand. The skeleton's own name follows from its tree, so that
    files of one rig have one skeleton. Raises ValueError where hips, shoulders or ankles cannot be found, or the
    parents are no tree.
    """
    found = canonical_names(names, declared)
    if missing := [name for name in _NEEDED if name not in found]:
        raise ValueError(
            f"no joint is known as {', '.join(missing)} among {', '.join(names)}; say which it is by "
            f'"names": {{"<joint of the file>": "{missing[0]}"}} in the JSON file beside it'
        )
    chains = [_chain(joint, parents, names) for joint in range(len(names))]
    needed = [set(chains[found.index(name)]) for name in _NEEDED]
    root = next((joint for joint in chains[found.index(_NEEDED[0])] if all(joint in chain for chain in needed)), None)
    if root is None:
        raise ValueError("legs and arms hang on no common joint; declare other parents")
    order = sorted((j for j, chain in enumerate(chains) if root in chain), key=lambda j: len(chains[j]))
    if all(parents[j] < j for j in order if j != root):
        order.sort()
    place = {joint: number for number, joint in enumerate(order)}
    joints = tuple(found[joint] for joint in order)
    above = tuple(-1 if joint == root else place[parents[joint]] for joint in order)
    digest = hashlib.sha256(repr((joints, above)).encode()).hexdigest()
    skeleton = Skeleton(
        name=f"{len(joints)}-joints-{digest[:6]}",
        joints=joints,
        parents=above,
        mirror_pairs=mirror_pairs(joints),
        hips=(joints.index("left_hip"), joints.index("right_hip")),
        shoulders=(joints.index("left_shoulder"), joints.index("right_shoulder")),
        feet=tuple(joints.index(name) for name in _FEET if name in joints),
    )
    return NamedTree(skeleton, tuple(order))


def usual_parents(names: Sequence[str], declared: Mapping[str, str] | None = None) -> list[int]:
    """The joint tree that a body of these joints has, for files that declare none.

    Raises ValueError naming the joints whose place is not known.
    """
    found = canonical_names(names, declared)
    above = [usual_parent(name, found) for name in found]
    if strangers := [
        name for name, known, parent in zip(names, found, above, strict=True) if not parent and known != "pelvis"
    ]:
        raise ValueError(f'it is not known where {", ".join(strangers)} belong; declare "parents", one index per joint')
    return [-1 if parent is None else found.index(parent) for parent in above]


def mirror_pairs(joints: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """The joints called left_x and right_x, as pairs of indices."""
    pairs = ((name, name.replace("left_", "right_", 1)) for name in joints if name.startswith("left_"))
    return tuple((joints.index(left), joints.index(right)) for left, right in pairs if right in joints)


def _chain(joint: int, parents: Sequence[int], names: Sequence[str]) -> list[int]:
    """The joint, its parent, and so on up to a root."""
    chain = [joint]
    while (parent := parents[chain[-1]]) != -1:
        if not 0 <= parent < len(parents) or len(chain) > len(parents):
            raise ValueError(f"the parents of {names[joint]} do not lead to a root (-1)")
        chain.append(parent)
    return chain


# Name, parent, and the MediaPipe landmarks whose mean it is. Fingers and the face's details are left out: at the size
# that a person has in sports footage they are noise.
_BODY: tuple[tuple[str, str | None, tuple[int, ...]], ...] = (
    ("pelvis", None, (23, 24)),
    ("neck", "pelvis", (11, 12)),
    ("head", "neck", (7, 8)),
    ("nose", "head", (0,)),
    ("left_shoulder", "neck", (11,)),
    ("left_elbow", "left_shoulder", (13,)),
    ("left_wrist", "left_elbow", (15,)),
    ("right_shoulder", "neck", (12,)),
    ("right_elbow", "right_shoulder", (14,)),
    ("right_wrist", "right_elbow", (16,)),
    ("left_hip", "pelvis", (23,)),
    ("left_knee", "left_hip", (25,)),
    ("left_ankle", "left_knee", (27,)),
    ("left_toe", "left_ankle", (31,)),
    ("right_hip", "pelvis", (24,)),
    ("right_knee", "right_hip", (26,)),
    ("right_ankle", "right_knee", (28,)),
    ("right_toe", "right_ankle", (32,)),
)
_NAMES = [name for name, _, _ in _BODY]
BODY_LANDMARKS: tuple[tuple[int, ...], ...] = tuple(landmarks for _, _, landmarks in _BODY)

BODY = Skeleton(
    name="body",
    joints=tuple(_NAMES),
    parents=tuple(-1 if parent is None else _NAMES.index(parent) for _, parent, _ in _BODY),
    mirror_pairs=mirror_pairs(_NAMES),
    hips=(_NAMES.index("left_hip"), _NAMES.index("right_hip")),
    shoulders=(_NAMES.index("left_shoulder"), _NAMES.index("right_shoulder")),
    feet=tuple(_NAMES.index(name) for name in ("left_ankle", "left_toe", "right_ankle", "right_toe")),
)
