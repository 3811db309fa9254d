import doctest
import random
import re
from string import Formatter

import pytest

from posellm_assets.texts import phrasings
from posellm_assets.texts.config import LANGUAGES
from posellm_assets.texts.glossary import Name, glossary_of, movements, spoken, told_of
from posellm_assets.texts.phrasings import asking, dropped, phrased, typed

SQUAT = Name(text="squat", language="en")


def drawn(name: Name, count: int = 300) -> set[str]:
    choose = random.Random(0)
    return {phrased(name, choose) for _ in range(count)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_people_ask_with_fills_in_nothing_that_is_not_there(language: str):
    own = asking(language)
    filled = {"name", "who", "detail", *own.forms}
    for pattern in own.patterns:
        assert {name for _, name, _, _ in Formatter().parse(pattern) if name} <= filled, pattern
    assert all("{told}" in pattern for pattern in own.told)
    assert all(re.compile(rule) for rules in own.forms.values() for rule, _ in rules)
    for name in (name for names in movements([language]).values() for name in names):
        assert not [text for text in drawn(name, 30) if "{" in text or "  " in text or not text.strip()]


def test_english_names_are_put_in_the_plural_with_an_article_and_as_verbs():
    forms = {}
    for text in ("squat", "lunge", "run", "punch", "jumping jack", "arm raise", "high knees", "jog"):
        forms[text] = asking("en").forms_of(Name(text=text, language="en"))
    assert [forms[text]["ing"] for text in ("squat", "lunge", "run", "jog")] == [
        "squatting",
        "lunging",
        "running",
        "jogging",
    ]
    assert [forms[text]["verbs"] for text in ("squat", "punch")] == ["squats", "punches"]
    assert [forms[text]["a"] for text in ("lunge", "arm raise", "high knees")] == [
        "a lunge",
        "an arm raise",
        "high knees",
    ]
    assert [forms[text]["names"] for text in ("jumping jack", "punch")] == ["jumping jacks", "punches"]
    assert "ing" not in forms["jumping jack"], "nobody is jumping jacking"


def test_a_movement_is_asked_for_in_many_ways_that_all_name_it():
    ways = drawn(SQUAT)
    assert len(ways) > 100 and all("squat" in way for way in ways)
    assert {"squat", "a squat", "squats", "squatting", "do a squat"} <= ways
    told = Name(text="sits back and gets up", language="en", told=True)
    assert all(told.text in way for way in drawn(told)) and len(drawn(told)) > 20
    assert drawn(Name(text="Kniebeuge", language="de")) == {"Kniebeuge"}


def test_the_example_of_the_docstring_is_what_is_drawn():
    assert doctest.testmod(phrasings).failed == 0


def test_the_same_generator_draws_the_same():
    first, second = (
        [typed(dropped(phrased(SQUAT, choose), choose), choose) for _ in range(50)]
        for choose in (random.Random(3), random.Random(3))
    )
    assert first == second and len(set(first)) > 20


def test_what_is_typed_keeps_its_letters_but_for_a_rare_error():
    choose, text = random.Random(0), "A person does jumping jacks"
    written = [typed(text, choose) for _ in range(2000)]
    wrong = [one for one in written if one.casefold().strip(".!") != text.casefold()]
    assert 0.05 < len(wrong) / len(written) < 0.15
    assert all(abs(len(one.strip(".!")) - len(text)) <= 1 for one in wrong)
    assert {one[0] for one in written} == {"A", "a"} and {one[-1] for one in written} >= {"s", "."}
    assert typed("腿", choose)[0] == "腿"


def test_words_are_left_out_but_never_all():
    choose = random.Random(0)
    left = [dropped("a person does a squat", choose).split() for _ in range(1000)]
    assert 0.8 < sum(map(len, left)) / 5000 < 0.9
    assert all(left) and {dropped("squat", choose) for _ in range(100)} == {"squat"}


def test_what_is_told_of_a_side_is_told_of_that_side_only():
    yoga = glossary_of("yoga")
    left = told_of("left side bend", "en", yoga)
    assert left and all("left" in text and "{" not in text for text in left)
    assert [text.replace("left", "right") for text in left] == told_of("right side bend", "en", yoga)
    assert told_of("side bend", "en", yoga) == [], "all that is told of it needs a side"
    names = spoken("squat", "en", glossary_of("fitness"))
    assert names[0] == SQUAT and {name.told for name in names} == {False, True}
    assert spoken("my own thing", "en", yoga) == []
