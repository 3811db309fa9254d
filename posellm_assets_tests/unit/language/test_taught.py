from pathlib import Path

import pytest

from posellm_assets.language.clips import TrainingClip, View
from posellm_assets.language.config import SamplingConfig
from posellm_assets.language.sampling import LengthControl
from posellm_assets.language.taught import Taught, TaughtText
from posellm_assets.texts.glossary import Name
from posellm_assets_tests.unit.language import samples


def clip(label: str | None, size: int, *texts: str) -> TrainingClip:
    names = (Name(text=label, language="en"),) if label else ()
    return TrainingClip("k", label, (View((1,) * size, texts, label, names=names),))


@pytest.fixture
def taught() -> Taught:
    clips = [
        clip("squat", 10, "squat", "squat: both knees bend 2 times"),
        clip("squat", 20, "squat", "A person bends the knees."),
        clip("serve", 40, "serve", "A tennis player serves."),
    ]
    return Taught.of(clips, 64)


def test_a_prompt_is_asked_as_what_it_is_nearest_to_with_its_own_words(taught: Taught):
    assert taught.asked("Somebody squats, 2 times, with Bärbel") == "squat: Somebody squats, 2 times, with Bärbel"
    assert taught.asked("squat") == "squat" and taught.asked("Squat") == "Squat"
    assert taught.asked("squat: both knees bend 9 times") == "squat: both knees bend 9 times"
    assert taught.asked("A tennis player serves.") == "A tennis player serves.", "it was taught as it is"
    assert taught.asked("a backflip") == "a backflip", "near to nothing"


def test_the_length_is_that_of_the_text_then_of_its_movement_then_of_all(taught: Taught):
    assert taught.expected("squat: both knees bend 2 times") == 10
    assert taught.expected("three quick squats") == 10 == taught.movements["squat"].length
    assert taught.expected("he serves") == 40
    assert taught.expected("a backflip") == taught.overall == 20
    assert LengthControl.around(20, SamplingConfig()) == LengthControl(12, 20, 28)


def test_captions_without_labels_are_asked_for_in_their_own_words():
    taught = Taught.of([clip(None, 10, "a person walks in a circle"), clip(None, 30, "somebody throws a ball")], 64)
    assert taught.asked("a man throws the ball away") == "somebody throws a ball"
    assert taught.expected("a man throws the ball away") == 30
    assert Taught(row_tokens=64, overall=5).asked("anything") == "anything"
    assert Taught(row_tokens=64, overall=5).expected("anything") == 5


def test_a_text_of_two_movements_is_of_neither():
    both = [clip("squat", 10, "the knees bend"), clip("lunge", 10, "the knees bend")]
    assert Taught.of(both, 64).texts["the knees bend"] == TaughtText(length=10, codes=(1,), label=None)


def test_what_is_kept_beside_a_model_is_read_again(taught: Taught, tmp_path: Path):
    taught.write(tmp_path)
    again = Taught.read(tmp_path)
    assert again == taught and again.near("squats").label == "squat"
    assert samples.LABELS[0] in again.movements
