"""The bones of an athlete in every frame of a clip, and MediaPipe's landmarks on them.

World axes: x to the athlete's left when it faces the front, y up, z to the front; metres, the floor at y = 0. A limb's
y axis points back to the joint that it hangs from. How joint angles become bones is the business of `posing`.
"""

from dataclasses import dataclass

import numpy as np

SIDES = (("l", 1), ("r", -1))  # with the sign of x
ARM_BONES = ("upper_arm", "forearm", "hand")
LEG_BONES = ("thigh", "shank", "foot")
BONES = ("pelvis", "chest", "head", *(f"{side}_{bone}" for side in "lr" for bone in (*ARM_BONES, *LEG_BONES)))
WAIST_HEIGHT_M = 0.16  # above the hips: where the chest turns against the pelvis
SOLE_M = 0.078  # below the ankle
HEEL = np.array([0.0, -SOLE_M, -0.06])  # of the sole, from the ankle
TOES = np.array([0.0, -SOLE_M, 0.165])


@dataclass(frozen=True)
class Bones:
    """Where the bones are: origins (T, B, 3) and frames (T, B, 3, 3) whose columns are a bone's axes, by `BONES`."""

    origins: np.ndarray
    frames: np.ndarray

    def at(self, bone: str, offset: np.ndarray | tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
        """The world position (T, 3) of a point given in a bone's own axes, in metres."""
        i = BONES.index(bone)
        return self.origins[:, i] + self.frames[:, i] @ np.asarray(offset, float)

    def turned(self, degrees: float) -> "Bones":
        """These bones turned to their left about the vertical axis through the origin."""
        turn = rotation_y(np.array(degrees))
        return Bones(self.origins @ turn.T, turn @ self.frames)


def rotation_x(degrees: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) about x."""
    return _rotation(degrees, 1, 2)


def rotation_y(degrees: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) about y."""
    return _rotation(degrees, 2, 0)


def rotation_z(degrees: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) about z."""
    return _rotation(degrees, 0, 1)


def _rotation(degrees: np.ndarray, i: int, j: int) -> np.ndarray:
    radians = np.deg2rad(degrees)
    turn = np.zeros((*np.shape(radians), 3, 3))
    turn[..., range(3), range(3)] = 1.0
    turn[..., i, i] = turn[..., j, j] = np.cos(radians)
    turn[..., i, j], turn[..., j, i] = -np.sin(radians), np.sin(radians)
    return turn


def landmarks(bones: Bones) -> np.ndarray:
    """MediaPipe's 33 landmarks (T, 33, 3) in world space, metres."""
    points = np.zeros((len(bones.origins), 33, 3))
    points[:, 0] = bones.at("head", (0, -0.018, 0.112))
    for side, sign in SIDES:
        other = 0 if side == "l" else 1
        for eye, x in enumerate((0.020, 0.032, 0.044)):
            points[:, 1 + 3 * other + eye] = bones.at("head", (sign * x, 0.02, 0.085))
        points[:, 7 + other] = bones.at("head", (sign * 0.076, 0.0, -0.005))
        points[:, 9 + other] = bones.at("head", (sign * 0.024, -0.055, 0.086))
        for first, names in ((11, ARM_BONES), (23, LEG_BONES)):
            for step, bone in enumerate(names):
                points[:, first + 2 * step + other] = bones.at(f"{side}_{bone}")
        points[:, 17 + other] = bones.at(f"{side}_hand", (0, -0.085, -0.035))
        points[:, 19 + other] = bones.at(f"{side}_hand", (0, -0.095, 0.028))
        points[:, 21 + other] = bones.at(f"{side}_hand", (-sign * 0.01, -0.05, 0.045))
        points[:, 29 + other] = bones.at(f"{side}_foot", (0, -0.05, -0.055))
        points[:, 31 + other] = bones.at(f"{side}_foot", (0, -0.06, 0.165))
    return points
