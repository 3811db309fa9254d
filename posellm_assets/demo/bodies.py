"""Bodies in any posture and movement, drawn from a seed: what the shipped codes are trained on.

Nobody's motion capture is in it. A joint is held, periodic or wanders; left and right move alike, in turn or freely; a
body stands on both legs or on one, kneels, sits, lies, hangs or turns over; a part of them does one of the demo's
movements, changed beyond what the demo shows. Joints err as landmarks of a video do.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from posellm_assets.demo import posing
from posellm_assets.demo.athlete import athlete
from posellm_assets.demo.movements import movements
from posellm_assets.demo.skeleton import landmarks
from posellm_assets.motion.from_poses import REFERENCE_SIZE_M, UNKNOWN, bone_lengths_m, size_m, standing_at_origin
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import heading, turn
from posellm_assets.motion.skeletons import BODY, BODY_LANDMARKS

FPS = 20.0
FRAMES = 160

Angles = dict[str, np.ndarray]
Range = tuple[float, float, float, float]
"""Lowest and highest value of a joint, its usual one and how far others are from that."""

# Degrees from where to where a joint goes, and where it usually is (mean and spread).
_ARM = {"arm": (-50, 180, 25, 55), "abd": (-15, 170, 22, 40), "rot": (-90, 90, 0, 35), "elb": (0, 150, 45, 45)}
_SWINGING_LEG = {
    "hip": (-35, 130, 35, 45),
    "habd": (-30, 65, 6, 14),
    "turn": (-40, 50, 6, 16),
    "knee": (0, 150, 40, 45),
    "pitch": (-50, 35, -8, 18),
}
_TRUNK = {"bend": (-25, 60, 8, 8), "side": (-35, 35, 0, 4), "twist": (-50, 50, 0, 6), "head": (-40, 50, 5, 10)}
_HEAD_YAW = (-60, 60, 0, 8)

# Of a bone by the joint at its end: its length in landmarks against an athlete's of `demo.athlete`, how much that
# differs between clips and how much within one. Measured on real clips, whose arms and heads landmarks make shorter.
_BONES = {
    "neck": (1.08, 0.05, 0.01),
    "head": (0.88, 0.10, 0.03),
    "nose": (1.05, 0.12, 0.04),
    "shoulder": (1.04, 0.10, 0.03),
    "elbow": (0.87, 0.10, 0.07),
    "wrist": (0.91, 0.11, 0.07),
    "hip": (1.18, 0.10, 0.01),
    "knee": (0.97, 0.05, 0.03),
    "ankle": (0.97, 0.06, 0.02),
    "toe": (0.90, 0.14, 0.06),
}
# How far a joint errs, against an arm's or a leg's: those of the trunk hold one another.
_SURER = {"pelvis": 0.3, "neck": 0.3, "left_hip": 0.3, "right_hip": 0.3}
_SURER |= {"left_shoulder": 0.5, "right_shoulder": 0.5, "head": 0.5, "nose": 0.5}
_UNSURE = np.array([_SURER.get(joint, 1.0) for joint in BODY.joints])


@dataclass(frozen=True)
class _Rhythm:
    """What the joints of a body have in common: a period in frames and where in it they begin."""

    frames: int
    period: float
    phase: float


def draw_bodies(count: int, seed: int) -> Iterator[Motion]:
    """`count` motions of FRAMES frames on the BODY skeleton at FPS, the same for a seed."""
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        yield _motion(rng)


def _motion(rng: np.random.Generator) -> Motion:
    body = athlete(int(rng.integers(1_000_000))).body
    draw = _of([(0.2, _known_movement), (0.35, _on_feet), (0.1, _on_one_foot), (0.35, _anyhow)], rng)
    angles, swinging = draw(rng)
    points = landmarks(posing.pose(body, angles, swinging))
    joints = np.stack([points[:, list(of_joint)].mean(axis=1) for of_joint in BODY_LANDMARKS], axis=1)
    joints = _flattened(_stretched(joints, rng), rng) + _landmark_errors(rng)
    joints = joints * (REFERENCE_SIZE_M / size_m(bone_lengths_m(joints)))
    joints = standing_at_origin(turn(joints, -heading(joints, BODY)[0]))
    if rng.random() < 0.25:
        joints = joints + _way(joints, rng)
    return Motion(joints.astype(np.float32), FPS, BODY, filled=np.zeros(len(joints), bool), unknown=UNKNOWN)


def _known_movement(rng: np.random.Generator) -> tuple[Angles, str]:
    """A movement of the demo at another tempo and size, some of its joints held elsewhere."""
    movement = movements()[int(rng.integers(len(movements())))]
    cycle_s = movement.cycle_s * np.exp(rng.normal(0, 0.35))
    tempo = np.exp(0.15 * _wander(FRAMES, 40, rng))
    phase = rng.random() + np.cumsum(tempo) / (cycle_s * FPS)
    side = "left" if rng.random() < 0.5 else "right"
    angles = movement.angles(phase, float(rng.uniform(0.4, 1.25)), side)  # type: ignore[arg-type]
    rhythm = _rhythm(rng)
    for name, values in _trunk(rng, rhythm).items():
        angles[name] = angles.get(name, 0.0) + values
    if rng.random() < 0.35:
        angles |= _both_sides(_ARM, rng, rhythm)
    return angles, movement.swinging(side)  # type: ignore[arg-type]


def _on_feet(rng: np.random.Generator) -> tuple[Angles, str]:
    """Both feet on the floor, the hips anywhere over them: squats, lunges, throws, bows, steps on the spot."""
    rhythm = _rhythm(rng)
    angles = _upper_body(rng, rhythm)
    deep = rng.choice([0.05, 0.5], p=[0.5, 0.5])
    drop = _joint((0.0, 0.55, abs(rng.normal(0.03, 0.12)), deep * 0.4), rng, rhythm)
    split = abs(rng.normal(0, 0.25)) if rng.random() < 0.5 else 0.0
    for side, sign in (("l", 1), ("r", -1)):
        angles[f"{side}_foot_x"] = _joint((-0.1, 0.6, abs(rng.normal(0.03, 0.15)), 0.05), rng, rhythm)
        angles[f"{side}_foot_z"] = _joint((-0.5, 0.5, sign * split, 0.08), rng, rhythm)
        angles[f"{side}_toe"] = _joint((-15, 45, 10, 8), rng, rhythm)
        angles[f"{side}_pitch"] = _joint((-60, 0, -abs(rng.normal(0, 15)), 8), rng, rhythm)
        angles[f"{side}_knee_out"] = _joint((-25, 35, 6, 8), rng, rhythm)
        angles[f"{side}_foot_y"] = np.clip(_joint((0, 0.3, -0.05, 0.08), rng, rhythm), 0, None)
    bow = _joint((-25, 95, 10 + 90 * np.mean(drop), abs(rng.normal(10, 25))), rng, rhythm)
    angles |= {"drop": drop, "lean": bow, "pelvis_z": -0.35 * drop + _joint((-0.2, 0.2, 0, 0.04), rng, rhythm)}
    angles["pelvis_x"] = _joint((-0.25, 0.25, 0, 0.05), rng, rhythm)
    return angles, ""


def _on_one_foot(rng: np.random.Generator) -> tuple[Angles, str]:
    """One foot stands, the other leg swings: kicks, balances, knee lifts."""
    angles, _ = _on_feet(rng)
    angles |= _both_sides(_SWINGING_LEG, rng, _rhythm(rng))
    return angles, str(rng.choice(["l", "r"]))


def _anyhow(rng: np.random.Generator) -> tuple[Angles, str]:
    """Legs that hang from hips which lie, sit, kneel, hang or turn over."""
    rhythm = _rhythm(rng)
    angles = _upper_body(rng, rhythm) | _both_sides(_SWINGING_LEG, rng, rhythm)
    lean, roll = _of(
        [
            (0.4, lambda rng: (rng.normal(8, 15), rng.normal(0, 5))),
            (0.25, lambda rng: (rng.choice([-85, 85]) + rng.normal(0, 15), rng.normal(0, 8))),
            (0.1, lambda rng: (rng.normal(0, 15), rng.choice([-80, 80]) + rng.normal(0, 12))),
            (0.1, lambda rng: (rng.normal(30, 30), rng.normal(0, 8))),
            (0.15, lambda rng: (rng.uniform(-180, 180), rng.uniform(-90, 90))),
        ],
        rng,
    )(rng)
    angles["lean"] = _joint((-360, 360, lean, abs(rng.normal(0, 14))), rng, rhythm)
    angles["roll"] = _joint((-180, 180, roll, abs(rng.normal(0, 6))), rng, rhythm)
    if rng.random() < 0.4:
        angles |= {
            f"{side}_{name}": value
            for side in "lr"
            for name, value in (("hip", angles["l_hip"]), ("knee", angles["l_knee"]))
        }
    return angles, "lr"


def _upper_body(rng: np.random.Generator, rhythm: _Rhythm) -> Angles:
    """Trunk, head and arms, and how the whole body turns."""
    turning = rng.choice([0.15, 1.0, 5.0], p=[0.6, 0.3, 0.1])  # degrees per frame
    yaw = np.cumsum(turning * _wander(FRAMES, 25, rng))
    return _trunk(rng, rhythm) | _both_sides(_ARM, rng, rhythm) | {"yaw": yaw}


def _trunk(rng: np.random.Generator, rhythm: _Rhythm) -> Angles:
    angles = {name: _joint(range_, rng, rhythm) for name, range_ in _TRUNK.items()}
    return angles | {"head_yaw": _joint(_HEAD_YAW, rng, rhythm)}


def _both_sides(ranges: Mapping[str, Range], rng: np.random.Generator, rhythm: _Rhythm) -> Angles:
    """Left and right alike, in turn, or each for itself."""
    angles: Angles = {}
    how = rng.choice(["alike", "in turn", "free"], p=[0.45, 0.25, 0.3])
    opposite = _Rhythm(rhythm.frames, rhythm.period, rhythm.phase + np.pi)
    for name, range_ in ranges.items():
        usual = rng.normal(range_[2], range_[3]) if rng.random() < 0.5 else rng.uniform(range_[0], range_[1])
        middle = float(np.clip(usual, range_[0], range_[1]))
        common = (range_[0], range_[1], middle, range_[3])
        state = rng.bit_generator.state
        angles[f"l_{name}"] = _joint(common, rng, rhythm)
        if how == "free":
            angles[f"r_{name}"] = _joint((*range_[:2], float(rng.uniform(*range_[:2])), range_[3]), rng, rhythm)
            continue
        rng.bit_generator.state = state
        right = _joint(common, rng, rhythm if how == "alike" else opposite)
        angles[f"r_{name}"] = right + rng.normal(0, 0.015) * (range_[1] - range_[0])
    return angles


def _joint(range_: Range, rng: np.random.Generator, rhythm: _Rhythm) -> np.ndarray:
    """(T,) values of one joint: held, periodic or wandering about a middle of its own."""
    low, high, mean, spread = range_
    middle = rng.normal(mean, 0.5 * spread)
    size = spread * abs(rng.normal(0, 0.9))
    kind = rng.choice(["held", "periodic", "wandering"], p=[0.35, 0.4, 0.25])
    frames = np.arange(rhythm.frames)
    slow = 0.08 * spread * _wander(rhythm.frames, 40, rng)
    if kind == "held":
        return np.clip(middle + slow, low, high)
    if kind == "periodic":
        times = rng.choice([1, 2, 0.5], p=[0.75, 0.2, 0.05])
        angle = (
            2 * np.pi * times * frames / rhythm.period
            + rhythm.phase
            + rng.choice([0, np.pi, rng.uniform(0, 2 * np.pi)], p=[0.5, 0.3, 0.2])
        )
        wave = np.sin(angle) + rng.normal(0, 0.2) * np.sin(2 * angle + rng.uniform(0, 2 * np.pi))
        sharpness = rng.uniform(0.5, 1.8)  # below 1 it rests at the ends, above it rests in the middle
        return np.clip(middle + slow + size * np.sign(wave) * np.abs(wave) ** sharpness, low, high)
    return np.clip(middle + 1.3 * size * _wander(rhythm.frames, rng.uniform(5, 30), rng), low, high)


def _rhythm(rng: np.random.Generator) -> _Rhythm:
    return _Rhythm(FRAMES, float(np.exp(rng.uniform(np.log(9), np.log(80)))), float(rng.uniform(0, 2 * np.pi)))


def _wander(frames: int, frames_per_knot: float, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> np.ndarray:
    """(frames, *shape) smooth curves through normal draws at uneven knots."""
    knots = np.unique(
        np.concatenate([[0.0], np.sort(rng.uniform(0, frames, max(1, int(frames / frames_per_knot)))), [frames]])
    )
    return np.asarray(PchipInterpolator(knots, rng.normal(size=(len(knots), *shape)))(np.arange(frames)))


def _stretched(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, J, 3) with the bones as long as landmarks have them: more different than people's, and not always as long."""
    stretched = joints.copy()
    frames = len(joints)
    of_bone = {bone: mean + spread * rng.normal() for bone, (mean, spread, _) in _BONES.items()}
    for child in range(1, len(BODY)):
        side, _, bone = BODY.joints[child].rpartition("_")
        usual = of_bone[bone] * (1 + (0.04 * rng.normal() if side else 0.0))
        length = usual * np.exp(_BONES[bone][2] * _wander(frames, 15, rng))
        parent = BODY.parents[child]
        offset = joints[:, child] - joints[:, parent]
        stretched[:, child] = stretched[:, parent] + length[:, None] * offset
    return stretched


