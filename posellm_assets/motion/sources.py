"""What a file of joint positions says about itself, and how its joints become a motion: metres, y up, named joints.

What a file does not say is declared in a JSON file beside it (`walk.bvh.json`) or by hand. What nobody says is judged
by the body only where it cannot be mistaken, and noted in the motion's parameters; else it is asked for.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import ConfigDict, Field

from posellm_assets.footage.labels import Labels
from posellm_assets.motion.joint_names import canonical_names
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.skeletons import Skeleton, skeleton_from_tree, usual_parents

Up = Literal["y", "z", "-y"]
UNITS_M = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
# Trunk, thigh and shank of a person from a child of 1.2 m to 2.1 m. The spans of the units do not overlap.
_BODY_M = (0.95, 1.65)
_FAR_M = 1e4
_FPS = (1.0, 10_000.0)
_UNDER_FLOOR_M = 0.2


class UnusableSource(ValueError):
    """A file that is damaged, or cannot become a motion as declared; the message says what to do, without the path."""


class Declaration(Labels):
    """What is said about a file of joint positions and what it shows; also the form of the sidecar beside it.

    Every value wins over what the file says or what is judged.
    """

    model_config = ConfigDict(strict=False)

    joints: tuple[str, ...] | None = Field(default=None, description="Names of the joints, in the order of the array")
    parents: tuple[int, ...] | None = Field(default=None, description="The parent of each joint, -1 for the root")
    names: dict[str, str] = Field(default={}, description='Joints named by hand, such as {"LegL": "left_hip"}')
    fps: float | None = Field(default=None, ge=_FPS[0], le=_FPS[1])
    unit: Literal["m", "cm", "mm", "in"] | Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        default=None, description="One of these, or metres for one unit of the file"
    )
    up: Up | None = Field(default=None, description="The axis that points up; -y is that of pictures and MediaPipe")
    handedness: Literal["right", "left"] | None = None


def declared(**values: Any) -> Declaration:
    """A declaration by hand; None leaves a value undeclared. Raises ValueError naming what does not fit."""
    unit = values.get("unit")
    if isinstance(unit, str) and unit not in UNITS_M:
        try:
            values["unit"] = float(unit)
        except ValueError as error:
            raise UnusableSource(f"the unit {unit!r} is none of {', '.join(UNITS_M)} and no number") from error
    return Declaration.checked({name: value for name, value in values.items() if value is not None}, "declared")


def read_declaration(path: Path, by_hand: Declaration) -> Declaration:
    """What is declared by hand, and what the sidecar of `path` says of the rest; LabelError where that is damaged."""
    return by_hand.over(Declaration.beside(path))


def motion_from_joints(
    positions: np.ndarray,
    names: Sequence[str],
    parents: Sequence[int] | None,
    fps: float,
    said: Declaration,
    source: str,
) -> Motion:
    """A motion of the file's own skeleton, in metres, y up, right-handed.

    positions: (T, J, 3) in the file's units and axes, NaN where a joint was not seen. Without `parents` the tree is the
    usual one of such joints, and a pelvis that is missing is the middle of the hips. `source` is kept as provenance.
    Raises UnusableSource.
    """
    if not _FPS[0] <= fps <= _FPS[1]:
        raise UnusableSource(f"its frame rate is {fps:g} frames/s, and must be from {_FPS[0]:g} to {_FPS[1]:,.0f}")
    if np.isinf(positions).any() or not np.isfinite(positions).any():
        raise UnusableSource("the joints hold infinite numbers or none at all")
    positions, names = np.asarray(positions, np.float64), list(names)
    try:
        if parents is None:
            positions, names = _with_pelvis(positions, names, said)
            parents = usual_parents(names, said.names)
        tree = skeleton_from_tree(names, parents, said.names)
    except ValueError as error:
        raise UnusableSource(str(error)) from error
    left_out = [name for number, name in enumerate(names) if number not in tree.order]
    joints = _y_up(positions[:, tree.order], said)
    unit_m, unit = _unit(joints, tree.skeleton, said)
    joints = joints * unit_m
    if np.nanmax(np.abs(joints)) > _FAR_M:
        raise UnusableSource(f"a joint is {np.nanmax(np.abs(joints)):.3g} m away from the origin")
    _check_axes(joints, tree.skeleton, said)
    lowest_m = float(np.nanmin(joints[..., 1]))
    unknown = ["floor_height"] if lowest_m < -_UNDER_FLOOR_M else []
    if unknown:  # the floor is not at 0, so it is taken to be where the body comes down furthest
        joints[..., 1] -= lowest_m
    return Motion(
        joints=joints.astype(np.float32),
        fps=fps,
        skeleton=tree.skeleton,
        filled=np.zeros(len(joints), bool),
        unknown=tuple(unknown),
        parameters={
            "source": source,
            "unit": unit,
            "up": said.up or "y",
            "handedness": said.handedness or "right",
            "left_out": left_out,
        },
    )


def _with_pelvis(positions: np.ndarray, names: list[str], said: Declaration) -> tuple[np.ndarray, list[str]]:
    """Positions and names with a pelvis between the hips, where there is none."""
    found = canonical_names(names, said.names)
    if "pelvis" in found or "left_hip" not in found or "right_hip" not in found:
        return positions, names
    hips = positions[:, [found.index("left_hip"), found.index("right_hip")]].mean(axis=1, keepdims=True)
    return np.concatenate([hips, positions], axis=1), ["pelvis", *names]


def _y_up(joints: np.ndarray, said: Declaration) -> np.ndarray:
    x, y, z = np.moveaxis(joints, -1, 0)
    if said.handedness == "left":
        x = -x
    turned = {"y": (x, y, z), "z": (x, z, -y), "-y": (x, -y, -z)}[said.up or "y"]
    return np.stack(turned, axis=-1)


def _unit(joints: np.ndarray, skeleton: Skeleton, said: Declaration) -> tuple[float, str]:
    """Metres for one unit, and how that is known."""
    if isinstance(said.unit, float | int):
        return float(said.unit), f"{said.unit:g} m (declared)"
    if said.unit is not None:
        return UNITS_M[said.unit], f"{said.unit} (declared)"
    size = _size(joints, skeleton)
    fitting = [unit for unit, metres in UNITS_M.items() if _BODY_M[0] <= size * metres <= _BODY_M[1]]
    if not fitting:
        raise UnusableSource(
            f"trunk, thigh and shank together measure {size:.4g}, which is a person's size in no known unit; declare "
            f"the unit: {', '.join(UNITS_M)}, or metres for one unit"
        )
    return UNITS_M[fitting[0]], f"{fitting[0]} (judged: trunk, thigh and shank are {size * UNITS_M[fitting[0]]:.2f} m)"


def _size(joints: np.ndarray, skeleton: Skeleton) -> float:
    """Trunk, thigh and shank together in the file's units, the medians over time."""
    at = {name: joints[:, skeleton.index(name)] for name in skeleton.joints}
    trunk = (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]) / 2
    knee = at.get("left_knee", at["left_ankle"])
    bones = [trunk, knee - at["left_hip"], at["left_ankle"] - knee]
    return float(sum(np.nanmedian(np.linalg.norm(bone, axis=-1)) for bone in bones))


