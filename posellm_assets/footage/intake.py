"""One look at the drop zone: what settled is registered. What is then made of it is not this room's business."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import Field

from posellm_assets.footage.config import FootageConfig
from posellm_assets.footage.labels import labels_changed_ns
from posellm_assets.footage.reading import registered_within
from posellm_assets.footage.register import StillChanging
from posellm_assets.footage.registry import Outcome, Registry, registry_of
from posellm_assets.footage.relabelled import read_labels_again
from posellm_assets.footage.scan import Listing, Waiting, diff, drop_zone, list_footage
from posellm_assets.lake import Lake
from posellm_assets.records import Record

WATCHED_AT_ONCE = 1_000
"""Files that are waited for at a time. It keeps the state small when a whole archive is dropped at once."""

CHECKED_AGAIN = 500
"""Known files that one look looks at again, and at their labels. All get their turn; new files are seen at once."""

LARGE_BYTES = 2**30


class WatchState(Record):
    """What the watcher remembers between two looks."""

    lake: str = ""
    checked: int = 0
    """Known files whose turn to be checked again has passed in this round."""
    settling: dict[str, Waiting] = Field(default_factory=dict)
    quarantine: str = ""
    """Digest of the quarantine that was last shown."""


@dataclass(frozen=True)
class Look:
    """What one look found."""

    state: WatchState
    outcomes: list[Outcome]
    """What was registered, found to be a duplicate or quarantined just now."""
    relabelled: list[str]
    """The videos of which other words are said than before."""
    quarantine: dict[str, str]
    """The reason for every file that is in quarantine now."""
    quarantine_changed: bool
    known: int
    """Files of the drop zone with an outcome."""
    waiting: int
    """Files that settle, or whose turn comes at the next look."""


@dataclass(frozen=True)
class Status:
    """The footage of a lake. Paths are below `raw`."""

    videos: list[str]
    """The keys of the registered videos that are there."""
    gone: list[str]
    """The keys of those whose files are no longer in the drop zone."""
    duplicates: dict[str, str]
    """Path to the key of the video with the same content."""
    quarantined: dict[str, str]
    """Path to reason."""
    waiting: list[str]
    """Files that nobody has registered yet."""


def look(
    lake: Lake,
    config: FootageConfig,
    state: WatchState,
    now_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Look:
    """Register what has settled in the drop zone.

    A file that takes longer than the look may is read on in the background, and the looks after it go on without it.
    `now_s` counts seconds since 1970. Raises FileNotFoundError where there is no drop zone, OSError where it cannot
    be listed; nothing is registered then.
    """
    started_s = clock()
    raw = drop_zone(lake)
    registry = registry_of(lake)
    if state.lake != str(lake.root):
        state = WatchState(lake=str(lake.root))
    suspects = {*state.settling, *islice(registry.known.copy(), state.checked, state.checked + CHECKED_AGAIN)}
    listing = list_footage(raw, registry.known, suspects)
    changes = diff(listing.files, registry.known, state.settling, now_s, config.settle_s)
    outcomes, left = [], dict.fromkeys(changes.new)
    refused: dict[str, str] = {}
    # Large files last: those before them are not held up.
    new = sorted(changes.new, key=lambda path: listing.files[path].size >= LARGE_BYTES)
    for path in [*new, *_to_look_at_again(raw, listing, registry)][: config.max_files_per_tick]:
        left_s = config.tick_budget_s - (clock() - started_s)
        if left_s <= 0:
            break
        try:
            outcome = registered_within(lake, path, left_s)
        except (FileNotFoundError, StillChanging):
            continue
        except (OSError, ValueError) as error:  # the lake's own files, or a file that became a link meanwhile
            refused[path] = str(error)
            continue
        if outcome:
            outcomes.append(outcome)
            left.pop(path, None)
    relabelled = read_labels_again(lake, registry, suspects & listing.files.keys() - left.keys())
    settled = {path: state.settling.get(path, Waiting(listing.files[path], now_s)) for path in left}
    quarantine = dict(sorted({**quarantined(listing, registry), **refused}.items()))
    digest = hashlib.sha256(json.dumps(sorted(quarantine.items())).encode()).hexdigest() if quarantine else ""
    waiting = sorted({**settled, **changes.settling}.items(), key=lambda item: item[1].since_s)
    return Look(
        state=WatchState(
            lake=str(lake.root),
            checked=state.checked + CHECKED_AGAIN if state.checked + CHECKED_AGAIN < len(registry.known) else 0,
            settling=dict(waiting[:WATCHED_AT_ONCE]),
            quarantine=digest,
        ),
        outcomes=outcomes,
        relabelled=relabelled,
        quarantine=quarantine,
        quarantine_changed=digest != state.quarantine,
        known=len(listing.files) - len(waiting),
        waiting=len(waiting),
    )


def status(lake: Lake) -> Status:
    """What is in the lake, what is not, and why."""
    raw = drop_zone(lake)
    listing = list_footage(raw) if raw.exists() else Listing()
    registry = registry_of(lake)
    latest = registry.latest.copy()
    there = [outcome for path, outcome in latest.items() if listing.files.get(path) == outcome.stamp]
    held = {outcome.key for path, outcome in latest.items() if path in listing.files}
    registered = sorted(registry.sha256_of.copy())
    return Status(
        videos=[key for key in registered if key in held],
        gone=[key for key in registered if key not in held],
        duplicates={outcome.path: outcome.key or "" for outcome in there if outcome.status == "duplicate"},
        quarantined=quarantined(listing, registry),
        waiting=sorted(path for path, stamp in listing.files.items() if registry.known.get(path) != stamp),
    )


def videos_still_there(lake: Lake) -> set[str]:
    """The registered videos with a file in the drop zone, under any of the names that it was seen under.

    Raises OSError where the drop zone cannot be listed, or holds no file at all, which is how a disk looks that is not
    mounted: an unreadable listing is not an empty one.
    """
    registry = registry_of(lake)
    listing = list_footage(drop_zone(lake), registry.known)
    if registry.key_of and not listing.files:
        raise FileNotFoundError(f"{lake.raw} holds none of {len(registry.key_of)} registered videos; is it mounted?")
    return {outcome.key for path, outcome in registry.latest.copy().items() if outcome.key and path in listing.files}


def quarantined(listing: Listing, registry: Registry) -> dict[str, str]:
    """The reason for everything in the drop zone that cannot be used as it is now, by path."""
    found = {
        path: outcome.reason or ""
        for path, outcome in registry.quarantined.copy().items()
        if listing.files.get(path) == outcome.stamp
    }
    return dict(sorted({**found, **listing.refused}.items()))


def _to_look_at_again(raw: Path, listing: Listing, registry: Registry) -> list[str]:
    """Quarantined files whose labels or permissions somebody has changed since."""
    return [
        path
        for path, outcome in registry.quarantined.copy().items()
        if outcome.retry_after_ns is not None
        and listing.files.get(path) == outcome.stamp
        and labels_changed_ns(raw / path) != outcome.retry_after_ns
    ]
