"""Timed feedback in sidecars: kept to the letter, and refused with the reason where it cannot have been said so."""

import json
from pathlib import Path

import pytest

from posellm_assets.footage.adding import add_files
from posellm_assets.footage.labels import Feedback, LabelError, Labels
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import refresh_manifest, register
from posellm_assets.lake import Lake
from posellm_assets_tests.clips import write_clip

SAID = [{"t": 0.1, "text": "  Knees out — ¡vamos! "}, {"t": 0.35, "text": "Next: squats", "transition": True}]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of 0.6 s."""
    return write_clip(tmp_path / "session.mp4")


def say(clip: Path, *feedback: dict[str, object]) -> None:
    clip.with_name(clip.name + ".json").write_text(json.dumps({"participant": "Ana", "feedback": feedback}))


def test_feedback_comes_with_the_clip_and_stands_verbatim_in_its_manifest(clip: Path, tmp_path: Path) -> None:
    say(clip, *SAID)
    lake = Lake(tmp_path / "lake")
    (placed,) = add_files(lake, [clip], "gym", label="squat")
    outcome = register(lake, placed.relative_to(lake.raw).as_posix())
    manifest = read_manifest(lake, outcome.key or "")
    assert manifest.label == "squat"
    assert [one.model_dump(exclude_defaults=True) for one in manifest.feedback] == SAID
    assert refresh_manifest(lake, manifest.key) == manifest


@pytest.mark.parametrize(
    ("feedback", "says"),
    [
        (
            [{"t": 2.0, "text": "a"}, {"t": 1.0, "text": "b"}],
            r"feedback: message 1 \(1.0 s\) stands after one of 2.0 s",
        ),
        ([{"t": 1.0, "text": "a"}, {"t": 1.0, "text": "b"}], "feedback: messages 0 and 1 both begin at 1.0 s"),
        ([{"t": 1.0, "text": " "}], r"feedback.0.text: is empty; leave it out"),
        ([{"t": -0.1, "text": "a"}], "feedback.0.t: Input should be greater than or equal to 0"),
        ([{"t": "1", "text": "a"}], "feedback.0.t: Input should be a valid number"),
        ([{"text": "a"}], "feedback.0.t: Field required"),
    ],
)
def test_feedback_that_nobody_can_have_said_so_is_refused_by_place(
    clip: Path, feedback: list[dict[str, object]], says: str
) -> None:
    say(clip, *feedback)
    with pytest.raises(LabelError, match=rf"^session.mp4.json: {says}"):
        Labels.beside(clip)


def test_feedback_after_the_end_is_refused_before_anything_is_copied_and_quarantined_in_the_drop_zone(
    clip: Path, tmp_path: Path
) -> None:
    say(clip, {"t": 0.3, "text": "a"}, {"t": 61.0, "text": "b"}, {"t": 75.0, "text": "c"})
    lake = Lake(tmp_path / "lake")
    says = "2 of 3 messages come after the end of the clip, the last at 75.0 s of 0.600 s"
    with pytest.raises(LabelError, match=says):
        add_files(lake, [clip], "gym")
    assert not (tmp_path / "lake" / "raw" / "gym").exists()

    dropped = write_clip(tmp_path / "lake" / "raw" / "gym" / "session.mp4")
    say(dropped, {"t": 61.0, "text": "b"})
    outcome = register(lake, "gym/session.mp4")
    assert outcome.status == "quarantined" and "session.mp4.json: feedback: 1 of 1 messages" in (outcome.reason or "")
    say(dropped, {"t": 0.5, "text": "b"})
    assert register(lake, "gym/session.mp4").status == "registered"


def test_three_hours_of_feedback_are_taken_whole(clip: Path) -> None:
    said = [
        {"t": 2.0 * number, "text": f"Repetition {number}: keep your left knee over the toes."}
        for number in range(5400)
    ]
    say(clip, *said)
    labels = Labels.beside(clip)
    assert labels.feedback[-1] == Feedback(t=10_798.0, text=said[-1]["text"]) and len(labels.feedback) == 5400
    labels.check_fits(3 * 3600, clip.name)
