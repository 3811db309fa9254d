"""What was added can be taken out again, moved to another sport or label, and named anew.

A file that is taken out is put aside, with its sidecar, in `removed/`: nothing is trained on it any more, and adding it
brings it back. What was made of it stays where it is, because snapshots rest on it.
"""

import os
from pathlib import Path, PurePosixPath

from posellm_assets.files import sync, write_json
from posellm_assets.footage.labels import Labels, sidecar_of
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.register import places_of, register
from posellm_assets.footage.registry import Outcome, registry_of
from posellm_assets.footage.scan import drop_zone
from posellm_assets.keys import slug
from posellm_assets.lake import Lake


def key_of_clip(lake: Lake, clip: str, removed_too: bool = False) -> str:
    """The key of a video that is named by its key or by a file that holds it; raises ValueError where there is none.

    With `removed_too` the key may be that of one that was taken out before.
    """
    registry = registry_of(lake)
    if clip in registry.sha256_of or (removed_too and clip in registry.removed):
        return clip
    path = Path(os.path.abspath(clip))
    raw = Path(os.path.abspath(drop_zone(lake)))
    place = path.relative_to(raw).as_posix() if path.is_relative_to(raw) else clip.removeprefix("raw/")
    outcome = registry.latest.get(place)
    if outcome is None or outcome.key not in registry.sha256_of:
        raise ValueError(
            f"{clip} is neither the key nor the file of a video of this lake; `posellm status --json` lists keys"
        )
    return str(outcome.key)


def remove(lake: Lake, key: str) -> list[Path]:
    """Put the files of a video aside; returns where they are now.

    Raises FileNotFoundError where there is no such video, FileExistsError where something else was put there before.
    """
    registry, manifest = registry_of(lake), read_manifest(lake, key)
    aside = []
    for place in list(places_of(lake, registry, manifest)):
        target = lake.removed / place
        _rename(lake.raw / place, target)
        aside.append(target)
    with registry.writing():
        paths = [path for path, outcome in registry.latest.items() if outcome.key == key]
        for path in paths or [manifest.source]:
            outcome = Outcome(path=path, size=manifest.size_bytes, mtime_ns=0, status="removed", key=key)
            registry.append(outcome)
    return aside


def move(lake: Lake, key: str, sport: str | None, label: str | None) -> str:
    """Move the file of a video to the folder of another sport or label; returns its key, which another sport changes.

    Raises ValueError where the names cannot be those of folders, FileExistsError where the name is taken there.
    """
    manifest = read_manifest(lake, key)
    folder = slug(sport, "") if sport is not None else PurePosixPath(manifest.source).parts[0]
    if not folder:
        raise ValueError(f"{sport!r} cannot name a sport: use Latin letters and digits, for instance 'table-tennis'")
    source = PurePosixPath(manifest.source)
    label = label if label is not None else source.parts[1] if len(source.parts) > 2 else None
    if label is not None and (label != Path(label).name or label.startswith(".")):
        raise ValueError(f"{label!r} cannot name a folder")
    target = "/".join(part for part in (folder, label, source.name) if part)
    if target != manifest.source:
        _rename(lake.raw / manifest.source, lake.raw / target)
    outcome = register(lake, target)
    if outcome.key is None:
        raise ValueError(f"raw/{target}: {outcome.reason}")
    return outcome.key


def relabel(lake: Lake, key: str, labels: Labels) -> Path:
    """Write `labels` into the sidecar of a video, over what it says already; returns the sidecar."""
    video = lake.raw / read_manifest(lake, key).source
    sidecar = sidecar_of(video)
    write_json(sidecar, labels.over(Labels.beside(video)).model_dump(exclude_defaults=True))
    return sidecar


def _rename(source: Path, target: Path) -> None:
    """Move a file and its sidecar, each by one rename; raises FileExistsError where one is there."""
    pairs = [(source, target), (sidecar_of(source), sidecar_of(target))]
    pairs = [(old, new) for old, new in pairs if os.path.lexists(old)]
    for _, new in pairs:
        if os.path.lexists(new):
            raise FileExistsError(f"{new} is there already; rename one of them")
    target.parent.mkdir(parents=True, exist_ok=True)
    for old, new in reversed(pairs):  # the sidecar first: the file is never seen without it
        os.rename(old, new)
    sync(target.parent)
    sync(source.parent)
