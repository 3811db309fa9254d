"""Rows to train on: what a teacher was asked and answered, nobody on two sides; what is left out has its reason."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from posellm_assets.coaching.labels.endpoint_teacher import PROMPT
from posellm_assets.coaching.labels.lake_labels import Labeller
from posellm_assets.coaching.labels.schema import TeacherAnswer
from posellm_assets.coaching.model.config import CoachingDatasetConfig
from posellm_assets.coaching.model.dataset import CoachingExample, UnusableCoaching, answer_of, balanced, write_dataset
from posellm_assets.coaching.model.dataset_sources import from_lake
from posellm_assets.coaching.model.images import LeftOut
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.files import read_json, write_json
from posellm_assets.footage.splits import split_of
from posellm_assets.lake import Lake
from posellm_assets_tests.coaching_clips import add

CLEAN, LAGS, FAST = DemoRepetition(), DemoRepetition("asymmetric arms", "right"), DemoRepetition("too fast")
PEOPLE = {split: next(f"p{n}" for n in range(99) if split_of(f"p{n}") == split) for split in ("train", "val", "test")}
CONFIG = CoachingDatasetConfig()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three people's squats with labels, one without a label, and a serve, for which there are no rules."""
    here = Lake(tmp_path_factory.mktemp("lake"))
    labeller = Labeller(here, ["rules"])
    for number, who in enumerate(PEOPLE.values()):
        key = add(here, number, "squat", (CLEAN, LAGS, CLEAN, FAST), "2026-01-01T10:00:00Z", who)
        sheet = here.contact_sheet(key)
        cv2.imwrite(str(sheet), np.full((40, 60, 3), 90, np.uint8))
        labeller.label(key)
    labeller.label(add(here, 8, "serve", (CLEAN, CLEAN), "2026-01-01T10:00:00Z"))
    add(here, 9, "squat", (CLEAN, CLEAN), "2026-01-01T10:00:00Z")
    return here


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_ask_and_answer_as_a_teacher_does_and_participants_keep_their_side(lake: Lake, tmp_path: Path) -> None:
    keys = lake.registered_videos()
    stats = write_dataset(tmp_path / "set", *from_lake(lake, keys), CONFIG)
    for split in ("train", "val", "test"):
        (row,) = rows(tmp_path / "set" / f"{split}.jsonl")
        system, asked, answered = row["messages"]
        assert (system["role"], system["content"]) == ("system", PROMPT)
        assert asked["content"].startswith("Exercise: squat.") and "Repetition 4" in asked["content"]
        answer = TeacherAnswer.model_validate_json(answered["content"])
        assert {point.fault for point in answer.feedback_points} == {"asymmetric arms", "too fast"}
        (seen,) = rows(tmp_path / "set" / f"{split}.images.jsonl")
        image, text = seen["messages"][1]["content"]
        assert text == {"type": "text", "text": asked["content"]}
        assert (tmp_path / "set" / image["image"]).is_file()
        assert stats["splits"][split] == {"examples": 1, "sources": 1}
    assert stats["faults"] == {"asymmetric arms": 3, "too fast": 3}
    reasons = {one["what"].split(".")[1]: one["reason"] for one in stats["left_out"]}
    assert "there are rules for" in reasons["8"] and "materialise coaching_labels" in reasons["9"]
    assert read_json(tmp_path / "set" / "dataset_stats.json") == stats


def test_a_damaged_label_is_left_out_with_what_is_wrong_and_what_to_do(lake: Lake, tmp_path: Path) -> None:
    key = next(key for key in lake.registered_videos() if ".9." in key)
    write_json(lake.coaching_label(key), {"status": "success", "feedback_points": []})
    examples, (left_out,) = from_lake(lake, [key])
    lake.coaching_label(key).unlink()
    assert examples == [] and "is damaged" in left_out.reason and "label_coaching" in left_out.reason


def example(name: str, activity: str = "squat", split: str = "train") -> CoachingExample:
    return CoachingExample(name, activity, name, split, "facts", answer_of("Good.", ()), "rules", None)


def test_rare_activities_are_repeated_in_turn_but_not_without_end() -> None:
    squats = [example(f"s{number}") for number in range(10)]
    lunges = [example(f"l{number}", "lunge") for number in range(4)]
    names = [one.id for one in balanced([*squats, *lunges, example("j", "jack")], most_repeats=3)]
    assert {name: names.count(name) for name in ("s0", "l0", "l1", "l2", "j")} == {
        "s0": 1,
        "l0": 3,
        "l1": 3,
        "l2": 2,
        "j": 3,
    }


def test_what_cannot_be_trained_on_is_said_and_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    long = replace(example("a"), facts="x" * 40_000)
    with pytest.raises(UnusableCoaching, match="label footage of more"):
        write_dataset(tmp_path / "out", [long, example("b", split="val")], [LeftOut("c", "no label")], CONFIG)
    stats = write_dataset(tmp_path / "out", [long, example("b")], [], CONFIG)
    assert "32000 allowed" in stats["left_out"][0]["reason"] and stats["train_rows"] == 1
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(UnusableCoaching, match="not empty"):
        write_dataset(tmp_path / "mine", [example("b")], [], CONFIG)
