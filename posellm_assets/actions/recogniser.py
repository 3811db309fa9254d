"""From a video to a list of actions: the subject's motion, the moments or windows to look at, and what each shows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import numpy as np

from posellm_assets.actions.config import Method, RecognitionConfig
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.classifier import MotionClassifier
from posellm_assets.actions.members.ensemble import EnsembleAnswer, together
from posellm_assets.actions.members.familiarity import FAMILIARITY, Familiarity
from posellm_assets.actions.members.members import (
    ActionClip,
    LanguageMember,
    Member,
    MotionMember,
    VisionMember,
    part_of,
)
from posellm_assets.actions.members.opinions import LANGUAGE, MOTION, NONE, VIDEO_MAE, VISION, Opinion
from posellm_assets.actions.moments.hits import Hit, activity, find_hits
from posellm_assets.actions.moments.shots import motions_of_shots
from posellm_assets.actions.moments.sound import onsets
from posellm_assets.actions.moments.windows import Stretch, merged, window_spans
from posellm_assets.actions.recognition import HitRecord, Recognition, SegmentRecord
from posellm_assets.actions.record import RecogniserRecord
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import poses_of
from posellm_assets.poses.poses import SubjectPoses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.texts.counting import count
from posellm_assets.vision.frames import box_of


class ActionRecogniser:
    """The members and the ensemble that `posellm_assets.actions.train_recogniser` wrote to a folder."""

    def __init__(
        self,
        folder: Path,
        config: RecognitionConfig | None = None,
        motion: MotionConfig | None = None,
        poses: PoseConfig | None = None,
    ):
        """Load the members. Raises FileNotFoundError where there is no recogniser or a member's model is gone."""
        record = RecogniserRecord.read(folder)
        self.folder, self.record = folder, record
        self.config, self.motion, self.poses = (
            config or RecognitionConfig(),
            motion or MotionConfig(),
            poses or PoseConfig(),
        )
        self.label_set, self.absent = record.label_set, record.absent
        self.members = load_members(folder, record.members, self.label_set)
        self.familiarity = Familiarity.load(folder / FAMILIARITY) if record.familiarity else None
        self.ensemble = record.ensemble.model_copy(
            update={"rule": self.config.rule, "threshold": self.config.threshold, "members": self._order()}
        )

    def _order(self) -> tuple[str, ...]:
        return tuple(name for name in self.config.order if name in {member.name for member in self.members})

    def recognise(self, video: Path, sport: str | None = None, method: Method | None = None) -> Recognition:
        """Recognise the actions in a video file.

        `sport` says how to look (`RecognitionConfig.method`) and which classes there can be (`LabelSet.of_sport`);
        without it the label set does. Raises ValueError where the video cannot be read or shows nobody.
        """
        poses, _ = poses_of(video, self.poses)
        return self.recognise_poses(video, subject_of(poses), sport, method)

    def recognise_poses(
        self, video: Path, subject: SubjectPoses, sport: str | None = None, method: Method | None = None
    ) -> Recognition:
        """The same where the subject's poses are known."""
        started = time.process_time()
        motions, left_out = motions_of_shots(subject, self.motion)
        if not motions:
            raise ValueError(f"{video}: nobody is in view for long enough in any shot: {'; '.join(left_out)}")
        sport, duration_s = sport or self.label_set.sport, float(subject.time_s[-1] - subject.time_s[0])
        how = self._method(method or self.config.method, sport, duration_s)
        if how == "hits":
            limb = self.config.hits.limbs.get(sport, "hand")
            sounds = onsets(video) if self.config.hits.use_sound else []
            found = find_hits([activity(motion, limb) for motion in motions], self.config.hits, sounds)
            segments = self._around(video, subject, motions, found, sport)
        elif how == "windows":
            segments = self._stretches(video, subject, motions, sport)
        else:
            longest = max(motions, key=len)
            whole = self._case(video, subject, longest, longest.start_s, longest.start_s + longest.duration_s)
            segments = _segments(subject, [whole], self.decide([whole], sport))
        hits = [
            HitRecord(
                timestamp=round(segment.timestamp, 3),
                frame_index=segment.hit_frame or 0,
                confidence=segment.hit_confidence or 0.0,
                action=segment.answer.action,
            )
            for segment in (segments if how == "hits" else [])
        ]
        return Recognition(
            video=str(video),
            duration_s=duration_s,
            fps=subject.fps,
            hits=hits,
            segments=segments,
            method=how,
            members=self.ensemble.weights,
            absent=self.absent,
            names={NONE: {"en": "none of these"}} | {one.id: dict(one.names) for one in self.label_set.classes},
            left_out=left_out,
            seconds=time.process_time() - started,
        )

    def opinions(self, cases: Sequence[ActionClip]) -> dict[str, list[Opinion | None]]:
        """What each member says about each case, raw, by member."""
        return {member.name: member.opinions(cases) for member in self.members}

    def decide(self, cases: Sequence[ActionClip], sport: str | None = None) -> list[EnsembleAnswer | None]:
        """What the ensemble says about each case, of the classes of a sport or of all."""
        if not cases:
            return []
        among, said = self.label_set.of_sport(sport), self.opinions(cases).values()
        moves = [case.around or case.motion for case in cases]
        familiar = self.familiarity.of(moves, among) if self.familiarity else repeat(None)
        return [
            self.ensemble.decide([one.among(among) for one in row if one], one_familiarity)
            for row, one_familiarity in zip(zip(*said, strict=True), familiar, strict=False)
        ]

    def stretches(
        self, windows: Sequence[ActionClip], sport: str | None = None
    ) -> list[tuple[Stretch, EnsembleAnswer]]:
        """The windows of one shot, merged; what is said of a stretch is what is said of its windows together."""
        decided = [(case, one) for case, one in zip(windows, self.decide(windows, sport), strict=True) if one]
        spans, answers = [(case.start_s, case.end_s) for case, _ in decided], [one for _, one in decided]
        rows = [{NONE: 1.0} if one.action == NONE else one.probabilities for one in answers]
        return [
            (stretch, together([answers[place] for place in stretch.windows(spans)]))
            for stretch in merged(spans, rows, self.config.windows)
        ]

    def _method(self, asked: Method, sport: str, duration_s: float) -> Method:
        if asked != "auto":
            return asked
        if duration_s <= self.config.longest_clip_s:
            return "clip"
        return "hits" if sport in self.config.hits.limbs else "windows"

    def _around(
        self, video: Path, subject: SubjectPoses, motions: Sequence[Motion], hits: Sequence[Hit], sport: str
    ) -> list[SegmentRecord]:
        cases = []
        for hit in hits:
            shot = next(
                m for m in motions if m.start_s <= hit.time_s + 0.2 and hit.time_s - 0.2 <= m.start_s + m.duration_s
            )
            start_s = max(shot.start_s, hit.time_s - self.config.hits.before_s)
            end_s = min(shot.start_s + shot.duration_s, hit.time_s + self.config.hits.after_s)
            case = self._case(video, subject, shot, start_s, end_s)
            cases.append(replace(case, hit_s=hit.time_s, around=self._window_around(shot, hit.time_s)))
        return _segments(subject, cases, self.decide(cases, sport), [hit.confidence for hit in hits])

    def _window_around(self, shot: Motion, time_s: float) -> Motion:
        length_s, last_s = self.config.windows.length_s, shot.start_s + shot.duration_s
        start_s = max(shot.start_s, min(time_s - length_s / 2, last_s - length_s))
        return part_of(shot, start_s, min(start_s + length_s, last_s))

    def _stretches(
        self, video: Path, subject: SubjectPoses, motions: Sequence[Motion], sport: str
    ) -> list[SegmentRecord]:
        cases, answers = [], []
        for shot in motions:
            spans = window_spans(shot.start_s, shot.start_s + shot.duration_s, self.config.windows)
            for stretch, answer in self.stretches([self._case(video, subject, shot, *span) for span in spans], sport):
                cases.append(self._case(video, subject, shot, stretch.start_s, stretch.end_s))
                answers.append(answer)
        return _segments(subject, cases, answers)

    def _case(self, video: Path, subject: SubjectPoses, shot: Motion, start_s: float, end_s: float) -> ActionClip:
        return ActionClip(start_s, end_s, video, part_of(shot, start_s, end_s), box=box_of(subject, start_s, end_s))


