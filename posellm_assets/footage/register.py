"""Making videos of files: hash, probe, label, name, and write down what came of it.

One content is one video for ever, wherever its files are moved; nothing here deletes anything.
"""

import os
import stat
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath

from posellm_assets.checksums import forget
from posellm_assets.files import sha256_of
from posellm_assets.footage.capture import (
    FOREIGN_SUFFIXES,
    UnreadableCapture,
    is_capture,
    is_landmarks,
    probe_capture,
    probe_landmarks,
    stem_of,
)
from posellm_assets.footage.labels import (
    LabelError,
    Labels,
    labels_changed_ns,
    read_labels,
    sidecar_of,
)
from posellm_assets.footage.manifest import ClipInfo, FootageManifest, read_manifest, write_manifest
from posellm_assets.footage.registry import Outcome, Registry, registry_of
from posellm_assets.footage.scan import drop_zone, printable
from posellm_assets.footage.video import UnreadableVideo, probe
from posellm_assets.keys import slug, sport_of, video_key
from posellm_assets.lake import Lake
from posellm_assets.parquet import short
from posellm_assets.problems import clear_problem


class StillChanging(OSError):
    """A file that was written to while it was read; it will have settled another time."""


def register(lake: Lake, source: str) -> Outcome:
    """Make a video of the file `source` (a path below `lake.raw`), and write its outcome to the registry.

    Raises FileNotFoundError or StillChanging where the file went away or changed meanwhile, with nothing written.
    """
    raw = drop_zone(lake)
    before = _plain_file(raw, source)
    outcome = Outcome(path=source, size=before.st_size, mtime_ns=before.st_mtime_ns, status="quarantined")
    changed_ns = labels_changed_ns(raw / source)
    registry = registry_of(lake)
    readable: tuple[Labels, ClipInfo] | None = None
    try:
        labels = read_labels(raw, source)
        outcome = _with(outcome, sha256=sha256_of(raw / source))
        info = probe_footage(raw / source)
        labels.check_fits(info.duration_s, sidecar_of(raw / source).name)
        readable = labels, info
    except FileNotFoundError:
        raise
    except (UnreadableVideo, UnreadableCapture) as error:
        outcome = _with(outcome, reason=str(error))
    except LabelError as error:
        outcome = _with(outcome, reason=str(error), retry_after_ns=changed_ns)
    except OSError as error:
        outcome = _with(outcome, reason=f"it cannot be read: {error.strerror or error}", retry_after_ns=changed_ns)
    except Exception as error:  # noqa: BLE001 of whatever kind: one file never stops the others
        reason = f"it cannot be read ({type(error).__name__}: {short(error)}); copy or export it again"
        outcome = _with(outcome, reason=printable(reason), retry_after_ns=changed_ns)
    _check_unchanged(raw, source, before)
    with registry.writing():
        if readable:
            outcome = _decide(lake, registry, outcome, *readable)
        registry.append(outcome)
    return outcome


def refresh_manifest(lake: Lake, key: str) -> FootageManifest:
    """Check that a registered video is still there unchanged, and read what is now said about it.

    Raises FileNotFoundError or ValueError where the file is gone or holds something else, LabelError where its labels
    cannot be used; the manifest is then as it was.
    """
    manifest = read_manifest(lake, key)
    raw = drop_zone(lake)
    source = next(places_of(lake, registry_of(lake), manifest), None)
    if source is None and not os.path.lexists(raw / manifest.source):
        raise FileNotFoundError(f"raw/{manifest.source} is gone; put the file back, or leave this video as it is")
    if source is None:
        raise ValueError(
            f"raw/{manifest.source} now holds other content, which is a video of its own;"
            " put the first file back under any name to bring this one back"
        )
    labels = read_labels(raw, source)
    labels.check_fits(manifest.video.duration_s, sidecar_of(raw / source).name)
    refreshed = _with_labels(manifest, source, labels)
    if refreshed != manifest:
        write_manifest(lake, refreshed)
    return refreshed


def places_of(lake: Lake, registry: Registry, manifest: FootageManifest) -> Iterator[str]:
    """The files of the drop zone that hold a video, that which it was last read from first."""
    seen = {path for path, outcome in registry.latest.copy().items() if outcome.sha256 == manifest.sha256}
    for place in sorted({manifest.source, *seen}, key=lambda place: (place != manifest.source, place)):
        if _holds(drop_zone(lake), place, manifest.sha256):
            yield place


