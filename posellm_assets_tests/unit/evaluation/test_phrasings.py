"""The sentences that a model is measured with: right English of any label, 20 in each language, none of them taught."""

import random

import pytest

from posellm_assets.evaluation.config import EvaluationConfig
from posellm_assets.evaluation.phrasings import Sentence, english_forms, phrasings, sentences, written_alike
from posellm_assets.texts.config import LANGUAGES
from posellm_assets.texts.glossary import Name
from posellm_assets.texts.phrasings import phrased

CONFIG = EvaluationConfig()


@pytest.mark.parametrize(
    ("label", "one", "many", "doing", "does", "do"),
    [
        ("squat", "a squat", "squats", "squatting", "squats", "squat"),
        ("run", "a run", "runs", "running", "runs", "run"),
        ("kick", "a kick", "kicks", "kicking", "kicks", "kick"),
        ("throw", "a throw", "throws", "throwing", "throws", "throw"),
        ("serve", "a serve", "serves", "serving", "serves", "serve"),
        ("punch", "a punch", "punches", "punching", "punches", "punch"),
        ("walk forward", "a walk forward", "walks forward", "walking forward", "walks forward", "walk forward"),
        ("arm raise", "an arm raise", "arm raises", "doing arm raises", "does arm raises", "do an arm raise"),
        ("jump squat", "a jump squat", "jump squats", "doing jump squats", "does jump squats", "do a jump squat"),
        ("high knees", "high knees", "high knees", "doing high knees", "does high knees", "do high knees"),
        ("walking", "walking", "rounds of walking", "walking", "goes walking", "go walking"),
        ("rope skipping", "rope skipping", "rounds of rope skipping", "doing rope skipping", "goes rope skipping",
         "go rope skipping"),
    ],
)  # fmt: skip
def test_english_names_are_inflected(label: str, one: str, many: str, doing: str, does: str, do: str) -> None:
    expected = {"label": label, "one": one, "many": many, "doing": doing, "does": does, "do": do}
    assert english_forms(label) == expected


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_twenty_different_sentences_of_any_name(language) -> None:
    for name in ("squat", "high knees", "深蹲", "sentadilla con salto", "running"):
        asked = phrasings(name, language)
        assert len({written_alike(text) for text in asked}) == 20
        assert not any("{" in text for text in asked)


def test_what_is_a_training_text_is_left_out_however_it_is_written() -> None:
    first, second, *_ = phrasings("squat", "en")
    taught = ["squat", first.upper() + " !", second.replace(" ", "  ")]
    asked, left_out = sentences({"squat": {"en": "squat"}}, taught, CONFIG, 0)
    assert [one.text for one in left_out] == [first, second] and len(asked) == 18
    assert not {written_alike(one.text) for one in asked} & {written_alike(text) for text in taught}


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_one_that_training_draws(language) -> None:
    for name in ("squat", "arm raise", "run", "sentadilla", "深蹲"):
        choose, taught = random.Random(0), Name(text=name, language=language)
        drawn = {written_alike(phrased(taught, choose)) for _ in range(4000)}
        assert len(drawn) > 50 and not drawn & {written_alike(text) for text in phrasings(name, language)}


def test_more_labels_than_there_is_room_for_get_as_many_sentences_each_drawn_by_the_seed() -> None:
    labels = {f"move {number}": {"en": f"move {number}", "es": f"moverse {number}"} for number in range(30)}
    asked, _ = sentences(labels, [], CONFIG.model_copy(update={"most_sentences": 90}), 0)
    of_label = {label: [one for one in asked if one.label == label] for label in labels}
    assert {len(found) for found in of_label.values()} == {3}
    assert {one.language for one in asked} == {"en", "es"}
    again = sentences(labels, [], CONFIG.model_copy(update={"most_sentences": 90}), 1)[0]
    assert again != asked, "another seed asks otherwise"
    whole, _ = sentences({"squat": {"en": "squat", "zh": "深蹲"}}, [], CONFIG, 0)
    assert len(whole) == 40 and Sentence("你会深蹲吗？", "zh", "squat") in whole
