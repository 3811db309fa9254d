"""Signals of a motion over time that the facts are measured on: joint angles, heights and speeds.

Angles are those of clinical practice where landmarks allow it: a straight knee, hip or elbow has 180 degrees, a hanging
arm 0, an upright trunk 0. Joints are found by name; one that a skeleton lacks gives no signal.
"""

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.texts.fact import Side

Signals = dict[tuple[str, Side], np.ndarray]

PAIRED = ("knee", "hip", "elbow", "shoulder", "side")
NEUTRAL_DEG = {"knee": 180.0, "hip": 180.0, "elbow": 180.0, "shoulder": 0.0, "trunk": 0.0, "waist": 0.0, "side": 0.0}
# Smallest range that counts as movement, in degrees: above the noise of monocular landmarks.
MOVES_DEG = {"knee": 25.0, "hip": 25.0, "elbow": 35.0, "shoulder": 30.0, "trunk": 20.0, "waist": 35.0, "side": 20.0}
# The usual range of motion of a healthy adult in degrees, rounded; to rank movements of different joints.
FULL_DEG = {"knee": 140.0, "hip": 120.0, "elbow": 150.0, "shoulder": 180.0, "trunk": 90.0, "waist": 60.0, "side": 40.0}
SEEN_SHARE = 0.5
"""Share of the frames from which on a joint counts as seen."""
SIDEWAYS_SHARE = 0.7  # of the whole lean that must be to a side
# A joint's angle is that between the trunk (upwards from the hips) or the bone before it, and the bone after it.
_ARM = (("shoulder", "elbow"), ("elbow", "wrist"))
_HINGES = {"knee": ("hip", "knee", "ankle"), "elbow": ("shoulder", "elbow", "wrist")}


def angle_signals(motion: Motion) -> Signals:
    """Angles in degrees, (T,) for each (joint, side); NaN where a landmark is missing, none where one is hidden."""
    signals: dict[tuple[str, Side], np.ndarray] = {}
    trunk = _trunk(motion)
    sides: tuple[Side, ...] = ("left", "right")
    for side in sides:
        for joint, (start, corner, end) in _HINGES.items():
            before = _between(motion, f"{side}_{corner}", f"{side}_{start}")
            after = _between(motion, f"{side}_{corner}", f"{side}_{end}")
            if before is not None and after is not None:
                signals[joint, side] = _angle_between(before, after)
        upper_arm = _between(motion, f"{side}_shoulder", f"{side}_elbow")
        thigh = _between(motion, f"{side}_hip", f"{side}_knee")
        if trunk is not None and upper_arm is not None:
            signals["shoulder", side] = _angle_between(-trunk, upper_arm)
        if trunk is not None and thigh is not None:
            signals["hip", side] = _angle_between(trunk, thigh)
    shoulders, hips = _across(motion, "shoulder"), _across(motion, "hip")
    if trunk is not None and shoulders is not None and hips is not None:
        signals["trunk", None] = _angle_between(trunk, np.broadcast_to(np.array([0.0, 1.0, 0.0]), trunk.shape))
        # To the left or to the right along the hips' line; each side is 0 while the trunk is on the other. A bow seen
        # from the side has such a part too, from the uncertain depth of the hips: it is not counted.
        across = hips / np.maximum(np.linalg.norm(hips, axis=-1, keepdims=True), 1e-9)
        sideways = 90 - _angle_between(trunk, across)
        sideways = np.where(np.abs(sideways) < SIDEWAYS_SHARE * signals["trunk", None], 0.0 * sideways, sideways)
        signals["side", "left"], signals["side", "right"] = np.maximum(sideways, 0), np.maximum(-sideways, 0)
        signals["waist", None] = _angle_between(_perpendicular(shoulders, trunk), _perpendicular(hips, trunk))
    return {name: signal for name, signal in signals.items() if angle_seen(motion, *name) >= SEEN_SHARE}


