"""Where body parts lie to each other: above, below, near, beside or ahead of one another, from when to when, how often.

Which relations are looked for, from what measure on and why is data (`relations.yaml`). The idea is that of posecodes
(Delmas et al., PoseScript, ECCV 2022; Yazdian et al., MotionScript, 2023): a relation is said only where it was
measured beyond the error of the landmarks.
"""

from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import yaml
from pydantic import Field

from posellm_assets.motion.motion import Motion, runs
from posellm_assets.records import Record
from posellm_assets.texts.fact import Fact, Side, frame_times, new_fact
from posellm_assets.texts.repetition import SMOOTHING_S, finite_runs
from posellm_assets.texts.signals import (
    SEEN_SHARE,
    angle_signals,
    axes,
    body_length,
    either_seen,
    in_picture,
    point,
    seen_share,
)


class Relation(Record):
    """One relation to look for; lengths are in body lengths."""

    kind: Literal["above", "below", "near", "beside", "ahead"]
    joint: str
    other: str
    sides: Literal["each", "both", "pair"]
    threshold: float = Field(alias="from", gt=0)
    unless: tuple[str, ...] = ()
    """Relations of the same sides that say more; where one was found this one is not told."""
    elbow_bent: float | None = None
    """Degrees that the elbow must be bent by."""
    why: str

    @property
    def name(self) -> str:
        """The key of its words: wrist_above_head."""
        return f"{self.joint}_{self.kind}_{self.other}"


class Relations(Record):
    """The content of `relations.yaml`."""

    shortest_s: float
    release: float
    relations: tuple[Relation, ...]


class Spell(NamedTuple):
    """A relation's time: how often it came, and the frames of its longest unbroken stretch."""

    times: int
    start: int
    end: int


@cache
def known_relations() -> Relations:
    """The relations of `relations.yaml`."""
    return Relations.model_validate(yaml.safe_load(files(__package__).joinpath("relations.yaml").read_text("utf-8")))


def relation_facts(motion: Motion) -> list[Fact]:
    """One fact for each relation that holds for a while, in the order of `relations.yaml`.

    `value` is the largest height or distance (the smallest for near) within the span, which is the longest of the
    `times` that the relation held. What a skeleton lacks, and what was seen for less than a second, gives no fact.
    """
    length = body_length(motion)
    found: dict[str, list[Fact]] = {}
    for relation in known_relations().relations if length is not None else ():
        told = [one.side for name in relation.unless for one in found.get(name, [])]
        if "both" not in told:
            found[relation.name] = [one for one in _told(relation, motion, length or 1.0) if one.side not in told]
    return [one for facts in found.values() for one in facts]


def _told(relation: Relation, motion: Motion, length: float) -> list[Fact]:
    """The facts of one relation: for both sides at once where they hold together most of the time, else for each."""
    if relation.sides != "each":
        both = _fact(relation, "both", measures(relation, motion, length), motion)
        return [both] if both else []
    sides: tuple[Side, ...] = ("left", "right")
    of_side = {side: measures(relation, motion, length, side) for side in sides}
    facts = {side: _fact(relation, side, values, motion) for side, values in of_side.items()}
    left, right = of_side["left"], of_side["right"]
    if facts["left"] and facts["right"] and left is not None and right is not None:
        weaker = np.maximum(left, right) if relation.kind == "near" else np.minimum(left, right)
        both = _fact(relation, "both", weaker, motion)
        if both and (both.times or 1) >= max(facts["left"].times or 1, facts["right"].times or 1) - 1:
            return [both]
    return [found for found in facts.values() if found]


