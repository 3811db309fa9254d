"""Rules while somebody moves: repetitions counted as they end, and what is to be said of them.

The rules look at the last seconds as `rule_teacher` looks at a whole clip; only what has come to its end is judged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from posellm_assets.coaching.labels.measurements import MeasuredClip, Repetition
from posellm_assets.coaching.labels.rule_teacher import point_of
from posellm_assets.coaching.labels.rules import ExerciseRules, findings, repetitions_of, rules_of, unseen
from posellm_assets.coaching.labels.schema import SEVERITIES, FeedbackPoint
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
_NAME_EVERY_S = 1.0
_NAMED_OVER_S = 6.0

COOLDOWN_S = 3.0
REMIND_S = 12.0  # before the same is said again
PRAISE_AFTER = 3  # repetitions without a fault
PRAISE_EVERY_S = 20.0

NameExercise = Callable[[Motion], str | None]
"""What somebody does in a motion, by the name of a label; None where that cannot be told."""


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


class LiveRules:
    """Counts and judges repetitions.

    `exercise` is what is done, as a label says it; where `name` is given, it is asked again and again. `self.exercise`
    is what the rules call it, None while it is not known.
    """

    def __init__(self, exercise: str | None, name: NameExercise | None, config: MotionConfig):
        self.exercise, self.counted = _name_in_rules(exercise), list[Counted]()
        self._name, self._config = name, config
        self._looked_s = self._named_s = self._until_s = -np.inf
        self._candidate: str | None = None

    def watch(self, latest: LatestPoses, now_s: float, over: bool = False) -> list[Counted]:
        """The repetitions that ended since the last call, in the last `KEEP_S` seconds of poses.

        `over` says that nothing follows, so that the body need not have been back for long.
        """
        if now_s - self._looked_s < _LOOK_EVERY_S and not over:
            return []
        self._looked_s, subject = now_s, latest.subject()
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
        settled_s = _EDGE_S if over else _SETTLED_S
        whole = [one for one in repetitions_of(clip, rules) if _is_whole(one, motion, settled_s)]
        repetitions = _of_like_size(whole, clip, rules)
        fresh = [one for one in repetitions if one.start_s >= self._until_s]
        if not fresh or (not self.counted and len(fresh) == 1 and not over and now_s - fresh[0].end_s < _ALONE_S):
            return []
        found = findings(clip, rules, repetitions)
        before = sum(one.exercise == rules.exercise for one in self.counted)
        counted = []
        for number, one in enumerate(fresh, start=before + 1):
            points = [point_of(clip, [finding]) for finding in found if finding.repetition == one]
            shown = sorted((point for point in points if point), key=lambda point: SEVERITIES.index(point.severity))
            times_s = one.start_s, one.peak_s, one.end_s
            counted.append(Counted(rules.exercise, number, *times_s, tuple(shown), tuple(unseen(clip, rules))))
        # Seen again with more that follows, the same repetition may begin and end a frame or two elsewhere.
        self._until_s = fresh[-1].peak_s
        self.counted += counted
        return counted

    def _recognise(self, motion: Motion, now_s: float) -> None:
        """Ask what is being done; an exercise that has rules counts when it was named twice in a row."""
        in_view_s = motion.start_s + motion.duration_s
        if self._name is None or now_s - self._named_s < _NAME_EVERY_S or in_view_s < now_s - _NAME_EVERY_S:
            return
        self._named_s = now_s
        lately = motion.cut(max(0, len(motion) - round(_NAMED_OVER_S * motion.fps)), len(motion)).segments(
            _NAME_EVERY_S
        )
        named = _name_in_rules(self._name(lately[-1])) if lately else None
        if named is not None and named == self._candidate:
            self.exercise = named
        self._candidate = named


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


def _is_whole(repetition: Repetition, motion: Motion, settled_s: float) -> bool:
    """Whether the body was in view before it and for `settled_s` after it: else part of it may not have been seen."""
    first, last = repetition.start - round(_EDGE_S * motion.fps), repetition.end + round(settled_s * motion.fps)
    return first >= 0 and last < len(motion) and bool(motion.known[first : last + 1].all())


def _of_like_size(repetitions: list[Repetition], clip: MeasuredClip, rules: ExerciseRules) -> list[Repetition]:
    """The repetitions without those that are only a small part of the largest."""
    if not repetitions:
        return []
    signal = clip.signals[rules.repetition.quantity, "both"]
    heights = [float(signal[one.peak] - max(signal[one.start], signal[one.end])) for one in repetitions]
    return [one for one, height in zip(repetitions, heights, strict=True) if height >= _SMALLEST_SHARE * max(heights)]
