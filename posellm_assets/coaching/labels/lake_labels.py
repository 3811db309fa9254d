"""Labels of the videos in a lake: which exercise, which teacher, what came before."""

from collections import defaultdict
from collections.abc import Sequence

from posellm_assets.actions.recognition import Recognition
from posellm_assets.checksums import recording
from posellm_assets.coaching.labels.config import TeacherConfig
from posellm_assets.coaching.labels.endpoint_teacher import AnswerCache, EndpointTeacher
from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.rules import rules_of
from posellm_assets.coaching.labels.schema import CoachingLabel, read_label, write_label
from posellm_assets.coaching.labels.teachers import Consensus, Teacher, asked
from posellm_assets.endpoint import Endpoint, EndpointConfig
from posellm_assets.footage.capture import CaptureInfo
from posellm_assets.footage.manifest import FootageManifest, normalised_participant, read_manifest
from posellm_assets.lake import Lake
from posellm_assets.motion.motion import Motion
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets.problems import attempted


class Labeller:
    """Labels videos of one lake by the teachers of its settings."""

    def __init__(self, lake: Lake, teachers: Sequence[TeacherConfig]):
        self.lake = lake
        self.teacher = teacher_of(lake, teachers)
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
        label = label_clip(clip, self.teacher, self._previous_score(read_manifest(self.lake, key), clip.exercise))
        path = self.lake.coaching_label(key)
        with recording(self.lake, path):
            write_label(path, label)
        return label

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


def exercise_of(lake: Lake, manifest: FootageManifest) -> str | None:
    """What the owner calls it, else the action that was recognised for the longest time, else None."""
    predictions = lake.action_predictions(manifest.key)
    if manifest.label or not predictions.exists():
        return manifest.label
    lasted: dict[str, float] = defaultdict(float)
    for segment in Recognition.read(predictions).segments:
        lasted[segment.answer.action] += segment.end_s - segment.start_s
    return max(lasted, key=lambda action: lasted[action]) if lasted else None


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
