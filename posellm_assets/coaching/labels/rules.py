"""Biomechanical rules per exercise, as data: `rules/<exercise>.yaml`. Each rule says where its threshold comes from.

A rule looks at one quantity of every repetition. What the quantities are is in `quantities`; how a finding becomes
words and an overlay, in `rule_teacher`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import yaml
from pydantic import Field, field_validator, model_validator

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.picture import SIDES
from posellm_assets.coaching.labels.quantities import QUANTITIES, measure_quantity, median_time_s
from posellm_assets.coaching.labels.schema import Severity
from posellm_assets.coaching.labels.sides import Sides
from posellm_assets.keys import slug
from posellm_assets.records import Record

RULES_FOLDER = Path(__file__).with_name("rules")
MIN_REPETITIONS_TO_COMPARE = 3
FLOOR_SHARE = 0.25  # of the body's height to the hips: so much lower than in the others are hands that put a bar down
UPRIGHT_DEG = 45.0
HANGING_DEG, FREE_RISE_DEG = 45.0, 45.0  # of arm_raise, of arms that hold nothing
HELD_WORDS = frozenset(
    (
        *("back", "bar", "barbell", "dumbbell", "dumbbells", "front", "goblet", "kettlebell", "kettlebells"),
        *("landmine", "medicine", "overhead", "plate", "sandbag", "weighted"),
    )
)
"""Words of a label that say that the hands hold something."""


class Counting(Record):
    """How an exercise is counted: the signal of `quantity` rises by `smallest` and falls again, or it is held.

    A hold is a stretch of at least `held_s` in which the signal stays at `smallest` or above.
    """

    quantity: str
    smallest: float = Field(gt=0)
    sides: Sides = "together"
    held_s: float | None = Field(default=None, gt=0)


class Rule(Record):
    """One thing that can be wrong with a repetition."""

    fault: str
    quantity: str
    side: Literal["each", "front", "both"] | None = None
    """`each` looks at left and right on their own, `front` at the leg in front, `both` at the two together."""
    at_least: float | None = None
    at_most: float | None = None
    of_median: bool = False
    """The limit is a share of the median repetition of the clip (for `repetition_s`)."""
    beyond_own: float | None = Field(default=None, gt=0)
    """The value also lies this far from the median of the clip's repetitions on that side."""
    target: float
    """What to say that it should be; as a share of the median too where `of_median` is set."""
    in_turn: bool | None = None
    """Only of repetitions in which one side moves after the other (true), or only of the others (false)."""
    seen_within_deg: float = Field(default=90, gt=0, le=90)
    """Only where the camera looks from within this many degrees of the front or the back: it cannot be seen from
    farther to the side."""
    seen_beyond_deg: float = Field(default=0, ge=0, lt=90)
    """Only where the camera looks from at least this far to the side: it cannot be seen from nearer to the front."""
    free_hands: bool = False
    """Only where the hands hold nothing: of a bar on the shoulders no arm is raised."""
    intermediate: float = Field(ge=0)
    major: float = Field(ge=0)
    """How far past the limit it becomes an intermediate and a major mistake."""
    script: str
    source: str = Field(min_length=20)

    @model_validator(mode="after")
    def _one_limit(self) -> "Rule":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.fault}: give at_least or at_most")
        if self.quantity not in QUANTITIES:
            raise ValueError(f"{self.fault}: there is no quantity {self.quantity!r}, only {', '.join(QUANTITIES)}")
        return self

    @property
    def compares(self) -> bool:
        """Whether a repetition is compared with the others of the clip."""
        return self.of_median or self.beyond_own is not None

    def is_about(self, repetition: Repetition) -> bool:
        """Whether the rule speaks of repetitions of this kind."""
        return self.in_turn is None or self.in_turn == repetition.in_turn

    def excess(self, value: float, scale: float = 1.0) -> float:
        """How far `value` is past the limit and the measurement's own error; negative where it may be within.

        What is compared with the athlete's own is wrong in all of it alike: no error is taken off.
        """
        limit = self.at_least if self.at_least is not None else self.at_most
        assert limit is not None
        past = limit * scale - value if self.at_least is not None else value - limit * scale
        return past if self.beyond_own else past - QUANTITIES[self.quantity].error


