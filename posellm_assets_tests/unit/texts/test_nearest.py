import pytest

from posellm_assets.texts.glossary import Name, glossary_of, spoken
from posellm_assets.texts.nearest import Nearest
from posellm_assets.texts.words import Stems, Words

LABELS = {
    "squat": "fitness",
    "jumping jack": "fitness",
    "kick": "football",
    "left lunge": "fitness",
    "right lunge": "fitness",
}


def nearest(*languages: str, **texts: str) -> Nearest:
    names = {
        label: [name for language in languages for name in spoken(label, language, glossary_of(sport))]  # type: ignore[arg-type]
        for label, sport in LABELS.items()
    }
    return Nearest({**{label: label for label in LABELS}, **texts}, names, languages)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def english() -> Nearest:
    return nearest("en")


@pytest.mark.parametrize(
    ("prompt", "label"),
    [
        ("An old man is squatting next to a tree", "squat"),
        ("SQUATS!!", "squat"),
        ("sqaut", "squat"),
        ("he crouches", "squat"),
        ("jumpingjacks", "jumping jack"),
        ("two star jumps", "jumping jack"),
        ("she kicked a tin", "kick"),
        ("lunges with the left leg", "left lunge"),
        ("lunges with the right leg", "right lunge"),
    ],
)
def test_a_sentence_is_nearest_to_the_movement_that_it_names(english: Nearest, prompt: str, label: str):
    near = english(prompt)
    assert (near.label, near.known) == (label, True), near


@pytest.mark.parametrize(
    "prompt",
    [
        "a gymnast does a backflip",
        "someone swims the crawl",
        "penalty kick",
        "playing the violin",
        "una persona hace una sentadilla",
        "一个人做深蹲",
        "asdf qwer",
        "???",
        "a person",
    ],
)
def test_what_was_never_taught_is_not_known(english: Nearest, prompt: str):
    assert not english(prompt).known, english(prompt)


def test_what_was_taught_in_another_language_is_known_in_it():
    of_three = nearest("en", "es", "zh")
    asked = ("una persona hace una sentadilla", "一个人在健身房里做深蹲", "a person does a squat")
    assert {of_three(prompt).label for prompt in asked} == {"squat"}
    assert all(of_three(prompt).known for prompt in asked)
    assert not of_three("ein Mann geht spazieren").known


def test_texts_without_a_label_stand_for_themselves():
    captions = ["a person walks in a circle", "somebody throws a ball over a fence", "a dog is petted"]
    of_captions = Nearest(dict.fromkeys(captions), {}, ["en"])
    near = of_captions("someone threw the ball over the fence")
    assert (near.text, near.label, near.known) == (captions[1], None, True)
    assert not of_captions("a violin concerto").known


def test_the_limit_lies_between_what_is_taught_and_what_is_not(english: Nearest):
    assert 0 < english.limit < 1
    assert english.limit == nearest("en").limit, "it is drawn from a seed"
    alone = Nearest({"squat": "squat"}, {"squat": [Name(text="squat", language="en")]}, ["en"])
    assert alone("a squat").known and not alone("a bench press").known


def test_words_weigh_by_how_few_movements_use_them_and_order_counts_a_little():
    texts = ["bends to the left, right arm up", "bends to the right, left arm up", "runs"]
    words = Words(texts, ["left", "right", "run"], ["en"])
    [left, right, run] = words(["bending left, the right arm overhead"])[0]
    assert left > right > 0 == run
    [exact, mistyped, other] = (words([prompt])[0, 2] for prompt in ("runs", "rusn", "sun"))
    assert exact == pytest.approx(1.0) and mistyped == pytest.approx(0.8)
    assert other == 0, "three letters are too few to guess an error"


def test_stems_are_alike_where_words_are():
    stems = Stems(["en"])
    for group in (
        ["squat", "squats", "squatting"],
        ["serve", "serves", "serving"],
        ["lunge", "lunging"],
        ["run", "ran"],
    ):
        assert len({tuple(stems.of(word)) for word in group}) == 1, group
    assert stems.of("a person does it again") != [] and stems.of("a person does a squat") == stems.of("squat")