def _flattened(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, J, 3) with the depth that a camera guesses: less or more of it than there is, along any line of sight."""
    sight = rng.normal(size=3) * [1, 0.4, 1]
    sight /= np.linalg.norm(sight)
    share = np.exp(rng.normal(-0.05, 0.18)) - 1
    return joints + share * (joints @ sight)[..., None] * sight


def _landmark_errors(rng: np.random.Generator) -> np.ndarray:
    """(T, J, 3) metres: slow ones in all directions, larger ones along the line of sight, and jitter."""
    size = rng.uniform(0.1, 0.9)
    jitter = np.exp(rng.uniform(np.log(0.0003), np.log(0.0025)))
    azimuth = rng.uniform(0, 2 * np.pi)
    sight = np.array([np.sin(azimuth), 0, np.cos(azimuth)])
    slow = 0.02 * _wander(FRAMES, 15, rng, (len(BODY), 3))
    deep = 0.05 * _wander(FRAMES, 12, rng, (len(BODY), 1)) * sight
    return size * _UNSURE[:, None] * (slow + deep) + jitter * rng.normal(size=(FRAMES, len(BODY), 3))


def _way(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(T, 1, 3) where the body goes: mostly ahead, as motion capture knows it and one camera does not."""
    speed = np.abs(rng.normal(0, 1.2)) * (1 + 0.3 * _wander(FRAMES, 30, rng)) / FPS
    aside = 0.15 * speed * _wander(FRAMES, 30, rng)
    steps = turn(np.stack([aside, np.zeros(FRAMES), speed], axis=-1), heading(joints, BODY))
    return np.asarray(np.cumsum(steps, axis=0) - steps[0])[:, None]


def _of(choices: list[tuple[float, Callable]], rng: np.random.Generator) -> Callable:
    return choices[int(rng.choice(len(choices), p=[share for share, _ in choices]))][1]
