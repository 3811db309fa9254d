"""Joint angles in, bones out: forward kinematics, and inverse kinematics for the legs that stand.

All of it works on a whole clip at once: T frames.
"""

from collections.abc import Mapping

import numpy as np

from posellm_assets.demo.athlete import Body
from posellm_assets.demo.skeleton import (
    BONES,
    HEEL,
    SIDES,
    TOES,
    WAIST_HEIGHT_M,
    Bones,
    rotation_x,
    rotation_y,
    rotation_z,
)

STRAIGHT = 0.985  # a standing leg, as a share of its length: a knee never locks
TOE_SHARE = 0.6  # how much of the toes' turn a knee follows


def pose(body: Body, angles: Mapping[str, np.ndarray], swinging_legs: str = "") -> Bones:
    """The bones of an athlete who faces the front, from angles in degrees and offsets in metres, (T,) each.

    What is not named is zero.
    Trunk: `lean` (pelvis) and `bend` (spine) forward, `roll` and `side` to the right, `yaw` and `twist` to the left,
    `head` up, `head_yaw` to the left; `pelvis_x`, `pelvis_z` shift the hips.
    Arms, with the prefix `l_` or `r_`: `arm` forward, `abd` sideways, `rot` about the upper arm, `elb` flexion.
    Legs stand: `foot_x` outward, `foot_y` up and `foot_z` forward from under the hip, `toe` outward, `pitch` is
    negative where the heel rises, `knee_out`; `drop` lowers the hips from standing, as a share of the leg.
    Legs in `swinging_legs` ("l", "r", "lr") hang from the hip: `hip` and `knee` flexion, `habd` sideways, `turn`
    outward about the thigh, `pitch` up of the foot against the shank. Where both do, the lower sole is `jump` above the
    floor.
    """
    rig = _Rig(body, angles)
    rig.place_trunk()
    for side, sign in SIDES:
        rig.place_arm(side, sign)
    standing = [(side, sign) for side, sign in SIDES if side not in swinging_legs]
    for side, sign in SIDES:
        if side in swinging_legs:
            rig.place_swinging_leg(side, sign)
    if standing:
        feet = {side: rig.standing_foot(side, sign) for side, sign in standing}
        rig.rise(rig.reach({side: ankle for side, (ankle, _) in feet.items()}))
        for side, sign in standing:
            rig.place_standing_leg(side, sign, *feet[side])
        return rig.bones()
    soles = [rig.bones().at(f"{side}_foot", point)[:, 1] for side, _ in SIDES for point in (HEEL, TOES)]
    rig.rise(rig["jump"] - np.min(soles, axis=0))
    return rig.bones()


