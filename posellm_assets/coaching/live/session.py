"""A session with the coach: frames, poses, motion and messages on one clock, a frame at a time.

Nothing is queued. How late a message is counts from the end of the movement that it is about, so the time that the
coach waits to be sure is in it, and the time that the computer needs.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from posellm_assets.coaching.labels.schema import FeedbackPoint
from posellm_assets.coaching.live.drawing import small, still
from posellm_assets.coaching.live.rules import KEEP_S, Counted, LiveRules, RuleVoice
from posellm_assets.coaching.streaming.scores import Message
from posellm_assets.footage.live import CameraLost, FrameSource
from posellm_assets.footage.video import Frame, UnreadableVideo
from posellm_assets.motion.live import LiveTokens, LiveWindow
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.live import LatestPoses, Sight, sights

ASK = "Which exercise is this? I do not know it, so I say nothing about it."
_STILLS_S = 8.0  # how long small pictures are kept, to show the moment that a message is about
_STILL_EVERY_S = 0.08


class TrainedCoach(Protocol):
    """A coach that learned when to say what, such as `coach.Coach`."""

    def begin(self) -> None:
        """Forget what was seen and said: a new session."""

    def hear(self, window: LiveWindow) -> Message | None:
        """What to say now that a window is known; None is silence."""


@dataclass(frozen=True, eq=False)
class Remark:
    """Something said at `time_s` of the session's clock, about a movement that ended at `about_s`; None for a question.

    `point` is the fault and `still` the moment of it with the overlay (JPEG), both None where no fault is meant.
    """

    time_s: float
    text: str
    about_s: float | None
    point: FeedbackPoint | None = None
    still: bytes | None = None

    @property
    def latency_s(self) -> float | None:
        """How long after the movement it was said."""
        return None if self.about_s is None else self.time_s - self.about_s


@dataclass(frozen=True, eq=False)
class Moment:
    """A frame as the coach has it: what is done, how often so far, and what is said at this frame."""

    sight: Sight
    exercise: str | None
    repetitions: int
    remark: Remark | None


class LiveSession:
    """One session. The rules count and judge; a trained coach speaks where there is one, else the rules do.

    While it cannot be told what is done nobody speaks, and after a while the session asks, once.
    """

    def __init__(
        self,
        source: FrameSource,
        poses: PoseConfig,
        rules: LiveRules,
        trained: tuple[TrainedCoach, LiveTokens] | None = None,
    ):
        self.source, self.rules, self.trained = source, rules, trained
        self.remarks: list[Remark] = []
        self.frames = self.frames_with_person = 0
        self.duration_s = 0.0
        self.lost: str | None = None
        """Why there was no more to see, where a camera was lost or a file is damaged further on."""
        self._poses = poses
        self._latest = LatestPoses(KEEP_S)
        self._voice = RuleVoice()
        self._stills: deque[Frame] = deque()
        self._stopped = self._asked = False
        if trained:
            trained[0].begin()

    def stop(self) -> None:
        """End the session with the next frame."""
        self._stopped = True

    def moments(self) -> Iterator[Moment]:
        """Yield every frame with what the coach makes of it, to the end of the video, the camera, or `stop`.

        Raises CameraLost or UnreadableVideo where there was nothing to see at all.
        """
        try:
            for sight in sights(self.source.frames(), self._poses):
                yield self._moment(sight)
                if self._stopped:
                    break
        except (CameraLost, UnreadableVideo) as lost:
            if not self.frames:
                raise
            self.lost = str(lost)
        self.rules.watch(self._latest, self.duration_s, over=True)

    def _moment(self, sight: Sight) -> Moment:
        self.frames += 1
        self.frames_with_person += sight.landmarks is not None
        self.duration_s = sight.frame.time_s
        # What was before a cut is forgotten with it.
        counted = self.rules.watch(self._latest, sight.frame.time_s, over=True) if sight.is_cut else []
        self._latest.add(sight)
        self._keep_still(sight.frame)
        counted += self.rules.watch(self._latest, sight.frame.time_s)
        remark = self._trained_remark(sight) if self.trained else self._rule_remark(counted)
        if self.rules.is_lost:
            remark = self._question()
        if remark is not None:
            self.remarks.append(remark)
        done = [one for one in self.rules.counted if one.exercise == self.rules.exercise]
        return Moment(sight, self.rules.exercise, len(done) + self.rules.waiting, remark)

    def _question(self) -> Remark | None:
        if self._asked or not self.rules.asks:
            return None
        self._asked = True
        return Remark(self.source.now_s(), ASK, None)

    def _trained_remark(self, sight: Sight) -> Remark | None:
        assert self.trained is not None
        coach, tokens = self.trained
        said = None
        for window in tokens.push(sight.frame.time_s, sight.landmarks, sight.is_cut):
            message = coach.hear(window)
            if message is not None:
                said = Remark(self.source.now_s(), message.text, window.end_s)
        return said

    def _rule_remark(self, counted: list[Counted]) -> Remark | None:
        said = self._voice.say(counted, self.source.now_s()) if counted else None
        if said is None:
            return None
        words, point = said
        return Remark(self.source.now_s(), words, counted[-1].end_s, point, self._still(point))

    def _keep_still(self, frame: Frame) -> None:
        if self._stills and frame.time_s - self._stills[-1].time_s < _STILL_EVERY_S:
            return
        self._stills.append(Frame(frame.time_s, small(frame.rgb)))
        while self._stills[0].time_s < frame.time_s - _STILLS_S:
            self._stills.popleft()

    def _still(self, point: FeedbackPoint | None) -> bytes | None:
        if point is None:
            return None
        moment_s = point.mistake_timestamp_ms / 1000
        nearest = min(self._stills, key=lambda one: abs(one.time_s - moment_s))
        return still(nearest.rgb, point.visuals)
