import pytest

from posellm_assets.texts.mirror import mirror_text


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("the left arm", "the right arm"),
        ("Left foot, then RIGHT foot", "Right foot, then LEFT foot"),
        ("left-handed serve", "right-handed serve"),
        ("moves leftwards", "moves rightwards"),
        ("turns clockwise", "turns counterclockwise"),
        ("the leftmost player", "the rightmost player"),
    ],
)
def test_sides_change_places_and_keep_their_case(text: str, mirrored: str):
    assert mirror_text(text) == mirrored
    assert mirror_text(mirrored) == text


@pytest.mark.parametrize(
    "text", ["stands upright", "starts right away", "at a right angle", "a bright cleft", "all right"]
)
def test_words_that_are_no_sides_stay(text: str):
    assert mirror_text(text) == text
