"""What movements are called, sport by sport: names and synonyms in each language, what somebody does in them in other
words, and phrasings of captions of that sport.

Glossaries are data: the project's own in `sports/`, a user's in the lake's folder `glossary/`, one YAML file each. A
sport without a glossary, or a label that none knows, is written as its owner wrote it.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from posellm_assets.keys import slug
from posellm_assets.lake import Lake
from posellm_assets.records import Record
from posellm_assets.texts.config import Language
from posellm_assets.texts.wording import words
from posellm_assets.yaml_files import explained, read_yaml

Names = dict[Language, list[str]]


class Name(Record):
    """What a movement is called in a language, or, where `told`, what somebody does in it, in the third person."""

    text: str
    language: str
    told: bool = False


class Glossary(Record):
    """One sport: its folders in the drop zone, its name, its movements by any key, what somebody does in them by the
    same keys, and more phrasings of captions.

    What is told may hold {side}, of a movement whose label names one. A phrasing begins with {label} and a name before
    a colon is what a description is recognised by, so it reads "{label} ...: {facts}".
    """

    folders: list[str] = Field(min_length=1)
    sport: dict[Language, str] = Field(default_factory=dict)
    terms: dict[str, Names] = Field(default_factory=dict)
    told: dict[str, Names] = Field(default_factory=dict)
    captions: dict[Language, list[str]] = Field(default_factory=dict)

    @field_validator("captions")
    @classmethod
    def _filled(cls, captions: dict[Language, list[str]]) -> dict[Language, list[str]]:
        for pattern in (pattern for patterns in captions.values() for pattern in patterns):
            names = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
            if not names <= {"label", "sport", "facts"} or "facts" not in names or not pattern.startswith("{label}"):
                raise ValueError(f"{pattern!r}: begins with {{label}}, holds {{facts}}, and may hold {{sport}}")
        return captions

    @model_validator(mode="after")
    def _of_its_movements(self) -> "Glossary":
        unknown = sorted(self.told.keys() - self.terms.keys())
        if unknown:
            raise ValueError(f"told: {unknown[0]!r} is no key of terms")
        for text in (text for names in self.told.values() for told in names.values() for text in told):
            if {name for _, name, _, _ in Formatter().parse(text) if name is not None} - {"side"}:
                raise ValueError(f"told: {text!r} may hold {{side}} and nothing else in braces")
        return self

    def names(self, label: str) -> Names:
        """The names of the movement that `label`, in words, names in any language; empty where it is not known."""
        return self.terms.get(self.term(label), {})

    def term(self, label: str) -> str:
        """The key of the movement that `label`, in words, names in any language; empty where it is not known."""
        for key, names in self.terms.items():
            if any(label == name.lower() for spelled in names.values() for name in spelled):
                return key
        return ""


NO_GLOSSARY = Glossary(folders=["none"])


def glossary_of(sport: str, lake: Lake | None = None) -> Glossary:
    """The glossary of a sport: the project's, with what the lake's own says of the same folder laid over it.

    Raises ValueError naming the file, line and key where the lake's file for this sport is not a glossary.
    """
    own = next((glossary for glossary in _shipped() if sport in glossary.folders), NO_GLOSSARY)
    for path in files_of(lake) if lake else ():
        try:
            users = _read(path.read_bytes(), str(path))
        except ValueError:
            if sport in sports_of(path):
                raise
            continue
        if sport in users.folders:
            return Glossary(
                folders=users.folders,
                sport=own.sport | users.sport,
                terms=users.terms | own.terms | users.terms,  # the user's first, and in place of ours
                told=own.told | users.told,
                captions=own.captions | users.captions,
            )
    return own


def files_of(lake: Lake) -> list[Path]:
    """The user's own glossaries."""
    return sorted(path for path in lake.glossary.glob("*.yaml") if path.is_file())


def check_glossary(path: Path) -> None:
    """Raise ValueError naming the file, the line and the key where it is no glossary."""
    _read(path.read_bytes(), str(path))


def sports_of(path: Path) -> set[str]:
    """The sports of a file that is no glossary, as far as can be told: of its name, and of `folders` in it."""
    try:
        content = read_yaml(path.read_bytes(), str(path)).content
    except ValueError:
        content = None
    folders = content.get("folders") if isinstance(content, dict) else None
    return {slug(path.stem, ""), *(str(folder) for folder in (folders if isinstance(folders, list) else []))}


def named(label: str, language: Language, glossary: Glossary) -> list[str]:
    """`label` (in words) as it is called in `language`: its name, then synonyms; empty where no glossary knows it.

    "left lunge" is looked up as "lunge" and gets its side back.
    """
    names = glossary.names(label).get(language, [])
    side, _, rest = label.partition(" ")
    if names or side not in words("en")["sides"]:
        return names
    sided, sides = words(language)["caption"]["sided"], words(language)["sides"]
    return [sided.format(label=name, side=sides[side]) for name in glossary.names(rest).get(language, [])]


def told_of(label: str, language: Language, glossary: Glossary) -> list[str]:
    """What somebody does in the movement `label` (in words), in `language`; what depends on a side only where it has
    one."""
    side, _, rest = label.partition(" ")
    term, sides = glossary.term(label), words(language)["sides"]
    if not term and side in words("en")["sides"]:
        return [text.format(side=sides[side]) for text in glossary.told.get(glossary.term(rest), {}).get(language, [])]
    return [text for text in glossary.told.get(term, {}).get(language, []) if "{" not in text]


def spoken(label: str, language: Language, glossary: Glossary) -> list[Name]:
    """All that the glossary knows to say of the movement `label` (in words) in `language`."""
    names = [Name(text=text, language=language) for text in named(label, language, glossary)]
    return [*names, *(Name(text=text, language=language, told=True) for text in told_of(label, language, glossary))]


def movements(languages: Iterable[Language]) -> dict[str, list[Name]]:
    """All movements of the project's own glossaries by their English names, with what can be said of each."""
    found: dict[str, list[Name]] = {}
    for glossary in _shipped():
        for names in glossary.terms.values():
            label = names["en"][0].lower()
            found.setdefault(label, []).extend(
                one for language in languages for one in spoken(label, language, glossary)
            )
    return {label: list(dict.fromkeys(names)) for label, names in found.items()}


@cache
def _shipped() -> tuple[Glossary, ...]:
    folder = files(__package__).joinpath("sports")
    found: Iterable[Any] = sorted(folder.iterdir(), key=lambda path: path.name)
    return tuple(_read(path.read_bytes(), path.name) for path in found if path.name.endswith(".yaml"))


def _read(content: bytes, where: str) -> Glossary:
    file = read_yaml(content, where)
    try:
        return Glossary.model_validate(file.content)
    except ValidationError as error:
        raise ValueError(explained(error, Glossary, file)) from error
