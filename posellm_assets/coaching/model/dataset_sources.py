"""Where coaching examples come from: labelled videos of the lake, and folders of pictures that a teacher looks at."""

import hashlib
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from posellm_assets.coaching.labels.endpoint_teacher import facts
from posellm_assets.coaching.labels.labelling import verified
from posellm_assets.coaching.labels.lake_labels import measured_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.schema import read_label
from posellm_assets.coaching.labels.teachers import BrokenAnswer, Teacher, asked
from posellm_assets.coaching.model.answers import question
from posellm_assets.coaching.model.config import ImagesConfig
from posellm_assets.coaching.model.dataset import CoachingExample, UnusableCoaching, answer_of
from posellm_assets.coaching.model.images import LeftOut, SeenPicture, find_pictures, read_picture, see_people
from posellm_assets.footage.manifest import normalised_participant, read_manifest
from posellm_assets.footage.splits import Split, split_of
from posellm_assets.generations.inventory import taken_out
from posellm_assets.keys import slug
from posellm_assets.lake import Lake
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.pool import Pool
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.poses import SubjectPoses

HELD_S, HELD_FPS = 0.5, 30.0
SHOWN_PX = 1024  # longest side of a picture that a teacher looks at
ALL_REJECTED = "nothing of what the teacher said could be verified against the measured pose"
NO_TEACHER = (
    "the rules judge repetitions, and a picture shows none: name an endpoint that looks at pictures in "
    "coaching.teachers, alone or two of them"
)

Found = tuple[list[CoachingExample], list[LeftOut]]


def from_lake(lake: Lake, keys: Iterable[str]) -> Found:
    """The labelled videos among `keys` that were not taken out, each on the side of its participant everywhere."""
    keys, examples, left_out = sorted(keys), [], []
    gone = taken_out(lake, keys)
    for key in keys:
        found = gone.get(key) or _of_video(lake, key)
        if isinstance(found, CoachingExample):
            examples.append(found)
        else:
            left_out.append(LeftOut(key, found))
    return examples, left_out


def from_images(root: Path, config: ImagesConfig, poses: PoseConfig, teacher: Teacher, pool: Pool) -> Found:
    """The pictures below `root`, as `images` reads and filters them, with what `teacher` says of each.

    A tenth of the sources is held out for validation. Raises UnusableImages for a wrong folder, UnusableCoaching where
    the rules are to judge pictures, EndpointError where the teacher gives no answer: what it said before is kept.
    """
    if any(isinstance(one, RuleTeacher) for one in asked(teacher)):
        raise UnusableCoaching(NO_TEACHER)
    pictures, undeclared = find_pictures(root)
    seen, left_out = see_people(pictures, config, poses, pool)
    left_out = [*undeclared, *left_out]
    examples = []
    for one in seen:
        found = _of_picture(one, teacher)
        if isinstance(found, CoachingExample):
            examples.append(found)
        else:
            left_out.append(LeftOut(one.picture.name, found))
    return examples, left_out


def still_clip(key: str, activity: str, landmarks: np.ndarray, size: tuple[int, int], sheet: bytes) -> MeasuredClip:
    """A picture as a clip of half a second in which nobody moves; landmarks (33, 8), size (width, height).

    Raises ValueError where shoulders, hips or knees are not in view.
    """
    frames = round(HELD_S * HELD_FPS)
    held = np.repeat(landmarks[None], frames, axis=0)
    subject = SubjectPoses(
        np.arange(frames) / HELD_FPS, held[..., :3], held[..., 3], held[..., 4], held[..., 5:8], *size, fps=HELD_FPS
    )
    motion = motion_from_poses(subject, MotionConfig(min_segment_s=HELD_S / 2))
    return MeasuredClip(key, activity, subject, motion, sheet)


def side_of(source: str) -> Split:
    """Train or val: a tenth of the sources is held out, those that are validated on everywhere else too."""
    return "val" if split_of(source) == "val" else "train"


def _of_video(lake: Lake, key: str) -> CoachingExample | str:
    """The example of a video, or why there is none."""
    path = lake.coaching_label(key)
    if not path.exists():
        return "it has no coaching label: materialise coaching_labels"
    try:
        label = read_label(path)
    except ValueError as error:
        return str(error)
    if label.status != "success":
        return label.error_message or label.status
    if label.rejected and not label.feedback_points:
        return ALL_REJECTED
    manifest, sheet = read_manifest(lake, key), lake.contact_sheet(key)
    who, clip = normalised_participant(manifest.participant), measured_clip(lake, key)
    return CoachingExample(
        id=key,
        activity=label.exercise or "unknown",
        source=who or None,
        split=split_of(who or key),
        facts=facts(clip),
        question=question(clip),
        answer=answer_of(label.positive_note, label.feedback_points),
        teacher=label.teacher,
        picture=sheet if sheet.exists() else None,
        key=key,
    )


def _of_picture(one: SeenPicture, teacher: Teacher) -> CoachingExample | str:
    picture = one.picture
    # Names of files may be long and strange; what they stand for must not collide.
    name = f"{slug(picture.path.stem)[:40]}-{hashlib.sha256(picture.name.encode()).hexdigest()[:8]}"
    try:
        clip = still_clip(name, picture.activity, one.landmarks, (one.width, one.height), _jpeg(picture.path))
        answer = teacher.teach(clip)
    except BrokenAnswer as error:
        return f"the teacher's answer is no label: {error}"
    except ValueError as error:
        return str(error)
    points, rejected = verified(clip, answer, [])
    if rejected and not points:
        return ALL_REJECTED
    return CoachingExample(
        id=name,
        activity=picture.activity,
        source=picture.source,
        split=side_of(normalised_participant(picture.source) or picture.name),
        facts=facts(clip),
        answer=answer_of(answer.positive_note, points),
        teacher=teacher.name,
        picture=picture.path,
    )


def _jpeg(path: Path) -> bytes:
    content, image = io.BytesIO(), Image.fromarray(read_picture(path))
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    image.save(content, "JPEG", quality=90)
    return content.getvalue()
