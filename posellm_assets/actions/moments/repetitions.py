"""How often an exercise is repeated, whatever moves in it."""

from dataclasses import dataclass

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.motion.representation import encode, layout
from posellm_assets.texts.repetition import repetitions

# Excursions under this (metres, all joints together) are no repetitions but the shake of somebody who stands.
_SMALLEST_M = 0.25


@dataclass(frozen=True)
class Count:
    """Repetitions and their usual period; `period_s` is None where the movement is not periodic."""

    repetitions: int
    period_s: float | None


def count(motion: Motion) -> Count:
    """Repetitions in a motion without gaps.

    Counted on the direction in which the pose varies most (the first principal component of the joints' positions as
    seen from the heading). Where a movement is cut at its turning point one of the signal's two ends shows an excursion
    less, so the larger of both counts is taken.
    """
    features = encode(motion)[:, layout(motion.skeleton).positions]
    centred = features - features.mean(0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    signal = centred @ direction
    both = [repetitions(side * signal, motion.fps, _SMALLEST_M) for side in (1, -1)]
    most = max(both, key=lambda found: len(found.peaks))
    return Count(len(most.peaks), most.period_s)
