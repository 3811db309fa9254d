"""What a member of the ensemble thinks about a clip: a probability for every class. Numpy only, no models."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np

MOTION, LANGUAGE, VISION, VIDEO_MAE = "motion", "language", "vision-language", "video-mae"
"""The members by name."""
NONE = "none"
"""The answer where a clip shows none of the classes."""
FAMILIAR = 0.5
"""What is less familiar is none of the classes."""


@dataclass(frozen=True)
class Opinion:
    """A member's opinion on one clip.

    log_probs: natural logarithms of the probabilities by class id, which sum to 1. seconds: what forming it cost,
    CPU seconds of this process, shared out evenly where several clips were looked at together.
    """

    member: str
    log_probs: dict[str, float]
    seconds: float

    def __post_init__(self) -> None:
        if not self.log_probs:
            raise ValueError(f"an opinion of {self.member} needs at least one class")
        total = _log_sum(self.log_probs)
        if not abs(total) < 1e-3:
            raise ValueError(f"the probabilities of an opinion of {self.member} sum to {np.exp(total):.4g}, not to 1")

    @property
    def action(self) -> str:
        """The likeliest class, the first in alphabetical order where several are."""
        return min(self.log_probs, key=lambda class_id: (-self.log_probs[class_id], class_id))

    @property
    def confidence(self) -> float:
        """The probability of the likeliest class."""
        return float(np.exp(self.log_probs[self.action]))

    def among(self, classes: Collection[str]) -> "Opinion":
        """The same opinion where only these classes can be; unchanged where it is about none of them."""
        scores = {class_id: value for class_id, value in self.log_probs.items() if class_id in classes}
        return replace(self, log_probs=log_probabilities(scores)) if scores else self

    def at_temperature(self, temperature: float) -> "Opinion":
        """The same opinion, less sure of itself above 1 and surer below (Guo et al. 2017)."""
        scores = {class_id: value / temperature for class_id, value in self.log_probs.items()}
        return replace(self, log_probs=log_probabilities(scores))


def log_probabilities(scores: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities in proportion to the exponentials of `scores`, by class id.

    Raises ValueError naming the class whose score is not a number.
    """
    total = _log_sum(scores)
    return {class_id: float(score) - total for class_id, score in scores.items()}


def _log_sum(scores: Mapping[str, float]) -> float:
    broken = next((class_id for class_id, score in scores.items() if not score < np.inf), None)
    if broken is not None:
        raise ValueError(f"the score of the class {broken!r} is {scores[broken]}: a model has failed")
    return float(np.logaddexp.reduce(list(scores.values())))
