"""How people ask for a movement: from what it is called to what somebody types, drawn by chance.

Patterns, persons, details and inflection are data, a file for each language in `asking/`. What is drawn is what models
learn to understand; figures are taken of sentences that are not drawn here.
"""

import random
import re
from functools import cache
from importlib.resources import files
from string import Formatter

import yaml
from pydantic import Field

from posellm_assets.records import Record
from posellm_assets.texts.config import LANGUAGES
from posellm_assets.texts.glossary import Name

TYPING_ERRORS = 0.1
"""How often what is drawn holds a typing error."""
DROPPED = 0.15
"""Share of the words that `dropped` leaves out."""
_CASES = (str, str.lower, str.capitalize, str.upper)
_CASE_SHARES = (0.5, 0.25, 0.2, 0.05)
_ENDS, _END_SHARES = ("", ".", "!", "..."), (0.6, 0.3, 0.07, 0.03)


class WaysToAsk(Record):
    """How people ask in one language, and what their words say; `asking/en.yaml` tells what each key means."""

    forms: dict[str, list[tuple[str, str]]]
    who: list[str] = Field(min_length=1)
    detail: list[str] = Field(min_length=1)
    patterns: list[str] = Field(min_length=1)
    told: list[str] = Field(min_length=1)
    ordinary: list[str]
    endings: list[str]
    alike: list[list[str]]

    def forms_of(self, name: Name) -> dict[str, str]:
        """The name in each form that it has, by what stands for it in braces."""
        if name.told:
            return {"told": name.text}
        found = {"name": name.text}
        for form, rules in self.forms.items():
            fitting = next((rule for rule in rules if re.search(rule[0], name.text)), None)
            if fitting:
                found[form] = re.sub(*fitting, name.text)
        return found

    @property
    def words(self) -> set[str]:
        """The words of persons, details and patterns."""
        texts = (*self.who, *self.detail, *self.patterns, *self.told)
        return {word for text in texts for word in re.sub(r"{\w+}", " ", text).split()}


@cache
def asking(language: str) -> WaysToAsk:
    """How people ask in one of `config.LANGUAGES`."""
    content = files(__package__).joinpath("asking", f"{language}.yaml").read_text(encoding="utf-8")
    return WaysToAsk.model_validate(yaml.safe_load(content))


def phrased(name: Name, choose: random.Random) -> str:
    """A way to ask for the movement `name`, as nobody has typed it yet: no typing errors.

    In a language whose patterns the project does not have, the name itself.

    >>> phrased(Name(text="squat", language="en"), random.Random(7))
    'a kid performs a squat at home'
    """
    if name.language not in LANGUAGES:
        return name.text
    own = asking(name.language)
    fillings = {**own.forms_of(name), "who": choose.choice(own.who), "detail": choose.choice(own.detail)}
    patterns = [pattern for pattern in (own.told if name.told else own.patterns) if _names(pattern) <= fillings.keys()]
    return " ".join(choose.choice(patterns).format(**fillings).split())


def typed(text: str, choose: random.Random) -> str:
    """`text` as somebody types it: in any case, with or without a full stop, rarely with a typing error."""
    if choose.random() < TYPING_ERRORS:
        text = _mistyped(text, choose)
    text = choose.choices(_CASES, _CASE_SHARES)[0](text)
    return text if text[-1:] in ".!?。" else text + choose.choices(_ENDS, _END_SHARES)[0]


def dropped(text: str, choose: random.Random) -> str:
    """`text` without some of its words, never without all."""
    words = text.split()
    kept = [word for word in words if choose.random() >= DROPPED]
    return " ".join(kept or words)


def _mistyped(text: str, choose: random.Random) -> str:
    """`text` with one letter left out, doubled, or exchanged with the next one, in a word of at least four."""
    places = [found.start() + at for found in re.finditer(r"[^\W\d_]{4,}", text) for at in range(1, len(found[0]) - 1)]
    if not places:
        return text
    at = choose.choice(places)
    instead, letters = choose.choice((("", 1), (text[at] * 2, 1), (text[at + 1] + text[at], 2)))
    return text[:at] + instead + text[at + letters :]


@cache
def _names(pattern: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(pattern) if name)
