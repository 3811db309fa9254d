"""What a text says of the mirror image: left and right change places, in every language that the project has.

The words, and those that look like a side and are none ("right away", "espalda derecha" for a straight back, "左右" for
about), are data in `words/`. What cannot be told apart without understanding the text is taken for a side: "left" as a
past tense.
"""

import re
from functools import cache

from posellm_assets.texts.config import LANGUAGES
from posellm_assets.texts.wording import words


def can_mirror(language: str | None) -> bool:
    """Whether the sides of a text are known: one of the project's languages, or not said (then all are tried)."""
    return language is None or language in LANGUAGES


def mirror_text(text: str, language: str | None = None) -> str:
    """`text` with left and right exchanged, their case kept ("Left arm" becomes "Right arm").

    `language` is that of the text; where it is None the sides of every language of the project are exchanged: their
    words do not collide. Mirroring twice gives the text back, but for the spelling of anticlockwise. Raises ValueError
    for a language whose sides the project does not know (`can_mirror`).
    """
    if not can_mirror(language):
        raise ValueError(f"left and right are not known in the language {language!r}; known: {', '.join(LANGUAGES)}")
    pattern, opposite = _sides((language,) if language else LANGUAGES)
    return pattern.sub(
        lambda found: _in_case_of(found[0], opposite[found[0].lower()]) if found["side"] else found[0], text
    )


@cache
def _sides(languages: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern that finds what is kept, and as `side` what changes; and what each side becomes."""
    opposite: dict[str, str] = {}
    kept, sides = [], []
    for language in languages:
        mirror = words(language)["mirror"]
        here = mirror["pairs"] | {right: left for left, right in mirror["pairs"].items()} | mirror["also"]
        # Labels are words joined by "_" too, so only letters and digits belong to a word.
        start, end = (r"(?<![^\W_])", r"(?![^\W_])") if mirror["spaced"] else ("", "")
        kept += [f"{start}(?:{phrase}){end}" for phrase in mirror["kept"]]
        # The longest first: "sentido contrario a las agujas del reloj" holds no shorter one.
        sides += [f"{start}{re.escape(word)}{end}" for word in sorted(here, key=len, reverse=True)]
        opposite |= here
    return re.compile(f"(?:{'|'.join(kept)})|(?P<side>{'|'.join(sides)})", re.IGNORECASE), opposite


def _in_case_of(model: str, word: str) -> str:
    if model.isupper():
        return word.upper()
    return word.capitalize() if model[0].isupper() else word
