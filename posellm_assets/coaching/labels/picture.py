"""What the picture itself shows of a body, without the depth that one camera only guesses.

The camera is taken to be level, so that heights are heights. Points are read at the times of the motion's frames.
"""

import numpy as np

from posellm_assets.motion.from_poses import savitzky_golay_at
from posellm_assets.poses.breaks import breaks
from posellm_assets.poses.landmarks import (
    ANKLES,
    EARS,
    HEELS,
    HIPS,
    KNEES,
    MOUTH,
    PAIRS,
    SHOULDERS,
    TOES,
    WRISTS,
)
from posellm_assets.poses.poses import SubjectPoses

SIDES = ("left", "right")
SMOOTHING_FRAMES = 7
STRETCHED = 95  # percentile: a limb's length is seen when it lies across the view
SHORTEST_SHOT_S = 1.0
VISIBLE = 0.5
KNEELING_DEG = 130.0  # knees bent further than this are on the floor: the body's line then ends at them
BENT = 0.1  # a knee has a direction where it is out of line by this share of the leg's length
Signals = dict[tuple[str, str], np.ndarray]
SIGNALS = (
    *(
        (name, "both")
        for name in (
            "hip_drop",
            "hip_rise",
            "side_bend",
            "trunk_lean",
            "trunk_raise",
            "hip_sag",
            "hip_pike",
            "head_drop",
        )
    ),
    *((name, "both") for name in ("hip_open", "knee_open", "hands_low")),
    *(
        (name, side)
        for name in ("arm_raise", "arm_fold", "chin_up", "knee_lift", "heel_raise", "hands_aside")
        for side in (*SIDES, "both")
    ),
    *((name, side) for name in ("elbow_flare", "knee_in") for side in SIDES),
)


def shots(subject: SubjectPoses) -> list[np.ndarray]:
    """The frames (N,) of each shot in which somebody is seen: lengths in pixels can only be compared within one."""
    frames = np.flatnonzero(subject.seen)
    return np.split(frames, np.searchsorted(subject.time_s[frames], breaks(subject).at_s))


def signals_of(subject: SubjectPoses, wanted_s: np.ndarray) -> Signals:
    """`picture_signals` at `wanted_s` (T,), each shot by itself; NaN between shots and where nobody is seen."""
    found = {name: np.full(len(wanted_s), np.nan) for name in SIGNALS}
    for frames in shots(subject):
        times_s = subject.time_s[frames]
        if len(frames) < SMOOTHING_FRAMES or times_s[-1] - times_s[0] < SHORTEST_SHOT_S:
            continue
        inside = (wanted_s > times_s[0] - 1e-6) & (wanted_s < times_s[-1] + 1e-6)
        points = savitzky_golay_at(times_s, _in_sight(subject, frames), wanted_s[inside], SMOOTHING_FRAMES)
        for name, values in picture_signals(points, turn_deg(subject, frames), _near(subject, frames)).items():
            found[name][inside] = values
            found[name][np.flatnonzero(inside)[:1]] = np.nan  # so that no repetition goes across a cut
    return found


def _in_sight(subject: SubjectPoses, frames: np.ndarray) -> np.ndarray:
    """The landmarks in pixels, (N, 33, 2); ankles that are not in sight on either side, as in a close-up, are NaN."""
    points = subject.pixels[frames].astype(np.float64)
    shares = subject.landmarks[frames][:, ANKLES, 1]
    hidden = (subject.visibility[frames][:, ANKLES].max(1) < VISIBLE) | (shares.min(1) > 1)
    points[np.ix_(hidden, ANKLES)] = np.nan
    return points


def _near(subject: SubjectPoses, frames: np.ndarray) -> int:
    """The place in `SIDES` of the side of the body that is seen better."""
    seen = [subject.visibility[frames][:, side].mean() for side in zip(*PAIRS, strict=True)]
    return int(np.argmax(seen))


def turn_deg(subject: SubjectPoses, frames: np.ndarray | slice = slice(None)) -> float:
    """How far the athlete is turned from the camera, by the line through the hips: 90 is seen from the side.

    Positive where the athlete faces the right of the picture.
    """
    world = subject.world[frames]
    hips = np.nanmedian(world[:, HIPS[0]] - world[:, HIPS[1]], axis=0)
    return float(np.degrees(np.arcsin(hips[2] / max(float(np.hypot(hips[0], hips[2])), 1e-9))))


