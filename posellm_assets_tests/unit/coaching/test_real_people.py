"""The rules on landmarks of real people whose form others have judged."""

import csv
from functools import cache
from pathlib import Path

import pytest

from posellm_assets.coaching.labels.labelling import label_clip
from posellm_assets.coaching.labels.measurements import MeasuredClip
from posellm_assets.coaching.labels.rule_teacher import RuleTeacher
from posellm_assets.coaching.labels.schema import CoachingLabel
from posellm_assets.motion.config import MotionConfig
from posellm_assets.motion.from_poses import motion_from_poses
from posellm_assets.poses.poses import Poses
from posellm_assets.poses.subjects import subject_of
from posellm_assets_tests.unit.motion.people import real_data


def rows() -> list[dict[str, str]]:
    with (real_data() / "real_poses" / "labels.csv").open(newline="") as table:
        return list(csv.DictReader(table))


@cache
def labelled(path: Path, exercise: str) -> CoachingLabel | None:
    """The rules' label; None for a clip in which too little of the body is seen."""
    subject = subject_of(Poses.read(path))
    try:
        motion = motion_from_poses(subject, MotionConfig())
    except ValueError:
        return None
    return label_clip(MeasuredClip(path.stem, exercise, subject, motion), RuleTeacher())


def blamed(exercise: str, form: str) -> list[bool]:
    """Of each clip of an exercise that was judged so: whether the rules find anything wrong."""
    folder = real_data() / "real_poses"
    found = [
        labelled(folder / row["file"], exercise) for row in rows() if (row["label"], row["form"]) == (exercise, form)
    ]
    return [bool(one and one.feedback_points) for one in found]


@pytest.mark.parametrize("exercise", ["squat", "jumping_jack", "push_up", "plank", "russian_twist"])
def test_what_others_call_correct_is_not_blamed(exercise: str) -> None:
    found = blamed(exercise, "correct")
    assert found and sum(found) <= 0.1 * len(found)


def test_most_wrong_push_ups_are_found() -> None:
    found = blamed("push_up", "wrong")
    assert len(found) == 10 and sum(found) >= 0.6 * len(found)


def test_repetitions_are_counted_as_by_eye() -> None:
    wrong = {}
    for row in rows():
        if row["repetitions_low"] and (label := labelled(real_data() / "real_poses" / row["file"], row["label"])):
            low, high, counted = int(row["repetitions_low"]), int(row["repetitions_high"]), len(label.repetitions)
            if label.status != "no_rules" and not low - 1 <= counted <= high + 1:
                wrong[row["file"]] = counted
    assert not wrong
