"""How sure a fact is: how much of it the camera saw, and how far it lies beyond the error of the landmarks.

Captions tell what is sure and nothing else; a description tells the same, and its JSON every fact with its certainty.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from posellm_assets.motion.motion import Motion
from posellm_assets.texts.fact import Fact, Side
from posellm_assets.texts.relations import known_relations, relation_seen
from posellm_assets.texts.signals import MOVES_DEG, Signals, angle_seen, arm_depth, seen_share

SURE = 0.5
"""Certainty from which on a fact is told."""
_UNCONFIRMED = 0.4  # of a count that no other movement shares and that comes at no regular pace
_MOST_TWIST_DEG = 75.0  # of shoulders against hips: more is depth that was guessed wrong, as is often what comes once
_MOST_DEPTH = 0.55  # of an arm's bone: its share along the line of sight over which an angle is not sure
_MOST_SWAPS = 0.02  # share of the frames
_RELATION_MARGIN = 0.06  # body lengths beyond the threshold from which on a relation is sure: the error of a landmark


def sure(facts: Iterable[Fact]) -> list[Fact]:
    """The facts that are sure enough to be told."""
    return [fact for fact in facts if fact.certainty >= SURE]


def judged_movements(groups: Sequence[list[Fact]], motion: Motion, signals: Signals) -> list[list[Fact]]:
    """The facts of each movement with their certainty; `groups` and `signals` as in `facts.measure`.

    A movement is the surer the more of its joints were seen and the further it goes beyond the smallest that counts. A
    count is sure where it comes at a regular pace, both sides make it together, or another joint has the same, give or
    take one.
    """
    counted = [(fact.joint, fact.value) for group in groups for fact in group if fact.kind == "repetition"]
    judged = []
    for group in groups:
        others = [count for joint, count in counted if joint != group[0].joint]
        certainty = min([_of_movement(group, others, motion, signals), *(_of_side(fact, motion) for fact in group)])
        judged.append([_with(fact, certainty) for fact in group])
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
    return _with(fact, min(beyond, _of_side(fact, motion), *(relation_seen(relation, motion, side) for side in sides)))


def judged_speed(fact: Fact, motion: Motion) -> Fact:
    """The speed of a limb with its certainty."""
    return _with(fact, min(_of_side(fact, motion), seen_share(motion, f"{fact.side}_{fact.joint}")))


def _of_movement(group: Sequence[Fact], others: Sequence[float], motion: Motion, signals: Signals) -> float:
    """How sure a movement is, where other movements have the counts `others`."""
    joint, sides = group[0].joint, {side for fact in group for side in _sides(fact)}
    seen = min(angle_seen(motion, joint, side) for side in sides)
    ranges = [abs(fact.value - fact.to_value) for fact in group if fact.to_value is not None]
    certainty = min(seen, min(ranges) / MOVES_DEG[joint] - 1)
    counts = [fact.value for fact in group if fact.kind == "repetition"]
    is_regular = any(fact.kind == "period" for fact in group)
    is_shared = group[0].side == "both" or any(abs(count - other) <= 1 for count in counts for other in others)
    if max(counts, default=0) > 1 and not (is_regular or is_shared):
        certainty = min(certainty, _UNCONFIRMED)
    if joint == "waist" and (max(ranges) > _MOST_TWIST_DEG or not counts):
        certainty = min(certainty, _UNCONFIRMED)
    if any(_is_depth(fact, side, motion, signals) for fact in group if fact.kind == "angle" for side in _sides(fact)):
        certainty = min(certainty, _UNCONFIRMED)
    return certainty


def _of_side(fact: Fact, motion: Motion) -> float:
    """How sure the side of a fact is: where left and right change places in the picture, it is not."""
    is_sided = "left" in (fact.side, fact.other_side) or "right" in (fact.side, fact.other_side)
    return _UNCONFIRMED if is_sided and motion.parameters.get("swap_share", 0.0) > _MOST_SWAPS else 1.0


def _is_depth(angle: Fact, side: Side, motion: Motion, signals: Signals) -> bool:
    """Whether an arm's movement begins or ends pointing to or from the camera."""
    signal = signals[angle.joint, side]
    ends = (angle.value, angle.to_value or 0.0)
    reached = 0.15 * abs(ends[1] - ends[0])
    return any(arm_depth(motion, angle.joint, side, np.abs(signal - end) <= reached) > _MOST_DEPTH for end in ends)


def _sides(fact: Fact) -> tuple[Side, ...]:
    return ("left", "right") if fact.side == "both" else (fact.side,)


def _with(fact: Fact, certainty: float) -> Fact:
    return fact.model_copy(update={"certainty": round(float(min(max(certainty, 0.0), 1.0)), 2)})
