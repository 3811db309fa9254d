"""An athlete asks that what is theirs goes: a video, what was made of it, and every line about it.

What models have learned cannot be taken out of them. Which generations saw the video is written down under the sha256
of its key, so that whoever holds the key can tell, and nobody else.

Everything goes by whole names: `squat` is no part of `squat2`. Purging again after it was interrupted ends it.
"""

import csv
import hashlib
import io
import json
import os
import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.checksums import SUMS, forget, record, record_list, record_with_copy
from posellm_assets.files import read_json, sha256_of, write_atomic, write_bytes, write_json
from posellm_assets.footage.labels import TABLE, sidecar_of
from posellm_assets.footage.manifest import FootageManifest, normalised_participant, read_manifest
from posellm_assets.footage.registry import registry_of
from posellm_assets.generations.snapshots import parts_of, read_snapshot, snapshot_keys
from posellm_assets.lake import Lake
from posellm_assets.training import checkpoints

_BY_NAME = ("raw", "removed", "checksums", "footage", "poses", "motion", "captions", "motion_tokens")
"""Folders with files of their own for each video: what they hold of others is not read."""
_PAGE = (
    "<!doctype html><meta charset=utf-8><title>Report</title><p>This page showed a clip that was deleted because the "
    "person in it asked for it. The figures are in metrics.json; materialize the report's asset to have it again "
    "without that clip."
)
_GONE = object()


def purge(lake: Lake, key: str) -> list[str]:
    """Delete a video and all that tells of it; returns the snapshots whose models have seen it.

    Where its participant has no other video, the name is replaced by a made-up one in what stays. Raises
    FileNotFoundError where there is no such video.
    """
    manifest, registry = read_manifest(lake, key), registry_of(lake)
    registry_says = {one.path for one in registry.log if one.key == key or one.sha256 == manifest.sha256}
    traces = _Traces(lake, manifest, registry_says | {manifest.source})
    saw = [name for name in snapshot_keys(lake, None) if key in {one.key for one in read_snapshot(lake, name).videos}]
    _note(lake, key, saw)
    _delete_footage(lake, manifest, traces.places)
    for name in saw:
        _leave_snapshot(lake, name, key, traces)
    for folder in lake.root.glob("*/*/dataset"):
        _leave_dataset(lake, folder, traces)
    _leave_files(lake, lake.root, traces)
    for path in _named(lake, traces):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        _list_again(path.parent)
    with registry.writing():
        registry.leave_out(key, manifest.sha256)
    return saw


class _Traces:
    """By what a video is known: its key, the places of its file, its content, and who moves where nobody else does."""

    def __init__(self, lake: Lake, manifest: FootageManifest, places: Iterable[str]):
        self.key, self.places = manifest.key, set(places)
        self.who = _who_is_left_nowhere(lake, manifest)
        self.alias = f"removed-{secrets.token_hex(4)}"
        self._about = [re.compile(f"(?<![\\w.-]){re.escape(self.key)}(?![0-9a-z])|{manifest.sha256}")]
        self._about += [re.compile(f"(?<![\\w-]){re.escape(place)}(?![\\w-])") for place in self.places]
        spaced = r"\s+".join(map(re.escape, self.who.split()))
        self._who = re.compile(rf"(?<![\w-]){spaced}(?![\w-])", re.IGNORECASE) if spaced else None
        own = " ".join(manifest.captions)
        self._in_words = bool(self._who and self._who.search(own))

    def and_file(self, place: str) -> "_Traces":
        """The same, for a folder in which another file holds the video too."""
        more = copy(self)
        more._about = [*self._about, re.compile(f"(?<![\\w-]){re.escape(place)}(?![\\w-])")]
        return more

    def names_it(self, text: str) -> bool:
        """Whether a text names the video."""
        return any(about.search(text) for about in self._about)

    def in_any_of(self, value: Any) -> bool:
        """Whether any text in a JSON value names the video."""
        if isinstance(value, dict):
            return any(self.names_it(name) or self.in_any_of(one) for name, one in value.items())
        if isinstance(value, list):
            return any(map(self.in_any_of, value))
        return isinstance(value, str) and self.names_it(value)

    def names_who(self, text: str) -> bool:
        """Whether a text names a participant who has to go, and not merely a number like theirs."""
        return bool(self._who and re.search("[^\\W\\d]", self.who) and self._who.search(text))

    def renamed(self, text: str) -> str:
        """A text with another name in the place of a participant who has to go."""
        if not self._who:
            return text
        name, token = text.removeprefix("<PID_").removesuffix(">"), text.startswith("<PID_")
        if normalised_participant(name) == self.who:
            return f"<PID_{self.alias}>" if token else self.alias
        return self._who.sub(self.alias, text) if self._in_words else text

    def without(self, value: Any) -> Any:
        """JSON without what tells of the video; `_GONE` where all of it does."""
        if isinstance(value, str):
            return _GONE if self.names_it(value) else self.renamed(value)
        if isinstance(value, list):
            kept = (_GONE if self._is_row(one) else self.without(one) for one in value)
            return [one for one in kept if one is not _GONE]
        if isinstance(value, dict):
            kept_of = {self.renamed(name): self.without(one) for name, one in value.items() if not self.names_it(name)}
            return {name: one for name, one in kept_of.items() if one is not _GONE}
        return value

    def _is_row(self, value: Any) -> bool:
        return isinstance(value, dict) and any(isinstance(one, str) and self.names_it(one) for one in value.values())


