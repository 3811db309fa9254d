"""The sha256 of what was made, recorded when it was made, so that a file that has changed since is known as damaged.

A file of the lake has its record at the same place below `checksums/`, in the format of `sha256sum`; a folder that is
made as a whole, such as a model, has one inside, `SHA256SUMS`, which goes with it wherever it is copied. The last line
of a record is a checksum of the record. A file that was made and not recorded, by whoever was killed in between, is
not known to be anything: it is checked by what reads it.
"""

import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from posellm_assets.files import sha256_of, write_atomic, write_bytes
from posellm_assets.lake import Lake

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
_LAST = "# crc32 "
MOST_BYTES_AT_LOADING = 2 << 30
"""Of a larger file reading all of it would take longer than a person waits: only `posellm lake check` does it."""


class DamagedFile(ValueError):
    """A file that is not what it was when it was made."""


def record(lake: Lake, files: Iterable[Path]) -> None:
    """Record files of the lake as they are now; those that are not there are passed over."""
    for path in files:
        if path.is_file():
            record_as(lake, path, sha256_of(path))


def record_as(lake: Lake, path: Path, sha256: str) -> None:
    """Record a file of the lake whose content is known to be that of another."""
    _write(lake.checksum(path), {path.relative_to(lake.root).as_posix(): sha256})


def record_with_copy(lake: Lake, path: Path) -> None:
    """Record a file that nothing makes again as it is now, and keep a second copy of it."""
    with path.open("rb") as stream:
        write_atomic(lake.second_copy(path), lambda out: shutil.copyfileobj(stream, out, 1 << 20))
    record(lake, [path])


@contextmanager
def recording(lake: Lake, *files: Path) -> Iterator[None]:
    """Record files of the lake that are made anew meanwhile."""
    forget(lake, files)
    yield
    record(lake, files)


def forget(lake: Lake, files: Iterable[Path]) -> None:
    """Forget what files of the lake were, before they are made anew: whoever is killed then leaves nothing wrong."""
    for path in files:
        lake.checksum(path).unlink(missing_ok=True)


def recorded(lake: Lake, path: Path) -> str | None:
    """The sha256 that a file of the lake had when it was made, of itself or in its folder's list; None where unknown.

    A record that is damaged says nothing.
    """
    name = path.relative_to(lake.root).as_posix()
    return read_sums(lake.checksum(path)).get(name) or read_sums(path.parent / SUMS).get(path.name)


def record_folder(folder: Path) -> None:
    """Record the files of a finished folder, and of the folders in it, each in a list of its own.

    Checkpoints are left out: they come and go, and have manifests of their own.
    """
    for name, folders, _ in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith((".", "checkpoint-"))]
        record_list(Path(name))


def record_list(folder: Path) -> None:
    """Record the files of a folder, but none of the folders in it."""
    kept = sorted(one for one in folder.iterdir() if one.is_file() and one.name != SUMS and one.name[0] != ".")
    if kept:
        _write(folder / SUMS, {one.name: sha256_of(one) for one in kept})


def forget_folder(folder: Path) -> None:
    """Forget what the files of a folder were, before it is made anew."""
    for sums in folder.rglob(SUMS):
        sums.unlink()


def check_model(folder: Path) -> Path:
    """`folder`, where the files of the model in it are what they were when it was made; else raises DamagedFile.

    Files above `MOST_BYTES_AT_LOADING` are not read.
    """
    if not folder.is_dir():
        raise DamagedFile(f"{folder} is missing: {_RESTORE}")
    for path, sha256 in _listed(folder):
        if not path.is_file():
            raise DamagedFile(f"{path} is missing: {_RESTORE}")
        if path.stat().st_size <= MOST_BYTES_AT_LOADING and sha256_of(path) != sha256:
            raise DamagedFile(f"{path} is damaged (it is not what it was when it was made): {_RESTORE}")
    return folder


_RESTORE = (
    "copy the model's folder back from where a copy is, put another in use (`posellm release rollback`), or see how it "
    "is made again with `posellm lake check`"
)


def _listed(folder: Path) -> Iterator[tuple[Path, str]]:
    for sums in sorted(folder.rglob(SUMS)):
        yield from ((sums.parent / name, sha256) for name, sha256 in read_sums(sums).items())


def _write(place: Path, sums: Mapping[str, str]) -> None:
    lines = "".join(f"{sha256}  {name}\n" for name, sha256 in sums.items())
    write_bytes(place, f"{lines}{_LAST}{zlib.crc32(lines.encode())}\n".encode())


def read_sums(path: Path) -> Mapping[str, str]:
    """The sha256 by file name of a list; nothing is in one that is away or damaged."""
    try:
        found = path.stat()
    except OSError:
        return {}
    return _read_sums(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _read_sums(path: Path, _mtime_ns: int, _size: int) -> Mapping[str, str]:
    """A list, read once for all the files that it is asked about."""
    try:
        lines, found, last = path.read_text().rpartition(_LAST)
    except (OSError, ValueError):
        return {}
    if not found or last != f"{zlib.crc32(lines.encode())}\n":
        return {}
    return {line[2]: line[1] for line in map(_LINE.fullmatch, lines.splitlines()) if line}
