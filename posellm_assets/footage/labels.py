"""What people say about a clip: its sidecar `<file>.json`, the folder's `labels.csv`, and the folder it lies in.

The sidecar wins over the table, the table over the folder, each value for itself. Text is kept verbatim.
"""

import codecs
import csv
import io
import os
import stat
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, field_validator

from posellm_assets.records import Record

TABLE = "labels.csv"
COLUMNS = ("file", "label", "caption", "participant", "form", "language")
SPORT, GROUPS = "sport", ("participant", "recording", "source")
"""Of a table that is imported: the column of the sport, and those that keep clips on one side, the first one there."""
MAX_SIDECAR_BYTES = 2 * 1024 * 1024  # three hours with a message every two seconds have room
MAX_TABLE_BYTES = 16 * 1024 * 1024
MAX_NAME = 200
MAX_CAPTION = 2_000
MAX_CAPTIONS = 100
MAX_FEEDBACK = 20_000


class LabelError(ValueError):
    """A sidecar or table that cannot be used. The message names the file and the key or line, and what to do."""


def _written(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty; leave it out instead")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half of a character (a lone surrogate); write the text again")
    return text


Said = TypeVar("Said", bound="Labels")
Name = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_written)]
Caption = Annotated[str, Field(max_length=MAX_CAPTION), AfterValidator(_written)]


class Feedback(Record):
    """Something that a coach said while the clip was filmed; a `transition` announces what is to be done next."""

    model_config = ConfigDict(strict=True)

    t: float = Field(ge=0, allow_inf_nan=False, description="When its first word comes, in seconds of the clip")
    text: Caption
    transition: bool = False


class Labels(Record):
    """What is said about one clip; also the form of a sidecar file."""

    model_config = ConfigDict(strict=True)

    label: Name | None = None
    """The movement, in the owner's words."""
    captions: list[Caption] = Field(default=[], max_length=MAX_CAPTIONS)
    participant: Name | None = None
    """Who moves. Everything of one participant is in one split."""
    mirrored: bool = False
    """The camera stored the picture as a mirror shows it (a selfie): it is read mirrored back, so that left is left."""
    rendered: bool = False
    """The clip shows a rendered figure and no person; reports say so."""
    form: Literal["correct", "wrong"] | None = None
    """How well the movement is done, as whoever knows it says; correct ones are what others are compared with."""
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")] | None = None
    """The language of the label, the captions and the feedback (ISO 639: en, es, zh, ...)."""
    feedback: list[Feedback] = Field(default=[], max_length=MAX_FEEDBACK)
    """What was said to the athlete, and when."""

    @field_validator("feedback")
    @classmethod
    def _one_after_the_other(cls, feedback: list[Feedback]) -> list[Feedback]:
        for number, (before, after) in enumerate(pairwise(feedback), start=1):
            if after.t < before.t:
                raise ValueError(f"message {number} ({after.t} s) stands after one of {before.t} s; sort them by t")
            if after.t == before.t:
                raise ValueError(
                    f"messages {number - 1} and {number} both begin at {after.t} s; nobody says two at once"
                )
        return feedback

    @classmethod
    def checked(cls: type[Said], content: bytes | Mapping[str, object], where: str) -> Said:
        """`content` (JSON or values) as labels; raises LabelError naming `where` and the key that is wrong."""
        try:
            return cls.model_validate_json(content) if isinstance(content, bytes) else cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                message = f"is not known; known keys are {', '.join(cls.model_fields)}"
            raise LabelError(f"{where}: {key + ': ' if key else ''}{message}") from error

    @classmethod
    def beside(cls: type[Said], file: Path) -> Said:
        """What the sidecar of `file` says; nothing where there is none. Raises LabelError where it cannot be used."""
        path = sidecar_of(file)
        content = _read_small(path, MAX_SIDECAR_BYTES)
        return cls() if content is None else cls.checked(_utf8(content, path.name), path.name)

    def over(self, other: Said) -> Said:
        """All that is said here, and what `other` says of the rest."""
        fields = type(other).model_fields
        said = {name: value for name, value in self if name in fields and value != fields[name].default}
        return other.model_copy(update=said)

    def check_fits(self, duration_s: float, where: str) -> None:
        """Raise LabelError naming `where` if something is said after the end of a clip of `duration_s`."""
        if self.feedback and self.feedback[-1].t > duration_s:
            late = sum(one.t > duration_s for one in self.feedback)
            raise LabelError(
                f"{where}: feedback: {late} of {len(self.feedback)} messages come after the end of the clip, the last "
                f"at {self.feedback[-1].t} s of {duration_s:.3f} s; t counts seconds from the beginning of the clip"
            )


@dataclass(frozen=True)
class _Row:
    line: int
    labels: Labels
    sport: str | None = None


@dataclass(frozen=True)
class ImportedTable:
    """The `labels.csv` of a folder that is imported, and its columns that nothing here has a use for."""

    rows: Mapping[str, _Row]
    unused: tuple[str, ...] = ()

    def labels_of(self, file: Path) -> Labels:
        """What the table says of a file."""
        row = self._row_of(file)
        return row.labels if row else Labels()

    def sport_of(self, file: Path) -> str | None:
        """The sport that the table names for a file."""
        row = self._row_of(file)
        return row.sport if row else None

    def _row_of(self, file: Path) -> _Row | None:
        return self.rows.get(unicodedata.normalize("NFC", file.name))


