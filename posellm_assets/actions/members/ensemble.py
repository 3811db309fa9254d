"""Several opinions on a clip become one, weighted by how well each member did on validation.

Every member is calibrated first, so that a probability means the same whoever says it. The opinion of the ensemble is
the mixture of theirs whose weights make the true classes of the validation clips likeliest: stacking of densities by
expectation-maximisation (Smyth and Wolpert 1999; Yao et al. 2018). Nothing pulls the weights towards each other. So a
member that is behind another one on every clip is not listened to, and one that knows what the others do not is; with a
belief in every member to begin with, a poor member would spoil what a good one says as long as clips are few. By
another rule, where it is asked for, the first member that is surer than a threshold decides alone.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from posellm_assets.actions.members.calibration import fit_temperature
from posellm_assets.actions.members.opinions import FAMILIAR, NONE, Opinion, log_probabilities
from posellm_assets.records import Record

NAME = "ensemble"
_ROUNDS = 2000
# Of probabilities and weights: one clip does not rule a member out, and it can still be asked where no other can.
_FLOOR = 1e-6


class EnsembleAnswer(Record):
    """What the ensemble says of a clip.

    `action` is `likeliest`, the class that it is if it is one of those asked about, with the probability `confidence`;
    or `none` where `familiarity`, from 0 to 1 with 0.5 at the limit, says that it is none of them. Familiarity is None
    where there is no motion to tell it by: then everything is named. `member` is whose answer it is: `ensemble`, or one
    member's where it was asked alone or its threshold decided. `opinions` holds what each member that was asked said,
    by its name.
    """

    action: str
    likeliest: str
    confidence: float
    familiarity: float | None
    member: str
    probabilities: dict[str, float]
    opinions: dict[str, dict[str, Any]]
    seconds: float


class Ensemble(Record):
    """Temperatures and weights by member, in the order in which the threshold rule asks them."""

    members: tuple[str, ...] = Field(min_length=1)
    temperatures: dict[str, float]
    weights: dict[str, float]
    temperature: float = 1.0
    """Of the mixture: calibrated opinions that agree are together right more often than each says."""
    validation_clips: int = 0
    rule: Literal["weighted", "threshold"] = "weighted"
    threshold: float = 0.8

    @classmethod
    def fit(
        cls,
        opinions: Mapping[str, Sequence[Opinion | None]],
        truth: Sequence[str],
        rule: Literal["weighted", "threshold"] = "weighted",
        threshold: float = 0.8,
    ) -> "Ensemble":
        """From what each member said about the same validation clips (None where it had no opinion)."""
        temperatures = {member: _temperature(said, truth) for member, said in opinions.items()}
        calibrated = {
            member: [one and one.at_temperature(temperatures[member]) for one in said]
            for member, said in opinions.items()
        }
        weights = _weights(calibrated, truth)
        plain = cls(
            members=tuple(opinions),
            temperatures=temperatures,
            weights=weights,
            validation_clips=len(truth),
            rule=rule,
            threshold=threshold,
        )
        mixed = [plain.mixture([one for one in said if one]) for said in zip(*opinions.values(), strict=True)]
        return plain.model_copy(update={"temperature": _temperature(mixed, truth)})

    def calibrated(self, opinion: Opinion) -> Opinion:
        """The opinion at its member's temperature."""
        return opinion.at_temperature(self.temperatures[opinion.member])

    def mixture(self, opinions: Sequence[Opinion]) -> Opinion | None:
        """The weighted mixture of raw opinions on one clip, None where nobody has one; those absent pass on their
        weight."""
        if not opinions:
            return None
        calibrated = [self.calibrated(opinion) for opinion in opinions]
        shares = np.array([self.weights[opinion.member] for opinion in opinions])
        shares = shares / shares.sum()
        classes = list(dict.fromkeys(class_id for opinion in calibrated for class_id in opinion.log_probs))
        mixed = {
            class_id: math.log(
                max(
                    sum(
                        share * math.exp(opinion.log_probs.get(class_id, -math.inf))
                        for share, opinion in zip(shares, calibrated, strict=True)
                    ),
                    _FLOOR**2,
                )
            )
            for class_id in classes
        }
        seconds = sum(opinion.seconds for opinion in opinions)
        return Opinion(NAME, log_probabilities(mixed), seconds).at_temperature(self.temperature)

    def decide(self, opinions: Sequence[Opinion], familiarity: float | None = None) -> EnsembleAnswer | None:
        """What is said of a clip given the raw opinions on it, None where nobody has one."""
        mixed = self.mixture(opinions)
        if mixed is None:
            return None
        calibrated = {opinion.member: self.calibrated(opinion) for opinion in opinions}
        asked = [calibrated[member] for member in self.members if member in calibrated]
        chosen = mixed
        if self.rule == "threshold":
            chosen = next((opinion for opinion in asked if opinion.confidence > self.threshold), asked[-1])
        elif len(asked) == 1:
            chosen = asked[0]
        return EnsembleAnswer(
            action=NONE if familiarity is not None and familiarity < FAMILIAR else chosen.action,
            likeliest=chosen.action,
            confidence=chosen.confidence,
            familiarity=familiarity,
            member=chosen.member,
            probabilities=_probabilities(chosen),
            opinions={opinion.member: _result(opinion) for opinion in asked},
            seconds=mixed.seconds,
        )