def drop_captions(lake: Lake, key: str) -> None:
    """Remove the captions of a video about which something else is said now, so that it is ingested again."""
    captions = lake.captions(key)
    forget(lake, [captions])
    captions.unlink(missing_ok=True)


def probe_footage(path: Path) -> ClipInfo:
    """What a file holds: a video, motion capture or landmarks.

    Raises UnreadableVideo or UnreadableCapture with the reason, OSError where it cannot be opened.
    """
    if is_capture(path.name):
        return probe_capture(path)
    if is_landmarks(path.name):
        return probe_landmarks(path)
    if path.suffix.lower() in FOREIGN_SUFFIXES:
        raise UnreadableCapture(
            "motion capture comes in with `posellm import motion FILE --sport SPORT`, landmarks with `posellm import "
            "poses FILE --sport SPORT`"
        )
    return probe(path)


def _plain_file(raw: Path, source: str) -> os.stat_result:
    """How the file looks; raises ValueError for anything but a plain file two or three levels below `raw`."""
    parts = PurePosixPath(source).parts
    if not 2 <= len(parts) <= 3 or ".." in parts or source.startswith("/"):
        raise ValueError(f"{source!r} is not of the form <sport>/[<label>/]<file>")
    path = raw
    for part in parts:
        path = path / part
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            raise ValueError(f"{source!r} is or lies behind a link, and links are not followed")
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{source!r} is not a file")
    return found


def _check_unchanged(raw: Path, source: str, before: os.stat_result) -> None:
    after = _plain_file(raw, source)
    if (after.st_size, after.st_mtime_ns, after.st_ino) != (before.st_size, before.st_mtime_ns, before.st_ino):
        raise StillChanging(f"{source} is still being written")


def _with(outcome: Outcome, **update: object) -> Outcome:
    return Outcome.model_validate({**outcome.model_dump(), **update})


def _decide(lake: Lake, registry: Registry, found: Outcome, labels: Labels, info: ClipInfo) -> Outcome:
    """Decide what a readable file is: a new video, one that moved, or a duplicate. The registry is held."""
    sha256 = found.sha256 or ""
    file = PurePosixPath(found.path)
    key = registry.key_of.get(sha256)
    if key and _left_its_sport(lake, registry, key, found.path):
        registry.append(_with(found, status="removed", key=key, reason="it was moved to another sport"))
        key = None
    if key is None:
        sport = slug(file.parts[0], "unsorted")
        before = [one for one, content in registry.removed.items() if content == sha256 and sport_of(one) == sport]
        key = before[0] if before else video_key(sport, stem_of(file.name), sha256)
        if key in registry.sha256_of:
            reason = f"its key {key} is taken by other footage (the names and 8 hash digits agree); rename this file"
            return _with(found, reason=reason)
    manifest = _manifest_if_any(lake, key)
    if manifest and manifest.source != found.path and _holds(drop_zone(lake), manifest.source, sha256):
        return _with(found, status="duplicate", key=key, reason=f"same content as raw/{manifest.source}")
    manifest = manifest or FootageManifest(
        key=key,
        sport=sport_of(key),
        label=None,
        captions=[],
        participant=None,
        source=found.path,
        sha256=sha256,
        size_bytes=found.size,
        video=info,
        registered_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    said = _with_labels(manifest, found.path, labels)
    write_manifest(lake, said)
    if any(getattr(said, name) != getattr(manifest, name) for name in Labels.model_fields):
        drop_captions(lake, key)
    # What kept it from being used may have been put right, so that all of it is tried again.
    for step in lake.steps_with_problems():
        clear_problem(lake, step, key)
    return _with(found, status="registered", key=key)


def _left_its_sport(lake: Lake, registry: Registry, key: str, path: str) -> bool:
    """Whether the video `key` is held by nothing but the file `path`, which lies in another sport's folder."""
    manifest = _manifest_if_any(lake, key)
    if manifest is None or manifest.sport == slug(path.split("/")[0], "unsorted"):
        return False
    return all(place == path for place in places_of(lake, registry, manifest))


def _manifest_if_any(lake: Lake, key: str) -> FootageManifest | None:
    """The manifest of `key`, or None where it has to be made (again), all of it being known at registration."""
    try:
        return read_manifest(lake, key)
    except (FileNotFoundError, ValueError):
        return None


def _with_labels(manifest: FootageManifest, source: str, labels: Labels) -> FootageManifest:
    return manifest.model_copy(update={"source": source, **dict(labels)})


def _holds(raw: Path, source: str, sha256: str) -> bool:
    try:
        _plain_file(raw, source)
        return sha256_of(raw / source) == sha256
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
