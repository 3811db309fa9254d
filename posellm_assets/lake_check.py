"""Every file of a lake against what is recorded of it: what is damaged or missing, and how it comes back.

What the graph makes of footage can be made again, and `repair` moves it out of the way so that the next runs do.
Footage, releases, snapshots and models cannot: of those it is said where a copy may be, and nothing is touched.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.checksums import SUMS, forget, read_sums, recorded
from posellm_assets.files import sha256_of
from posellm_assets.footage.labels import TABLE, read_labels, sidecar_of
from posellm_assets.footage.manifest import FootageManifest, read_manifest
from posellm_assets.footage.registry import Outcome
from posellm_assets.generations.releases import KINDS, history
from posellm_assets.generations.snapshots import read_snapshot
from posellm_assets.lake import Lake
from posellm_assets.motion.motion import Motion
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.poses.poses import Poses
from posellm_assets.problems import attempted, sentence
from posellm_assets.records import Record
from posellm_assets.texts.captions import read_captions
from posellm_assets.texts.glossary import glossary_of
from posellm_assets.training import checkpoints

OF_VIDEOS = ("poses", "motion", "captions", "motion_tokens", "coaching_labels", "action_predictions")
INGESTED = ("poses", "motion", "captions")
"""What the ingest makes anew where captions, the last of it, are not there."""


class Fault(Record):
    """A file of the lake that is not what it should be."""

    path: Path
    what: str
    """What is wrong with it."""
    remedy: str
    """How it comes back."""
    made_again: bool
    """Whether the graph makes it again once it is out of the way."""

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.remedy}"


def faults(lake: Lake) -> Iterator[Fault]:
    """All files of the lake that are damaged or missing. Every file is read, so that it takes as long as copying it."""
    yield from _of_footage(lake)
    for path in _files(lake):
        if what := _damage(lake, path):
            yield _fault(lake, path, what)
    yield from (_fault(lake, path, "it is missing") for path in _missing(lake))
    for path in _without_checksum(lake):
        remedy = f"{_REPAIR} takes it away; the file itself is checked by what reads it"
        yield Fault(path=path, what="it holds no checksum of its file", remedy=remedy, made_again=True)


def repair(lake: Lake, found: Iterable[Fault]) -> list[Path]:
    """Move what the graph makes again to `damaged/`, so that the next runs make it; returns what was moved or was gone.

    Of a video whose poses or motion are affected, the captions go too: without them it is ingested again.
    """
    repaired = []
    for fault in found:
        if not fault.made_again:
            continue
        repaired.append(fault.path)
        _out_of_the_way(lake, _whole(lake, fault.path))
        step, key = fault.path.relative_to(lake.root).parts[0], _key_of(fault.path)
        if step in INGESTED:
            _out_of_the_way(lake, lake.captions(key))
    return repaired


def _out_of_the_way(lake: Lake, path: Path) -> None:
    forget(lake, [path])
    if os.path.lexists(path):
        target = lake.damaged / path.relative_to(lake.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        os.replace(path, target)


def _of_footage(lake: Lake) -> Iterator[Fault]:
    """Registered videos: the registry, their manifests, and the files in the drop zone, each against the others."""
    advice = "put a copy of the file back: it is the history of all footage"
    registry = partial(Fault, path=lake.registry, remedy=advice, made_again=False)
    registered, lines, whole = lake.registered_videos(), _lines(lake), True
    if isinstance(lines, Exception):
        if registered or os.path.lexists(lake.registry):
            yield registry(what=sentence(lines))
        lines, whole = [], False
    for number, line in enumerate(lines, start=1):
        if isinstance(line, Exception):
            yield registry(what=f"line {number} is damaged", remedy=f"{advice}, but for that line where there is none")
            whole = False
    outcomes = [line for line in lines if not isinstance(line, Exception)]
    for key in sorted({one.key for one in outcomes if one.key} | set(registered)):
        manifest = attempted(lambda key: read_manifest(lake, key), key)
        what = sentence(manifest) if isinstance(manifest, Exception) else _unlike_record(lake, lake.footage(key))
        if what:
            restore = "put a copy back; it says what the owner said and when the video came in"
            yield Fault(path=lake.footage(key), what=what, remedy=restore, made_again=False)
        if isinstance(manifest, Exception) or what:
            continue
        if whole and not any(_tells_of(outcome, manifest) for outcome in outcomes):
            yield registry(what=f"it does not say of {key} what its manifest {lake.footage(key)} says")
        yield from _of_source(lake, manifest)


def _lines(lake: Lake) -> list[Outcome | Exception] | Exception:
    """The lines of the registry; a last one that was never finished is none."""
    content = attempted(Path.read_bytes, lake.registry)
    if isinstance(content, Exception):
        return content
    if not content and lake.registered_videos():
        return ValueError("it is empty, and videos are registered")
    lines = content.splitlines(keepends=True)
    return [attempted(Outcome.model_validate_json, line) for line in lines]


def _tells_of(outcome: Outcome, manifest: FootageManifest) -> bool:
    said = (outcome.key, outcome.sha256, outcome.path, outcome.size)
    return said == (manifest.key, manifest.sha256, manifest.source, manifest.size_bytes)


def _of_source(lake: Lake, manifest: FootageManifest) -> Iterator[Fault]:
    source = lake.raw / manifest.source
    sha256 = attempted(_content_hash, source)
    if isinstance(sha256, Exception) or sha256 != manifest.sha256:
        what = sentence(sha256) if isinstance(sha256, Exception) else "it is not what was registered"
        back = "put the file back from where it was filmed or kept"
        yield Fault(path=source, what=what, remedy=back, made_again=False)
    said = attempted(lambda place: read_labels(lake.raw, place), manifest.source)
    if isinstance(said, Exception):
        words = source.parent / TABLE if TABLE in str(said) else sidecar_of(source)
        remedy = "put it right, or put a copy back: it is your own"
        yield Fault(path=words, what=sentence(said), remedy=remedy, made_again=False)


_APART = ("raw", "footage", "checksums", "damaged", "hub")


def _files(lake: Lake) -> Iterator[Path]:
    """All files of the lake but those of footage, records of this check, locks and what a killed writer left."""
    for name, folders, files in os.walk(lake.root):
        folder = Path(name)
        if folder == lake.root:
            folders[:] = [one for one in folders if one not in _APART]
        held = [one for one in folders if checkpoints.step_of(one) is not None]
        folders[:] = sorted(one for one in folders if one not in held and not one.startswith("."))
        yield from (folder / one for one in held)
        # A folder in the place of a file; the examples of a split are a folder that is called as parquet files are.
        stray = [one for one in folders if _stands_for_a_file(lake, folder / one)]
        folders[:] = [one for one in folders if one not in stray]
        yield from (folder / one for one in stray)
        yield from (folder / one for one in sorted(files) if one != SUMS and not one.startswith("."))


def _stands_for_a_file(lake: Lake, folder: Path) -> bool:
    if folder.parent.parent == lake.snapshots:
        return folder.suffix == ".json"
    return folder.suffix in _READERS or recorded(lake, folder) is not None


def _missing(lake: Lake) -> Iterator[Path]:
    """What is recorded and not there."""
    for path in sorted(lake.checksums.rglob("*.sha256")):
        place = lake.root / path.relative_to(lake.checksums).with_suffix("")
        if not os.path.lexists(place):
            yield place
    for sums in sorted(lake.root.rglob(SUMS)):
        if sums.relative_to(lake.root).parts[0] not in _APART:
            yield from (sums.parent / name for name in read_sums(sums) if not os.path.lexists(sums.parent / name))


def _without_checksum(lake: Lake) -> Iterator[Path]:
    """Records of this check that are damaged themselves."""
    for path in sorted(lake.checksums.rglob("*.sha256")):
        if list(read_sums(path)) != [path.relative_to(lake.checksums).with_suffix("").as_posix()]:
            yield path
    for sums in sorted(lake.root.rglob(SUMS)):
        if sums.relative_to(lake.root).parts[0] not in _APART and not read_sums(sums):
            yield sums


def _damage(lake: Lake, path: Path) -> str:
    """What is wrong with a file; empty where nothing is."""
    if path.is_dir() and checkpoints.step_of(path.name) is not None:
        return checkpoints.problem(path) or ""
    if what := _unlike_record(lake, path):
        return what
    read = _reader(lake, path)
    found = attempted(read, path) if read else None
    return sentence(found) if isinstance(found, Exception) else ""


def _unlike_record(lake: Lake, path: Path) -> str:
    wanted = recorded(lake, path)
    found = attempted(_content_hash, path)
    if isinstance(found, Exception):
        return f"it cannot be read ({sentence(found)})"
    return "it is damaged: not what it was when it was made" if wanted and found != wanted else ""


def _content_hash(path: Path) -> str:
    with path.open("rb"):  # of a folder in its place this raises
        return sha256_of(path)


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


def _fault(lake: Lake, path: Path, what: str) -> Fault:
    remedy, made_again = _remedy(lake, path)
    return Fault(path=path, what=what, remedy=remedy, made_again=made_again)


def _remedy(lake: Lake, path: Path) -> tuple[str, bool]:
    """How a file comes back, and whether the graph makes it again."""
    parts = path.relative_to(lake.root).parts
    top = parts[0]
    if top in OF_VIDEOS:
        job = "run ingest_footage" if top in INGESTED else f"materialize {top}"
        return f"{_REPAIR}, then {job} for {_key_of(path)}", True
    if top == "problems":
        return f"{_REPAIR}, then run {parts[1]} for {path.stem} again", True
    if top == "snapshots" and len(parts) == 4:
        return f"{_REPAIR}; the next run on {parts[1]} makes it again", True
    if asset := _ASSETS.get((top, *parts[2:3])) or _ASSETS.get((top,)):
        return f"{_REPAIR}, then materialize {asset} for {parts[1]}", True
    if top == "coaching_answers":
        return f"{_REPAIR}; the teacher is then asked again, which may cost money", True
    return _RESTORE.get(
        top, "copy it back from the model's store or another copy of the lake, or train it again"
    ), False


_REPAIR = "`posellm lake check --repair`"
_ASSETS = {
    ("evaluators",): "motion_evaluator",
    ("reports",): "evaluation_report",
    ("actions", "dataset"): "action_dataset",
    ("actions", "report"): "action_report",
    ("coaching", "dataset"): "coaching_dataset",
    ("coaching", "report"): "coaching_report",
    ("coaching", "feedback"): "feedback_dataset",
    ("coaching", "streaming_report"): "streaming_report",
}
"""What the graph makes as a folder for each snapshot, by its place in the lake."""
_RESTORE = {
    "releases": "put a copy back: it is the history of what was in use, and is never removed",
    "snapshots": "put a copy back: models rest on what was frozen, and it is never removed",
    "glossary": "put it right, or put a copy back: it is your own",
    "label_sets": "put it right, or put a copy back: it is your own",
    "endpoint_spending.json": "put a copy back, or write what was spent: the cap is held against it",
}


def _whole(lake: Lake, path: Path) -> Path:
    """What is moved out of the way for a damaged file: the folder where that is made as a whole, else the file."""
    parts = path.relative_to(lake.root).parts
    for levels in (3, 2):
        if (parts[0], *parts[2:levels]) in _ASSETS and len(parts) > levels:
            return lake.root.joinpath(*parts[:levels])
    return path


def _key_of(path: Path) -> str:
    """The video of a file that is named by its key."""
    return ".".join(path.name.split(".")[:3])
