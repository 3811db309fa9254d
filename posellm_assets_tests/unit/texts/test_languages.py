import random
from collections.abc import Iterator
from string import Formatter
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from posellm_assets.lake import Lake
from posellm_assets.settings import load_settings
from posellm_assets.texts.captions import Captions, captions_for
from posellm_assets.texts.config import LANGUAGES, Language, TextsConfig
from posellm_assets.texts.describe import describe
from posellm_assets.texts.facts import measure
from posellm_assets.texts.glossary import _shipped, glossary_of, named
from posellm_assets.texts.wording import words
from posellm_assets_tests.unit.texts.athletes import athlete, march, squat, wave

KEY = "fitness.squats.0123abcd"


def leaves(content: Any, path: str = "") -> Iterator[tuple[str, frozenset[frozenset[str]]]]:
    """Each key of the words with the sets of names that its phrasings fill in."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from leaves(value, f"{path}.{key}")
    else:
        texts = content if isinstance(content, list) else [content]
        yield path, frozenset(frozenset(name for _, name, _, _ in Formatter().parse(str(t)) if name) for t in texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_keys_and_fills_in_the_same_names(language: str):
    def compared(content: dict[str, Any]) -> dict[str, Any]:
        return dict(leaves({key: value for key, value in content.items() if key != "mirror"}))

    assert compared(words(language)) == compared(words("en"))
    assert words(language)["mirror"].keys() == words("en")["mirror"].keys()


def test_every_declared_language_has_words():
    assert get_args(Language) == LANGUAGES and all(words(language) for language in LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_description_holds_the_same_numbers_and_no_name_left_unfilled(language: str):
    motions = [march(8.0, 2.0, 130.0), squat(8.0, 2.0, 90.0), athlete(6.0), athlete(6.0, side=wave(6.0, 2.0, 0, 40))]
    for motion in motions:
        facts = measure(motion)
        sentences = describe(facts, language)
        assert len(sentences) == len(describe(facts, "en"))
        for sentence, english in zip(sentences, describe(facts, "en"), strict=True):
            assert "{" not in sentence
            assert numbers(sentence) == numbers(english)


def numbers(text: str) -> list[str]:
    found = "".join(c if c.isascii() and (c.isdigit() or c == ".") else " " for c in text).split()
    return sorted(number.strip(".") for number in found if number.strip("."))


def captions(label: str | None = "squat", languages=LANGUAGES, sport: str = "fitness", **how) -> Captions:
    return captions_for(
        KEY, squat(8.0, 2.0, 90.0), sport=sport, label=label, user_captions=[], languages=languages,
        glossary=glossary_of(sport), **how,
    )  # fmt: skip


def test_every_caption_carries_its_language_and_english_alone_is_the_default():
    by_language = {language: [t for t in captions().texts if t.language == language] for language in LANGUAGES}
    assert all(len(texts) >= 4 for texts in by_language.values())
    assert all(any("\u4e00" <= c <= "\u9fff" for c in text.text) for text in by_language["zh"])
    assert TextsConfig().languages == ("en",)
    assert {text.language for text in captions(languages=("en",)).texts} == {"en"}


def test_a_known_label_is_told_in_the_words_of_each_language_and_with_its_side():
    texts = captions("left lunge").texts
    assert texts[0].text == "left lunge"
    assert all(text.text.startswith("left lunge") for text in texts if text.language == "en")
    assert all(text.text.startswith("zancada, a la izquierda") for text in texts if text.language == "es")
    assert all(text.text.startswith("弓步蹲（左侧）") for text in texts if text.language == "zh")


def test_the_owners_label_wins_in_their_language_and_where_nobody_knows_it():
    texts = captions("Sentadilla", languages=("es", "en")).texts
    assert all(text.text.startswith("sentadilla") for text in texts if text.language == "es")
    assert all(text.text.startswith("squat") for text in texts if text.language == "en")
    assert all(text.text.startswith("my own thing") for text in captions("my own thing").texts)
    assert [
        (name.text, name.language) for name in captions("Sentadilla", languages=("es", "en")).names if not name.told
    ] == [
        ("sentadilla", "es"),
        ("squat", "en"),
    ]
    english = captions("squat", languages=("es",), user_language="en").texts
    assert (english[0].text, english[0].language) == ("squat", "en")
    assert all(text.text.startswith("sentadilla") for text in english[1:])


def test_a_sport_that_has_no_glossary_is_captioned_without_one():
    texts = captions("wave", sport="kite-surfing").texts
    assert len(texts) >= 7 and all(text.text.startswith("wave") for text in texts)


def test_an_owners_words_keep_the_language_that_their_owner_declared():
    (text, *_) = captions_for(
        KEY, squat(8.0, 2.0, 90.0), sport="fitness", label=None, user_captions=["  Knie beugen "], user_language="de"
    ).texts
    assert (text.text, text.kind, text.language) == ("  Knie beugen ", "user", "de")


def test_the_languages_are_a_setting_and_an_unknown_one_is_refused(tmp_path, monkeypatch):
    lake = Lake(tmp_path / "lake")
    monkeypatch.setenv("POSELLM_TEXTS__LANGUAGES", '["en", "zh"]')
    assert load_settings(lake).texts.languages == ("en", "zh")
    for wrong in (["en", "klingon"], ["en", "en"], []):
        with pytest.raises(ValidationError, match="languages"):
            TextsConfig.model_validate({"languages": wrong})


def test_the_shipped_glossaries_name_every_movement_in_every_language_once():
    folders = [folder for glossary in _shipped() for folder in glossary.folders]
    assert len(folders) == len(set(folders)) and len(_shipped()) >= 10
    for glossary in _shipped():
        assert set(glossary.sport) == set(LANGUAGES)
        for term, names in glossary.terms.items():
            assert set(names) == set(LANGUAGES) and all(names.values()), (glossary.folders, term)
        for language in LANGUAGES:
            first = [names[language][0] for names in glossary.terms.values()]
            assert len(first) == len(set(first)), (glossary.folders, language)


def test_a_user_adds_a_sport_or_a_movement_with_a_file_in_the_lake(tmp_path):
    lake = Lake(tmp_path)
    assert glossary_of("curling", lake).terms == {}
    (tmp_path / "glossary").mkdir()
    (tmp_path / "glossary" / "mine.yaml").write_text(
        "folders: [curling, tennis]\nterms:\n  sweep: {en: [sweep, brushing], es: [barrido]}\n", encoding="utf-8"
    )
    assert named("sweep", "es", glossary_of("curling", lake)) == ["barrido"]
    tennis = glossary_of("tennis", lake)
    assert named("sweep", "en", tennis) == ["sweep", "brushing"] and named("serve", "es", tennis)[0] == "saque"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("terms: {}\n", "folders"),
        ("folders: [curling]\nterm: {}\n", "term"),
        ("folders: [curling]\nterms:\n  sweep: {xx: [sweep]}\n", "xx"),
        ("folders: [curling]\ncaptions:\n  en: ['a fine {label}: {facts}']\n", "begins with"),
        ("folders: [curling]\ncaptions:\n  en: ['{label}: {score}']\n", "begins with"),
        ("folders: [curling]\ntold:\n  sweep: {en: [sweeps]}\n", "no key of terms"),
        ("folders: [curling]\nterms: {s: {en: [s]}}\ntold: {s: {en: ['{who} sweeps']}}\n", "may hold {side}"),
        ("folders: [\n", "not YAML"),
    ],
)
def test_a_glossary_that_cannot_be_used_is_refused_with_its_file_and_key(tmp_path, content: str, complaint: str):
    (tmp_path / "glossary").mkdir()
    (tmp_path / "glossary" / "curling.yaml").write_text(content)
    with pytest.raises(ValueError, match=rf"(?s)curling\.yaml.*{complaint}"):
        glossary_of("curling", Lake(tmp_path))


def test_a_synonym_is_told_beside_the_name_and_every_phrasing_of_a_sport_keeps_the_name_in_front():
    texts = set()
    for number in range(30):
        key = f"fitness.jumping-jack.{number:08x}"
        found = captions_for(
            key, squat(4.0, 2.0, 90.0), sport="fitness", label="jumping jack", user_captions=[],
            glossary=glossary_of("fitness"),
        )  # fmt: skip
        texts |= {text.text for text in found.texts}
    assert all(text.startswith("jumping jack") for text in texts)
    assert "jumping jack (star jump)" in texts and "jumping jack, also called star jump" in texts
    assert any(text.startswith("jumping jack, a fitness exercise: ") for text in texts)


def test_one_caption_tells_how_body_parts_lie_where_that_was_measured():
    choose = random.Random(0)
    for _ in range(5):
        key = f"fitness.raise.{choose.getrandbits(32):08x}"
        raised = athlete(6.0, left_arm=wave(6.0, 1.5, 0, 175), right_arm=wave(6.0, 1.5, 0, 175))
        texts = captions_for(key, raised, sport="fitness", label=None, user_captions=[]).texts
        assert sum("both hands are above the head" in text.text for text in texts) == 1


def test_a_broken_glossary_stops_its_own_sport_only(tmp_path):
    (tmp_path / "glossary" / "archive.yaml").mkdir(parents=True)
    (tmp_path / "glossary" / "curling.yaml").write_text("folders: [")
    (tmp_path / "glossary" / "mine.yaml").write_text("folders: [bowls, boules]\nsprot: {}\n")
    (tmp_path / "glossary" / "zorbing.yaml").write_bytes(
        b"\xef\xbb\xbffolders: [zorbing]\nterms: {roll: {en: [roll]}}\n"
    )
    lake = Lake(tmp_path)
    for sport, complaint in (
        ("curling", "curling.yaml line 1 is not YAML"),
        ("boules", "mine.yaml line 2: sprot is not"),
    ):
        with pytest.raises(ValueError, match=complaint):
            glossary_of(sport, lake)
    assert named("roll", "en", glossary_of("zorbing", lake)) == ["roll"]
    assert glossary_of("tennis", lake) == glossary_of("tennis")
