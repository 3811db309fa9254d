"""Whether a confidence means what it says: temperatures fitted on validation, and how far off confidences are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posellm_assets.actions.members.opinions import Opinion

BINS = 10
# How far a temperature is from 1 before any clip has been seen, as a standard deviation of its logarithm. Without it
# ten clips that are all right would ask for absolute certainty.
_PRIOR_DEVIATION = 0.5


def fit_temperature(opinions: Sequence[Opinion], truth: Sequence[str]) -> float:
    """The temperature that makes the true classes likeliest (Guo et al. 2017), 1 where there is nothing to learn from.

    A prior keeps it near 1 where clips are few. A clip whose class an opinion does not know is left out.
    """
    from scipy.optimize import minimize_scalar  # here, because the code server starts without SciPy

    known = [
        (opinion, class_id) for opinion, class_id in zip(opinions, truth, strict=True) if class_id in opinion.log_probs
    ]
    if not known:
        return 1.0
    scores = [np.array(list(opinion.log_probs.values())) for opinion, _ in known]
    wanted = [list(opinion.log_probs).index(class_id) for opinion, class_id in known]

    def surprise(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        total = sum(
            np.logaddexp.reduce(row / temperature) - row[index] / temperature
            for row, index in zip(scores, wanted, strict=True)
        )
        return float(total + (log_temperature / _PRIOR_DEVIATION) ** 2 / 2)

    found = minimize_scalar(surprise, bounds=(np.log(0.05), np.log(20)), method="bounded")
    return float(np.exp(found.x))


@dataclass(frozen=True)
class Bin:
    """The clips of a span of confidences."""

    low: float
    high: float
    clips: int
    confidence: float
    accuracy: float


def reliability(confidence: Sequence[float], right: Sequence[bool]) -> list[Bin]:
    """Clips by confidence in ten equal spans of 0 to 1; spans without clips are left out."""
    sure, correct = np.asarray(confidence), np.asarray(right, bool)
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    return [
        Bin(
            low=number / BINS,
            high=(number + 1) / BINS,
            clips=int((place == number).sum()),
            confidence=float(sure[place == number].mean()),
            accuracy=float(correct[place == number].mean()),
        )
        for number in range(BINS)
        if (place == number).any()
    ]


def calibration_error(confidence: Sequence[float], right: Sequence[bool]) -> float:
    """The expected calibration error (Naeini et al. 2015): mean over clips of |accuracy - confidence| in their span."""
    bins = reliability(confidence, right)
    return sum(one.clips * abs(one.accuracy - one.confidence) for one in bins) / len(confidence)


def coverage(confidence: Sequence[float], right: Sequence[bool]) -> list[tuple[float, float]]:
    """(share of clips answered, accuracy on them), the surest clips first; clips of equal confidence come together."""
    sure, correct = np.asarray(confidence), np.asarray(right, float)
    order = np.argsort(-sure, kind="stable")
    sure, running = sure[order], np.cumsum(correct[order])
    ends = np.flatnonzero(np.append(np.diff(sure) != 0, True))
    return [(float((end + 1) / len(sure)), float(running[end] / (end + 1))) for end in ends]
