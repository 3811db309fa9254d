"""Whether a clip's poses are good enough to build on, said so that the user knows what to do.

Blocking checks keep a clip out; warnings are shown and change nothing.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import ConfigDict, computed_field

from posellm_assets.poses import landmarks as lm
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.records import Record

_MOST_NAMED = 5

VISIBLE = 0.5
"""Visibility from which on a landmark counts as seen."""
# Of an arm or leg to its end. Of 100 real clips all but ten reach it in 0.9 of their frames; where there is nobody, or
# a pair of hands, 0.02 of the frames do.
_LIMB_VISIBLE = 0.65
_CUT_OFF = 0.5  # share of the frames without the body from which it counts as cut off
_HIDDEN = 0.5  # share of the frames from which on a joint that is seen in no more of them counts as hidden
_LIMBS = {"elbows": lm.ELBOWS, "wrists": lm.WRISTS, "hips": lm.HIPS, "knees": lm.KNEES, "ankles": lm.ANKLES}


class Check(Record):
    """One verdict: `value` against `gate`, and for a failed check the reason in words."""

    name: str
    passed: bool
    blocking: bool
    value: float
    gate: float
    reason: str = ""


class Quality(Record):
    """All verdicts about a clip's subject, over `frames` frames of which the subject is seen in `seen_frames`."""

    model_config = ConfigDict(extra="ignore")  # what is computed is written too, and computed again when it is read

    frames: int
    seen_frames: int
    checks: list[Check]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Whether no blocking check failed."""
        return all(check.passed for check in self.checks if check.blocking)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def reason(self) -> str:
        """Why blocking checks failed; empty where none did."""
        return " ".join(check.reason for check in self.checks if check.blocking and not check.passed)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def warnings(self) -> list[str]:
        """The reasons of the failed checks that do not block."""
        return [check.reason for check in self.checks if not check.blocking and not check.passed]


def assess(
    poses: SubjectPoses, config: PoseConfig, damaged_s: Sequence[float] = (), frames: int | None = None
) -> Quality:
    """Check the subject of a clip. Figures are over the frames in which the subject is seen.

    `damaged_s` are the times (s) of packets of the video that could not be decoded, of `frames` that it holds.
    """
    seen, schema = poses.seen, _schema(poses)
    if not schema.passed:
        checks = [_unmeasured(name, blocking, "the poses are malformed") for name, blocking in _NAMES]
    elif not seen.any():
        checks = [_coverage(seen, config)]
        checks += [_unmeasured(name, blocking, "nobody is in view") for name, blocking in _NAMES[1:]]
    else:
        checks = [_coverage(seen, config)]
        checks += [measure(poses, config) for measure in (_body, _bone_lengths, _hidden, _swaps, _jitter)]
    checks = [schema, *checks, _frame_rate(poses, config), _damage(poses.time_s, damaged_s, frames)]
    return Quality(frames=len(seen), seen_frames=int(seen.sum()), checks=checks)


_NAMES = (
    ("person_coverage", True),
    ("body_in_view", True),
    ("bone_length_stability", True),
    ("hidden_joints", False),
    ("left_right_swaps", False),
    ("jitter", False),
)


def _unmeasured(name: str, blocking: bool, why: str) -> Check:
    reason = f"{name.replace('_', ' ').capitalize()} was not measured: {why}."
    return Check(name=name, passed=False, blocking=blocking, value=0.0, gate=0.0, reason=reason)


def _schema(poses: SubjectPoses) -> Check:
    count = len(poses.time_s)
    shapes = {
        "landmarks": (poses.landmarks, (count, lm.COUNT, 3)),
        "visibility": (poses.visibility, (count, lm.COUNT)),
        "presence": (poses.presence, (count, lm.COUNT)),
        "world": (poses.world, (count, lm.COUNT, 3)),
    }
    faults = [
        f"{name} is {values.shape}, not {shape}" for name, (values, shape) in shapes.items() if values.shape != shape
    ]
    if not faults:
        faults = [
            f"{name} is not finite" for name, (values, _) in shapes.items() if not np.isfinite(values[poses.seen]).all()
        ]
    if count < 2 or not (np.diff(poses.time_s) > 0).all():
        faults.append(f"the times of the {count} frames do not increase")
    reason = f"The poses are malformed: {'; '.join(faults)}. Extract them again." if faults else ""
    return Check(name="schema", passed=not faults, blocking=True, value=len(faults), gate=0, reason=reason)


def _coverage(seen: np.ndarray, config: PoseConfig) -> Check:
    value = float(seen.mean())
    return _check(
        "person_coverage",
        value,
        config.min_coverage,
        value >= config.min_coverage,
        True,
        f"No person in view in {1 - value:.0%} of {len(seen)} frames (the subject must be seen in "
        f"{config.min_coverage:.0%}): cut the clip to the movement, or crop it where the athlete is small.",
    )


def made_out(poses: SubjectPoses, min_visibility: float = VISIBLE) -> np.ndarray:
    """(T, 33) bool: the landmarks that are seen, not guessed: visible, and inside the picture."""
    inside = ((poses.landmarks[..., :2] >= 0) & (poses.landmarks[..., :2] <= 1)).all(axis=-1)
    return np.asarray((poses.visibility >= min_visibility) & inside)


def in_view(landmarks: np.ndarray, visibility: np.ndarray, min_visibility: float = VISIBLE) -> np.ndarray:
    """(T,) bool: whether a person's body is in the picture, of landmarks (T, 33, 3) and visibility (T, 33).

    Landmarks outside the picture are given too, as guesses that fold a body up. Hips and knees inside it may be hidden
    by the body itself, as of somebody who does push-ups towards the camera: what is not seen is not measured, and what
    is is used. But an arm or a leg must be made out to its end: where there is nobody, or not more than a pair of legs,
    none is. Of each pair the better side counts, because from the side the far half is hidden.
    """
    found = np.isfinite(landmarks).all(axis=(1, 2))
    inside = np.asarray(((landmarks[..., :2] >= 0) & (landmarks[..., :2] <= 1)).all(axis=-1))

    def better(*pairs: tuple[int, int]) -> np.ndarray:
        """The visibility (T,) of the least visible of some pairs."""
        return np.asarray(np.min([visibility[:, pair].max(axis=1) for pair in pairs], axis=0))

    limb = np.maximum(better(lm.ELBOWS, lm.WRISTS), better(lm.KNEES, lm.ANKLES)) >= _LIMB_VISIBLE
    trunk = better(lm.SHOULDERS) >= min_visibility
    here = [(better(pair) >= min_visibility) | inside[:, pair].any(axis=1) for pair in (lm.HIPS, lm.KNEES)]
    return np.asarray(found & limb & trunk & np.all(here, axis=0))


def _body(poses: SubjectPoses, config: PoseConfig) -> Check:
    whole = in_view(poses.landmarks, poses.visibility)
    value, gate = float(whole.mean()), config.min_body_in_view
    return _check(
        "body_in_view",
        value,
        gate,
        value >= gate,
        True,
        f"The body from the shoulders to the knees, with an arm or a leg that can be made out, is in the picture in "
        f"{value:.0%} of {len(whole)} frames (needed: {gate:.0%}): {how_to_film(poses, poses.seen & ~whole)}.",
    )


def how_to_film(poses: SubjectPoses, frames: np.ndarray) -> str:
    """What shows a body better that is not in view in `frames`, (T,) bool."""
    where = poses.landmarks[frames & poses.seen][..., :2]
    outside = ((where < 0) | (where > 1)).any(axis=-1)
    cut_off = np.any([outside[:, pair].all(axis=1) for pair in (lm.SHOULDERS, lm.HIPS, lm.KNEES)], axis=0)
    if len(where) and cut_off.mean() <= _CUT_OFF:
        return "the body is in the picture and hard to make out: film closer, in more light, or from another side"
    return "film the whole body"


def _hidden(poses: SubjectPoses, _: PoseConfig) -> Check:
    shares = {name: float(made_out(poses)[poses.seen][:, pair].any(axis=1).mean()) for name, pair in _LIMBS.items()}
    hidden = [name for name, share in shares.items() if share < _HIDDEN]
    value = min(shares.values())
    return _check(
        "hidden_joints",
        value,
        _HIDDEN,
        not hidden,
        False,
        f"The {' and '.join(hidden)} are hidden in most of the frames: nothing is said of them, and the rest is used. "
        "To have them measured, film from the side, with the whole body in the picture.",
    )


def swap_share(poses: SubjectPoses) -> float:
    """In what share of the frames left and right change places, 0 to 1.

    A swap: over one frame, most pairs that lie apart fit the frame before better with left and right exchanged.
    """
    pixels, torso = poses.pixels, _torso_px(poses)
    left, right = np.array(lm.PAIRS).T
    before, after = pixels[:-1], pixels[1:]
    kept = _distance(after[:, left], before[:, left]) + _distance(after[:, right], before[:, right])
    crossed = _distance(after[:, left], before[:, right]) + _distance(after[:, right], before[:, left])
    apart = _distance(before[:, left], before[:, right]) > 0.25 * torso
    steps = poses.seen[:-1] & poses.seen[1:]
    swapped = (apart & (crossed < 0.5 * kept)).sum(axis=1) >= 2
    return float(swapped[steps].mean()) if steps.any() else 0.0


def _swaps(poses: SubjectPoses, config: PoseConfig) -> Check:
    value = swap_share(poses)
    return _check(
        "left_right_swaps",
        value,
        config.max_swap_share,
        value <= config.max_swap_share,
        False,
        f"Left and right change places in {value:.1%} of the frames: what is said about sides may be wrong.",
    )


def _jitter(poses: SubjectPoses, config: PoseConfig) -> Check:
    pixels = poses.pixels[:, np.array(lm.PAIRS).ravel()]
    # A third difference takes away steady movement and steady acceleration; what remains of it is shake.
    third = np.linalg.norm(np.diff(pixels, n=3, axis=0), axis=-1) / np.sqrt(20.0)  # sqrt(1 + 9 + 9 + 1)
    shake = third[np.isfinite(third[:, 0])]
    value = float(np.median(shake) / _torso_px(poses)) if len(shake) else 0.0
    return _check(
        "jitter",
        value,
        config.max_jitter,
        value <= config.max_jitter,
        False,
        f"The landmarks shake by {value:.1%} of the torso from frame to frame: speeds will be overestimated.",
    )


def _bone_lengths(poses: SubjectPoses, config: PoseConfig) -> Check:
    value = bone_variation(poses)
    return _check(
        "bone_length_stability",
        value,
        config.max_bone_variation,
        value <= config.max_bone_variation,
        True,
        f"The limbs change their length by {value:.0%} (at most {config.max_bone_variation:.0%}), as those of no body "
        "do: this is no person, or one who can hardly be made out. Crop the clip to the athlete, or film closer and "
        "in more light.",
    )


def bone_variation(poses: SubjectPoses) -> float:
    """How much the limbs change their length (median over limbs; robust, relative) where both ends are seen."""
    start, end = np.array(lm.LIMBS).T
    lengths = np.linalg.norm(poses.world[poses.seen][:, start] - poses.world[poses.seen][:, end], axis=-1)
    seen = made_out(poses)[poses.seen]
    lengths = np.where(seen[:, start] & seen[:, end], lengths, np.nan)
    lengths = lengths[:, np.isfinite(lengths).sum(axis=0) >= 2]
    if not lengths.size:
        return 0.0
    middle = np.nanmedian(lengths, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(lengths - middle), axis=0) / middle  # of a normal distribution: its sigma
    return float(np.median(spread))


def _frame_rate(poses: SubjectPoses, config: PoseConfig) -> Check:
    # The slowest tenth: a phone in the dark goes from 30 frames/s to 8 in the middle of a clip.
    steps_s = np.diff(poses.time_s)
    value = float(1 / max(np.percentile(steps_s, 90), 1e-3)) if len(steps_s) else 0.0
    return _check(
        "frame_rate",
        value,
        config.min_fps,
        value >= config.min_fps,
        False,
        f"The clip has {value:.0f} frames/s, at least in part: of a fast movement the extremes lie between two frames, "
        "so that speeds and angles come out too small. Film with 24 frames/s or more, in more light.",
    )


def _damage(time_s: np.ndarray, damaged_s: Sequence[float], frames: int | None) -> Check:
    missing = max(len(damaged_s), (frames or 0) - len(time_s))
    if missing and not damaged_s:  # the decoder did not say which
        steps_s = np.diff(time_s)
        damaged_s = time_s[:-1][steps_s > 1.5 * np.median(steps_s)].tolist()
    where = ", ".join(f"{time_s:.2f}" for time_s in damaged_s[:_MOST_NAMED])
    more = f" and {len(damaged_s) - _MOST_NAMED} more" if len(damaged_s) > _MOST_NAMED else ""
    return _check(
        "damaged_packets",
        missing,
        0,
        missing == 0,
        False,
        f"Damaged packets in the video: {missing}, at {where or '?'} s{more}. Frames there are missing or smeared. "
        "Copy or export it again.",
    )


def _check(name: str, value: float, gate: float, passed: bool, blocking: bool, reason: str) -> Check:
    return Check(name=name, passed=passed, blocking=blocking, value=value, gate=gate, reason="" if passed else reason)


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one - other, axis=-1)


def _torso_px(poses: SubjectPoses) -> float:
    pixels = poses.pixels[poses.seen]
    torso = _distance(pixels[:, lm.SHOULDERS].mean(axis=1), pixels[:, lm.HIPS].mean(axis=1))
    # The upper quartile: a torso that points at the camera looks short.
    return max(float(np.percentile(torso, 75)), 1.0)
