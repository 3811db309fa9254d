"""The classes of a sport, as data: an id, names in each language, synonyms, a description.

The project's own sets are in `label_sets/`, a user's in the lake's folder `label_sets/`, one YAML file for a sport. A
sport without a file has the labels of its footage as classes.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from posellm_assets.keys import slug
from posellm_assets.lake import Lake
from posellm_assets.records import Record
from posellm_assets.texts.mirror import can_mirror, mirror_text
from posellm_assets.yaml_files import YamlFile, explained, read_yaml

Text = Annotated[str, Field(min_length=1, max_length=200)]
Code = Annotated[str, Field(pattern=r"^[a-z]{2,3}$", description="A language (ISO 639)")]


class LabelSetError(ValueError):
    """A label set that cannot be used; the message names the file and the class, and what to do."""


class ActionClass(Record):
    """One class: what it is called in each language, and what else is understood as it."""

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    names: dict[Code, Text] = Field(min_length=1)
    synonyms: dict[Code, list[Text]] = Field(default_factory=dict)
    description: str = ""

    def name(self, language: str) -> str:
        """What the class is called in `language`, or in its first language where it has no name in that one."""
        return self.names.get(language) or next(iter(self.names.values()))

    @property
    def languages(self) -> list[str]:
        """The languages in which it has a name or a synonym."""
        return list(dict.fromkeys([*self.names, *self.synonyms]))

    def spellings(self, language: str) -> list[str]:
        """The name and the synonyms in a language; none where it has none in it."""
        return [*([self.names[language]] if language in self.names else []), *self.synonyms.get(language, [])]

    def with_names_of(self, other: "ActionClass") -> "ActionClass":
        """This class with what `other` is called as well: names in other languages, and synonyms."""
        names = other.names | self.names
        spelled = {
            code: [*self.spellings(code), *other.spellings(code)] for code in [*self.languages, *other.languages]
        }
        synonyms = {
            code: [text for text in dict.fromkeys(own) if text != names.get(code)] for code, own in spelled.items()
        }
        return self.model_copy(update={"names": names, "synonyms": synonyms})


class LabelSet(Record):
    """All classes of a sport (or of several); raises ValueError where two have one id or one name."""

    sport: str
    names: dict[Code, Text] = Field(default={}, description="What the sport is called")
    classes: tuple[ActionClass, ...] = Field(min_length=1)
    of_sports: dict[str, tuple[str, ...]] = Field(default={}, description="Of several sports: the classes of each")

    @model_validator(mode="after")
    def _told_apart(self) -> "LabelSet":
        owners: dict[str, str] = {}
        if len(self._by_id) < len(self.classes):
            repeated = [one for one, times in Counter(one.id for one in self.classes).items() if times > 1]
            raise ValueError(f"two classes have the id {repeated[0]!r}; give one another, or put them together")
        for one in self.classes:
            for spelling in (spelling for language in one.languages for spelling in one.spellings(language)):
                if not normalised_name(spelling):
                    raise ValueError(f"class {one.id!r}: the name {spelling!r} holds neither letters nor digits")
                if owners.setdefault(normalised_name(spelling), one.id) != one.id:
                    owner = owners[normalised_name(spelling)]
                    raise ValueError(f"classes {owner!r} and {one.id!r} are both called {spelling!r}; rename one")
        return self

    @classmethod
    def load(cls, sport: str, lake: Lake | None = None) -> "LabelSet | None":
        """The set of a sport: the lake's where it has a file, else the project's, else None.

        Raises LabelSetError naming the file and what is wrong in it.
        """
        name = f"{slug(sport)}.yaml"
        for path in ([lake.label_sets / name] if lake else []) + [files(__package__).joinpath("label_sets", name)]:
            if path.is_file():
                return _read(path.read_bytes(), sport, str(path))
        return None

    @classmethod
    def of_labels(cls, sport: str, labels: Iterable[str], language: str = "en") -> "LabelSet":
        """The labels of footage as classes: what is written in two ways ("left_lunge", "Left lunge") is one.

        Raises LabelSetError where there are none, or one that cannot name a class.
        """
        found: dict[str, str] = {}
        for label in sorted(labels):
            found.setdefault(_id_of(label), normalised_name(label) or label)
        if not found:
            raise LabelSetError(f"{sport}: no footage has a label, so there are no classes; label some, or add a file")
        classes = [{"id": class_id, "names": {language: name}} for class_id, name in found.items()]
        return _checked({"sport": sport, "classes": classes}, YamlFile(f"the labels of {sport}"))

    @classmethod
    def joined(cls, scope: str, sets: Sequence["LabelSet"]) -> "LabelSet":
        """The classes of several sports in one set; what has one id in two of them is one class.

        Raises LabelSetError where two sports give one name to classes of different ids.
        """
        classes: dict[str, ActionClass] = {}
        for one in (one for label_set in sets for one in label_set.classes):
            classes[one.id] = classes[one.id].with_names_of(one) if one.id in classes else one
        of_sports = {one.sport: tuple(by_id.id for by_id in one.classes) for one in sets}
        content = {
            "sport": scope,
            "classes": [one.model_dump() for one in classes.values()],
            "of_sports": of_sports,
        }
        return _checked(content, YamlFile(f"the classes of {', '.join(one.sport for one in sets)} together"))

    def among(self, class_ids: Collection[str]) -> "LabelSet":
        """The set with these of its classes alone."""
        of_sports = {sport: tuple(one for one in own if one in class_ids) for sport, own in self.of_sports.items()}
        kept = tuple(one for one in self.classes if one.id in class_ids)
        return LabelSet(sport=self.sport, names=self.names, classes=kept, of_sports=of_sports)

    def of_sport(self, sport: str | None) -> frozenset[str]:
        """The ids of the classes that may be seen in a sport: all of them where none is known to be its own."""
        return frozenset(self.of_sports.get(sport or "") or self.ids)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all classes."""
        return frozenset(self._by_id)

    def __getitem__(self, class_id: str) -> ActionClass:
        """The class of an id; KeyError where there is none."""
        return self._by_id[class_id]

    def class_of(self, text: str, language: str | None = None) -> ActionClass | None:
        """The class that `text` names, or None where it names none or several.

        The text is a name, an id, a folder (`00_Short Serve`), or a sentence that holds a name; of names inside each
        other ("smash" in "tap smash") the longest counts. With `language`, only names in that language do.
        """
        spelled = self._spelled(language)
        rest = normalised_name(text)
        exact = spelled.get(rest) or self._by_id.get(text)
        if exact:
            return exact
        named = set()
        for spelling in sorted(spelled, key=len, reverse=True):
            # A language without spaces has no edges of words.
            pattern = rf"\b{re.escape(spelling)}\b" if spelling.isascii() else re.escape(spelling)
            rest, times = re.subn(pattern, "|", rest)
            if times:
                named.add(spelled[spelling].id)
        return self[named.pop()] if len(named) == 1 else None

    def mirrored(self) -> dict[str, str]:
        """What each class is in the mirror: itself, or the one of the other side. Where that is no class, or is not
        known because no name is in one of the project's languages, the class is left out."""
        found = {}
        for one in self.classes:
            language = next((code for code in one.names if can_mirror(code)), None)
            name = mirror_text(one.names[language], language) if language else ""
            other = one if language and name == one.names[language] else self.class_of(name, language)
            if other:
                found[one.id] = other.id
        return found

    @cached_property
    def _by_id(self) -> dict[str, ActionClass]:
        return {one.id: one for one in self.classes}

    def _spelled(self, language: str | None) -> dict[str, ActionClass]:
        """The class of each spelling in a language, or in all."""
        return {
            normalised_name(spelling): one
            for one in self.classes
            for code in ([language] if language else one.languages)
            for spelling in one.spellings(code)
        }


def normalised_name(text: str) -> str:
    """`text` as names are compared: no case, one space for whatever is no letter or digit, no leading `NN_`."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[\W_]+", " ", re.sub(r"^\s*\d+_", "", plain)).split())


def _id_of(label: str) -> str:
    name = normalised_name(label)
    # A label in another script keeps nothing of itself in ASCII: its code points then make the id.
    return slug(name, "") or "u" + "-".join(f"{ord(letter):x}" for letter in name)[:58].rstrip("-")


def _read(content: bytes, sport: str, where: str) -> LabelSet:
    try:
        file = read_yaml(content, where)
    except ValueError as error:
        raise LabelSetError(str(error)) from error
    if not isinstance(file.content, dict):
        raise LabelSetError(f"{where}: expected `classes:` with a list, found {type(file.content).__name__}")
    return _checked({"sport": sport, **file.content}, file)


def _checked(content: dict[str, Any], file: YamlFile) -> LabelSet:
    try:
        return LabelSet.model_validate(content)
    except ValidationError as error:
        raise LabelSetError(explained(error, LabelSet, file)) from error
