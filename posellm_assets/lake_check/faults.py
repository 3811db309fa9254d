"""Every file of a lake against what is recorded of it: what is damaged or missing."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.checksums import SUMS, read_sums, recorded
from posellm_assets.generations.releases import KINDS, history, standing
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.lake import Lake
from posellm_assets.lake_check.fault import OF_VIDEOS, REPAIR, Fault, fault_of, has_copy
from posellm_assets.lake_check.footage import faults_of_footage, unlike_record
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.poses.poses import Poses
from posellm_assets.problems import attempted, sentence
from posellm_assets.texts.captions import read_captions
from posellm_assets.texts.glossary import glossary_of
from posellm_assets.training import checkpoints

_APART = ("raw", "footage", "checksums", "damaged")
_RECORDED = ("footage", "problems", "snapshots", "releases", *OF_VIDEOS)
"""Where each file has a record of its own."""


def faults(lake: Lake) -> Iterator[Fault]:
    """All files of the lake that are damaged or missing. Every file is read, so that it takes as long as copying it."""
    yield from faults_of_footage(lake)
    for path in _files(lake):
        if what := damage(lake, path):
            yield fault_of(lake, path, what)
    yield from (fault_of(lake, path, "it is missing") for path in _missing(lake))
    yield from _models_in_use(lake)
    for path in _damaged_records(lake):
        remedy = f"{REPAIR}; the file is recorded anew, where it is read without fault"
        yield Fault(path=path, what="it is not as it was written", remedy=remedy, repairable=True)


def unrecorded(lake: Lake) -> list[Path]:
    """The files that were made and never recorded, because who made them was killed: only their readers judge them."""
    places = [
        path for top in _RECORDED for path in sorted((lake.root / top).rglob("*")) if path.is_file() and _shown(path)
    ]
    kept_apart = (lake.registry.parent,)  # what is no manifest there has a line for each of its own, or is of a moment
    return [path for path in places if recorded(lake, path) is None and path.parent not in kept_apart]


def damage(lake: Lake, path: Path) -> str:
    """What is wrong with a file, or with a checkpoint; empty where nothing is."""
    if path.is_dir() and checkpoints.step_of(path.name) is not None:
        broken = attempted(checkpoints.problem, path)
        return sentence(broken) if isinstance(broken, Exception) else broken or ""
    if what := unlike_record(lake, path):
        return what
    read = _reader(lake, path)
    found = attempted(read, path) if read else None
    return sentence(found) if isinstance(found, Exception) else ""


def _files(lake: Lake) -> Iterator[Path]:
    """All files of the lake but those of footage, records of this check, locks and what a killed writer left."""
    for name, folders, files in os.walk(lake.root):
        folder = Path(name)
        if folder == lake.root:
            folders[:] = [one for one in folders if one not in _APART]
        held = [one for one in folders if checkpoints.step_of(one) is not None]
        folders[:] = sorted(one for one in folders if one not in held and not one.startswith("."))
        # In a store a checkpoint counts from its manifest on, which is written last.
        stored = folder.relative_to(lake.root).parts[:1] == ("hub",)
        yield from (folder / one for one in held if not stored or (folder / one / checkpoints.MANIFEST).exists())
        # A folder in the place of a file; the examples of a split are a folder that is called as parquet files are.
        stray = [one for one in folders if _stands_for_a_file(lake, folder / one)]
        folders[:] = [one for one in folders if one not in stray]
        yield from (folder / one for one in stray)
        yield from (folder / one for one in sorted(files) if one != SUMS and _shown(Path(one)))


def _shown(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix not in (".lock", ".tmp")


def _stands_for_a_file(lake: Lake, folder: Path) -> bool:
    if folder.parent.parent == lake.snapshots:
        return folder.suffix == ".json"
    return folder.suffix in _READERS or recorded(lake, folder) is not None


def _models_in_use(lake: Lake) -> Iterator[Fault]:
    """Models that are in use and not there."""
    for kind in KINDS:
        releases = attempted(partial(history, lake), kind)
        if isinstance(releases, Exception):
            continue  # that file is damaged, which is said of it
        for scope in sorted({one.scope for one in releases}):
            path = standing([one for one in releases if one.scope == scope])[-1].path(lake)
            if not path.is_dir():
                remedy = fault_of(lake, path, "").remedy.removeprefix(f"{REPAIR}, then ")
                yield Fault(path=path, what="it is in use and is missing", remedy=remedy, repairable=False)


def _missing(lake: Lake) -> Iterator[Path]:
    """What is recorded and not there, but for manifests of footage, which the registry tells of."""
    for path in sorted(lake.checksums.rglob("*.sha256")):
        place = lake.root / path.relative_to(lake.checksums).with_suffix("")
        if not os.path.lexists(place) and place.relative_to(lake.root).parts[0] != "footage":
            yield place
    for sums in _lists(lake):
        yield from (sums.parent / name for name in read_sums(sums) if not os.path.lexists(sums.parent / name))


def _damaged_records(lake: Lake) -> Iterator[Path]:
    """Records that are damaged themselves, and second copies that are not what they were."""
    for path in sorted(lake.checksums.rglob("*")):
        place = lake.root / path.relative_to(lake.checksums).with_suffix("")
        if path.suffix == ".sha256":
            whole = list(read_sums(path)) == [place.relative_to(lake.root).as_posix()]
        else:
            whole = path.suffix != ".copy" or not recorded(lake, place) or has_copy(lake, place)
        if not whole:
            yield path
    yield from (sums for sums in _lists(lake) if not read_sums(sums))


def _lists(lake: Lake) -> Iterator[Path]:
    for sums in sorted(lake.root.rglob(SUMS)):
        if sums.relative_to(lake.root).parts[0] not in _APART:
            yield sums


def _reader(lake: Lake, path: Path) -> Callable[[Path], object] | None:
    """Who reads a file: the room whose it is, else by its ending."""
    parts = path.relative_to(lake.root).parts
    if parts[0] == "releases" and path.stem in KINDS:
        return lambda path: history(lake, next(kind for kind in KINDS if kind == path.stem))
    if parts[0] == "snapshots" and path == lake.snapshot(parts[1]):
        return lambda _: read_snapshot(lake, parts[1])
    if parts[0] == "glossary":
        return lambda path: glossary_of(path.stem, lake)
    special: dict[tuple[str, str], Callable[[Path], object]] = {
        ("poses", ".parquet"): Poses.read,
        ("motion", ".parquet"): Motion.read,
        ("motion_tokens", ".json"): MotionTokens.read,
        ("captions", ".json"): lambda path: read_captions(lake, path.stem),
    }
    return special.get((parts[0], path.suffix)) or _READERS.get(path.suffix)


def _read_parquet(path: Path) -> None:
    with path.open("rb") as stream:
        pq.read_table(pa.PythonFile(stream, mode="r"))


def _read_lines(path: Path) -> None:
    for line in path.read_bytes().splitlines():
        json.loads(line)


def _read_safetensors(path: Path) -> None:
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if size > 100_000_000:
            raise ValueError("it is not a file of weights, or its head is damaged")
        tensors = json.loads(stream.read(size))
    ends = [one["data_offsets"][1] for name, one in tensors.items() if name != "__metadata__"]
    if path.stat().st_size != 8 + size + max(ends, default=0):
        raise ValueError("it is cut short")


_READERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_bytes()),
    ".jsonl": _read_lines,
    ".parquet": _read_parquet,
    ".safetensors": _read_safetensors,
}
