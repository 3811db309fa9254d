"""Rules while somebody moves: repetitions counted as they end, and what is to be said of them.

The rules look at the last seconds as `rule_teacher` looks at a whole clip; only what has come to its end is judged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.rule_teacher import point_of
from posellm_assets.coaching.labels.rules import (
    BrokenRule,
    ExerciseRules,
    findings,
    repetitions_of,
    rules_of,
    unseen,
)
from posellm_assets.coaching.labels.schema import SEVERITIES, FeedbackPoint
from posellm_assets.coaching.live.measured import MeasuredRepetition, measured_of
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.live import LatestPoses

KEEP_S = 20.0  # of poses: repetitions are compared with those before them
_LOOK_EVERY_S = 0.25
_SETTLED_S = 0.3  # a repetition is over when the body has been back for so long
_EDGE_S = 0.1
# What is this much smaller than the largest repetition is a fidget; faults cost less of the range.
_SMALLEST_SHARE = 0.35
_ALONE_S = 5.0  # a first repetition waits so long for a second, which shows how large one is
_HOLD_OVER_S = 0.8  # longer than landmarks may be unsure within a hold
_JUDGE_HOLD_EVERY_S = 5.0
_NAME_EVERY_S = 1.0
_NAMED_OVER_S = 6.0
_IN_A_ROW = 2  # times that the same has to be named before it counts
_ASK_AFTER_S = 8.0  # of somebody in view whose exercise cannot be told

COOLDOWN_S = 3.0
REMIND_S = 12.0  # before the same is said again
PRAISE_AFTER = 3  # repetitions without a fault
PRAISE_EVERY_S = 20.0

NameExercise = Callable[[Motion], str | None]
"""What somebody does in a motion, by the name of a label; None where that cannot be told or is none of the labels."""


@dataclass(frozen=True)
class Counted:
    """A repetition that is over: its number in its exercise, its times (s), and the faults found, worst first.

    `unseen` are the faults that could not be judged from where it was filmed.
    """

    exercise: str
    number: int
    start_s: float
    peak_s: float
    end_s: float
    points: tuple[FeedbackPoint, ...]
    unseen: tuple[str, ...]
    measured: MeasuredRepetition
    held: bool = False
    """It is no repetition but a time for which something was held."""


class LiveRules:
    """Counts and judges repetitions.

    `exercise` is what is done, as a label says it; where `name` is given, it is asked again and again. `self.exercise`
    is what the rules call it, None while it is not known or has no rules: then nothing counts.
    """

    def __init__(self, exercise: str | None, name: NameExercise | None, config: MotionConfig):
        self.exercise, self.counted = _name_in_rules(exercise), list[Counted]()
        self.waiting = 0
        """Repetitions that are over and not counted yet: whether one is whole is known when another shows its size."""
        self._name, self._config = name, config
        self._looked_s = self._named_s = self._until_s = -np.inf
        self._held_from_s: float | None = None
        self._judged_s = -np.inf
        self._held_points: tuple[FeedbackPoint, ...] = ()
        self._named: str | None = None
        self._times = 0

    def watch(self, latest: LatestPoses, now_s: float, over: bool = False) -> list[Counted]:
        """The repetitions that ended since the last call, in the last `KEEP_S` seconds of poses.

        `over` says that nothing follows, so that the body need not have been back for long.
        """
        if now_s - self._looked_s < _LOOK_EVERY_S and not over:
            return []
        self._looked_s, self.waiting, subject = now_s, 0, latest.subject()
        if subject is None:
            return []
        try:
            motion = motion_from_poses(subject, self._config)
        except ValueError:  # nobody was in view for long enough to have done anything
            return []
        self._recognise(motion, now_s)
        rules = rules_of(self.exercise)
        if rules is None:
            return []
        clip = MeasuredClip("live", self.exercise, subject, motion)
        if rules.counting.held_s is not None:
            return self._held(clip, rules, now_s, over)
        settled_s = _EDGE_S if over else _SETTLED_S
        whole = [one for one in repetitions_of(clip, rules) if _is_whole(one, motion, settled_s)]
        repetitions = _of_like_size(whole, clip, rules)
        fresh = [one for one in repetitions if one.start_s >= self._until_s]
        if not self.counted and len(fresh) == 1 and not over and now_s - fresh[0].end_s < _ALONE_S:
            self.waiting = 1
        if not fresh or self.waiting:
            return []
        found = findings(clip, rules, repetitions)
        counted = [
            self._counted(
                clip, rules, replace(one, number=number), [finding for finding in found if finding.repetition == one]
            )
            for number, one in enumerate(fresh, start=self._next_number(rules))
        ]
        # Seen again with more that follows, the same repetition may begin and end a frame or two elsewhere.
        self._until_s = fresh[-1].peak_s
        self.counted += counted
        return counted

    def _held(self, clip: MeasuredClip, rules: ExerciseRules, now_s: float, over: bool) -> list[Counted]:
        """What is held is judged every few seconds while it lasts, and counts when it is over."""
        holds = [one for one in repetitions_of(clip, rules) if one.end_s > self._until_s]
        if not holds:
            return []
        last, number = holds[-1], self._next_number(rules)
        if self._held_from_s is None:
            self._held_from_s, self._judged_s = last.start_s, last.start_s
        lasts = not over and last.end_s > now_s - _HOLD_OVER_S
        if lasts and now_s - self._judged_s < _JUDGE_HOLD_EVERY_S:
            return []
        frames = round(min(_JUDGE_HOLD_EVERY_S, last.end_s - last.start_s) * clip.motion.fps)
        lately = replace(last, number=number, start=last.end - frames)
        judged = self._counted(clip, rules, lately, findings(clip, rules, [lately]), start_s=self._held_from_s)
        self._judged_s = now_s
        self._held_points += judged.points
        if not lasts:
            self.counted.append(replace(judged, points=_worst_of_each(self._held_points)))
            self._until_s, self._held_from_s, self._held_points = last.end_s, None, ()
        return [judged]

    def _next_number(self, rules: ExerciseRules) -> int:
        return 1 + sum(one.exercise == rules.exercise for one in self.counted)

    def _counted(
        self,
        clip: MeasuredClip,
        rules: ExerciseRules,
        one: Repetition,
        found: Sequence[BrokenRule],
        start_s: float | None = None,
    ) -> Counted:
        points = [point for finding in found if (point := point_of(clip, [finding]))]
        return Counted(
            rules.exercise,
            one.number,
            one.start_s if start_s is None else start_s,
            one.peak_s,
            one.end_s,
            tuple(sorted(points, key=lambda point: SEVERITIES.index(point.severity))),
            tuple(unseen(clip, rules, [one])),
            measured_of(clip, rules, one),
            held=rules.counting.held_s is not None,
        )

    @property
    def is_lost(self) -> bool:
        """Whether it cannot be told what is done: advice would be for another exercise."""
        return self._named is None and self._times >= _IN_A_ROW

    @property
    def asks(self) -> bool:
        """Whether that has been so for so long that somebody has to say it."""
        return self.is_lost and self._times * _NAME_EVERY_S >= _ASK_AFTER_S

    def _recognise(self, motion: Motion, now_s: float) -> None:
        """Ask what is being done; what is said twice in a row counts, also that it cannot be told."""
        in_view_s = motion.start_s + motion.duration_s
        if self._name is None or now_s - self._named_s < _NAME_EVERY_S or in_view_s < now_s - _NAME_EVERY_S:
            return
        self._named_s = now_s
        lately = motion.cut(max(0, len(motion) - round(_NAMED_OVER_S * motion.fps)), len(motion)).segments(
            _NAME_EVERY_S
        )
        if not lately:
            return
        said = self._name(lately[-1])
        named = _name_in_rules(said) or said
        self._times = self._times + 1 if named == self._named else 1
        self._named = named
        if self._times >= _IN_A_ROW and self.exercise != _name_in_rules(named):
            self.exercise = _name_in_rules(named)
            # What was done before may have been something else.
            self._until_s = max(self._until_s, lately[-1].start_s)
            self._held_from_s, self._held_points = None, ()


def _name_in_rules(exercise: str | None) -> str | None:
    rules = rules_of(exercise)
    return rules.exercise if rules else None


class RuleVoice:
    """Chooses what to say of a repetition: the worst fault, not everything, and not the same again and again."""

    def __init__(self) -> None:
        self._spoke_s = self._praised_s = -np.inf
        self._last_said_s: dict[tuple[str, str | None], float] = {}
        self._clean = 0

    def say(self, counted: Sequence[Counted], now_s: float) -> tuple[str, FeedbackPoint | None] | None:
        """The words on the last of some repetitions, and the fault that they are about (None for praise).

        None is silence.
        """
        for one in counted:
            self._clean = 0 if one.points else self._clean + 1
        latest = counted[-1]
        if now_s - self._spoke_s < COOLDOWN_S:
            return None
        for point in latest.points:
            if now_s - self._last_said_s.get((point.fault, point.side), -np.inf) >= REMIND_S:
                self._spoke_s = self._last_said_s[point.fault, point.side] = now_s
                return point.coaching_script, point
        rules = rules_of(latest.exercise)
        if rules and self._clean >= PRAISE_AFTER and now_s - self._praised_s >= PRAISE_EVERY_S:
            self._spoke_s = self._praised_s = now_s
            return rules.praise, None
        return None


def _worst_of_each(points: Sequence[FeedbackPoint]) -> tuple[FeedbackPoint, ...]:
    """Of each fault and side the gravest point, the gravest first."""
    worst: dict[tuple[str, str | None], FeedbackPoint] = {}
    for point in sorted(points, key=lambda point: SEVERITIES.index(point.severity)):
        worst.setdefault((point.fault, point.side), point)
    return tuple(worst.values())


def _is_whole(repetition: Repetition, motion: Motion, settled_s: float) -> bool:
    """Whether the body was in view before it and for `settled_s` after it: else part of it may not have been seen."""
    first, last = repetition.start - round(_EDGE_S * motion.fps), repetition.end + round(settled_s * motion.fps)
    return first >= 0 and last < len(motion) and bool(motion.known[first : last + 1].all())


def _of_like_size(repetitions: list[Repetition], clip: MeasuredClip, rules: ExerciseRules) -> list[Repetition]:
    """The repetitions without those that are only a small part of the largest."""
    if not repetitions:
        return []
    signals = [clip.signals[rules.counting.quantity, one.side or "both"] for one in repetitions]
    heights = [
        float(signal[one.peak] - max(signal[one.start], signal[one.end]))
        for signal, one in zip(signals, repetitions, strict=True)
    ]
    return [one for one, height in zip(repetitions, heights, strict=True) if height >= _SMALLEST_SHARE * max(heights)]