def angle_seen(motion: Motion, joint: str, side: Side) -> float:
    """In what share of the frames the camera saw what the angle is measured between, 0 to 1."""
    if joint in _HINGES:
        return seen_share(motion, *(f"{side}_{name}" for name in _HINGES[joint]))
    trunk = min(either_seen(motion, "shoulder"), either_seen(motion, "hip"))
    if joint == "waist":  # turned from the camera, one of the two is behind the other
        return seen_share(motion, "left_shoulder", "right_shoulder", "left_hip", "right_hip")
    limb = {"shoulder": f"{side}_elbow", "hip": f"{side}_knee"}.get(joint)
    return min(trunk, seen_share(motion, limb)) if limb else trunk


def either_seen(motion: Motion, joint: str) -> float:
    """The share of the side that was seen in more frames."""
    return max(seen_share(motion, f"{side}_{joint}") for side in ("left", "right"))


def seen_share(motion: Motion, *joints: str) -> float:
    """In what share of the known frames the camera saw the least seen of some joints, 0 to 1."""
    known, names = motion.known, motion.skeleton.joints
    if not known.any():
        return 0.0
    return min(
        float(1 - motion.guessed[known, names.index(joint)].mean()) if joint in names else 0.0 for joint in joints
    )


def body_length(motion: Motion) -> float | None:
    """Trunk, thigh and shank in metres (medians over time): a measure of size that holds in every posture."""
    trunk = _trunk(motion)
    lengths = [] if trunk is None else [np.linalg.norm(trunk, axis=-1)]
    for start, end in (("hip", "knee"), ("knee", "ankle")):
        sides = [_between(motion, f"{side}_{start}", f"{side}_{end}") for side in ("left", "right")]
        seen = [np.linalg.norm(side, axis=-1) for side in sides if side is not None]
        if seen:
            lengths.append(np.concatenate(seen))
    if len(lengths) < 3 or not all(np.isfinite(length).any() for length in lengths):
        return None
    return float(sum(np.nanmedian(length) for length in lengths)) or None


def axes(motion: Motion) -> tuple[np.ndarray, np.ndarray] | None:
    """Level unit vectors to the left of the hips and to where they face, each (T, 3)."""
    hips = _across(motion, "hip")
    if hips is None:
        return None
    level = hips * np.array([1.0, 0.0, 1.0])
    left = level / np.maximum(np.linalg.norm(level, axis=-1, keepdims=True), 1e-9)
    return left, np.stack([-left[:, 2], left[:, 1], left[:, 0]], axis=-1)


def in_picture(motion: Motion, direction: np.ndarray) -> np.ndarray:
    """(T,) bool: whether level unit vectors (T, 3) lie within 45 degrees of the plane that the camera saw.

    All True for a motion that does not come from one camera.
    """
    if "turned_rad" not in motion.parameters:
        return np.ones(len(motion), bool)
    angle = motion.parameters["turned_rad"]
    towards_camera = np.array([np.sin(angle), 0.0, np.cos(angle)])
    return np.abs(direction @ towards_camera) <= np.sqrt(0.5)


def arm_depth(motion: Motion, joint: str, side: Side, at: np.ndarray) -> float:
    """How much of an arm's bones points to or from the camera, 0 to 1, in the frames `at` (T,); 0 without a camera.

    Depth is a guess, and most so of arms: what is stretched towards the camera is taken to be bent.
    """
    if "turned_rad" not in motion.parameters or not at.any():
        return 0.0
    angle = motion.parameters["turned_rad"]
    towards_camera = np.array([np.sin(angle), 0.0, np.cos(angle)])
    shares = [0.0]
    for start, end in {"elbow": _ARM, "shoulder": _ARM[:1]}.get(joint, ()):
        bone = _between(motion, f"{side}_{start}", f"{side}_{end}")
        if bone is not None:
            along = np.abs(bone[at] @ towards_camera) / np.maximum(np.linalg.norm(bone[at], axis=-1), 1e-9)
            shares.append(float(np.median(along)))
    return max(shares)


