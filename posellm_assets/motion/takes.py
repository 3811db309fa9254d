"""Which frames of motion capture are the take: what no body moved through is not.

Recordings begin with a calibration pose or end with one, lost frames are written as zeros or as the rest pose, takes
are put one behind another. All of these show as steps that no body can make.
"""

from itertools import pairwise

import numpy as np

from posellm_assets.motion.motion import runs
from posellm_assets.motion.skeletons import BODY, Skeleton

_FAST_M_PER_S = 6.0
_SUDDEN_M_PER_S2 = 60.0
_RISE = 4.0
_TOGETHER = 4
_STILL_M_PER_S = 0.05
_SHORT_S = 0.25


def without_lost_joints(positions: np.ndarray) -> np.ndarray:
    """(T, J, 3), root first, with NaN where a joint was lost: at the origin in this frame but not in all, or where all
    joints are in one place. A root at the origin is a take that was moved to begin there."""
    positions = np.array(positions, np.float64)
    zero = (positions == 0).all(axis=-1)
    lost = zero & ~zero.all(axis=0)
    lost[:, 0] = False
    lost |= (positions == positions[:, :1]).all(axis=(1, 2))[:, None]
    positions[lost] = np.nan
    return positions


def lost_frames(joints: np.ndarray, fps: float, skeleton: Skeleton) -> tuple[np.ndarray, float]:
    """(T,) bool, the frames that are not of the take, and the speed (m/s) of the fastest step to one of them.

    joints: (T, J, 3) metres. A step is impossible where it is fast, several joints make it, and movement before and
    after it is much slower: a body speeds up over several frames. A single frame, a short stretch or a pose that is
    held behind such a step is lost; where two takes meet, one frame is, so that no motion goes from one to the other.
    """
    lost = np.zeros(len(joints), bool)
    seen = [number for number, name in enumerate(skeleton.joints) if name in BODY.joints]
    if len(joints) < 2 or len(seen) < _TOGETHER:
        return lost, 0.0
    steps = np.linalg.norm(np.diff(joints[:, seen].astype(np.float64), axis=0), axis=-1) * fps
    # the speed that several joints have: one that flickers is not a body that jumps
    speed = np.sort(np.nan_to_num(steps, nan=0.0), axis=1)[:, -_TOGETHER]
    jumps = [(first, stop) for first, stop in runs(speed > _FAST_M_PER_S) if _is_jump(speed, first, stop, fps)]
    if not jumps:
        return lost, 0.0
    edges = [0, *(frame for first, stop in jumps for frame in (first + 1, stop)), len(joints)]
    takes = list(zip(edges[::2], edges[1::2], strict=True))
    longest = max(takes, key=lambda take: take[1] - take[0])
    kept = [take for take in takes if take == longest or not _is_hold(speed, *take, fps)]
    lost[:] = True
    for first, stop in kept:
        lost[first:stop] = False
    for (_, stop), (first, _) in pairwise(kept):
        if stop == first:
            lost[first] = True
    return lost, max(float(speed[first:stop].max()) for first, stop in jumps)


def _is_jump(speed: np.ndarray, first: int, stop: int, fps: float) -> bool:
    """Whether steps `first` to `stop` begin and end too suddenly for a body. The clip's own ends say nothing."""
    outside = [(first - 1, first)] * (first > 0) + [(stop, stop - 1)] * (stop < len(speed))
    return bool(outside) and all(
        speed[inner] > _RISE * speed[outer] and (speed[inner] - speed[outer]) * fps > _SUDDEN_M_PER_S2
        for outer, inner in outside
    )


def _is_hold(speed: np.ndarray, first: int, stop: int, fps: float) -> bool:
    return stop - first < _SHORT_S * fps or bool((speed[first : stop - 1] < _STILL_M_PER_S).all())
