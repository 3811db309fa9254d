"""A recogniser with the motion classifier alone, and what it makes of videos whose truth is known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.actions.config import RecognitionConfig
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.actions.members.classifier import LabelledMotion, MotionClassifier
from posellm_assets.actions.members.ensemble import Ensemble
from posellm_assets.actions.members.familiarity import Familiarity
from posellm_assets.actions.moments.config import WindowConfig
from posellm_assets.actions.moments.shots import motions_of_shots
from posellm_assets.actions.recogniser import ActionRecogniser
from posellm_assets.actions.recognition import Recognition
from posellm_assets.actions.record import FamiliarityRecord, RecogniserRecord
from posellm_assets.actions.timeline import words_at, write_annotated, write_timeline
from posellm_assets.demo.footage import FPS
from posellm_assets.footage.video import frames, probe
from posellm_assets.motion.config import MotionConfig
from posellm_assets_tests.unit.actions.rendered import cycles, seen, takes, write_grey_video

KNOWN = ("serve", "forehand", "squat", "lunge")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recogniser")
    sets = [LabelSet.of_labels("tennis", KNOWN[:2]), LabelSet.of_labels("gym", KNOWN[2:])]
    examples = [
        LabelledMotion(motions_of_shots(seen(clip), MotionConfig())[0][0], name, name, clip.participant)
        for name in KNOWN
        for clip in takes(name)
    ]
    MotionClassifier.fit(examples, KNOWN).save(folder / "motion")
    familiarity, clips = Familiarity.fit(examples, [], [], WindowConfig())
    familiarity.save(folder / "familiarity")
    ensemble = Ensemble(members=("motion",), temperatures={"motion": 1.0}, weights={"motion": 1.0})
    RecogniserRecord(
        label_set=LabelSet.joined("all", sets),
        members={"motion": {"model": "motion"}},
        absent={"video-mae": "recognition.video_mae names no folder with its weights"},
        ensemble=ensemble,
        familiarity=FamiliarityRecord(clips=clips, held_out=0, others=0),
        training_clips=len(examples),
        validation_clips=0,
        seed=0,
        cpu_seconds=0.0,
    ).write(folder)
    return folder


def test_a_practice_becomes_a_list_of_hits_and_strokes_in_the_fields_of_the_earlier_system(
    folder: Path, tmp_path: Path
) -> None:
    parts = [cycles(takes("serve", 1)[0], 2), cycles(takes("forehand", 1)[1], 2)]
    counts = [part.frame_count for part in parts]
    video = write_grey_video(tmp_path / "practice.mp4", counts, [60, 150])
    subject = seen(*parts)
    truth, start = [], 0.0
    for part, contact in zip(parts, (0.54, 0.50), strict=True):
        truth += [start + (cycle + contact) * part.movement.cycle_s / part.tempo for cycle in range(2)]
        start += part.frame_count / FPS
    found = ActionRecogniser(folder).recognise_poses(video, subject, "tennis")
    assert found.method == "hits"
    assert [hit.timestamp for hit in found.hits] == pytest.approx(truth, abs=0.2)
    assert [hit.action for hit in found.hits] == ["serve", "serve", "forehand", "forehand"]
    told = json.loads(found.model_dump_json())
    assert (told["video"], len(told["segments"])) == (str(video), 4)
    first = told["segments"][0]
    assert set(first["answer"]["opinions"]) == set(told["members"])
    assert first["start_frame"] < first["hit_frame"] < first["end_frame"]
    # Nothing is told across a cut: the last serve ends where the forehand begins.
    assert max(one.end_s for one in found.segments[:2]) <= counts[0] / FPS + 0.05
    write_annotated(video, subject, found, tmp_path / "annotated.mp4")
    assert probe(tmp_path / "annotated.mp4").frame_count == sum(counts)
    drawn = next(frames(tmp_path / "annotated.mp4", start_s=found.hits[0].timestamp)).rgb
    assert drawn[-3, 30, 0] > drawn[-3, 30, 1] + 60, "a red frame flashes at the hit"
    write_timeline(found, tmp_path / "practice.html", tmp_path / "annotated.mp4")
    page = (tmp_path / "practice.html").read_text()
    assert page.count('class="bar-of"') == 4 and "forehand" in page and 'src="annotated.mp4"' in page


def test_exercises_become_stretches_with_their_repetitions(folder: Path, tmp_path: Path) -> None:
    parts = [cycles(takes("squat", 1)[0], 5), cycles(takes("lunge", 1)[1], 4)]
    video = write_grey_video(tmp_path / "gym.mp4", [part.frame_count for part in parts], [60, 150])
    found = ActionRecogniser(folder).recognise_poses(video, seen(*parts), sport="fitness")
    assert (found.method, len(found.hits)) == ("windows", 0)
    assert [one.answer.action for one in found.segments] == ["squat", "lunge"]
    assert [one.repetitions for one in found.segments] == [pytest.approx(5, abs=1), pytest.approx(4, abs=1)]
    assert found.segments[0].end_s == pytest.approx(parts[0].frame_count / FPS, abs=0.3)
    first = found.segments[0]
    told = [words_at(first, found, time_s) for time_s in np.linspace(first.start_s, first.end_s, 40).tolist()]
    counts = [int(text.rpartition("x")[2]) if "  x" in text else 0 for text in told]
    assert counts[0] == 0 and counts == sorted(counts), "counted up, and not told from the first picture on"
    assert counts[-1] == first.repetitions


def test_a_short_video_is_one_action_whatever_the_sport_and_methods_can_be_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    clip = cycles(takes("serve", 1)[0], 2)
    video = write_grey_video(tmp_path / "serve.mp4", [clip.frame_count], [90])
    recogniser = ActionRecogniser(folder)
    found = recogniser.recognise_poses(video, seen(clip))
    assert (found.method, len(found.segments), found.hits) == ("clip", 1, [])
    assert found.segments[0].answer.action == "serve"
    assert len(recogniser.recognise_poses(video, seen(clip), "tennis", "hits").hits) == 2


def test_a_movement_that_was_not_taught_is_none_of_the_classes_in_everything_that_is_written(
    folder: Path, tmp_path: Path
) -> None:
    parts = [cycles(takes("squat", 1)[0], 4), cycles(takes("side bend", 1)[1], 4)]
    video = write_grey_video(tmp_path / "gym.mp4", [part.frame_count for part in parts], [60, 150])
    recogniser, subject = ActionRecogniser(folder), seen(*parts)
    found = recogniser.recognise_poses(video, subject, "gym")
    assert [one.answer.action for one in found.segments] == ["squat", "none"]
    squats, bends = (one.answer for one in found.segments)
    assert (squats.familiarity or 0) > 0.5 > (bends.familiarity or 1) and bends.likeliest in ("squat", "lunge")
    write_annotated(video, subject, found, tmp_path / "annotated.mp4")
    write_timeline(found, tmp_path / "gym.html")
    page = (tmp_path / "gym.html").read_text()
    assert "none of these" in page and "Unlike everything that was taught" in page


def test_a_sport_leaves_its_own_classes_alone(folder: Path, tmp_path: Path) -> None:
    clip = cycles(takes("squat", 1)[0], 2)
    video = write_grey_video(tmp_path / "squat.mp4", [clip.frame_count], [90])
    recogniser = ActionRecogniser(folder)
    answers = {
        sport: recogniser.recognise_poses(video, seen(clip), sport, "clip").segments[0].answer
        for sport in ("gym", "tennis", "golf")
    }
    assert {sport: answer.action for sport, answer in answers.items()} == {
        "gym": "squat", "tennis": "none", "golf": "squat"  # of golf no class is known: all are asked about
    }  # fmt: skip
    assert set(answers["tennis"].probabilities) == {"serve", "forehand"}


def test_somebody_out_of_sight_a_folder_without_recogniser_and_a_lost_model_are_named(
    folder: Path, tmp_path: Path
) -> None:
    clip = cycles(takes("squat", 1)[0], 2)
    video = write_grey_video(tmp_path / "empty.mp4", [clip.frame_count], [90])
    subject = seen(clip)
    unseen = replace(subject, landmarks=np.full_like(subject.landmarks, np.nan), visibility=subject.visibility * 0)
    with pytest.raises(ValueError, match="nobody is in view"):
        ActionRecogniser(folder).recognise_poses(video, unseen)
    with pytest.raises(FileNotFoundError, match="materialize the asset action_recogniser"):
        ActionRecogniser(tmp_path)
    RecogniserRecord.read(folder).write(tmp_path)
    with pytest.raises(FileNotFoundError, match="which is gone"):
        ActionRecogniser(tmp_path)


def test_settings_choose_the_threshold_rule(folder: Path) -> None:
    recogniser = ActionRecogniser(folder, RecognitionConfig(rule="threshold", threshold=0.5))
    assert (recogniser.ensemble.rule, recogniser.ensemble.threshold) == ("threshold", 0.5)
    assert recogniser.absent == {"video-mae": "recognition.video_mae names no folder with its weights"}


def test_damaged_predictions_are_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "tennis.rally.0000000a.json"
    path.write_text('{"video": "rally.mp4"}')
    with pytest.raises(ValueError, match=r"damaged \(duration_s: .*predictions for tennis\.rally\.0000000a again"):
        Recognition.read(path)
