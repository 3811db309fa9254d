"""What lies in the drop zone, and what of it is new. The decision is a pure function; only the listing reads a disk."""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from posellm_assets.keys import slug
from posellm_assets.lake import Lake

IGNORED_ENDINGS = (".json", ".csv", ".npz", ".txt", ".md")
LAYOUT = "<sport>/[<label>/]<file>"


class Stamp(NamedTuple):
    """How a file looks without reading it; another stamp means other content."""

    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Waiting:
    """A file that has looked like `stamp` since `since_s` (seconds since 1970)."""

    stamp: Stamp
    since_s: float


@dataclass
class Listing:
    """The drop zone at one moment. Paths are below `lake.raw`, with forward slashes."""

    files: dict[str, Stamp] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """What is never opened, such as a link, with the reason for the user. Names are fit for display."""


@dataclass(frozen=True)
class Changes:
    """What to do about a listing."""

    new: list[str]
    """Files that have settled and are not known as they are now."""
    settling: dict[str, Waiting]
    """Files that may still be written to; what `diff` wants back as `previous` next time."""


def diff(
    listing: Mapping[str, Stamp],
    known: Mapping[str, Stamp],
    previous: Mapping[str, Waiting],
    now_s: float,
    settle_s: float,
) -> Changes:
    """Sort the files of `listing` into known, settled and settling.

    A file is new when it is not in `known` with the same stamp and has been seen with that stamp for at least
    `settle_s`. Files that vanished are in no list: what is known of them stays.
    """
    new: list[str] = []
    settling: dict[str, Waiting] = {}
    for path, stamp in sorted(item for item in listing.items() if known.get(item[0]) != item[1]):
        seen = previous.get(path)
        # A clock that was set back must not keep a file waiting for the difference.
        since_s = min(seen.since_s, now_s) if seen and seen.stamp == stamp else now_s
        if now_s - since_s >= settle_s:
            new.append(path)
        else:
            settling[path] = Waiting(stamp, since_s)
    return Changes(new, settling)


def drop_zone(lake: Lake) -> Path:
    """`lake.raw` as a folder of this machine; raises ValueError for a lake on object storage."""
    return lake.raw


def list_footage(raw: Path, known: Mapping[str, Stamp] | None = None, suspects: Collection[str] = ()) -> Listing:
    """Everything in the drop zone `raw` that could be footage, and what is refused with the reason.

    Links are never followed. Names that begin with a dot or end like a sidecar are passed over. A file of `known` that
    is not among `suspects` is taken to look as it did: asking the disk about every file is what costs in a large lake.

    Raises OSError where a folder cannot be read: an unreadable listing is not an empty one.
    """
    listing = Listing()
    for entry in _entries(raw):
        if _ignored(entry) or not _plain(entry, entry.name, listing):
            continue
        if not entry.is_dir(follow_symlinks=False):
            listing.refused[entry.name] = f"it lies outside a sport's folder; move it to {LAYOUT}"
        elif not slug(entry.name, ""):
            listing.refused[entry.name] = (
                "the sport's folder has no Latin letter or digit for a key; name it for instance 'table-tennis'"
            )
        else:
            for inner, path in _list_folder(entry.path, entry.name, listing, known or {}, suspects):
                for deep, deep_path in _list_folder(inner.path, path, listing, known or {}, suspects):
                    reason = f"folders lie too deep here; move the clips of {deep.name} up to {LAYOUT}"
                    listing.refused[deep_path] = reason
    return listing


def printable(path: str) -> str:
    """`path` as it can be displayed and stored: bytes that are not UTF-8 as escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _list_folder(
    folder: str, prefix: str, listing: Listing, known: Mapping[str, Stamp], suspects: Collection[str]
) -> list[tuple[os.DirEntry[str], str]]:
    """List the files of one folder; returns the folders in it with their paths."""
    folders = []
    for entry in _entries(folder):
        path = f"{prefix}/{entry.name}"
        stamp = known.get(path)
        if stamp is not None and path not in suspects:
            listing.files[path] = stamp
        elif _ignored(entry) or not _plain(entry, path, listing):
            continue
        elif entry.is_dir(follow_symlinks=False):
            folders.append((entry, path))
        else:
            _add(entry, path, listing)
    return folders


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _ignored(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return True
    return entry.name.lower().endswith(IGNORED_ENDINGS) and not entry.is_dir(follow_symlinks=False)


def _plain(entry: os.DirEntry[str], path: str, listing: Listing) -> bool:
    """Whether `entry` may be opened; if not, it is refused in `listing`."""
    if not entry.name.isascii() and printable(entry.name) != entry.name:
        listing.refused[printable(path)] = "the name is not UTF-8; rename it"
    elif entry.is_symlink():
        listing.refused[path] = "it is a link, and links are not followed; copy the footage itself here"
    else:
        return True
    return False


def _add(entry: os.DirEntry[str], path: str, listing: Listing) -> None:
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISREG(found.st_mode):
        listing.files[path] = Stamp(found.st_size, found.st_mtime_ns)
    else:
        listing.refused[path] = "it is a pipe, socket or device, not a file; remove it"
