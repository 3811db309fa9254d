"""Labels of the videos in a lake: which exercise, which teacher, what came before."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from posellm_assets.actions.recognition import Recognition
from posellm_assets.checksums import recording
from posellm_assets.coaching.labels.config import TeacherConfig
from posellm_assets.coaching.labels.endpoint_teacher import AnswerCache, EndpointTeacher
from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.reference import Reference, reference_of
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.rules import rules_of
from posellm_assets.coaching.labels.schema import CoachingLabel, read_label, write_label
from posellm_assets.coaching.labels.teachers import Consensus, Teacher, asked
from posellm_assets.endpoint import Endpoint, EndpointConfig
from posellm_assets.footage.capture import CaptureInfo
from posellm_assets.footage.manifest import FootageManifest, normalised_participant, read_manifest
from posellm_assets.keys import slug
from posellm_assets.lake import Lake
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.problems import attempted


class Labeller:
    """Labels videos of one lake by the teachers of its settings, and compares them with a reference.

    The reference is `right` where it is given, else the lake's clips of the exercise whose form is said to be correct.
    """

    def __init__(self, lake: Lake, teachers: Sequence[TeacherConfig], right: MeasuredClip | None = None):
        self.lake, self.right = lake, right
        self.teacher = teacher_of(lake, teachers)
        self._correct: dict[str, list[str]] | None = None
        self._earlier: dict[tuple[str, str], list[tuple[str, str]]] | None = None

    @property
    def endpoints(self) -> list[Endpoint]:
        """The endpoints that are asked, with their counts of what came to nothing."""
        return [one.endpoint for one in asked(self.teacher) if isinstance(one, EndpointTeacher)]

    def label(self, key: str) -> CoachingLabel:
        """Label a video that has poses and motion, and write the label.

        Raises ValueError where one of those is not there or damaged, FileNotFoundError for a video that is not in the
        lake, EndpointError where a teacher's service gives no answer.
        """
        clip = measured_clip(self.lake, key)
        previous_score = self._previous_score(read_manifest(self.lake, key), clip.exercise)
        label = label_clip(clip, self.teacher, previous_score, self._reference(clip))
        path = self.lake.coaching_label(key)
        with recording(self.lake, path):
            write_label(path, label)
        return label

    def _reference(self, clip: MeasuredClip) -> Reference | None:
        if self.right is not None:
            return reference_of(self.right.key, [replace(self.right, exercise=clip.exercise)])
        if self._correct is None:
            self._correct = defaultdict(list)
            for key in self.lake.registered_videos():
                one = attempted(lambda key: read_manifest(self.lake, key), key)
                if not isinstance(one, Exception) and one.form == "correct" and one.label:
                    self._correct[_exercise(one.label)].append(key)
        keys = [key for key in self._correct.get(_exercise(clip.exercise), ()) if key != clip.key]
        measured = [attempted(lambda key: measured_clip(self.lake, key), key) for key in keys]
        clips = [one for one in measured if not isinstance(one, Exception)]  # of the others their own steps say why
        try:
            return reference_of(f"{len(clips)} clips said to be correct", clips) if clips else None
        except ValueError:
            return None  # none of them shows a whole repetition

    def _previous_score(self, manifest: FootageManifest, exercise: str | None) -> int | None:
        """The score of the same person's clip of the same exercise that was registered before this one."""
        rules, who = rules_of(exercise), normalised_participant(manifest.participant)
        if rules is None or not who:
            return None
        if self._earlier is None:
            self._earlier = defaultdict(list)
            for other in self.lake.registered_videos():
                one = attempted(lambda key: read_manifest(self.lake, key), other)
                if isinstance(one, Exception):
                    continue  # its own step says so
                if one.participant and (its := rules_of(one.label)):
                    place = normalised_participant(one.participant), its.exercise
                    self._earlier[place].append((one.registered_at, one.key))
        this = manifest.registered_at, manifest.key
        for _, key in sorted(one for one in self._earlier.get((who, rules.exercise), []) if one < this)[::-1]:
            earlier = attempted(read_label, self.lake.coaching_label(key))
            if not isinstance(earlier, Exception) and earlier.progress_score is not None:
                return earlier.progress_score
        return None


def _exercise(label: str | None) -> str:
    """What two labels of one exercise have in common."""
    rules = rules_of(label)
    return rules.exercise if rules else slug(label or "", "")


def exercise_of(lake: Lake, manifest: FootageManifest) -> str | None:
    """What the owner calls it, else the action that was recognised for the longest time; None where it is no class."""
    predictions = lake.action_predictions(manifest.key)
    if manifest.label or not predictions.exists():
        return manifest.label
    return Recognition.read(predictions).lasting


def measured_clip(lake: Lake, key: str) -> MeasuredClip:
    """A video that has poses and motion, as it was measured. Errors as in `Labeller.label`."""
    manifest = read_manifest(lake, key)
    if isinstance(manifest.video, CaptureInfo):
        raise ValueError(f"{key} is motion capture: there is no picture to draw a label into")
    for name, path in (("poses", lake.poses(key)), ("motion", lake.motion(key))):
        if not path.exists():
            raise ValueError(f"{key} has no {name} yet: run the job ingest_footage on it first")
    poses, sheet = Poses.read(lake.poses(key)), lake.contact_sheet(key)
    return MeasuredClip(
        key=key,
        exercise=exercise_of(lake, manifest),
        subject=subject_of(poses),
        motion=Motion.read(lake.motion(key)),
        sheet=sheet.read_bytes() if sheet.exists() else b"",
    )


def teacher_of(lake: Lake, named: Sequence[TeacherConfig]) -> Teacher:
    """The teachers that the settings name. What they answer is kept in the lake, and what they cost."""
    teachers: list[Teacher] = []
    for one in named:
        if isinstance(one, EndpointConfig):
            teachers.append(EndpointTeacher(Endpoint(one, lake.endpoint_spending), AnswerCache(lake.coaching_answers)))
        else:
            teachers.append(RuleTeacher())
    return teachers[0] if len(teachers) == 1 else Consensus(*teachers)
