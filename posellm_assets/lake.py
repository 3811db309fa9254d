"""Where everything lies, and how it is written so that nobody ever reads half of it.

This module alone knows the layout of the data lake. The root is a URL (a folder by default); paths are
`universal_pathlib` paths. What a file contains is the business of the room that writes it.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from upath import UPath

from posellm_assets.footage.keys import check_snapshot_key, check_video_key, snapshot_scope, sport_of

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def checked_name(name: str) -> str:
    """Return `name` where it is safe as one part of a path, else raise ValueError."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"{name!r} cannot name a folder of the lake: use lower-case letters, digits, '.', '_' and '-'")
    return name


class Lake:
    """The layout of a data lake under `root`, a folder or an fsspec URL."""

    def __init__(self, root: str | os.PathLike[str]):
        self.root = UPath(root)

    @property
    def raw(self) -> UPath:
        """The drop zone: `raw/<sport>/[<label>/]<file>`."""
        return self.root / "raw"

    @property
    def glossary(self) -> UPath:
        """The user's own sport glossaries: `glossary/<sport>.yaml`."""
        return self.root / "glossary"

    @property
    def label_sets(self) -> UPath:
        """The user's own classes of actions: `label_sets/<sport>.yaml`."""
        return self.root / "label_sets"

    @property
    def registry(self) -> UPath:
        """One JSON line for every footage file that was seen: registered, duplicate or quarantined."""
        return self.root / "footage" / "registry.jsonl"

    def footage(self, key: str) -> UPath:
        """The manifest of a registered video (JSON)."""
        return self._of_video("footage", key, ".json")

    def registered_videos(self) -> list[str]:
        """The keys of all registered videos, from the names in the lake."""
        return _keys(self.root / "footage")

    def poses(self, key: str) -> UPath:
        """Landmarks per frame and person (parquet)."""
        return self._of_video("poses", key, ".parquet")

    def pose_quality(self, key: str) -> UPath:
        """The verdicts of the pose checks (JSON)."""
        return self._of_video("poses", key, ".quality.json")

    def contact_sheet(self, key: str) -> UPath:
        """Six frames with the skeleton drawn over them (JPEG)."""
        return self._of_video("poses", key, ".jpg")

    def motion(self, key: str) -> UPath:
        """The subject's movement in body coordinates (parquet)."""
        return self._of_video("motion", key, ".parquet")

    def captions(self, key: str) -> UPath:
        """Texts about a video and the measured facts behind them (JSON)."""
        return self._of_video("captions", key, ".json")

    def captioned_videos(self) -> list[str]:
        """The keys of all videos with captions, the last asset of an ingest, from the names in the lake."""
        return _keys(self.root / "captions")

    @property
    def tokenizers(self) -> UPath:
        """All tokenizer lineages."""
        return self.root / "tokenizers"

    @property
    def current_tokenizer(self) -> UPath:
        """Names the tokenizer lineage in use (JSON)."""
        return self.tokenizers / "current.json"

    def tokenizer(self, lineage: str) -> UPath:
        """The folder of one tokenizer lineage (weights, configuration, report)."""
        return self.tokenizers / checked_name(lineage)

    def motion_tokens(self, lineage: str, key: str) -> UPath:
        """The code ids of a video under one tokenizer lineage (JSON)."""
        return self.root / "motion_tokens" / checked_name(lineage) / sport_of(key) / f"{check_video_key(key)}.json"

    def tokenised_videos(self, lineage: str) -> list[str]:
        """The keys of all videos that have motion tokens of `lineage`, from the names in the lake."""
        return _keys(self.root / "motion_tokens" / checked_name(lineage))

    @property
    def snapshots(self) -> UPath:
        """All snapshots, a folder for each."""
        return self.root / "snapshots"

    def snapshot(self, snapshot: str) -> UPath:
        """The frozen manifest of a snapshot (JSON)."""
        return self.snapshots / check_snapshot_key(snapshot) / "manifest.json"

    def examples(self, snapshot: str, split: str) -> UPath:
        """The examples of one split of a snapshot (a folder of parquet files); `split` is train, val or test."""
        return self.snapshots / check_snapshot_key(snapshot) / f"{checked_name(split)}.parquet"

    def stage(self, snapshot: str, stage: str) -> UPath:
        """The folder of a training stage: checkpoints, the finished model, losses."""
        return self.root / "models" / check_snapshot_key(snapshot) / checked_name(stage)

    def finished_model(self, snapshot: str, stage: str) -> Path:
        """The finished model of a stage, as a folder on this machine that model libraries can open."""
        return local_path(self.stage(snapshot, stage)) / "final"

    def losses(self, snapshot: str, stage: str) -> Path:
        """The losses of a stage, a JSON line for each step."""
        return local_path(self.stage(snapshot, stage)) / "losses.jsonl"

    def evaluator(self, snapshot: str) -> UPath:
        """The folder of the text-motion retrieval model trained on a snapshot's train participants."""
        return self.root / "evaluators" / check_snapshot_key(snapshot)

    def action_dataset(self, snapshot: str) -> UPath:
        """The folder of the clips of a snapshot with the actions that they show."""
        return self.root / "actions" / check_snapshot_key(snapshot) / "dataset"

    def action_model(self, snapshot: str) -> UPath:
        """The folder of the vision-language model trained on a snapshot's actions: checkpoints, losses, `final`."""
        return self.root / "actions" / check_snapshot_key(snapshot) / "model"

    def recogniser(self, snapshot: str) -> UPath:
        """The folder of who names actions: the motion classifier, and how the members are calibrated and weighted."""
        return self.root / "actions" / check_snapshot_key(snapshot) / "recogniser"

    def action_report(self, snapshot: str) -> UPath:
        """The folder of the report on a snapshot's recogniser (`index.html`, `metrics.json`)."""
        return self.root / "actions" / check_snapshot_key(snapshot) / "report"

    @property
    def current_recogniser(self) -> UPath:
        """Names the snapshot whose recogniser is in use (JSON)."""
        return self.root / "actions" / "current.json"

    def action_predictions(self, key: str) -> UPath:
        """What was recognised in a video (JSON)."""
        return self._of_video("action_predictions", key, ".json")

    def feedback_dataset(self, snapshot: str) -> UPath:
        """The folder of the sessions of a snapshot in which a coach speaks."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "feedback"

    def streaming_coach(self, snapshot: str) -> UPath:
        """The folder of the streaming coach trained on a snapshot's feedback: checkpoints, losses, `final`."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "streaming_coach"

    def streaming_report(self, snapshot: str) -> UPath:
        """The folder of the report on a snapshot's streaming coach (`index.html`, `metrics.json`)."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "streaming_report"

    @property
    def current_coach(self) -> UPath:
        """Names the snapshot whose streaming coach is in use (JSON)."""
        return self.root / "coaching" / "current.json"

    def coaching_dataset(self, snapshot: str) -> UPath:
        """The folder of a snapshot's coaching labels as rows to train on, with their pictures."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "dataset"

    def coaching_model(self, snapshot: str) -> UPath:
        """The folder of the language model trained on a snapshot's coaching labels: checkpoints, losses, `final`."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "model"

    def coaching_report(self, snapshot: str) -> UPath:
        """The folder of the report on a snapshot's coaching model (`report.md`, `metrics.json`)."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "report"

    def coaching_label(self, key: str) -> UPath:
        """What the athlete of a video could do better (JSON)."""
        return self._of_video("coaching_labels", key, ".json")

    @property
    def coaching_answers(self) -> UPath:
        """What teachers behind endpoints answered, by the content of the question."""
        return self.root / "coaching_answers"

    @property
    def endpoint_spending(self) -> UPath:
        """What each endpoint has cost so far (JSON)."""
        return self.root / "endpoint_spending.json"

    def report(self, snapshot: str) -> UPath:
        """The folder of an evaluation report (`index.html`, `metrics.json`)."""
        return self.root / "reports" / check_snapshot_key(snapshot)

    @property
    def champion(self) -> UPath:
        """The released model and how it came to be (JSON)."""
        return self.root / "champion.json"

    @property
    def hub(self) -> UPath:
        """Where checkpoints also go where no other place is set."""
        return self.root / "hub"

    @property
    def problems(self) -> UPath:
        """Why videos did not get through a step."""
        return self.root / "problems"

    def problem(self, step: str, key: str) -> UPath:
        """Why one video, or the generation of a snapshot, did not get through `step` (JSON)."""
        group = sport_of(key) if "." in key else snapshot_scope(key)
        return self.problems / checked_name(step) / group / f"{key}.json"

    def _of_video(self, folder: str, key: str, suffix: str) -> UPath:
        return self.root / folder / sport_of(key) / f"{check_video_key(key)}{suffix}"


