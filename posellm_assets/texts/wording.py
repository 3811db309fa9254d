"""Facts grouped into movements, and the English words for them; shared by the captions and the descriptions."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from posellm_assets.texts.facts import Fact
from posellm_assets.texts.signals import NEUTRAL_DEG


@dataclass(frozen=True)
class Movement:
    """What one joint does: one angle fact, or two (left, right) that take turns, each with its count (0 for once)."""

    joint: str
    angles: tuple[Fact, ...]
    counts: tuple[int, ...]
    period_s: float | None

    @property
    def who_verb(self) -> str:
        """ "both knees bend", "the left arm comes down"."""
        angle = self.angles[0]
        names, verbs = words()["joints"][self.joint], words()["verbs"][self.joint]
        verb = verbs["away" if _leaves_neutral(angle) or self.counts[0] else "back"]
        if len(self.angles) == 2:
            pattern = verbs.get("in_turn", words()["in_turn"])
            return pattern.format(left=names["left"], right=names["right"], verb=verb[1])
        return f"{names[angle.side or 'none']} {verb[angle.side == 'both']}".replace("SIDE", angle.side or "")

    @property
    def spans(self) -> list[tuple[float, float]]:
        """From where to where each angle goes, in degrees."""
        return [(angle.value, angle.to_value or 0.0) for angle in self.angles]


@cache
def words() -> dict[str, Any]:
    """The words of `words.yaml`."""
    return yaml.safe_load(files("posellm_assets.texts").joinpath("words.yaml").read_text(encoding="utf-8"))


def movements(facts: Iterable[Fact]) -> list[Movement]:
    """The movements in the order of their facts."""
    facts = list(facts)
    in_turn = {fact.joint for fact in facts if fact.kind == "alternation"}
    found: list[Movement] = []
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


def _movement(angles: tuple[Fact, ...], facts: list[Fact]) -> Movement:
    def values(kind: str, angle: Fact) -> list[float]:
        return [fact.value for fact in facts if (fact.kind, fact.joint, fact.side) == (kind, angle.joint, angle.side)]

    periods = [value for angle in angles for value in values("period", angle)]
    return Movement(
        joint=angles[0].joint,
        angles=angles,
        counts=tuple(int(sum(values("repetition", angle))) for angle in angles),
        period_s=sum(periods) / len(periods) if len(periods) == len(angles) else None,
    )


def _leaves_neutral(angle: Fact) -> bool:
    neutral = NEUTRAL_DEG[angle.joint]
    return abs((angle.to_value or 0.0) - neutral) > abs(angle.value - neutral)
