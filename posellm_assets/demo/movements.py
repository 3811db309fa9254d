"""What is done: the movements of `movements.yaml`, and the joint angles of each at any moment of its cycle."""

from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from pydantic import Field
from scipy.interpolate import PchipInterpolator

from posellm_assets.demo.scene import Place
from posellm_assets.records import Record

Side = Literal["left", "right"]
ANTISYMMETRIC = {"yaw", "twist", "side", "roll", "head_yaw", "pelvis_x"}  # change sign in the mirror


class DemoMovement(Record):
    """A repeated movement, told for the right side where it has one; `movements.yaml` says what its fields mean."""

    name: str
    sport: str
    cycle_s: float = Field(gt=0)
    facing_deg: float
    places: tuple[Place, ...] = Field(min_length=1)
    captions: tuple[str, ...] = Field(min_length=2)
    keys: tuple[tuple[float, dict[str, float]], ...] = Field(min_length=2)
    sides: tuple[Side, ...] = ()
    swinging_legs: Literal["", "l", "r", "lr"] = ""
    racket: bool = False
    fixed: tuple[str, ...] = ()

    def angles(self, phase: np.ndarray, amplitude: float, side: Side) -> dict[str, np.ndarray]:
        """The joint angles and offsets (T,) by name at `phase` (T,) in cycles.

        `amplitude` scales how far they leave the first pose; `side` "left" is the mirror image.
        """
        poses = [(at, _both_sides(pose)) for at, pose in self.keys]
        first = poses[0][1]
        times = np.array([at for at, _ in poses])
        curves = {}
        for name in sorted({name for _, pose in poses for name in pose}):
            rest = first.get(name, 0.0)
            values = np.array([pose.get(name, rest) for _, pose in poses])
            if name not in self.fixed:
                values = rest + amplitude * (values - rest)
            curve = PchipInterpolator(np.concatenate([times - 1, times, times + 1]), np.tile(values, 3))
            curves[name] = curve(phase % 1.0)
        return _mirrored(curves) if side == "left" else curves

    def swinging(self, side: Side) -> str:
        """The legs ("l", "r", both or none) that do not stand when `side` leads."""
        return self.swinging_legs.translate(_SWAP) if side == "left" else self.swinging_legs

    def facing(self, side: Side) -> float:
        """How far the athlete is turned to its left, in degrees, when `side` leads."""
        return -self.facing_deg if side == "left" else self.facing_deg


@cache
def movements() -> tuple[DemoMovement, ...]:
    """All movements, in the order of the file."""
    content = yaml.safe_load(Path(__file__).with_name("movements.yaml").read_text(encoding="utf-8"))
    return tuple(DemoMovement(name=name, **fields) for name, fields in content.items())


_SWAP = str.maketrans("lr", "rl")


def _both_sides(pose: dict[str, float]) -> dict[str, float]:
    both = {f"{side}_{name[2:]}": value for name, value in pose.items() if name.startswith("b_") for side in "lr"}
    return {**both, **{name: value for name, value in pose.items() if not name.startswith("b_")}}


def _mirrored(curves: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        (name[0].translate(_SWAP) + name[1:] if name[1] == "_" else name): (-curve if name in ANTISYMMETRIC else curve)
        for name, curve in curves.items()
    }
