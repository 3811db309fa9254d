"""From a person's landmarks in a video to a motion in body coordinates.

Choosing the person and judging the landmarks is the poses' business.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.motion import Motion, TooLittleSeen
from posellm_assets.motion.representation import heading, turn
from posellm_assets.motion.skeletons import BODY, BODY_LANDMARKS
from posellm_assets.poses.breaks import breaks
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.poses.quality import how_to_film, in_view, made_out, swap_share

# What one camera cannot see. The pelvis stays over the origin, the lowest joint on the floor (so a jump shows in the
# legs only), the body gets a reference size, the first frame faces +z, and the camera is taken to be level.
UNKNOWN = ("global_translation", "scale", "heading", "gravity_direction")

# Pelvis to neck, hip to knee and knee to ankle of an adult of about 1.75 m.
REFERENCE_SIZE_M = 1.36
_SIZE_BONES = (
    (("pelvis", "neck"), ("pelvis", "neck")),
    (("left_hip", "left_knee"), ("right_hip", "right_knee")),
    (("left_knee", "left_ankle"), ("right_knee", "right_ankle")),
)
# From this rate on the window of the smoothing holds all its frames, of rarer ones fewer, or it would flatten movement:
# at 6 frames/s, seven frames are more than a second.
_FULL_WINDOW_FPS = 20.0


def motion_from_poses(subject: SubjectPoses, config: MotionConfig) -> Motion:
    """The subject's movement on the BODY skeleton at `config.fps`.

    Landmarks are smoothed and read at even times from the first to the last frame in which the body is in view; gaps up
    to `config.gap_s` are filled and flagged, longer ones and `poses.breaks` stay NaN, and joints that are hidden are
    flagged as guessed. Size and heading are normalised, y is up; see UNKNOWN. Raises TooLittleSeen where there is
    no stretch of `config.min_segment_s`.
    """
    time_s = np.asarray(subject.time_s, np.float64)
    broken = breaks(subject)
    seen = in_view(subject.landmarks, subject.visibility, config.min_visibility) & ~broken.stray
    if not seen.any():
        advice = how_to_film(subject, ~seen)
        raise TooLittleSeen(f"nobody is in view from shoulders to knees in any of the {len(time_s)} frames: {advice}")
    frame_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.0
    observed_s, observed = time_s[seen], body_of(subject.world[seen])
    start_s = float(observed_s[0])
    frames = int((observed_s[-1] - start_s) * config.fps + 1e-6) + 1
    wanted_s = start_s + np.arange(frames) / config.fps
    scale = REFERENCE_SIZE_M / size_m(bone_lengths_m(observed))
    joints = joints_at(observed_s, observed, wanted_s, frame_s, config, broken.at_s) * scale
    known = np.isfinite(joints).all(axis=(1, 2))
    first_heading = heading(joints[known], BODY)[0]
    joints = turn(joints, -first_heading)
    joints = standing_at_origin(joints)

    motion = Motion(
        joints=joints.astype(np.float32),
        fps=config.fps,
        skeleton=BODY,
        filled=known & _in_gap(observed_s, wanted_s, frame_s),
        guessed=_guessed(observed_s, made_out(subject, config.min_visibility)[seen], wanted_s),
        unknown=UNKNOWN,
        start_s=start_s,
        parameters={
            "settings": config.model_dump(),
            "scale": scale,
            "turned_rad": -float(first_heading),
            "swap_share": round(swap_share(subject), 4),
        },
    )
    if not motion.segments(config.min_segment_s):
        longest = max((len(segment) for segment in motion.segments(0.0)), default=0) / config.fps
        raise TooLittleSeen(
            f"the longest stretch with the body in view is {longest:.2f} s, of {config.min_segment_s} s that a motion "
            "needs: film longer, keep the whole athlete in the picture, or set motion.min_segment_s to "
            f"{math.floor(longest * 100) / 100:g}"
        )
    return motion


def _guessed(observed_s: np.ndarray, made_out: np.ndarray, wanted_s: np.ndarray) -> np.ndarray:
    """(M, J) bool: the joints of BODY that are hidden in the frame nearest to each wanted time; made_out (T, 33)."""
    seen = np.stack([made_out[:, list(points)].mean(axis=1) for points in BODY_LANDMARKS], axis=1) >= 0.5
    return ~seen[np.searchsorted((observed_s[1:] + observed_s[:-1]) / 2, wanted_s)]


def body_of(world: np.ndarray) -> np.ndarray:
    """(T, J, 3) joints of BODY, metres, x right, y up, z towards the camera, of (T, 33, 3) world landmarks."""
    landmarks = np.asarray(world, np.float64)
    joints = np.stack([landmarks[:, list(points)].mean(axis=1) for points in BODY_LANDMARKS], axis=1)
    return joints * np.array([1.0, -1.0, -1.0])  # from x right, y down, z away


def joints_at(
    observed_s: np.ndarray,
    observed: np.ndarray,
    wanted_s: np.ndarray,
    frame_s: float,
    config: MotionConfig,
    cuts_s: Sequence[float] = (),
) -> np.ndarray:
    """(M, J, 3) smoothed joints at the times `wanted_s` (M,), of (T, J, 3) observed at `observed_s` (T,).

    NaN outside what was observed, in gaps longer than `config.gap_s`, and in the frame before each of `cuts_s`, across
    which nothing moves; `frame_s` is the step between two frames.
    """
    joints = np.full((len(wanted_s), *observed.shape[1:]), np.nan)
    for run in _runs(observed_s, frame_s + config.gap_s, cuts_s):
        inside = (wanted_s >= observed_s[run.start] - 1e-6) & (wanted_s <= observed_s[run.stop - 1] + 1e-6)
        joints[inside] = _smoothed(observed_s[run], observed[run], wanted_s[inside], config.smoothing_frames)
    for cut_s in cuts_s:
        joints[(wanted_s < cut_s) & (wanted_s >= cut_s - 1 / config.fps)] = np.nan
    return joints


def _smoothed(time_s: np.ndarray, values: np.ndarray, wanted_s: np.ndarray, window: int) -> np.ndarray:
    """`savitzky_golay_at` with a window that lasts no longer where frames are rare than at _FULL_WINDOW_FPS."""
    window = min(window, len(time_s))
    sizes = np.full(len(wanted_s), window)
    if window > 3:
        steps_s = np.diff(time_s)[_around(time_s, wanted_s, window)[:, :-1]]
        frames = window / (_FULL_WINDOW_FPS * np.median(steps_s, axis=1))
        sizes = np.clip(2 * np.round((frames - 1) / 2).astype(int) + 1, 3, window)
    smoothed = np.empty((len(wanted_s), *values.shape[1:]))
    for size in np.unique(sizes):
        here = sizes == size
        smoothed[here] = savitzky_golay_at(time_s, values, wanted_s[here], int(size))
    return smoothed


def standing_at_origin(joints: np.ndarray) -> np.ndarray:
    """(T, J, 3) joints with the pelvis over the origin and the lowest joint on the floor in every frame."""
    joints = joints.copy()
    joints[..., [0, 2]] -= joints[:, :1, [0, 2]]
    joints[..., 1] -= joints[..., 1].min(axis=1, keepdims=True)
    return joints


def savitzky_golay_at(time_s: np.ndarray, values: np.ndarray, wanted_s: np.ndarray, window: int) -> np.ndarray:
    """Savitzky and Golay's filter (Analytical Chemistry 36, 1964) for uneven times, read at any time.

    The quadratic of least squares through the `window` samples around each wanted time, evaluated there. On even
    samples this is `scipy.signal.savgol_filter(values, window, 2)`; footage with a variable frame rate needs the times.
    time_s: (N,), values: (N, ...), wanted_s: (M,). Returns (M, ...).
    """
    window = min(window, len(time_s))
    around = _around(time_s, wanted_s, window)
    offset_s = time_s[around] - wanted_s[:, None]
    span_s = np.maximum(np.abs(offset_s).max(axis=1, initial=0), 1e-9)
    powers = (offset_s / span_s[:, None])[..., None] ** np.arange(min(3, window))
    weights = np.linalg.pinv(powers)[:, 0]  # the constant term is the value at offset 0
    return np.einsum("mw,mw...->m...", weights, values[around])


def _around(time_s: np.ndarray, wanted_s: np.ndarray, window: int) -> np.ndarray:
    """(M, window) the samples around each wanted time."""
    nearest = np.searchsorted((time_s[1:] + time_s[:-1]) / 2, wanted_s)
    first = np.clip(nearest - window // 2, 0, len(time_s) - window)
    return first[:, None] + np.arange(window)


def _runs(observed_s: np.ndarray, longest_step_s: float, cuts_s: Sequence[float] = ()) -> list[slice]:
    """The observations between which no step in time is longer than `longest_step_s`, nor a cut."""
    ends = np.flatnonzero(np.diff(observed_s) > longest_step_s + 1e-6) + 1
    edges = np.unique([0, *ends, *np.searchsorted(observed_s, cuts_s), len(observed_s)]).astype(int).tolist()
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _in_gap(observed_s: np.ndarray, wanted_s: np.ndarray, frame_s: float) -> np.ndarray:
    """(M,) bool: wanted times between two observations with at least one missing frame between them."""
    after = np.clip(np.searchsorted(observed_s, wanted_s - 1e-6), 1, max(len(observed_s) - 1, 1))
    if len(observed_s) < 2:
        return np.zeros(len(wanted_s), bool)
    before_s, after_s = observed_s[after - 1], observed_s[after]
    at_observation = np.minimum(np.abs(wanted_s - before_s), np.abs(wanted_s - after_s)) < 1e-6
    return (after_s - before_s > 1.5 * frame_s) & ~at_observation


def bone_lengths_m(joints: np.ndarray) -> np.ndarray:
    """(T, 3, 2) lengths of torso, thighs and shanks, left and right, in (T, J, 3) joints; the torso stands twice."""
    lengths = [
        np.linalg.norm(joints[:, BODY.index(upper)] - joints[:, BODY.index(lower)], axis=-1)
        for bones in _SIZE_BONES
        for upper, lower in bones
    ]
    return np.stack(lengths, axis=-1).reshape(len(joints), len(_SIZE_BONES), 2)


def size_m(bone_lengths_m: np.ndarray) -> float:
    """Torso, thigh and shank together, each the median over frames and sides of `bone_lengths_m`."""
    size_m = float(np.median(np.moveaxis(bone_lengths_m, 1, 0).reshape(len(_SIZE_BONES), -1), axis=1).sum())
    if size_m < 0.01:
        raise ValueError(f"torso and legs together measure {size_m:.4f} m: these are not a person's landmarks")
    return size_m
