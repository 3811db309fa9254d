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
JUMP = 1.25  # of the trunk's length in the picture, from one frame to the next
MOVED = 0.6  # of the trunk's length, from one frame to the next
SHORTEST_SHOT_S = 1.0
VISIBLE = 0.5
BENT = 0.1  # a knee has a direction where it is out of line by this share of the leg's length
Signals = dict[tuple[str, str], np.ndarray]
SIGNALS = (
    *((name, "both") for name in ("hip_drop", "side_bend", "arm_raise")),
    *((name, side) for name in ("arm_raise", "knee_in") for side in SIDES),
)


def shots(subject: SubjectPoses) -> list[np.ndarray]:
    """The frames (N,) of each shot in which somebody is seen: a cut or a jump of the zoom begins another.

    Lengths in pixels can only be compared within a shot. Told by the body alone: its trunk changes its length, or its
    place by the trunk's length, faster than anybody moves.
    """
    frames = np.flatnonzero(subject.seen)
    points = subject.pixels[frames].astype(np.float64)
    hips, shoulders = points[:, HIPS].mean(1), points[:, SHOULDERS].mean(1)
    trunk = np.maximum(np.linalg.norm(shoulders - hips, axis=1), 1e-9)
    grown = np.abs(np.diff(np.log(trunk))) > np.log(JUMP)
    moved = np.linalg.norm(np.diff(hips, axis=0), axis=1) > MOVED * trunk[:-1]
    return np.split(frames, np.flatnonzero(grown | moved) + 1)


def signals_of(subject: SubjectPoses, wanted_s: np.ndarray) -> Signals:
    """`picture_signals` at `wanted_s` (T,), each shot by itself; NaN between shots and where nobody is seen."""
    found = {name: np.full(len(wanted_s), np.nan) for name in SIGNALS}
    for frames in shots(subject):
        times_s = subject.time_s[frames]
        if len(frames) < SMOOTHING_FRAMES or times_s[-1] - times_s[0] < SHORTEST_SHOT_S:
            continue
        inside = (wanted_s > times_s[0] - 1e-6) & (wanted_s < times_s[-1] + 1e-6)
        points = savitzky_golay_at(times_s, _in_sight(subject, frames), wanted_s[inside], SMOOTHING_FRAMES)
        for name, values in picture_signals(points, turn_deg(subject, frames)).items():
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


def turn_deg(subject: SubjectPoses, frames: np.ndarray | slice = slice(None)) -> float:
    """How far the athlete is turned from the camera, by the line through the hips: 90 is seen from the side.

    Positive where the athlete faces the right of the picture.
    """
    world = subject.world[frames]
    hips = np.nanmedian(world[:, HIPS[0]] - world[:, HIPS[1]], axis=0)
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
        ("hip_drop", "both"): 1 - height / _stretched(height),
        ("side_bend", "both"): np.abs(np.degrees(np.arctan2(trunk[:, 0], -trunk[:, 1]))),
    }
    for place, side in enumerate(SIDES):
        signals["arm_raise", side] = _arm_raise(*(points[:, pair[place]] for pair in (SHOULDERS, ELBOWS, WRISTS)))
        hip, knee, ankle = (points[:, pair[place]] for pair in (HIPS, KNEES, ANKLES))
        inward = float(np.sign(np.nanmedian(points[:, HIPS[1 - place], 0] - hip[:, 0])))
        signals["knee_in", side] = _out_of_line_deg(hip, knee, ankle, inward) - inward * turned_deg
    signals["arm_raise", "both"] = np.maximum(signals["arm_raise", "left"], signals["arm_raise", "right"])
    return signals


def body_px(subject: SubjectPoses, top: tuple[int, int] = SHOULDERS) -> float:
    """The height from ankles to shoulders (or another pair of landmarks) where it is largest, in pixels."""
    heights = subject.pixels[:, ANKLES, 1].mean(1) - subject.pixels[:, top, 1].mean(1)
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
    return _stretched(np.linalg.norm(end - start, axis=1))


def _stretched(lengths: np.ndarray) -> float:
    return float(np.nanpercentile(lengths, STRETCHED)) if np.isfinite(lengths).any() else np.nan