class _Rig:
    """The bones that are placed so far, by name: origin (T, 3) and frame (T, 3, 3)."""

    def __init__(self, body: Body, angles: Mapping[str, np.ndarray]):
        self.body = body
        self.angles = angles
        self.zero = np.zeros(len(next(iter(angles.values()))))
        self.placed: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.angles.get(name, self.zero)

    def bones(self) -> Bones:
        origins, frames = zip(*(self.placed[bone] for bone in BONES), strict=True)
        return Bones(np.stack(origins, 1), np.stack(frames, 1))

    def rise(self, height: np.ndarray) -> None:
        """Lift everything that is placed by `height` (T,)."""
        lift = np.stack([self.zero, height, self.zero], -1)
        self.placed = {bone: (origin + lift, frame) for bone, (origin, frame) in self.placed.items()}

    def place_trunk(self) -> None:
        """Pelvis, chest and head, the hips at height zero."""
        pelvis = rotation_y(self["yaw"]) @ rotation_x(self["lean"]) @ rotation_z(self["roll"])
        hips = np.stack([self["pelvis_x"], self.zero, self["pelvis_z"]], -1)
        self.placed["pelvis"] = hips, pelvis
        chest = pelvis @ rotation_x(self["bend"]) @ rotation_y(self["twist"]) @ rotation_z(self["side"])
        self.placed["chest"] = hips + pelvis @ np.array([0, WAIST_HEIGHT_M, 0]), chest
        head = chest @ rotation_y(self["head_yaw"]) @ rotation_x(-self["head"]) @ rotation_z(-0.6 * self["side"])
        neck = self._collar() + chest @ np.array([0, 0.06, -0.005])
        self.placed["head"] = neck + head @ np.array([0, self.body.neck + 0.03, 0.03]), head

    def place_arm(self, side: str, sign: int) -> None:
        chest = self.placed["chest"][1]
        upper = chest @ rotation_x(-self[f"{side}_arm"]) @ rotation_z(sign * self[f"{side}_abd"])
        upper = upper @ rotation_y(sign * self[f"{side}_rot"])
        rise = np.sum(-upper[..., 1] * chest[..., 1], -1)  # 1 where the arm points along the spine
        lift = np.clip(rise + 0.2, 0, None) * 0.06  # the shoulder girdle goes up with a raised arm
        offset = np.stack([sign * (self.body.shoulder_half_width - 0.4 * lift), lift - 0.035, self.zero], -1)
        shoulder = self._collar() + np.einsum("tij,tj->ti", chest, offset)
        elbow = shoulder + upper @ np.array([0, -self.body.upper_arm, 0])
        forearm = upper @ rotation_x(-self[f"{side}_elb"])
        self.placed[f"{side}_upper_arm"] = shoulder, upper
        self.placed[f"{side}_forearm"] = elbow, forearm
        self.placed[f"{side}_hand"] = elbow + forearm @ np.array([0, -self.body.forearm, 0]), forearm

    def place_swinging_leg(self, side: str, sign: int) -> None:
        pelvis = self.placed["pelvis"][1]
        thigh = pelvis @ rotation_x(-self[f"{side}_hip"]) @ rotation_z(sign * self[f"{side}_habd"])
        thigh = thigh @ rotation_y(sign * self[f"{side}_turn"])
        shank = thigh @ rotation_x(self[f"{side}_knee"])
        hip = self._hip(side, sign)
        knee = hip + thigh @ np.array([0, -self.body.thigh, 0])
        ankle = knee + shank @ np.array([0, -self.body.shank, 0])
        self.placed[f"{side}_thigh"] = hip, thigh
        self.placed[f"{side}_shank"] = knee, shank
        self.placed[f"{side}_foot"] = ankle, shank @ rotation_x(-self[f"{side}_pitch"])

    def standing_foot(self, side: str, sign: int) -> tuple[np.ndarray, np.ndarray]:
        """The ankle (T, 3) and the frame of a foot that stands on its toes at least."""
        turned = rotation_y(sign * self[f"{side}_toe"])
        frame = turned @ rotation_x(-self[f"{side}_pitch"])
        x = sign * (self.body.hip_half_width + self[f"{side}_foot_x"])
        under_ankle = np.stack([x, self[f"{side}_foot_y"], self[f"{side}_foot_z"]], -1)
        return under_ankle + turned @ (TOES * [1, 0, 1]) - frame @ TOES, frame

    def reach(self, ankles: Mapping[str, np.ndarray]) -> np.ndarray:
        """How high (T,) the hips are over the floor: as high as the standing legs reach, less `drop`."""
        signs = dict(SIDES)
        tops = []
        for side, ankle in ankles.items():
            apart = ankle - self._hip(side, signs[side])
            across = np.hypot(apart[:, 0], apart[:, 2])
            tops.append(apart[:, 1] + np.sqrt(np.maximum((STRAIGHT * self.body.leg) ** 2 - across**2, 0)))
        return np.min(tops, axis=0) - self["drop"] * self.body.leg

    def place_standing_leg(self, side: str, sign: int, ankle: np.ndarray, foot: np.ndarray) -> None:
        """Two-bone inverse kinematics: the knee bends forward, a little towards where the toes point."""
        hip = self._hip(side, sign)
        span = np.linalg.norm(ankle - hip, axis=1, keepdims=True)
        down = (ankle - hip) / span
        ahead = rotation_y(sign * (self[f"{side}_knee_out"] + TOE_SHARE * self[f"{side}_toe"]))[..., 2]
        ahead = ahead - np.sum(ahead * down, 1, keepdims=True) * down
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        along = (self.body.thigh**2 - self.body.shank**2 + span**2) / (2 * span)
        knee = hip + along * down + np.sqrt(np.maximum(self.body.thigh**2 - along**2, 0)) * ahead
        across = np.cross(-down, ahead)
        for bone, start, end in (("thigh", hip, knee), ("shank", knee, ankle)):
            up = (start - end) / np.linalg.norm(start - end, axis=1, keepdims=True)
            self.placed[f"{side}_{bone}"] = start, np.stack([across, up, np.cross(across, up)], -1)
        self.placed[f"{side}_foot"] = ankle, foot

    def _collar(self) -> np.ndarray:
        waist, chest = self.placed["chest"]
        return waist + chest @ np.array([0, self.body.spine - WAIST_HEIGHT_M, 0])

    def _hip(self, side: str, sign: int) -> np.ndarray:
        origin, pelvis = self.placed["pelvis"]
        return origin + pelvis @ np.array([sign * self.body.hip_half_width, 0, 0])
