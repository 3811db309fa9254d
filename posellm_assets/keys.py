"""Partition keys: `<sport>.<slug>.<hash8>` for a video, `<scope>-<number>` for a snapshot.

The sport leads the key, so that a backfill for a sport is a prefix. Keys become file names, and Dagster accepts
any string as a partition key (`..`, `a/b`, a newline), so every key is checked here before a path is built from it.
"""

import re
import unicodedata

_WORD = r"[a-z0-9]+(?:-[a-z0-9]+)*"
_VIDEO_KEY = re.compile(rf"({_WORD})\.({_WORD})\.([0-9a-f]{{8}})")
_SNAPSHOT_KEY = re.compile(rf"({_WORD})-(\d{{4,}})")
SLUG_LENGTH = 40
ALL_SPORTS = "all"
"""The scope of a generation that is of no sport by itself."""


class InvalidKey(ValueError):
    """A partition key or name that does not have the agreed form."""


def slug(name: str, fallback: str = "clip") -> str:
    """`name` in lower-case ASCII words joined by dashes, at most 40 characters; `fallback` where nothing is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
    return words[:SLUG_LENGTH].strip("-") or fallback


def video_key(sport: str, file_stem: str, sha256: str) -> str:
    """The partition key of a video: its sport, a readable name, and the first 8 hex digits of its content hash."""
    return check_video_key(f"{slug(sport, 'unsorted')}.{slug(file_stem)}.{sha256[:8]}")


def check_video_key(key: str) -> str:
    """Return `key`, or raise InvalidKey where it is not `<sport>.<slug>.<hash8>`."""
    if len(key) > 200 or not _VIDEO_KEY.fullmatch(key):
        raise InvalidKey(f"{key!r} is not a video key: expected <sport>.<slug>.<8 hex digits> in lower case")
    return key


def sport_of(key: str) -> str:
    """The sport of a video key."""
    return check_video_key(key).split(".", 1)[0]


def snapshot_key(scope: str, number: int) -> str:
    """The partition key of a snapshot: `all` or a sport, and a running number."""
    return check_snapshot_key(f"{slug(scope, ALL_SPORTS)}-{number:04d}")


def check_snapshot_key(key: str) -> str:
    """Return `key`, or raise InvalidKey where it is not `<scope>-<number>`."""
    if len(key) > 100 or not _SNAPSHOT_KEY.fullmatch(key):
        raise InvalidKey(f"{key!r} is not a snapshot key: expected <scope>-<number>, such as all-0001")
    return key


def snapshot_scope(key: str) -> str:
    """The scope of a snapshot key: `all` or a sport."""
    return check_snapshot_key(key).rsplit("-", 1)[0]