def measures(relation: Relation, motion: Motion, length: float, side: Side = None) -> np.ndarray | None:
    """The height or distance that `relation` is about over time, (T,) in body lengths, smoothed; NaN in gaps.

    None where the skeleton lacks a joint, or the camera did not see one.
    """
    if relation_seen(relation, motion, side) < SEEN_SHARE:
        return None
    if relation.kind in ("above", "below"):
        part = _heights(motion, relation.joint, side)
        against = _heights(motion, relation.other, None if relation.other in ("head", "shoulder") else side)
        if part is None or against is None:
            return None
        # Of both sides the one that fulfils the relation least decides.
        values = (part.min(0) - against.max(0)) if relation.kind == "above" else (against.min(0) - part.max(0))
    else:
        one, two = _ends(relation, side)
        first, second = point(motion, one), point(motion, two)
        directions = axes(motion)
        if first is None or second is None or directions is None:
            return None
        left, forward = directions
        apart = first - second
        if relation.kind == "near":
            values = np.linalg.norm(apart, axis=-1)
        else:
            # A stride of somebody seen askew has a part to the side, from the uncertain depth, and the other way round.
            along, over = np.abs((apart * left).sum(-1)), np.abs((apart * forward).sum(-1))
            values = np.where(along > over, along, 0 * over) if relation.kind == "beside" else over * (over > along)
        if relation.sides == "pair":
            visible = in_picture(motion, forward if relation.kind == "ahead" else left)
            values = np.where(visible, values, np.nan)
    if relation.elbow_bent is not None:
        elbow = angle_signals(motion).get(("elbow", side))
        if elbow is None:
            return None
        values = np.where(elbow > 180 - relation.elbow_bent, length, values)  # far away
    return _smoothed(values / length, motion.fps)


def relation_seen(relation: Relation, motion: Motion, side: Side = None) -> float:
    """In what share of the frames the camera saw what a relation is measured between, 0 to 1."""
    if relation.sides == "pair":
        return seen_share(motion, *_ends(relation, side))
    if relation.sides == "both":
        return min(seen_share(motion, joint) if joint == "head" else either_seen(motion, joint)
                   for joint in (relation.joint, relation.other))  # fmt: skip
    other = {"head": seen_share(motion, "head"), "shoulder": either_seen(motion, "shoulder")}.get(relation.other)
    own = seen_share(motion, f"{side}_{relation.joint}")
    return min(own, seen_share(motion, f"{side}_{relation.other}") if other is None else other)


def _ends(relation: Relation, side: Side) -> tuple[str, str]:
    """The two joints whose distance is meant."""
    if relation.sides == "pair":
        return f"left_{relation.joint}", f"right_{relation.other}"
    return f"{side}_{relation.joint}", relation.other if relation.other == "head" else f"{side}_{relation.other}"


def _heights(motion: Motion, joint: str, side: Side) -> np.ndarray | None:
    """Heights of a joint's sides, (1 or 2, T) in metres: one side, or both where none is named."""
    names = [joint] if joint == "head" else [f"{side}_{joint}"] if side else [f"left_{joint}", f"right_{joint}"]
    points = [point(motion, name) for name in names]
    if any(one is None for one in points):
        return None
    return np.stack([one[:, 1] for one in points if one is not None])


def _smoothed(values: np.ndarray, fps: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d  # here, because the code server starts without SciPy

    smooth = values.copy()
    for first, last in finite_runs(values):
        smooth[first:last] = gaussian_filter1d(values[first:last], SMOOTHING_S * fps, mode="nearest")
    return smooth


def _fact(relation: Relation, side: Side, values: np.ndarray | None, motion: Motion) -> Fact | None:
    if values is None or np.isfinite(values).sum() < motion.fps:
        return None
    sign = -1.0 if relation.kind == "near" else 1.0
    spell = holding(sign * values, sign * relation.threshold, motion.fps)
    if spell is None:
        return None
    within = values[spell.start : spell.end + 1]
    value = np.nanmin(within) if relation.kind == "near" else np.nanmax(within)
    times = frame_times(motion)
    return new_fact(
        relation.kind, relation.joint, side, value, "body lengths", times[spell.start], times[spell.end],
        other=relation.other, times=spell.times,
    )  # fmt: skip


def holding(values: np.ndarray, threshold: float, fps: float) -> Spell | None:
    """When `values` (T,) reach `threshold`, with hysteresis; None where they never do for long enough.

    Stretches with nothing but a gap between them count once: nobody saw whether the relation ended.
    """
    known = known_relations()
    needed = max(2, round(known.shortest_s * fps))
    spells: list[tuple[int, int]] = []
    for first, last in runs(values >= threshold - known.release):  # comparisons with NaN are False: a gap ends a run
        reached = np.flatnonzero(values[first:last] >= threshold)
        if len(reached) >= needed:
            spells.append((first + int(reached[0]), first + int(reached[-1])))
    if not spells:
        return None
    seen = np.isfinite(values)
    returns = sum(bool(seen[end + 1 : start].any()) for (_, end), (start, _) in pairwise(spells))
    longest = max(spells, key=lambda spell: spell[1] - spell[0])
    return Spell(1 + returns, *longest)
