import pytest

from posellm_assets.motion.augment import mirror
from posellm_assets.texts.config import LANGUAGES
from posellm_assets.texts.describe import describe
from posellm_assets.texts.facts import measure
from posellm_assets.texts.mirror import can_mirror, mirror_text
from posellm_assets_tests.unit.texts.athletes import athlete, wave


@pytest.mark.parametrize(
    ("language", "text", "mirrored"),
    [
        ("en", "the left arm", "the right arm"),
        ("en", "Left foot, then RIGHT foot", "Right foot, then LEFT foot"),
        ("en", "left-handed serve", "right-handed serve"),
        ("en", "a lefty moves leftwards", "a righty moves rightwards"),
        ("en", "turns clockwise", "turns counterclockwise"),
        ("en", "the leftmost player", "the rightmost player"),
        ("en", "left_side_bend", "right_side_bend"),
        ("es", "la mano izquierda y el codo derecho", "la mano derecha y el codo izquierdo"),
        ("es", "los brazos izquierdos; las piernas DERECHAS", "los brazos derechos; las piernas IZQUIERDAS"),
        ("es", "Izquierda, derecha, izquierda", "Derecha, izquierda, derecha"),
        ("es", "una jugadora zurda", "una jugadora diestra"),
        ("es", "gira en sentido horario", "gira en sentido antihorario"),
        ("es", "en sentido contrario a las agujas del reloj", "en sentido de las agujas del reloj"),
        ("zh", "左手举过头顶，右脚在前", "右手举过头顶，左脚在前"),
        ("zh", "先顺时针，再逆时针", "先逆时针，再顺时针"),
        ("zh", "左手举起左右10次左右", "右手举起左右10次左右"),
    ],
)
def test_sides_change_places_and_keep_their_case(language: str, text: str, mirrored: str):
    for known in (language, None):
        assert mirror_text(text, known) == mirrored
        assert mirror_text(mirrored, known) == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "stands upright"),
        ("en", "starts right away"),
        ("en", "at a right angle"),
        ("en", "a bright cleft"),
        ("en", "all right"),
        ("en", "leftovers from copyright law"),
        ("en", "he left the court"),
        ("es", "con la espalda derecha"),
        ("es", "camina derecho"),
        ("es", "el tronco bien derecho"),
        ("zh", "重复20次左右"),
    ],
)
def test_words_that_are_no_sides_stay(language: str, text: str):
    for known in (language, None):
        assert mirror_text(text, known) == text


def test_the_language_that_is_said_decides_which_words_are_sides():
    assert mirror_text("la mano left", "es") == "la mano left"
    assert mirror_text("la mano left derecha") == "la mano right izquierda"


def test_a_text_in_a_language_whose_sides_are_not_known_is_refused_and_not_left_as_it_is():
    assert not can_mirror("fr") and can_mirror(None)
    with pytest.raises(ValueError, match=r"'fr'; known: en, es, zh"):
        mirror_text("le bras gauche", "fr")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_description_of_the_mirrored_motion_is_the_mirrored_description(language: str):
    motion = athlete(6.0, left_arm=wave(6.0, 1.5, 0, 170), right_knee=wave(6.0, 2.0, 0, 60), side=wave(6.0, 2.0, 0, 40))
    sentences = describe(measure(motion), language)
    assert len(sentences) > 4
    assert sorted(mirror_text(s, language) for s in sentences) == sorted(describe(measure(mirror(motion)), language))
