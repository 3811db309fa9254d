"""`posellm remove --purge`: an athlete asks that what is theirs goes."""

import csv
import io
import shutil

from posellm_assets.commands.starting import has_home
from posellm_assets.defs.catch_up import home_instance
from posellm_assets.defs.partitions import videos
from posellm_assets.files import sha256_of, write_bytes
from posellm_assets.footage.labels import TABLE, sidecar_of
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.registry import registry_of
from posellm_assets.footage.removing import remove
from posellm_assets.generations.snapshots import read_snapshot, snapshot_keys
from posellm_assets.lake import Lake

_SEEN = ("snapshots", "models", "evaluators", "reports", "actions", "coaching", "releases", "hub")
"""What rests on snapshots: it stays, and is named."""


def purge(lake: Lake, key: str) -> list[str]:
    """Delete a video: its files, what was made of them, and every line about it; returns the snapshots that hold it.

    What models have seen stays in them: their snapshots, with their examples and reports, are what the caller is told.
    Raises FileNotFoundError where there is no such video.
    """
    manifest, registry = read_manifest(lake, key), registry_of(lake)
    if key in registry.sha256_of:
        remove(lake, key)
    for path in [path for path in lake.removed.rglob("*") if path.is_file()]:
        if path.stat().st_size == manifest.size_bytes and sha256_of(path) == manifest.sha256:
            path.unlink()
            sidecar_of(path).unlink(missing_ok=True)
    _leave_tables(lake, manifest.source)
    for path in sorted(lake.root.rglob(f"*{key}*"), reverse=True):
        if path.relative_to(lake.root).parts[0] not in _SEEN:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with registry.writing():
        registry.leave_out(key, manifest.sha256)
    if has_home():
        with home_instance() as instance:
            instance.delete_dynamic_partition(videos.name or "", key)
    snapshots = (read_snapshot(lake, name) for name in snapshot_keys(lake, None))
    return [one.snapshot for one in snapshots if any(video.key == key for video in one.videos)]


def _leave_tables(lake: Lake, source: str) -> None:
    """Take the row of a file out of the table of its folder."""
    video = lake.raw / source
    table = video.parent / TABLE
    if not table.is_file():
        return
    rows = list(csv.reader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")))
    place = rows[0].index("file") if rows and "file" in rows[0] else 0
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(row for row in rows if row[place : place + 1] != [video.name])
    write_bytes(table, out.getvalue().encode())
