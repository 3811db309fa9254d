"""Motion-LLM JSON: a list of `{"text_query": "wave", "motion_tokens": "42 18 91", "participant_id": "7"}`.

The dataset format of SignMotionGPT (https://github.com/rajvizala/SignMotionGPT), read and written. Files come from
others: everything in them is checked, and what is wrong is named with its line. Beside its fields we write a `clip_id`:
motions of one clip (mirrored, played faster) belong into one split, and their codes do not tell that they do.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

_SPACE = re.compile(r"[ \t\r\n]*")
_CODE = re.compile(r"[0-9]{1,9}")
# Later files of that system call the text `word`.
_TEXT_FIELDS = ("text_query", "word")
_FIELDS = {*_TEXT_FIELDS, "motion_tokens", "participant_id", "id", "clip_id"}
# Two hours of motion at five codes a second.
_MOST_CODES = 36_000
# Begins the key that a motion without a clip_id gets here.
UNNAMED = "entry-"


class UnreadableDataset(ValueError):
    """A file that is not whole motion-LLM JSON; the message names the file, the line and what is wrong there."""


@dataclass(frozen=True)
class Entry:
    """A motion as code ids, a text that is true of it, and, where that is known, who moves and of which clip it is."""

    text: str
    codes: tuple[int, ...]
    participant: str | None = None
    id: str | None = None
    clip: str | None = None


def read_entries(path: Path, codebook_size: int, layers: int = 1) -> list[Entry]:
    """The entries of a file in their order.

    `codebook_size` is that of the tokenizer that made the codes, all `layers` of its quantiser together: the largest
    code in a file does not tell it. Raises UnreadableDataset where anything is missing, malformed or double.
    """
    entries: list[Entry] = []
    line_of_id: dict[str, int] = {}
    for line, value in _values(path):
        try:
            entry = _entry(value, codebook_size, layers)
        except ValueError as error:
            raise UnreadableDataset(f"{path}, line {line}: {error}") from error
        if entry.id is not None:
            if entry.id in line_of_id:
                raise UnreadableDataset(
                    f"{path}, line {line}: the id {entry.id!r} was given on line {line_of_id[entry.id]} already; "
                    "give each entry an id of its own, or none"
                )
            line_of_id[entry.id] = line
        entries.append(entry)
    if not entries:
        raise UnreadableDataset(f"{path}, line 1: the list is empty; there is nothing to train on")
    return entries


def to_json(entries: Iterable[Entry]) -> str:
    """The entries as motion-LLM JSON, one on a line."""
    lines = []
    for entry in entries:
        fields = {"text_query": entry.text, "motion_tokens": " ".join(map(str, entry.codes))}
        optional = {"participant_id": entry.participant, "id": entry.id, "clip_id": entry.clip}
        fields |= {name: value for name, value in optional.items() if value is not None}
        lines.append(json.dumps(fields, ensure_ascii=False))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _values(path: Path) -> Iterator[tuple[int, Any]]:
    """The values of a JSON list with the lines that they begin on."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UnreadableDataset(f"{path}, line {line}: this is not UTF-8; save the file as UTF-8") from error
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    place, line, counted = _skip(text, 0), 1, 0

    def fail(reason: str) -> NoReturn:
        raise UnreadableDataset(f"{path}, line {text.count(chr(10), 0, place) + 1}: {reason}")

    if text[place : place + 1] != "[":
        fail("the file is not a JSON list of entries" if text.strip() else "the file is empty")
    place = _skip(text, place + 1)
    while text[place : place + 1] != "]":
        line, counted = line + text.count("\n", counted, place), place
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise UnreadableDataset(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
        except (ValueError, RecursionError) as error:
            fail(str(error) if isinstance(error, ValueError) else "values are nested too deeply")
        yield line, value
        place = _skip(text, place)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "]":
            fail("a comma or the end of the list is missing; was the file cut short?")
    place = _skip(text, place + 1)
    if place < len(text):
        fail("something follows the end of the list")


def _skip(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a value of an entry")


def _entry(value: Any, codebook_size: int, layers: int) -> Entry:
    if not isinstance(value, dict):
        raise ValueError(f"an entry is an object with text_query and motion_tokens, not {_short(value)}")
    if unknown := sorted(set(value) - _FIELDS):
        raise ValueError(
            f"an entry has no field {', '.join(unknown)}; it has text_query, motion_tokens, participant_id"
        )
    texts = [value[name] for name in _TEXT_FIELDS if name in value]
    if len(texts) != 1:
        raise ValueError("text_query is missing" if not texts else "text_query and word are the same field; keep one")
    if not isinstance(texts[0], str) or not texts[0].strip():
        raise ValueError(f"text_query is a text, not {_short(texts[0])}")
    if "motion_tokens" not in value:
        raise ValueError("motion_tokens is missing")
    return Entry(
        text=texts[0],
        codes=_codes(value["motion_tokens"], codebook_size, layers),
        participant=_name(value, "participant_id"),
        id=_name(value, "id"),
        clip=_name(value, "clip_id"),
    )


def _codes(tokens: Any, codebook_size: int, layers: int) -> tuple[int, ...]:
    if not isinstance(tokens, str):
        raise ValueError(f'motion_tokens is a text of code ids such as "42 18 91", not {_short(tokens)}')
    words = tokens.split()
    if not words:
        raise ValueError("motion_tokens holds no code")
    if len(words) > _MOST_CODES:
        raise ValueError(f"motion_tokens holds {len(words)} codes, at most {_MOST_CODES}; split the motion")
    for place, word in enumerate(words, start=1):
        if not _CODE.fullmatch(word):
            raise ValueError(f"motion_tokens holds {_short(word)} in place {place}, which is not a code id")
        if int(word) >= codebook_size:
            raise ValueError(f"code {word} in place {place} is outside the codebook of {codebook_size} codes")
        if int(word) // (codebook_size // layers) != (place - 1) % layers:
            raise ValueError(
                f"code {word} in place {place} is of another quantiser layer: with {layers} layers of "
                f"{codebook_size // layers} codes they take turns"
            )
    if len(words) % layers:
        raise ValueError(f"motion_tokens holds {len(words)} codes, which are no whole time steps of {layers}")
    return tuple(map(int, words))


def _name(value: dict[str, Any], field: str) -> str | None:
    name = value.get(field)
    if name is None:
        return None
    if isinstance(name, bool) or not isinstance(name, str | int) or not str(name).strip():
        raise ValueError(f"{field} is a name or a number, not {_short(name)}")
    return str(name)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