def _check_axes(joints: np.ndarray, skeleton: Skeleton, said: Declaration) -> None:
    """Refuse what looks turned over or mirrored, unless the user has said that it is so."""
    at = {name: joints[:, skeleton.index(name)] for name in skeleton.joints}
    trunk = (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]) / 2
    up = np.nanmedian(trunk / np.linalg.norm(trunk, axis=-1, keepdims=True), axis=0)
    if said.up is None and up[1] < 0.5 and max(up[2], -up[1]) > 0.8:
        axis = "z" if up[2] > 0.8 else "-y"
        raise UnusableSource(
            f"the body's long axis is along {axis}: declare the axis that points up, {axis}, or y where somebody lies"
        )
    if said.handedness is None and "left_toe" in at and "right_toe" in at:
        to_left = at["left_hip"] - at["right_hip"]
        ahead = np.cross(to_left, trunk)
        feet = at["left_toe"] - at["left_ankle"] + at["right_toe"] - at["right_ankle"]
        backwards = float(np.mean((ahead * feet).sum(-1) < 0))
        if backwards > 0.8:
            raise UnusableSource(
                f"in {backwards:.0%} of the frames the toes point backwards if left is left: the axes seem to be "
                "left-handed, or left and right exchanged; declare the handedness, left or right"
            )