def _who_is_left_nowhere(lake: Lake, manifest: FootageManifest) -> str:
    """The participant of a video, as names are compared, where no other video has them, else ''."""
    who = normalised_participant(manifest.participant)
    others = (read_manifest(lake, key) for key in lake.registered_videos() if key != manifest.key)
    if not who or any(normalised_participant(other.participant) == who for other in others):
        return ""
    return who


def _note(lake: Lake, key: str, saw: Sequence[str]) -> None:
    if saw:
        known = read_json(lake.purged) if lake.purged.exists() else {}
        write_json(lake.purged, {**known, hashlib.sha256(key.encode()).hexdigest(): list(saw)})


def _delete_footage(lake: Lake, manifest: FootageManifest, places: Iterable[str]) -> None:
    """Delete the files of a video wherever they lie in the drop zone and beside it, with what is said of them."""
    for top in (lake.raw, lake.removed):
        for path in list(top.rglob("*")):
            is_file = path.is_file() and not path.is_symlink()  # asked now: sidecars go with their clips
            if is_file and path.stat().st_size == manifest.size_bytes and sha256_of(path) == manifest.sha256:
                path.unlink()
                sidecar_of(path).unlink(missing_ok=True)
                _leave_table(path)
    for place in places:  # the file was deleted by hand, and its row was left
        if not os.path.lexists(lake.raw / place):
            sidecar_of(lake.raw / place).unlink(missing_ok=True)
            _leave_table(lake.raw / place)


def _leave_table(video: Path) -> None:
    """Take the row of a file out of the table of its folder."""
    table = video.parent / TABLE
    if not table.is_file():
        return
    rows = list(csv.reader(io.StringIO(table.read_text(encoding="utf-8-sig"), newline="")))
    place = rows[0].index("file") if rows and "file" in rows[0] else 0
    name = unicodedata.normalize("NFC", video.name)
    kept = [row for row in rows if [unicodedata.normalize("NFC", one) for one in row[place : place + 1]] != [name]]
    if len(kept) < len(rows):
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows(kept)
        write_bytes(table, out.getvalue().encode())


