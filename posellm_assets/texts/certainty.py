"""How sure a fact is: how much of it the camera saw, and how far it lies beyond the error of the landmarks.

Captions tell what is sure and nothing else; a description tells the same, and its JSON every fact with its certainty.
"""

from collections.abc import Iterable, Sequence

from posellm_assets.motion.motion import Motion
from posellm_assets.texts.fact import Fact, Side
from posellm_assets.texts.relations import known_relations, relation_seen
from posellm_assets.texts.signals import MOVES_DEG, angle_seen, seen_share

SURE = 0.5
"""Certainty from which on a fact is told."""
_UNCONFIRMED = 0.4  # of a count that no other movement shares and that comes at no regular pace
_RELATION_MARGIN = 0.06  # body lengths beyond the threshold from which on a relation is sure: the error of a landmark


def sure(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that are sure enough to be told."""
    return [fact for fact in facts if fact.certainty >= SURE]


def judged_movements(groups: Sequence[list[Fact]], motion: Motion) -> list[list[Fact]]:
    """The facts of each movement with their certainty; `groups` as in `facts.measure`.

    A movement is the surer the more of its joints were seen and the further it goes beyond the smallest that counts. A
    count is sure where it comes at a regular pace or another movement has the same, give or take one.
    """
    counts = [[fact.value for fact in group if fact.kind == "repetition"] for group in groups]
    judged = []
    for place, group in enumerate(groups):
        others = [count for other, found in enumerate(counts) if other != place for count in found]
        judged.append([_with(fact, _of_movement(fact, group, others, motion)) for fact in group])
    return judged


def judged_relation(fact: Fact, motion: Motion) -> Fact:
    """A relation of body parts with its certainty."""
    relation = next(
        one
        for one in known_relations().relations
        if (one.joint, one.kind, one.other) == (fact.joint, fact.kind, fact.other)
    )
    beyond = abs(fact.value - relation.threshold) / _RELATION_MARGIN
    sides: tuple[Side, ...] = ("left", "right") if fact.side == "both" and relation.sides == "each" else (fact.side,)
    return _with(fact, min(beyond, *(relation_seen(relation, motion, side) for side in sides)))


def judged_speed(fact: Fact, motion: Motion) -> Fact:
    """The speed of a limb with its certainty."""
    return _with(fact, seen_share(motion, f"{fact.side}_{fact.joint}"))


def _of_movement(fact: Fact, group: Sequence[Fact], others: Sequence[float], motion: Motion) -> float:
    joint = fact.joint
    sides: tuple[Side, ...] = ("left", "right") if fact.side == "both" else (fact.side,)
    seen = min(angle_seen(motion, joint, side) for side in sides)
    ranges = [abs(one.value - one.to_value) for one in group if one.to_value is not None]
    certainty = min(seen, min(ranges) / MOVES_DEG[joint] - 1)
    if fact.kind in ("repetition", "period") and fact.value > 1:
        is_regular = any(one.kind == "period" and one.side == fact.side for one in group)
        is_shared = any(abs(fact.value - other) <= 1 for other in others)
        certainty = certainty if is_regular or is_shared else min(certainty, _UNCONFIRMED)
    return certainty


def _with(fact: Fact, certainty: float) -> Fact:
    return fact.model_copy(update={"certainty": round(float(min(max(certainty, 0.0), 1.0)), 2)})