def limb_speeds(motion: Motion, joint: str) -> dict[Side, np.ndarray]:
    """Speed of a joint of each side relative to the hips, (T,) in body lengths per second."""
    length, centre = body_length(motion), _middle(motion, "hip")
    speeds: dict[Side, np.ndarray] = {}
    if length is None or centre is None:
        return speeds
    sides: tuple[Side, ...] = ("left", "right")
    for side in sides:
        limb = point(motion, f"{side}_{joint}")
        if limb is not None and seen_share(motion, f"{side}_{joint}") >= SEEN_SHARE:
            speeds[side] = _speed(limb - centre, motion.fps) / length
    return speeds


def stillness_speed(motion: Motion) -> np.ndarray:
    """Speed of the fastest of hands and feet relative to the hips, (T,) in body lengths per second, over a second.

    Taken over a second, because the jitter of landmarks between two frames is faster than a slow movement.
    Infinite where nothing is known, so that a gap never counts as holding still.
    """
    length, centre = body_length(motion), _middle(motion, "hip")
    names = [f"{side}_{joint}" for side in ("left", "right") for joint in ("wrist", "knee", "ankle", "shoulder")]
    names = [name for name in names if seen_share(motion, name) >= SEEN_SHARE]
    points = [found for found in (point(motion, name) for name in names) if found is not None]
    if length is None or centre is None or not points:
        return np.full(len(motion.joints), np.inf)
    half = max(1, round(motion.fps / 2))
    relative = np.stack(points, axis=1) - centre[:, None]
    padded = np.concatenate([relative[:1].repeat(half, 0), relative, relative[-1:].repeat(half, 0)])
    distance = np.linalg.norm(padded[2 * half :] - padded[: -2 * half], axis=-1).max(axis=1)
    speed = distance * motion.fps / (2 * half) / length
    return np.where(np.isfinite(speed), speed, np.inf)


def point(motion: Motion, name: str) -> np.ndarray | None:
    """(T, 3) in double precision, or None where the skeleton has no such joint."""
    joints = motion.skeleton.joints
    return motion.joints[:, joints.index(name)].astype(np.float64) if name in joints else None


def _between(motion: Motion, start: str, end: str) -> np.ndarray | None:
    first, last = point(motion, start), point(motion, end)
    return None if first is None or last is None else last - first


def _across(motion: Motion, joint: str) -> np.ndarray | None:
    """From right to left."""
    return _between(motion, f"right_{joint}", f"left_{joint}")


def _middle(motion: Motion, joint: str) -> np.ndarray | None:
    left, right = point(motion, f"left_{joint}"), point(motion, f"right_{joint}")
    return None if left is None or right is None else (left + right) / 2


def _trunk(motion: Motion) -> np.ndarray | None:
    """From the middle of the hips to the middle of the shoulders, (T, 3) in metres."""
    hips, shoulders = _middle(motion, "hip"), _middle(motion, "shoulder")
    return None if hips is None or shoulders is None else shoulders - hips


def _perpendicular(vector: np.ndarray, axis: np.ndarray) -> np.ndarray:
    unit = axis / np.maximum(np.linalg.norm(axis, axis=-1, keepdims=True), 1e-9)
    return vector - (vector * unit).sum(-1, keepdims=True) * unit


def _angle_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Degrees between two vectors over time; NaN where one has no length."""
    size = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
    cosine = np.divide((first * second).sum(-1), size, out=np.full(len(size), np.nan), where=size > 1e-9)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def _speed(points: np.ndarray, fps: float) -> np.ndarray:
    """Central differences, (T,) in metres per second; the ends are NaN."""
    speed = np.full(len(points), np.nan)
    speed[1:-1] = np.linalg.norm(points[2:] - points[:-2], axis=-1) * fps / 2
    return speed
