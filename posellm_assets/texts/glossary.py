"""What movements are called, sport by sport: names and synonyms in each language, and phrasings of that sport.

Glossaries are data: the project's own in `sports/`, a user's in the lake's folder `glossary/`, one YAML file each. A
sport without a glossary, or a label that none knows, is written as its owner wrote it.
"""

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

from pydantic import Field, ValidationError, field_validator

from posellm_assets.keys import slug
from posellm_assets.lake import Lake
from posellm_assets.records import Record
from posellm_assets.texts.config import Language
from posellm_assets.texts.wording import words
from posellm_assets.yaml_files import explained, read_yaml

Names = dict[Language, list[str]]


class Glossary(Record):
    """One sport: its folders in the drop zone, its name, its movements by any key, and more phrasings of captions.

    A phrasing begins with {label} and a name before a colon is what a description is recognised by, so it reads
    "{label} ...: {facts}".
    """

    folders: list[str] = Field(min_length=1)
    sport: dict[Language, str] = Field(default_factory=dict)
    terms: dict[str, Names] = Field(default_factory=dict)
    captions: dict[Language, list[str]] = Field(default_factory=dict)

    @field_validator("captions")
    @classmethod
    def _filled(cls, captions: dict[Language, list[str]]) -> dict[Language, list[str]]:
        for pattern in (pattern for patterns in captions.values() for pattern in patterns):
            names = {name for _, name, _, _ in Formatter().parse(pattern) if name is not None}
            if not names <= {"label", "sport", "facts"} or "facts" not in names or not pattern.startswith("{label}"):
                raise ValueError(f"{pattern!r}: begins with {{label}}, holds {{facts}}, and may hold {{sport}}")
        return captions

    def names(self, label: str) -> Names:
        """The names of the movement that `label`, in words, names in any language; empty where it is not known."""
        for names in self.terms.values():
            if any(label == name.lower() for spelled in names.values() for name in spelled):
                return names
        return {}


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
