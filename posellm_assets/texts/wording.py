"""Facts grouped into movements, and the words for them in each language, shared by captions and descriptions."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from posellm_assets.texts.fact import Fact
from posellm_assets.texts.signals import NEUTRAL_DEG

RELATIONS = ("above", "below", "near", "beside", "ahead")


@dataclass(frozen=True)
class JointMovement:
    """What one joint does: one angle fact, or two (left, right) that take turns, each with its count.

    A count of 1 is there and back again, 0 one way only.
    """

    joint: str
    angles: tuple[Fact, ...]
    counts: tuple[int, ...]
    period_s: float | None

    def who_verb(self, language: str) -> str:
        """ "both knees bend", "the left arm comes down"."""
        angle, said = self.angles[0], words(language)
        names, verbs = said["joints"][self.joint], said["verbs"][self.joint]
        one, several = verbs["away" if _leaves_neutral(angle) else "back"]
        if len(self.angles) == 2:
            if self.joint == "side":
                return said["trunk_in_turn"]
            return said["in_turn"].format(left=names["left"], right=names["right"], verb=several)
        verb = (several if angle.side == "both" else one).format(side=said["sides"].get(angle.side, ""))
        return said["who_verb"].format(who=names[angle.side or "none"], verb=verb)

    @property
    def spans(self) -> list[tuple[float, float]]:
        """From where to where each angle goes, in degrees."""
        return [(angle.value, angle.to_value or 0.0) for angle in self.angles]


@cache
def words(language: str) -> dict[str, Any]:
    """The words of one of `config.LANGUAGES`, from `words/`."""
    return yaml.safe_load(files(__package__).joinpath("words", f"{language}.yaml").read_text(encoding="utf-8"))


def relation_words(fact: Fact, language: str) -> str:
    """What a relation says, without its numbers: "both hands are above the head"."""
    return words(language)["relations"][f"{fact.joint}_{fact.kind}_{fact.other}"][fact.side]


def joint_movements(facts: Iterable[Fact]) -> list[JointMovement]:
    """The movements in the order of their facts."""
    facts = list(facts)
    in_turn = {fact.joint for fact in facts if fact.kind == "alternation"}
    found: list[JointMovement] = []
    for angle in (fact for fact in facts if fact.kind == "angle"):
        if angle.joint in in_turn:
            if angle.side == "left":
                right = next(
                    fact for fact in facts if (fact.kind, fact.joint, fact.side) == ("angle", angle.joint, "right")
                )
                found.append(_movement((angle, right), facts))
        else:
            found.append(_movement((angle,), facts))
    return found


def _movement(angles: tuple[Fact, ...], facts: list[Fact]) -> JointMovement:
    def values(kind: str, angle: Fact) -> list[float]:
        return [fact.value for fact in facts if (fact.kind, fact.joint, fact.side) == (kind, angle.joint, angle.side)]

    periods = [value for angle in angles for value in values("period", angle)]
    return JointMovement(
        joint=angles[0].joint,
        angles=angles,
        counts=tuple(int(sum(values("repetition", angle))) for angle in angles),
        period_s=sum(periods) / len(periods) if len(periods) == len(angles) else None,
    )


def _leaves_neutral(angle: Fact) -> bool:
    neutral = NEUTRAL_DEG[angle.joint]
    return abs((angle.to_value or 0.0) - neutral) > abs(angle.value - neutral)