def together(answers: Sequence[EnsembleAnswer]) -> EnsembleAnswer:
    """One answer for a stretch of answers on windows of it: mean probabilities, of each member too, and the median
    familiarity."""
    familiarities = [one.familiarity for one in answers if one.familiarity is not None]
    familiarity = float(np.median(familiarities)) if familiarities else None
    whole = _mean([one.probabilities for one in answers])
    likeliest = next(iter(whole))
    members = dict.fromkeys(member for one in answers for member in one.opinions)
    opinions = {}
    for member in members:
        said = [one.opinions[member] for one in answers if member in one.opinions]
        mean = _mean([one["probabilities"] for one in said])
        action, seconds = next(iter(mean)), sum(one["seconds"] for one in said)
        opinions[member] = {
            "action": action,
            "confidence": mean[action],
            "probabilities": mean,
            "seconds": seconds,
        }
    return EnsembleAnswer(
        action=NONE if familiarity is not None and familiarity < FAMILIAR else likeliest,
        likeliest=likeliest,
        confidence=whole[likeliest],
        familiarity=familiarity,
        member=answers[0].member if len({one.member for one in answers}) == 1 else NAME,
        probabilities=whole,
        opinions=opinions,
        seconds=sum(one.seconds for one in answers),
    )


def _mean(probabilities: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of several answers, the likeliest class first."""
    classes = dict.fromkeys(class_id for one in probabilities for class_id in one)
    means = {class_id: float(np.mean([one.get(class_id, 0.0) for one in probabilities])) for class_id in classes}
    return dict(sorted(means.items(), key=lambda item: (-item[1], item[0])))


def spared(opinions: Mapping[str, Sequence[Opinion | None]], truth: Sequence[str]) -> dict[str, str]:
    """The members that need not be asked, and why: from what each said about the same validation clips.

    One member after the other goes, of those that bring too little the slowest first. Asking one more takes a weight
    and a temperature, and has to make the true classes of the n clips likelier by more than the ln n nats by which two
    numbers without meaning might (the criterion of Schwarz 1978).
    """
    asked, gone = dict(opinions), dict[str, str]()
    while len(asked) > 1 and truth:
        together = _log_likelihood(asked, truth)
        brings = {
            member: together - _log_likelihood({name: said for name, said in asked.items() if name != member}, truth)
            for member in asked
        }
        needless = [member for member, nats in brings.items() if nats <= math.log(len(truth))]
        if not needless:
            break
        slowest = max(needless, key=lambda member: _seconds(asked[member]))
        gone[slowest] = (
            f"it adds nothing on {len(truth)} validation clips ({brings[slowest]:+.2f} nats in all) and takes "
            f"{1000 * _seconds(asked.pop(slowest)):.0f} ms a clip"
        )
    return gone


def _log_likelihood(opinions: Mapping[str, Sequence[Opinion | None]], truth: Sequence[str]) -> float:
    """Of the true classes, by the ensemble of these members; a clip on which all are silent is a guess."""
    ensemble = Ensemble.fit(opinions, truth)
    mixed = [ensemble.mixture([one for one in said if one]) for said in zip(*opinions.values(), strict=True)]
    guess = -math.log(max((len(one.log_probs) for one in mixed if one), default=1))
    return sum(one.log_probs.get(class_id, guess) if one else guess for one, class_id in zip(mixed, truth, strict=True))


def _seconds(said: Sequence[Opinion | None]) -> float:
    """The mean over the clips on which there is an opinion."""
    return float(np.mean([one.seconds for one in said if one] or [0.0]))


def _temperature(opinions: Sequence[Opinion | None], truth: Sequence[str]) -> float:
    given = [(opinion, class_id) for opinion, class_id in zip(opinions, truth, strict=True) if opinion]
    return fit_temperature([opinion for opinion, _ in given], [class_id for _, class_id in given])


def _weights(opinions: Mapping[str, Sequence[Opinion | None]], truth: Sequence[str]) -> dict[str, float]:
    """Mixture weights of greatest likelihood; clips on which a member is silent say nothing about it."""
    likelihood = np.array(
        [
            [
                max(math.exp(one.log_probs.get(class_id, -math.inf)), _FLOOR) if one else math.nan
                for one, class_id in zip(said, truth, strict=True)
            ]
            for said in opinions.values()
        ]
    ).reshape(len(opinions), len(truth))
    heard = np.isfinite(likelihood)
    weights = np.full(len(opinions), 1 / len(opinions))
    for _ in range(_ROUNDS if truth else 0):
        prior = np.repeat(weights[:, None], len(truth), 1)
        shares = np.where(heard, prior * likelihood, 0.0)
        # Those who spoke share out what they have together; who was silent keeps its own.
        shares *= np.where(heard, prior, 0.0).sum(0) / np.maximum(shares.sum(0), _FLOOR**2)
        weights = np.maximum(np.where(heard, shares, prior).mean(1), _FLOOR)
        weights = weights / weights.sum()
    return dict(zip(opinions, weights.tolist(), strict=True))


def _probabilities(opinion: Opinion) -> dict[str, float]:
    ranked = sorted(opinion.log_probs.items(), key=lambda item: (-item[1], item[0]))
    return {class_id: round(math.exp(value), 6) for class_id, value in ranked}


def _result(opinion: Opinion) -> dict[str, Any]:
    return {
        "action": opinion.action,
        "confidence": opinion.confidence,
        "probabilities": _probabilities(opinion),
        "seconds": opinion.seconds,
    }
