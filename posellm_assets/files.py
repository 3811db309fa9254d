"""Files that nobody ever reads half of: atomic writes, JSON, and hashes of content."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from filelock import FileLock
from pydantic import BaseModel, ValidationError

AnyRecord = TypeVar("AnyRecord", bound=BaseModel)


def write_atomic(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through `write(stream)` so that a reader sees the whole new file or the old one, never a part.

    A temporary file beside the target, fsync, rename.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        sync(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_new(files: Mapping[Path, Callable[[BinaryIO], object]]) -> None:
    """Write files that are not there yet, each through its function; they get their names in order when all are whole.

    Until then they have none, so that nothing is left of a process that is killed. Raises FileExistsError where a name
    is taken; then none of them is there.
    """
    with ExitStack() as stack:
        whole: dict[Path, tuple[BinaryIO, str]] = {}
        for path, write in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            whole[path] = stream, _ = stack.enter_context(_without_name(path.parent))
            write(stream)
            stream.flush()
            os.fchmod(stream.fileno(), 0o644)
            os.fsync(stream.fileno())
        named: list[Path] = []
        try:
            for path, (stream, name) in whole.items():
                _give_name(stream, name, path)
                named.append(path)
                sync(path.parent)
        except BaseException:
            for path in named:
                path.unlink(missing_ok=True)
            raise


@contextmanager
def _without_name(folder: Path) -> Iterator[tuple[BinaryIO, str]]:
    """A new file in `folder` that no listing shows, and where it can be linked from.

    On a file system without such files it is a hidden one, which is removed at the end.
    """
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
        name = f"/proc/self/fd/{descriptor}"
        if not os.path.exists(name):
            os.close(descriptor)
            raise OSError("there is no /proc here")
    except (AttributeError, OSError):
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=".", suffix=".tmp")
    with os.fdopen(descriptor, "wb") as stream:
        try:
            yield stream, name
        finally:
            if Path(name).parent == folder:
                Path(name).unlink(missing_ok=True)


def _give_name(stream: BinaryIO, name: str, path: Path) -> None:
    """Let a file made by `_without_name` be seen as `path`; raises FileExistsError where that is taken."""
    try:
        # The descriptor makes Python follow the link in /proc; it is not looked at otherwise.
        os.link(name, path, src_dir_fd=stream.fileno(), follow_symlinks=True)
    except FileExistsError:
        raise
    except OSError:  # no links on this file system: it is a hidden file then
        if os.path.lexists(path):
            raise FileExistsError(f"{path} is there already") from None
        os.rename(name, path)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `folder` by one rename when all of it is there, or goes again."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)
    sync(folder.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` atomically."""
    write_atomic(path, lambda stream: stream.write(content))


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, in the place of what `target` was; a copy where a file can have only one (FAT, another
    file system). Raises OSError where `source` cannot be read."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        with source.open("rb") as stream:
            write_atomic(target, lambda out: shutil.copyfileobj(stream, out, 1 << 20))


def write_json(path: Path, content: Any) -> None:
    """Write `content` atomically as readable JSON; NaN is refused, because JSON has no such value."""
    write_bytes(path, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """`content` as `write_json` writes it."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def read_json(path: Path) -> Any:
    """Read a JSON file; a file that is not JSON raises ValueError with its path."""
    return parse_json(path.read_bytes(), str(path))


def parse_json(content: bytes, name: str) -> Any:
    """What is in the JSON file `name`; raises ValueError with its name where it is not JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is not valid JSON ({error}); `posellm lake check` says how it comes back") from error


def read_record(path: Path, record: type[AnyRecord], remedy: str) -> AnyRecord:
    """The record that a JSON file holds; raises ValueError with its path, what is wrong with it and the `remedy`."""
    try:
        return record.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in [".".join(map(str, first["loc"]))] if part)
        raise ValueError(f"{path} is damaged ({where}{first['msg']}); {remedy}") from error


def sha256_of(path: Path) -> str:
    """The sha256 of a file's content, in hex, read in pieces; of a folder that of its files' names and contents."""
    if path.is_dir():
        inside = sorted(path.iterdir())
        return hashlib.sha256("".join(f"{file.name} {sha256_of(file)}\n" for file in inside).encode()).hexdigest()
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def lock_at(path: Path) -> FileLock:
    """The lock that is held on the file `path`: for `with`, or for `acquire(timeout=0)`, which raises filelock.Timeout
    where somebody else holds it.

    One thread of one process holds it, of all machines that see the file; it is free when that process ends, however it
    ends. Raises OSError on a file system without such locks.
    """
    # What filelock falls back to there would stay held where the holder was killed on another machine.
    return FileLock(path, fallback_to_soft=False)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
