"""Parquet from anywhere: what a file claims to hold is checked before memory is taken for it.

A run of one value takes a few bytes however long it is, so a file of 1.3 KB can hold 3 GB; metadata can be nested
deeper than a parser goes, and hold numbers that no float does.
"""

import json
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

MAX_VALUES = 50_000_000
"""Numbers that one motion may hold: 3.5 hours of 22 joints at 60 frames/s."""

_MANY_VALUES = 20_000_000
_VALUES_PER_BYTE = 50
_MAX_METADATA_BYTES = 1 << 24
FAULTS = (
    *(pa.ArrowException, OSError, ValueError, TypeError, LookupError, AttributeError),
    *(OverflowError, MemoryError, RecursionError),
)
"""What reading a damaged or hostile parquet file raises."""


class UnreadableParquet(ValueError):
    """No parquet, damaged, or claiming more than it can hold; the message has neither path nor remedy."""


def open_parquet(stream: BinaryIO) -> pq.ParquetFile:
    """The parquet file in `stream`, of which only the footer has been read; raises UnreadableParquet."""
    try:
        file = pq.ParquetFile(stream)
        _refuse_absurd(file.metadata, stream.seek(0, 2))
    except UnreadableParquet:
        raise
    except FAULTS as error:
        raise UnreadableParquet(f"this is not a readable parquet file ({short(error)})") from error
    return file


def read_table(stream: BinaryIO) -> pa.Table:
    """All of the parquet file in `stream`; raises UnreadableParquet."""
    file = open_parquet(stream)
    numbers = count_values(file)
    if numbers > MAX_VALUES:
        raise UnreadableParquet(f"it holds {numbers:,} numbers, of at most {MAX_VALUES:,}")
    try:
        return file.read(use_threads=False)
    except FAULTS as error:
        raise UnreadableParquet(f"the file is damaged ({short(error)})") from error


def count_values(file: pq.ParquetFile) -> int:
    """How many values all columns together claim to hold."""
    return sum(column.num_values for column in _chunks(file.metadata))


def read_metadata(metadata: dict[bytes, bytes] | None, key: bytes) -> Any:
    """The JSON under `key` of a file's metadata, None where there is none; raises UnreadableParquet."""
    text = (metadata or {}).get(key)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableParquet(f"the metadata {key.decode()} is not JSON ({short(error)})") from error


def short(error: BaseException) -> str:
    """The first line of an error, or its name where it says nothing."""
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__


def _refuse_absurd(about: pq.FileMetaData, size: int) -> None:
    if about.serialized_size > _MAX_METADATA_BYTES:
        raise UnreadableParquet(f"its metadata takes {about.serialized_size:,} bytes")
    for column in _chunks(about):
        held = min(size, max(1, column.total_compressed_size))
        claims = max(column.num_values, column.total_uncompressed_size // 8)
        if claims > _MANY_VALUES and claims > _VALUES_PER_BYTE * held:
            raise UnreadableParquet(
                f"{held:,} bytes of the column {column.path_in_schema} claim to hold {claims:,} values"
            )


def _chunks(about: pq.FileMetaData) -> list[pq.ColumnChunkMetaData]:
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    return [group.column(number) for group in groups for number in range(group.num_columns)]
