"""`posellm settings`: every setting with its meaning and default, as a page of Markdown."""

import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from posellm_assets.settings import PREFIX, SETTINGS_FILE, Settings

_HEAD = f"""# Settings

Made by `posellm settings`. Each stands in `{SETTINGS_FILE}` beside the lake, or in the environment: `poses.max_people`
is `{PREFIX}POSES__MAX_PEOPLE`. `[]` marks an item of a list, `*` a name that you choose.
"""


def settings_page() -> str:
    """The page: a table for each part of the settings."""
    parts = [_HEAD]
    for name, field in Settings.model_fields.items():
        rows = [_row(path, one) for path, one in _settings(name, field)]
        parts.append(
            "\n".join([f"## {name}\n", "| setting | default | what it is |", "| --- | --- | --- |", *rows, ""])
        )
    return "\n".join(parts)


def _settings(path: str, field: FieldInfo) -> Iterator[tuple[str, FieldInfo]]:
    """A field, or the settings that it is made of, each with its path."""
    below = dict.fromkeys(_models(field.annotation, ""))
    if not below:
        yield path, field
    for ending, model in below:
        for name, one in model.model_fields.items():
            yield from _settings(f"{path}{ending}.{name}", one)


def _models(kind: Any, ending: str) -> Iterator[tuple[str, type[BaseModel]]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield ending, kind
    inside = {tuple: "[]", list: "[]", dict: ".*"}.get(typing.get_origin(kind) or kind, "")
    for argument in typing.get_args(kind):
        yield from _models(argument, ending + inside)


def _row(path: str, field: FieldInfo) -> str:
    cells = (f"`{path}`", f"`{_default(field)}`", field.description or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True) if not field.is_required() else PydanticUndefined
    if value is PydanticUndefined:
        return "needed"
    plain = value.value if isinstance(value, Enum) else str(value) if isinstance(value, Path) else value
    return repr(list(plain) if isinstance(plain, tuple) else plain) if plain is not None else "not set"
