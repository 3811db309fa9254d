"""What a text says of the mirror image: left and right change places."""

import re

_OPPOSITE = {"left": "right", "right": "left", "clockwise": "counterclockwise"}
_OPPOSITE |= {"counterclockwise": "clockwise", "anticlockwise": "clockwise", "counter-clockwise": "clockwise"}
# "right" that is not a side; "left" as a past tense cannot be told apart and is taken for the side.
_NOT_A_SIDE = r"(?!(?<=right)[ -](?:away|now|angles?|before|after|then)\b)"
_WORD = re.compile(
    rf"(?<!all )\b(left|right|counter-?clockwise|anticlockwise|clockwise)(?=\b|most|wards?|ies?\b|y\b){_NOT_A_SIDE}",
    re.I,
)


def mirror_text(text: str) -> str:
    """`text` with left and right exchanged, their case kept ("Left arm" becomes "Right arm").

    Idioms such as "right away" and words such as "upright" stay. Mirroring twice gives the text back, but for the
    spelling of anticlockwise.
    """
    return _WORD.sub(lambda match: _in_case_of(match[0], _OPPOSITE[match[0].lower()]), text)


def _in_case_of(model: str, word: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word
