"""The sha256 of what was made, recorded when it was made, so that a file that has changed since is known as damaged.

A file of the lake has its record at the same place below `checksums/`, in the format of `sha256sum`; a folder that is
made as a whole, such as a model, has one inside, `SHA256SUMS`, which goes with it wherever it is copied.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from posellm_assets.files import sha256_of, write_bytes
from posellm_assets.lake import Lake

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")
MOST_BYTES_AT_LOADING = 2 << 30
"""Of a larger file reading all of it would take longer than a person waits: only `posellm lake check` does it."""


class DamagedFile(ValueError):
    """A file that is not what it was when it was made."""


def record(lake: Lake, files: Iterable[Path]) -> None:
    """Record files of the lake as they are now; those that are not there are passed over."""
    for path in files:
        if path.is_file():
            write_bytes(lake.checksum(path), _line(path, path.relative_to(lake.root).as_posix()))


def forget(lake: Lake, files: Iterable[Path]) -> None:
    """Forget what files of the lake were, before they are made anew: whoever is killed then leaves nothing wrong."""
    for path in files:
        lake.checksum(path).unlink(missing_ok=True)


def recorded(lake: Lake, path: Path) -> str | None:
    """The sha256 that a file of the lake had when it was made, of itself or in its folder's list; None where unknown.

    A record that cannot be read says nothing.
    """
    name = path.relative_to(lake.root).as_posix()
    return read_sums(lake.checksum(path)).get(name) or read_sums(path.parent / SUMS).get(path.name)


def record_folder(folder: Path) -> None:
    """Record the files of a finished folder, and of the folders in it, each in a list of its own.

    Checkpoints are left out: they come and go, and have manifests of their own.
    """
    for name, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if not one.startswith((".", "checkpoint-"))]
        kept = sorted(one for one in files if one != SUMS and not one.startswith("."))
        if kept:
            write_bytes(Path(name) / SUMS, b"".join(_line(Path(name) / one, one) for one in kept))


def forget_folder(folder: Path) -> None:
    """Forget what the files of a folder were, before it is made anew."""
    for sums in folder.rglob(SUMS):
        sums.unlink()


def check_model(folder: Path) -> Path:
    """`folder`, where the files of the model in it are what they were when it was made; else raises DamagedFile.

    Files above `MOST_BYTES_AT_LOADING` are not read.
    """
    for path, sha256 in _listed(folder):
        if not path.is_file():
            raise DamagedFile(f"{path} is missing: {_RESTORE}")
        if path.stat().st_size <= MOST_BYTES_AT_LOADING and sha256_of(path) != sha256:
            raise DamagedFile(f"{path} is damaged (it is not what it was when it was made): {_RESTORE}")
    return folder


_RESTORE = "copy the model's folder back from its store, or put another in use (`posellm release rollback`)"


def _listed(folder: Path) -> Iterator[tuple[Path, str]]:
    for sums in sorted(folder.rglob(SUMS)):
        yield from ((sums.parent / name, sha256) for name, sha256 in read_sums(sums).items())


def _line(path: Path, name: str) -> bytes:
    return f"{sha256_of(path)}  {name}\n".encode()


def read_sums(path: Path) -> dict[str, str]:
    """The sha256 by file name of a list; what is no line of one is passed over, and nothing is in one that is away."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {found[2]: found[1] for line in lines if (found := _LINE.fullmatch(line))}