def _keys(folder: UPath) -> list[str]:
    """The keys of the JSON files of a folder that has a folder for each sport."""
    return sorted(path.name.removesuffix(".json") for path in folder.glob("*/*.json")) if folder.exists() else []


def write_atomic(path: UPath | Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file through `write(stream)` so that a reader sees the whole new file or the old one, never a part.

    On a local disk: a temporary file beside the target, fsync, rename. Object stores put whole objects anyway.
    """
    if not is_local(path):
        with path.open("wb") as stream:
            write(stream)
        return
    target = local_path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
        sync(target.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `folder` by one rename when all of it is there, or goes again."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)
    sync(folder.parent)


def write_bytes(path: UPath | Path, content: bytes) -> None:
    """Write `content` atomically."""
    write_atomic(path, lambda stream: stream.write(content))


def write_json(path: UPath | Path, content: Any) -> None:
    """Write `content` atomically as readable JSON; NaN is refused, because JSON has no such value."""
    write_bytes(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")


def read_json(path: UPath | Path) -> Any:
    """Read a JSON file; a file that is not JSON raises ValueError with its path."""
    return parse_json(path.read_bytes(), str(path))


def parse_json(content: bytes, name: str) -> Any:
    """What is in the JSON file `name`; raises ValueError with its name where it is not JSON."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise ValueError(f"{name} is not valid JSON ({error}); remove it and make it again") from error


def sha256_of(path: UPath | Path) -> str:
    """The sha256 of a file's content, in hex, read in pieces; of a folder that of its files' names and contents."""
    if path.is_dir():
        inside = sorted(local_path(path).iterdir())
        return hashlib.sha256("".join(f"{file.name} {sha256_of(file)}\n" for file in inside).encode()).hexdigest()
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def local_path(path: UPath | Path) -> Path:
    """`path` as a path of this machine, for libraries that open files by name.

    Raises ValueError where the lake lies elsewhere.
    """
    if not is_local(path):
        raise ValueError(f"{path} is not on this machine's file systems; mount the lake to work on it here")
    return Path(str(path))


def is_local(path: UPath | Path) -> bool:
    """Whether `path` lies on a file system of this machine."""
    return isinstance(path, Path) or path.protocol in ("", "file", "local")


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, written to the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