def load_members(folder: Path, about: Mapping[str, Mapping[str, str]], label_set: LabelSet) -> list[Member]:
    """The members that a record names, their models by paths from its folder."""
    members: list[Member] = []
    for name, models in about.items():
        paths = {what: (folder / path).resolve() for what, path in models.items()}
        for path in paths.values():
            if not path.exists():
                raise FileNotFoundError(f"the member {name} of {folder} needs {path}, which is gone; train it again")
        if name == VISION:
            members.append(VisionMember.load(paths["model"], label_set))
        elif name == LANGUAGE:
            members.append(LanguageMember.load(paths["model"], paths["tokenizer"], label_set))
        elif name == MOTION:
            members.append(MotionMember(MotionClassifier.load(paths["model"])))
        elif name == VIDEO_MAE:
            from posellm_assets.actions.members.video_mae import VideoMaeMember

            members.append(VideoMaeMember.load(paths["model"], paths["head"]))
    return members


def _segments(
    subject: SubjectPoses,
    cases: Sequence[ActionClip],
    answers: Sequence[EnsembleAnswer | None],
    confidence: Sequence[float | None] = (),
) -> list[SegmentRecord]:
    records: list[SegmentRecord] = []
    for case, stands_out, answer in zip(cases, confidence or [None] * len(cases), answers, strict=True):
        if answer is None:
            continue
        counted = count(_longest(case.motion)) if case.hit_s is None and case.motion is not None else None
        periodic = counted if counted and counted.period_s is not None else None
        records.append(
            SegmentRecord(
                hit_frame=None if case.hit_s is None else _frame(subject, case.hit_s),
                start_frame=_frame(subject, case.start_s),
                end_frame=_frame(subject, case.end_s) + 1,
                start_s=round(case.start_s, 3),
                end_s=round(case.end_s, 3),
                hit_confidence=stands_out,
                answer=answer,
                timestamp=round(case.start_s if case.hit_s is None else case.hit_s, 3),
                repetitions=periodic.repetitions if periodic else None,
                period_s=periodic.period_s if periodic else None,
            )
        )
    return records


def _longest(motion: Motion) -> Motion:
    return max(motion.segments(0.0), key=len)


def _frame(subject: SubjectPoses, time_s: float) -> int:
    return int(np.abs(subject.time_s - time_s).argmin())
