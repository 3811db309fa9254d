"""What the picture itself shows of a body, without the depth that one camera only guesses.

The camera is taken to be level, so that heights are heights. Points are read at the times of the motion's frames.
"""

import numpy as np

from posellm_assets.motion.from_poses import savitzky_golay_at
from posellm_assets.poses.landmarks import ANKLES, ELBOWS, HIPS, KNEES, SHOULDERS, WRISTS
from posellm_assets.poses.poses import SubjectPoses

SIDES = ("left", "right")
SMOOTHING_FRAMES = 7
STRETCHED = 95  # percentile: a limb's length is seen when it lies across the view
BENT = 0.1  # a knee has a direction where it is out of line by this share of the leg's length
Signals = dict[tuple[str, str], np.ndarray]


def points_at(subject: SubjectPoses, wanted_s: np.ndarray) -> np.ndarray:
    """The landmarks in pixels, (T, 33, 2) at `wanted_s`, smoothed as a motion's joints are; NaN where nobody is."""
    seen = subject.seen
    if seen.sum() < 3:
        return np.full((len(wanted_s), 33, 2), np.nan)
    pixels = subject.pixels[seen].astype(np.float64)
    return savitzky_golay_at(subject.time_s[seen], pixels, wanted_s, SMOOTHING_FRAMES)


def turn_deg(subject: SubjectPoses) -> float:
    """How far the athlete is turned from the camera, by the line through the hips: 90 is seen from the side.

    Positive where the athlete faces the right of the picture.
    """
    hips = np.nanmedian(subject.world[:, HIPS[0]] - subject.world[:, HIPS[1]], axis=0)
    return float(np.degrees(np.arcsin(hips[2] / max(float(np.hypot(hips[0], hips[2])), 1e-9))))


def picture_signals(points: np.ndarray, turned_deg: float) -> Signals:
    """(T,) by (quantity, side), from points (T, 33, 2) in pixels of somebody turned by `turned_deg`.

    hip_drop: how far the hips sink, as a share of their height over the lower ankle when standing.
    side_bend: how far the trunk leans from upright, in degrees.
    arm_raise: 0 with the hand straight below the shoulder, 180 straight above, by its height (degrees); both is the
    higher arm.
    knee_in: how far inward of straight ahead the knee points, in degrees; NaN while the leg is nearly straight.
    """
    height = points[:, ANKLES, 1].max(1) - points[:, HIPS, 1].mean(1)
    trunk = points[:, SHOULDERS].mean(1) - points[:, HIPS].mean(1)
    signals: Signals = {
        ("hip_drop", "both"): 1 - height / np.nanpercentile(height, STRETCHED),
        ("side_bend", "both"): np.abs(np.degrees(np.arctan2(trunk[:, 0], -trunk[:, 1]))),
    }
    for place, side in enumerate(SIDES):
        signals["arm_raise", side] = _arm_raise(*(points[:, pair[place]] for pair in (SHOULDERS, ELBOWS, WRISTS)))
        hip, knee, ankle = (points[:, pair[place]] for pair in (HIPS, KNEES, ANKLES))
        inward = float(np.sign(np.nanmedian(points[:, HIPS[1 - place], 0] - hip[:, 0])))
        signals["knee_in", side] = _out_of_line_deg(hip, knee, ankle, inward) - inward * turned_deg
    signals["arm_raise", "both"] = np.maximum(signals["arm_raise", "left"], signals["arm_raise", "right"])
    return signals


def body_px(subject: SubjectPoses) -> float:
    """The height from ankles to shoulders where it is largest, in pixels."""
    heights = subject.pixels[:, ANKLES, 1].mean(1) - subject.pixels[:, SHOULDERS, 1].mean(1)
    return float(np.nanmax(heights))


def _arm_raise(shoulder: np.ndarray, elbow: np.ndarray, wrist: np.ndarray) -> np.ndarray:
    length = _length(shoulder, elbow) + _length(elbow, wrist)
    return 90 + np.degrees(np.arcsin(np.clip((shoulder[:, 1] - wrist[:, 1]) / length, -1, 1)))


def _out_of_line_deg(hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, inward: float) -> np.ndarray:
    """The direction in which a knee is out of the line from hip to ankle, seen from above, in degrees from the camera.

    How far it is out of line follows from the lengths of thigh and shank and the distance from hip to ankle; how much
    of that lies across the view is seen. `inward` is the sign of the picture's x in which the other leg is.
    """
    thigh, shank = _length(hip, knee), _length(knee, ankle)
    leg = ankle - hip
    distance = np.minimum(np.linalg.norm(leg, axis=1), thigh + shank)
    half = (thigh + shank + distance) / 2
    out = 2 * np.sqrt(np.maximum(half * (half - thigh) * (half - shank) * (half - distance), 0)) / distance
    along = ((knee - hip) * leg).sum(1) / (leg * leg).sum(1)
    across = (knee - hip - along[:, None] * leg)[:, 0]
    out = np.where(out < BENT * (thigh + shank), np.nan, out)
    return np.degrees(np.arcsin(np.clip(inward * across / out, -1, 1)))


def _length(start: np.ndarray, end: np.ndarray) -> float:
    return float(np.nanpercentile(np.linalg.norm(end - start, axis=1), STRETCHED))
