"""Biomechanical rules per exercise, as data: `rules/<exercise>.yaml`. Each rule says where its threshold comes from.

A rule looks at one quantity of every repetition. What the quantities are is in `quantities`; how a finding becomes
words and an overlay, in `rule_teacher`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, field_validator, model_validator

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.quantities import QUANTITIES, measure_quantity, median_time_s
from posellm_assets.coaching.labels.schema import Severity
from posellm_assets.keys import slug
from posellm_assets.records import Record

RULES_FOLDER = Path(__file__).with_name("rules")
MIN_REPETITIONS_TO_COMPARE = 3


class RepetitionSignal(Record):
    """How repetitions are found: the quantity whose signal rises by `smallest` and falls again."""

    quantity: str
    smallest: float = Field(gt=0)
    each_side: bool = False
    """The arms may move together, in turn or alone."""


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
    target: float
    """What to say that it should be; as a share of the median too where `of_median` is set."""
    in_turn: bool | None = None
    """Only of repetitions in which one side moves after the other (true), or only of the others (false)."""
    seen_within_deg: float = Field(default=90, gt=0, le=90)
    """Only where the camera looks from within this many degrees of the front or the back: it cannot be seen from
    farther to the side."""
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

    def is_about(self, repetition: Repetition) -> bool:
        """Whether the rule speaks of repetitions of this kind."""
        return self.in_turn is None or self.in_turn == repetition.in_turn

    def excess(self, value: float, scale: float = 1.0) -> float:
        """How far `value` is past the limit; negative where it is within."""
        limit = self.at_least if self.at_least is not None else self.at_most
        assert limit is not None
        return limit * scale - value if self.at_least is not None else value - limit * scale


class ExerciseRules(Record):
    """What is right and wrong in one exercise."""

    exercise: str
    names: tuple[str, ...] = Field(min_length=1)
    """What labels call it, as `slug` writes them."""
    repetition: RepetitionSignal
    praise: str
    rules: tuple[Rule, ...] = Field(min_length=1)

    @field_validator("names")
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

    A label may name a side or a variant as well ("left side bend"): its end counts.
    """
    wanted = slug(exercise or "", "")
    for rules in all_rules():
        if any(wanted == name or wanted.endswith(f"-{name}") for name in rules.names):
            return rules
    return None


def repetitions_of(clip: MeasuredClip, rules: ExerciseRules) -> list[Repetition]:
    """The repetitions of the exercise in a clip."""
    how = rules.repetition
    return clip.repetitions(how.quantity, how.smallest, how.each_side)


def unseen(clip: MeasuredClip, rules: ExerciseRules) -> list[str]:
    """The faults that cannot be judged from where the clip was filmed."""
    return [rule.fault for rule in rules.rules if not _is_seen(rule, clip)]


def findings(clip: MeasuredClip, rules: ExerciseRules, repetitions: Sequence[Repetition]) -> list[BrokenRule]:
    """Everything that breaks a rule, a fault once for each repetition and side."""
    found: dict[tuple[str, str | None, int], BrokenRule] = {}
    for rule in rules.rules:
        if not _is_seen(rule, clip):
            continue
        if rule.of_median and len(repetitions) < MIN_REPETITIONS_TO_COMPARE:
            continue
        scale = median_time_s(repetitions) if rule.of_median else 1.0
        for repetition in filter(rule.is_about, repetitions):
            for side in _sides(rule, clip):
                value = measure_quantity(clip, rule.quantity, side, repetition)
                if value is None or (excess := rule.excess(value, scale)) <= 0:
                    continue
                place = (rule.fault, side, repetition.number)
                if place not in found or excess > found[place].excess:
                    found[place] = BrokenRule(rule, side, repetition, value, rule.target * scale, excess)
    return sorted(found.values(), key=lambda finding: finding.repetition.number)


def _is_seen(rule: Rule, clip: MeasuredClip) -> bool:
    return abs(clip.turned_deg) <= rule.seen_within_deg


def _sides(rule: Rule, clip: MeasuredClip) -> Iterator[str | None]:
    if rule.side == "each":
        yield from ("left", "right")
    elif rule.side == "front":
        if clip.front_leg:
            yield clip.front_leg
    else:
        yield rule.side