def picture_signals(points: np.ndarray, turned_deg: float, near: int = 0) -> Signals:
    """(T,) by (quantity, side), from points (T, 33, 2) in pixels of somebody turned by `turned_deg`.

    `near` is the place in `SIDES` of the side that is seen better. What each is, and in which unit, is said in
    `quantities`; here only what follows from heights and directions in the picture is computed.
    """
    shoulders, hips = (points[:, pair].mean(1) for pair in (SHOULDERS, HIPS))
    height = points[:, ANKLES, 1].max(1) - hips[:, 1]
    trunk, standing = shoulders - hips, _stretched(height)
    leg = sum(_length(points[:, upper], points[:, lower]) for upper, lower in ((HIPS[near], KNEES[near]),
                                                                            (KNEES[near], ANKLES[near])))  # fmt: skip
    shoulder, hip, knee, ankle, ear = (points[:, pair[near]] for pair in (SHOULDERS, HIPS, KNEES, ANKLES, EARS))
    knee_open = 180 - np.abs(_line_deg(hip, knee, ankle))
    line = _line_deg(shoulder, hip, np.where((knee_open < KNEELING_DEG)[:, None], knee, ankle))
    signals: Signals = {
        ("hip_drop", "both"): 1 - height / standing,
        ("hip_rise", "both"): (np.nanpercentile(hips[:, 1], STRETCHED) - hips[:, 1]) / leg,
        ("side_bend", "both"): np.abs(np.degrees(np.arctan2(trunk[:, 0], -trunk[:, 1]))),
        ("trunk_lean", "both"): 90 - _elevation_deg(hips, shoulders),
        ("trunk_raise", "both"): _elevation_deg(hips, shoulders),
        ("hip_sag", "both"): line,
        ("hip_pike", "both"): -line,
        ("head_drop", "both"): -_line_deg(ear, shoulder, hip),
        ("hip_open", "both"): 180 - np.abs(_line_deg(shoulder, hip, knee)),
        ("knee_open", "both"): knee_open,
    }
    hands = points[:, WRISTS].mean(1)
    signals["hands_low", "both"] = (points[:, WRISTS, 1].min(1) - hips[:, 1] + standing - height) / standing
    for place, side in enumerate(SIDES):
        shoulder, elbow, wrist, hip, knee, ankle = (points[:, pair[place]] for pair in PAIRS)
        arm = _length(shoulder, elbow) + _length(elbow, wrist)
        signals["arm_raise", side] = 90 + np.degrees(np.arcsin(np.clip((shoulder[:, 1] - wrist[:, 1]) / arm, -1, 1)))
        signals["arm_fold", side] = 1 - np.abs(wrist[:, 1] - shoulder[:, 1]) / arm
        signals["chin_up", side] = (wrist[:, 1] - points[:, MOUTH, 1].mean(1)) / arm
        signals["knee_lift", side] = 90 + _elevation_deg(hip, knee)
        signals["heel_raise", side] = (points[:, TOES[place], 1] - points[:, HEELS[place], 1]) / leg
        signals["elbow_flare", side] = np.degrees(
            np.arcsin(np.clip(np.abs(elbow[:, 0] - shoulder[:, 0]) / _length(shoulder, elbow), 0, 1))
        )
        inward = float(np.sign(np.nanmedian(points[:, HIPS[1 - place], 0] - hip[:, 0])))
        signals["knee_in", side] = _out_of_line_deg(hip, knee, ankle, inward) - inward * turned_deg
        aside = -inward * (hands - hips)[:, 0] / _stretched(np.linalg.norm(trunk, axis=1))
        signals["hands_aside", side] = np.maximum(aside, 0)
    for name in ("arm_raise", "knee_lift", "hands_aside"):
        signals[name, "both"] = np.maximum(signals[name, "left"], signals[name, "right"])
    for name in ("arm_fold", "chin_up", "heel_raise"):
        signals[name, "both"] = signals[name, SIDES[near]]
    return signals


def body_px(subject: SubjectPoses, top: tuple[int, int] = SHOULDERS) -> float:
    """The length from ankles to shoulders (or another pair of landmarks) where it is largest, in pixels."""
    lengths = np.linalg.norm(subject.pixels[:, ANKLES].mean(1) - subject.pixels[:, top].mean(1), axis=1)
    return float(np.nanmax(lengths))


def _elevation_deg(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How far the limb from `start` to `end` points up from level, by its height and its length in the picture."""
    return np.degrees(np.arcsin(np.clip((start[:, 1] - end[:, 1]) / _length(start, end), -1, 1)))


def _line_deg(first: np.ndarray, middle: np.ndarray, last: np.ndarray) -> np.ndarray:
    """How far `middle` is out of the line from `first` to `last`, in degrees: 0 on it, positive where it is lower."""
    one, other = first - middle, last - middle
    cosine = (one * other).sum(1) / np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1), 1e-9)
    along = last - first
    share = ((middle - first) * along).sum(1) / np.maximum((along * along).sum(1), 1e-9)
    below = middle[:, 1] - (first + share[:, None] * along)[:, 1]
    return np.copysign(180 - np.degrees(np.arccos(np.clip(cosine, -1, 1))), below)


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
    return _stretched(np.linalg.norm(end - start, axis=1))


def _stretched(lengths: np.ndarray) -> float:
    return float(np.nanpercentile(lengths, STRETCHED)) if np.isfinite(lengths).any() else np.nan
