"""The sentences that a model is asked for a movement with, none of them a training text: data in `phrasings.yaml`.

Whoever types, types a sentence. So what is measured first is how often a motion shows the movement that a sentence
names, in words that the model was never taught.
"""

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from posellm_assets.evaluation.config import EvaluationConfig
from posellm_assets.texts.config import Language

_SIBILANTS = ("s", "x", "z", "ch", "sh")
# A short verb that ends in one vowel and one consonant doubles that: running, squatting, but not kicking or throwing.
_DOUBLED = re.compile(r"(?:[^aeiou]|qu)*[aeiou][^aeiouwxy]")


@dataclass(frozen=True)
class Sentence:
    """What is asked for a label, in one language."""

    text: str
    language: Language
    label: str


def phrasings(name: str, language: Language) -> list[str]:
    """The 20 sentences about the movement that is called `name` in `language`."""
    forms = english_forms(name) if language == "en" else {"label": name}
    return [frame.format(**forms) for frame in _grammar(language)["frames"]]


def sentences(
    names: Mapping[str, Mapping[Language, str]], taught: Iterable[str], config: EvaluationConfig, seed: int
) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences to ask for each label, and those left out because they are training texts.

    Where there are more labels than `config.most_sentences` has room for, each gets as many as the others, drawn by
    `seed`: at least one.

    Args:
        names: what each label is called, by language.
        taught: all texts that the model was trained on.
        config: how many are asked.
        seed: of the draw.
    """
    known = {written_alike(text) for text in taught}
    share = max(1, config.most_sentences // max(1, len(names)))
    asked: list[Sentence] = []
    left_out: list[Sentence] = []
    for label, of_label in names.items():
        found = [
            Sentence(text, language, label)
            for language, name in of_label.items()
            for text in phrasings(name, language)[: config.phrasings]
        ]
        left_out += [one for one in found if written_alike(one.text) in known]
        new = [one for one in found if written_alike(one.text) not in known]
        if len(new) > share:
            chosen = sorted(random.Random(f"{seed} {label}").sample(range(len(new)), share))
            new = [new[index] for index in chosen]
        asked += new
    return asked, left_out


def written_alike(text: str) -> str:
    """A text without what nobody hears: case, punctuation and spaces."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def english_forms(label: str) -> dict[str, str]:
    """The forms of an English name of a movement that the frames hold.

    A name is a verb ("run", "walk forward"), a gerund ("walking", "rope skipping"), a plural ("high knees") or, most
    often, something that one does ("jumping jack").
    """
    first, *rest = label.split(" ")
    grammar = _grammar("en")
    alone = all(word in grammar["directions"] for word in rest)
    if first in grammar["verbs"] and alone:
        tail = " ".join(["", *rest])
        one = f"{_article(first)} {first}{tail}"
        many = f"{_with_s(first)}{tail}"
        return _forms(label, one, many, f"{_gerund(first)}{tail}", many, label)
    if (first.endswith("ing") and alone) or label.endswith("ing"):
        doing = label if alone else f"doing {label}"
        return _forms(label, label, f"rounds of {label}", doing, f"goes {label}", f"go {label}")
    if not label.isascii() or (label.endswith("s") and not label.endswith("ss")):
        return _forms(label, label, label, f"doing {label}", f"does {label}", f"do {label}")
    one, many = f"{_article(label)} {label}", _with_s(label)
    return _forms(label, one, many, f"doing {many}", f"does {many}", f"do {one}")


def _forms(label: str, one: str, many: str, doing: str, does: str, do: str) -> dict[str, str]:
    return {"label": label, "one": one, "many": many, "doing": doing, "does": does, "do": do}


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _with_s(word: str) -> str:
    """The plural of a noun, which is also how a verb is written of a third person."""
    if word.endswith(_SIBILANTS):
        return f"{word}es"
    return f"{word[:-1]}ies" if re.search("[^aeiou]y$", word) else f"{word}s"


def _gerund(verb: str) -> str:
    if verb.endswith("e"):
        return f"{verb[:-1]}ing"
    return f"{verb}{verb[-1] if _DOUBLED.fullmatch(verb) else ''}ing"


@cache
def _grammar(language: Language) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(files(__package__).joinpath("phrasings.yaml").read_text(encoding="utf-8"))[
        language
    ]
    return found