class ExerciseRules(Record):
    """What is right and wrong in one exercise."""

    exercise: str
    names: tuple[str, ...] = Field(min_length=1)
    """What labels call it, as `slug` writes them."""
    unlike: tuple[str, ...] = ()
    """Labels that end as these names do and mean another exercise."""
    counting: Counting
    praise: str
    blind: tuple[str, ...] = ()
    """What can be wrong and cannot be told from landmarks at all."""
    rules: tuple[Rule, ...] = Field(min_length=1)

    @property
    def counted(self) -> str:
        """What its repetitions are called."""
        return "repetition" if self.counting.held_s is None else f"hold of {self.counting.held_s:g} s"

    @field_validator("names", "unlike")
    @classmethod
    def _names_are_slugs(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [name for name in names if slug(name) != name]:
            raise ValueError(f"write names as keys have them, not {wrong}")
        return names


class NoRules(ValueError):
    """An exercise that has no rules, or a clip of which nobody knows the exercise."""


@dataclass(frozen=True)
class BrokenRule:
    """A rule that a repetition breaks; `value`, `target` and `excess` in the quantity's unit."""

    rule: Rule
    side: str | None
    repetition: Repetition
    value: float
    target: float
    excess: float

    @property
    def severity(self) -> Severity:
        """By how far the value is past the limit."""
        if self.excess >= self.rule.major:
            return "major"
        return "intermediate" if self.excess >= self.rule.intermediate else "minor"


@cache
def all_rules() -> tuple[ExerciseRules, ...]:
    """The rules of every exercise, in the order of their files."""
    files = sorted(RULES_FOLDER.glob("*.yaml"))
    return tuple(ExerciseRules.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files)


def rules_of(exercise: str | None) -> ExerciseRules | None:
    """The rules of an exercise by what a label calls it, or None where there are none.

    A label may name a side or a variant as well ("left side bend"): its end counts, the longest name that fits.
    """
    wanted = slug(exercise or "", "")

    def longest(names: Sequence[str]) -> int:
        return max((len(name) for name in names if wanted == name or wanted.endswith(f"-{name}")), default=0)

    rules = max(all_rules(), key=lambda rules: longest(rules.names))
    return rules if longest(rules.names) > longest(rules.unlike) else None


def repetitions_of(clip: MeasuredClip, rules: ExerciseRules) -> list[Repetition]:
    """The repetitions of the exercise in a clip, or the stretches in which it is held.

    Picking a weight up before a set and putting it down after it look like repetitions, with the hands at the floor.
    """
    how = rules.counting
    if how.held_s is not None:
        return clip.holds(how.quantity, how.smallest, how.held_s)
    found = clip.repetitions(how.quantity, how.smallest, how.sides)
    return [replace(one, number=number) for number, one in enumerate(without_floor(clip, found), start=1)]


def without_floor(clip: MeasuredClip, repetitions: Sequence[Repetition]) -> list[Repetition]:
    """The repetitions without a first and a last one whose hands alone go to the floor."""
    lowest = np.array([measure_quantity(clip, "hands_low", "both", one) or 0.0 for one in repetitions])
    upright = [clip.signals["trunk_lean", "both"][one.start] < UPRIGHT_DEG for one in repetitions]
    ends = (0, len(repetitions) - 1)
    return [
        one
        for place, one in enumerate(repetitions)
        if not (place in ends and upright[place] and lowest[place] - np.median(lowest) > FLOOR_SHARE)
    ]


def unseen(clip: MeasuredClip, rules: ExerciseRules, repetitions: Sequence[Repetition]) -> list[str]:
    """The faults that no repetition could be judged by from where it was filmed, and those that no landmark shows."""
    seen = {rule.fault for rule in rules.rules if any(_is_seen(rule, clip, one) for one in repetitions)}
    return [*dict.fromkeys(rule.fault for rule in rules.rules if rule.fault not in seen), *rules.blind]


def findings(clip: MeasuredClip, rules: ExerciseRules, repetitions: Sequence[Repetition]) -> list[BrokenRule]:
    """Everything that breaks a rule, a fault once for each repetition and side."""
    found: dict[tuple[str, str | None, int], BrokenRule] = {}
    for rule in rules.rules:
        if rule.compares and len(repetitions) < MIN_REPETITIONS_TO_COMPARE:
            continue
        scale = median_time_s(repetitions) if rule.of_median else 1.0
        own = {side: _median(rule, clip, side, repetitions) for side in SIDES} if rule.beyond_own else {}
        for repetition in filter(rule.is_about, repetitions):
            if not _is_seen(rule, clip, repetition) or (rule.free_hands and not hands_are_free(clip, repetition)):
                continue
            for side in _sides(rule, clip, repetition):
                value = measure_quantity(clip, rule.quantity, side, repetition)
                if value is None or (excess := rule.excess(value, scale)) <= 0:
                    continue
                if rule.beyond_own and abs(value - own.get(side or "", value)) < rule.beyond_own:
                    continue
                place = (rule.fault, side, repetition.number)
                if place not in found or excess > found[place].excess:
                    found[place] = BrokenRule(rule, side, repetition, value, rule.target * scale, excess)
    return sorted(found.values(), key=lambda finding: finding.repetition.number)


def _median(rule: Rule, clip: MeasuredClip, side: str, repetitions: Sequence[Repetition]) -> float:
    values = [measure_quantity(clip, rule.quantity, side, one) for one in repetitions]
    return float(np.median([value for value in values if value is not None] or [np.nan]))


def hands_are_free(clip: MeasuredClip, repetition: Repetition) -> bool:
    """Whether the hands hold nothing, by the label and by what is seen: both arms hang, and one of them rises at least.

    Hands on a bar, on the hips or before the chest stay where they are.
    """
    if HELD_WORDS & set(slug(clip.exercise or "", "").split("-")):
        return False
    arms = [clip.signals["arm_raise", side][repetition.start : repetition.end + 1] for side in SIDES]
    if not all(np.isfinite(arm).any() for arm in arms):
        return False
    lowest, highest = ([float(of(arm)) for arm in arms] for of in (np.nanmin, np.nanmax))
    return max(lowest) < HANGING_DEG and max(highest) - max(lowest) >= FREE_RISE_DEG


def _is_seen(rule: Rule, clip: MeasuredClip, repetition: Repetition) -> bool:
    return rule.seen_beyond_deg <= abs(clip.turned_at(repetition.peak_s)) <= rule.seen_within_deg


def _sides(rule: Rule, clip: MeasuredClip, repetition: Repetition) -> Iterator[str | None]:
    if rule.side == "each":
        yield from (repetition.side,) if repetition.side else SIDES
    elif rule.side == "front":
        if clip.front_leg:
            yield clip.front_leg
    else:
        yield rule.side
