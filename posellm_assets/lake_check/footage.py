"""Registered videos: the registry, their manifests, and the files in the drop zone, each against the others."""

import os
from collections.abc import Iterator
from pathlib import Path

from posellm_assets.checksums import recorded
from posellm_assets.files import sha256_of
from posellm_assets.footage.labels import TABLE, Labels, read_labels, sidecar_of
from posellm_assets.footage.manifest import FootageManifest, read_manifest
from posellm_assets.footage.register import register
from posellm_assets.footage.registry import Outcome, Registry
from posellm_assets.lake import Lake
from posellm_assets.lake_check.fault import REPAIR, Fault
from posellm_assets.problems import attempted, sentence

_OWNERS = "put it right, or put a copy back: it is your own"


def faults_of_footage(lake: Lake) -> Iterator[Fault]:
    """What is wrong with the registry, the manifests and the files in the drop zone."""
    registry = Registry(lake.registry)
    unreadable = attempted(lambda one: one.refresh(), registry)
    if what := sentence(unreadable) if isinstance(unreadable, Exception) else "; ".join(_of_registry(lake, registry)):
        remedy = f"{REPAIR}; it is written anew, as the manifests tell"
        yield Fault(path=lake.registry, what=what, remedy=remedy, repairable=True)
    for key in sorted({*registry.sha256_of, *lake.registered_videos()} - registry.removed.keys()):
        path, manifest = lake.footage(key), attempted(lambda key: read_manifest(lake, key), key)
        what = sentence(manifest) if isinstance(manifest, Exception) else unlike_record(lake, path)
        if what:
            again = sources_of(lake, registry, key)
            remedy = f"{REPAIR}; {lake.raw / again[-1]} is registered again" if again else "put a copy back"
            yield Fault(path=path, what=what, remedy=remedy, repairable=bool(again))
        elif isinstance(manifest, FootageManifest):
            yield from _of_source(lake, manifest)


def unlike_record(lake: Lake, path: Path) -> str:
    """How a file differs from what it was when it was made; empty where it does not, or nobody knows."""
    wanted = recorded(lake, path)
    found = attempted(_content_hash, path)
    if isinstance(found, Exception):
        return f"it cannot be read ({sentence(found)})"
    return "it is damaged: not what it was when it was made" if wanted and found != wanted else ""


def sources_of(lake: Lake, registry: Registry, key: str) -> list[str]:
    """The files of the drop zone that a video was registered from and that still hold it, the newest last."""
    places = dict.fromkeys(one.path for one in registry.log if one.key == key and one.status == "registered")
    return [one for one in places if attempted(_content_hash, lake.raw / one) == registry.sha256_of[key]]


def rewrite_registry(lake: Lake) -> None:
    """Write the registry anew: its whole lines, and one for each manifest that none of them tells of.

    What else the damaged lines said (of duplicates, of what is in quarantine) is found out again by the next look.
    """
    registry = Registry(lake.registry)
    with registry.writing():
        known = {*registry.sha256_of, *registry.removed}
        manifests = (attempted(lambda key: read_manifest(lake, key), key) for key in lake.registered_videos())
        registry.rewrite(
            _outcome_of(lake, one) for one in manifests if isinstance(one, FootageManifest) and one.key not in known
        )


def register_again(lake: Lake, key: str) -> None:
    """Make the manifest of a video, which is out of the way, anew from its file in the drop zone."""
    registry = Registry(lake.registry)
    registry.refresh()
    register(lake, sources_of(lake, registry, key)[-1])


def _of_registry(lake: Lake, registry: Registry) -> Iterator[str]:
    if registry.damaged:
        yield f"damaged: line {', '.join(map(str, registry.damaged))}"
    if registry.unfinished:
        yield "its last line was never finished"
    if absent := sorted(set(lake.registered_videos()) - registry.sha256_of.keys() - registry.removed.keys()):
        yield f"it does not tell of {', '.join(absent)}"


def _outcome_of(lake: Lake, manifest: FootageManifest) -> Outcome:
    found = attempted(os.stat, lake.raw / manifest.source)
    return Outcome(
        path=manifest.source,
        size=manifest.size_bytes,
        mtime_ns=found.st_mtime_ns if isinstance(found, os.stat_result) else 0,
        status="registered",
        key=manifest.key,
        sha256=manifest.sha256,
    )


def _of_source(lake: Lake, manifest: FootageManifest) -> Iterator[Fault]:
    source = lake.raw / manifest.source
    sha256 = attempted(_content_hash, source)
    if isinstance(sha256, Exception) or sha256 != manifest.sha256:
        what = sentence(sha256) if isinstance(sha256, Exception) else "it is not what was registered"
        back = "put the file back from where it was filmed or kept"
        yield Fault(path=source, what=what, remedy=back, repairable=False)
    said = attempted(lambda place: read_labels(lake.raw, place), manifest.source)
    if isinstance(said, Exception):
        words = source.parent / TABLE if TABLE in str(said) else sidecar_of(source)
        yield Fault(path=words, what=sentence(said), remedy=_OWNERS, repairable=False)
    elif other := [name for name in Labels.model_fields if getattr(said, name) != getattr(manifest, name)]:
        words = sidecar_of(source)
        if not os.path.lexists(words) and (source.parent / TABLE).exists():
            words = source.parent / TABLE
        what = f"it does not say what was taken in, which is in {lake.footage(manifest.key)} ({', '.join(other)})"
        remedy = f"where you changed it, run ingest_footage for {manifest.key}; else put it right"
        yield Fault(path=words, what=what, remedy=remedy, repairable=False)


def _content_hash(path: Path) -> str:
    with path.open("rb"):  # of a folder in its place this raises
        return sha256_of(path)
