"""The registry: one JSON line for every footage file that was seen, only ever appended to.

Adding a line and noticing a new one cost the same however long the file is: a reader remembers how far it has read.
Each line ends with a checksum of itself. One that is not as it was written is passed over: what it told of is then new,
and registered again under the same key.
"""

import os
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import ValidationError

from posellm_assets.files import lock_at, write_bytes
from posellm_assets.footage.scan import Stamp
from posellm_assets.lake import Lake
from posellm_assets.records import Record

_CHECKSUM = b',"crc32":'


class Outcome(Record):
    """What became of one file of the drop zone."""

    path: str
    """Below `lake.raw`, with forward slashes."""
    size: int
    mtime_ns: int
    status: Literal["registered", "duplicate", "quarantined", "removed"]
    key: str | None = None
    """The video that holds this content, unless quarantined."""
    reason: str | None = None
    """Why it was quarantined, or what it is a duplicate of: a sentence for the user."""
    sha256: str | None = None
    retry_after_ns: int | None = None
    """For a reason that a person removes without touching the video (its labels, its permissions): when those had last
    changed. A later change is reason to look again."""

    @property
    def stamp(self) -> Stamp:
        """How the file looked."""
        return Stamp(self.size, self.mtime_ns)


class Registry:
    """The outcomes of all files, kept in memory and brought up to date by `refresh`.

    Files are read in threads, which add to it at any moment: go through a `copy()` of what it holds.
    """

    def __init__(self, path: Path):
        self.path = path
        self.log: list[Outcome] = []
        """Every outcome, oldest first."""
        self.latest: dict[str, Outcome] = {}
        """The last outcome of each path."""
        self.known: dict[str, Stamp] = {}
        """How each path looked when its last outcome was written."""
        self.quarantined: dict[str, Outcome] = {}
        """The last outcome of each path that was quarantined."""
        self.sha256_of: dict[str, str] = {}
        """The content of each registered video, by key."""
        self.key_of: dict[str, str] = {}
        """The video that holds each registered content, by sha256."""
        self.removed: dict[str, str] = {}
        """The content of each video that somebody took out of the lake, or of its sport, by key."""
        self.damaged: list[int] = []
        """The numbers of the lines that are not as they were written, from 1."""
        self.unfinished = False
        """Whether something follows the last finished line: it is being written, or its writer died."""
        self._lines = 0
        self._offset = 0
        self._inode = 0
        self._lock = threading.RLock()

    def refresh(self) -> None:
        """Read what was appended since the last call. A last line that is still being written waits, and one that is
        damaged is passed over."""
        with self._lock:
            try:
                stream = self.path.open("rb")
            except FileNotFoundError:
                self._forget(0)
                return
            with stream:
                found = os.fstat(stream.fileno())
                if found.st_ino != self._inode or found.st_size < self._offset:
                    self._forget(found.st_ino)
                stream.seek(self._offset)
                self._take_in(stream)

    @contextmanager
    def writing(self) -> Iterator["Registry"]:
        """Hold the registry as its only writer, up to date. Other processes and threads wait."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, lock_at(self.path.with_name(self.path.name + ".lock")):
            self.refresh()
            yield self

    def append(self, outcome: Outcome) -> None:
        """Add an outcome, durably. Call it inside `writing`."""
        with self.path.open("ab") as stream:
            # Whatever follows the last finished line was left by a writer that died; its lock is ours now.
            stream.truncate(self._offset)
            stream.write(line_of(outcome))
            stream.flush()
            os.fsync(stream.fileno())
        self.refresh()

    def rewrite(self, more: Iterable[Outcome]) -> None:
        """Write the file anew without its damaged lines, and with `more` outcomes. Call it inside `writing`."""
        write_bytes(self.path, b"".join(map(line_of, [*self.log, *more])))
        self.refresh()

    def leave_out(self, key: str, sha256: str) -> None:
        """Write the file anew without any line about a video. Call it inside `writing`."""
        about = {one.path for one in self.log if key == one.key or sha256 == one.sha256}
        kept = (one for one in self.log if key != one.key and sha256 != one.sha256 and one.path not in about)
        write_bytes(self.path, b"".join(map(line_of, kept)))
        self.refresh()

    def _take_in(self, stream: BinaryIO) -> None:
        self.unfinished = False
        for line in stream:
            if not line.endswith(b"\n"):
                self.unfinished = True
                return
            self._lines += 1
            outcome = _outcome(line)
            if outcome is None:
                self.damaged.append(self._lines)
            else:
                self._add(outcome)
            self._offset += len(line)

    def _add(self, outcome: Outcome) -> None:
        self.log.append(outcome)
        self.latest[outcome.path] = outcome
        self.known[outcome.path] = outcome.stamp
        self.quarantined.pop(outcome.path, None)
        if outcome.status == "quarantined":
            self.quarantined[outcome.path] = outcome
        if outcome.status == "registered" and outcome.key and outcome.sha256:
            self.sha256_of[outcome.key] = outcome.sha256
            self.key_of[outcome.sha256] = outcome.key
            self.removed.pop(outcome.key, None)
        elif outcome.status == "removed" and outcome.key:
            if sha256 := self.sha256_of.pop(outcome.key, None):
                del self.key_of[sha256]
                self.removed[outcome.key] = sha256
            # Another file that gets this name is a new one.
            self.latest.pop(outcome.path, None)
            self.known.pop(outcome.path, None)

    def _forget(self, inode: int) -> None:
        for content in (self.log, self.damaged):
            content.clear()
        for known in (self.latest, self.known, self.quarantined, self.sha256_of, self.key_of, self.removed):
            known.clear()
        self._lines, self._offset, self._inode = 0, 0, inode


def line_of(outcome: Outcome) -> bytes:
    """An outcome as the registry holds it: JSON, at its end the CRC-32 of the same without that."""
    said = outcome.model_dump_json(exclude_none=True).encode()
    return said[:-1] + _CHECKSUM + b"%d}\n" % zlib.crc32(said)


def _outcome(line: bytes) -> Outcome | None:
    """The outcome in a line; None where the line is not as it was written."""
    said = line.rpartition(_CHECKSUM)[0] + b"}"
    try:
        outcome = Outcome.model_validate_json(said)
    except ValidationError:
        return None
    return outcome if line_of(outcome) == line else None


def registry_of(lake: Lake) -> Registry:
    """The registry of `lake`, up to date."""
    registry = _registry_at(lake.registry.absolute())
    registry.refresh()
    return registry


@lru_cache(maxsize=32)
def _registry_at(path: Path) -> Registry:
    """One reader for each file in a process, so that a long registry is read once and not at every tick."""
    return Registry(path)
