"""YAML that people write: read in any encoding of Unicode, and what is wrong in it said with line and nearest key."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

DEEPEST, MOST_KEYS = 50, 100_000
"""More levels, or more keys and items, hold no settings: a few lines of aliases can stand for billions."""

Place = tuple[str | int, ...]
"""Keys and positions that lead to a value."""


@dataclass(frozen=True)
class YamlFile:
    """What a file holds, and on which line each of its keys is."""

    name: str
    content: Any = None
    lines: Mapping[Place, int] = field(default_factory=dict)

    def where(self, place: Place) -> str:
        """`posellm.yaml line 3`: where the key at `place` is, or else what holds it."""
        known = next((place[:depth] for depth in range(len(place), 0, -1) if place[:depth] in self.lines), None)
        return f"{self.name} line {self.lines[known]}" if known else self.name


def read_yaml(content: bytes, name: str) -> YamlFile:
    """The YAML of a file called `name`; raises ValueError with name, line and what is wrong where it is none."""
    try:
        if not content.startswith((b"\xff\xfe", b"\xfe\xff")):
            content = content.removeprefix(b"\xef\xbb\xbf")
        loader = _Loader(content)
        node = loader.get_single_node()
        lines: dict[Place, int] = {}
        _number(node, (), lines, name)
        return YamlFile(name, loader.construct_document(node) if node else None, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise ValueError(f"{name}{line} is not YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"{name} is not YAML: {error}; save it as UTF-8") from error


def explained(error: ValidationError, model: type[BaseModel], file: YamlFile) -> str:
    """The first thing that is wrong in a file, with its line; a key that is not known with the nearest that is."""
    # A key that is misspelt is also missed by its right name: the misspelling says more.
    first, *_ = sorted(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    place = tuple(first["loc"])
    return f"{file.where(place)}: {fault(first['type'], place, first['msg'], model)}"


def fault(kind: str, place: Place, message: str, model: type[BaseModel]) -> str:
    """What pydantic found at `place` below `model`, in words."""
    key = ".".join(map(str, place))
    if kind == "extra_forbidden":
        return f"{key} is not known; {nearest(str(place[-1]), keys_at(model, place[:-1]))}"
    return f"{key + ': ' if key else ''}{message.removeprefix('Value error, ')}"


def keys_at(model: type[BaseModel], place: Place) -> list[str]:
    """The keys that there are at `place` below `model`."""
    found: Any = model
    for part in place:
        inside = _model_in(found)
        # A position in a list, a name in a mapping and the name of one of several types lead to the same model.
        if inside and part in inside.model_fields:
            found = inside.model_fields[str(part)].annotation
    inside = _model_in(found)
    return sorted(inside.model_fields) if inside else []


def nearest(key: str, known: Iterable[str]) -> str:
    """`did you mean ...?`, or all that there is where nothing is near."""
    known = list(known)
    near = difflib.get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one))), None)


class _Loader(yaml.SafeLoader):
    """Refuses what is nested too deep before it goes there."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.depth >= DEEPEST:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=self.peek_event().start_mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


_TOO_DEEP = f"it is nested deeper than {DEEPEST} levels"


def _number(node: yaml.Node | None, place: Place, lines: dict[Place, int], name: str) -> None:
    """Put down the line of every key below `node`; raises ValueError where a key is there twice, or where aliases make
    them too many or lead round and round."""
    if len(place) > DEEPEST:
        raise ValueError(f"{name}: {_TOO_DEEP}")
    if len(lines) > MOST_KEYS:
        raise ValueError(f"{name} holds more than {MOST_KEYS:,} keys and items")
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            lines[(*place, number)] = item.start_mark.line + 1
            _number(item, (*place, number), lines, name)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below, line = (*place, str(key.value)), key.start_mark.line + 1
            if below in lines:
                raise ValueError(f"{name} line {line}: {key.value} is there already on line {lines[below]}; keep one")
            lines[below] = line
            _number(value, below, lines, name)
