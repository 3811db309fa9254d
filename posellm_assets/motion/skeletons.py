"""Joint trees as data. A motion can be of any skeleton, declared here or read from a file."""

from dataclasses import asdict, dataclass
from typing import Any


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
    mirror_pairs=tuple(
        (_NAMES.index(name), _NAMES.index(name.replace("left", "right"))) for name in _NAMES if name.startswith("left")
    ),
    hips=(_NAMES.index("left_hip"), _NAMES.index("right_hip")),
    shoulders=(_NAMES.index("left_shoulder"), _NAMES.index("right_shoulder")),
    feet=tuple(_NAMES.index(name) for name in ("left_ankle", "left_toe", "right_ankle", "right_toe")),
)