def _leave_snapshot(lake: Lake, name: str, key: str, traces: _Traces) -> None:
    """Take a video out of what was frozen, out of its examples, and out of trainings that could go on from them."""
    snapshot = read_snapshot(lake, name)
    kept = snapshot.model_copy(update={"videos": [one for one in snapshot.videos if one.key != key]})
    (split,) = {one.split for one in snapshot.videos if one.key == key}
    folder, old, new = lake.examples(name, split), parts_of(snapshot, split), parts_of(kept, split)
    for part in [part for part in old if part not in new and (folder / part).is_file()]:
        (left,) = [other for other in new if other not in old] or [""]
        if left:
            _write_rows(folder / left, [row for row in pq.read_table(folder / part).to_pylist() if row["key"] != key],
                        pq.read_schema(folder / part), traces)  # fmt: skip
            record(lake, [folder / left])
        forget(lake, [folder / part])
        (folder / part).unlink()
    write_json(lake.snapshot(name), kept.model_dump())
    record_with_copy(lake, lake.snapshot(name))
    for pattern in (f"*/{name}/*", f"hub/*/{name}"):
        for training in lake.root.glob(pattern):
            for step in checkpoints.steps(training):
                checkpoints.remove(checkpoints.folder_of(training, step))


def _leave_dataset(lake: Lake, folder: Path, traces: _Traces) -> None:
    """Take the examples of a video out of a data set, in which they have files of their own."""
    for path in folder.glob("*.json"):
        content = read_json(path)
        for row in content.get("examples", []) if isinstance(content, dict) else []:
            if isinstance(row, dict) and row.get("key") == traces.key and row.get("file"):
                place = f"videos/{row['file']}"
                _leave_files(lake, folder, traces.and_file(place))
                (folder / place).unlink(missing_ok=True)
                _list_again(folder / "videos")


def _leave_files(lake: Lake, top: Path, traces: _Traces) -> None:
    """Take every line about a video out of the texts and tables below a folder of the lake."""
    leave = {".json": _leave_json, ".jsonl": _leave_lines, ".parquet": _leave_rows, ".html": _leave_page}
    for path in _files(lake, top):
        change = leave.get(path.suffix, _leave_text if path.suffix in (".md", ".txt") else None)
        if change and change(path, traces):
            if lake.checksum(path).exists():
                record_with_copy(lake, path) if lake.second_copy(path).exists() else record(lake, [path])
            _list_again(path.parent)


def _files(lake: Lake, top: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(top):
        if Path(place) == lake.root:
            folders[:] = [name for name in folders if name not in _BY_NAME]
        yield from (Path(place) / name for name in names)


def _leave_json(path: Path, traces: _Traces) -> bool:
    before = read_json(path)
    after = traces.without(before)
    if after is not _GONE and after != before:
        write_json(path, after)
    return bool(after != before)


def _leave_lines(path: Path, traces: _Traces) -> bool:
    before = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    after = [traces.without(one) for one in before if not traces.in_any_of(one)]
    if after != before:
        write_bytes(path, "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in after).encode())
    return after != before


def _leave_rows(path: Path, traces: _Traces) -> bool:
    table = pq.read_table(path)
    before = table.to_pylist()
    after = traces.without(before)
    if after != before:
        _write_rows(path, after, table.schema, traces)
        return True
    return False


def _write_rows(path: Path, rows: Any, schema: pa.Schema, traces: _Traces) -> None:
    write_atomic(path, partial(pq.write_table, pa.Table.from_pylist(traces.without(rows), schema=schema)))


def _leave_page(path: Path, traces: _Traces) -> bool:
    text = path.read_text()
    if traces.names_it(text) or traces.names_who(text):
        write_bytes(path, _PAGE.encode())
        return True
    return False


def _leave_text(path: Path, traces: _Traces) -> bool:
    before = path.read_text().splitlines(keepends=True)
    after = [traces.renamed(line) for line in before if not traces.names_it(line.strip())]
    if after != before:
        write_bytes(path, "".join(after).encode())
        return True
    return False


def _named(lake: Lake, traces: _Traces) -> list[Path]:
    """Files and folders that are called by a video, the innermost first."""
    found = (path for path in lake.root.rglob("*") if path.relative_to(lake.root).parts[0] not in ("raw", "removed"))
    return sorted((path for path in found if traces.names_it(path.name)), reverse=True)


def _list_again(folder: Path) -> None:
    if (folder / SUMS).is_file():
        record_list(folder)