def read_labels(drop_zone: Path, source: str) -> Labels:
    """The labels of `source`, a path below `drop_zone` of the form `<sport>/[<label>/]<file>`.

    Raises LabelError where the sidecar or the folder's table cannot be used.
    """
    video = drop_zone / source
    folder = Labels.checked({"label": video.parent.name}, source) if source.count("/") > 1 else Labels()
    row = _rows_of(video.parent).get(unicodedata.normalize("NFC", video.name))
    table = row.labels if row else Labels()
    return Labels.beside(video).over(table.over(folder))


def sidecar_of(video: Path) -> Path:
    """Where the sidecar of a clip lies."""
    return video.with_name(video.name + ".json")


def labels_changed_ns(video: Path) -> int:
    """When the video, its sidecar or its folder's table last changed in any way (permissions included), in ns."""
    changes = [0]
    for path in (video, sidecar_of(video), video.parent / TABLE):
        try:
            changes.append(os.lstat(path).st_ctime_ns)
        except OSError:
            continue
    return max(changes)


def _rows_of(folder: Path) -> dict[str, _Row]:
    try:
        found = os.lstat(folder / TABLE)
    except FileNotFoundError:
        return {}
    return _read_table(folder / TABLE, found.st_mtime_ns, found.st_size)


def read_imported_table(folder: Path) -> ImportedTable:
    """The table of a folder outside the drop zone: it may have a column for the sport, and any others.

    Who moves is named by the first of GROUPS that is a column. Raises LabelError where it cannot be used.
    """
    if (table := _cells_of(folder / TABLE)) is None:
        return ImportedTable({})
    header, *cells = table
    who = next((column for column in GROUPS if column in header), None)
    used = {SPORT: SPORT, **{column: column for column in COLUMNS}} | ({who: "participant"} if who else {})
    rows = _rows(TABLE, cells, [used.get(column) for column in header])
    return ImportedTable(rows, tuple(column for column in header if column not in used))


@lru_cache(maxsize=8)
def _read_table(path: Path, _mtime_ns: int, _size: int) -> dict[str, _Row]:
    """The rows of a table by file name; read once for all clips of the folder until the table changes."""
    if (table := _cells_of(path)) is None:
        return {}
    header, *cells = table
    if unknown := [column for column in header if column not in COLUMNS]:
        raise LabelError(f"{path.name}: unknown column {unknown[0]!r}; {_COLUMNS_ARE}")
    return _rows(path.name, cells, header)


def _cells_of(path: Path) -> list[list[str]] | None:
    """The rows of a table, the first of which may be empty; None where there is no table."""
    content = _read_small(path, MAX_TABLE_BYTES)
    if content is None:
        return None
    try:
        text = _utf8(content, path.name).decode()
    except UnicodeDecodeError as error:
        raise LabelError(f"{path.name} is not UTF-8 text (byte {error.start}); save it as 'CSV UTF-8'") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(reader) or [[]]
    except csv.Error as error:
        raise LabelError(f"{path.name} line {reader.line_num}: {error}; save it as comma-separated text") from error


_COLUMNS_ARE = f"columns are {', '.join(COLUMNS)}, separated by commas, file is required"


def _rows(table: str, cells_of_rows: Iterable[list[str]], names: Sequence[str | None]) -> dict[str, _Row]:
    """The rows by file name, of columns with these names; those without a name are passed over."""
    used = [name for name in names if name]
    if "file" not in used or len(set(used)) < len(used):
        raise LabelError(f"{table}: the first line is {','.join(map(str, names))!r}; {_COLUMNS_ARE}")
    rows: dict[str, _Row] = {}
    for line, cells in enumerate(cells_of_rows, start=2):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise LabelError(f"{table} row {line}: {len(cells)} values for {len(names)} columns")
        values = {name: cell for name, cell in zip(names, cells, strict=True) if name and cell.strip()}
        file = unicodedata.normalize("NFC", values.pop("file", ""))
        if not file:
            raise LabelError(f"{table} row {line}: the column file is empty")
        if file in rows:
            raise LabelError(
                f"{table} row {line}: {file} stands in row {rows[file].line} already;"
                f" put several captions into its sidecar {file}.json"
            )
        caption, sport = values.pop("caption", None), values.pop(SPORT, None)
        given: dict[str, object] = {**values, "captions": [caption] if caption else []}
        rows[file] = _Row(line, Labels.checked(given, f"{table} row {line}"), sport)
    return rows


def _read_small(path: Path, max_bytes: int) -> bytes | None:
    """The content of a small regular file, or None where there is none; a link or a pipe is never opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if _too_long(path):
            return None
        raise LabelError(f"{path.name} cannot be read ({error.strerror}); it must be a plain, readable file") from error
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise LabelError(f"{path.name} is not a plain file; remove it")
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise LabelError(f"{path.name} is larger than {max_bytes // 1024} KiB; labels are short texts")
    return content


def _utf8(content: bytes, name: str) -> bytes:
    """`content` without a byte order mark; raises LabelError where the mark is that of another encoding."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise LabelError(f"{name} is UTF-16 text; save it as UTF-8")
    return content.removeprefix(codecs.BOM_UTF8)


def _too_long(path: Path) -> bool:
    """Whether no file of that name can exist: the sidecar of a name that uses all 255 bytes."""
    return len(os.fsencode(path.name)) > 255
