"""Where everything lies: this module alone knows the layout of the data lake.

The lake is a folder that every machine sees. What a file contains is the business of the room that writes it.
"""

import os
import re
from pathlib import Path
from typing import Literal

from posellm_assets.keys import check_snapshot_key, check_video_key, snapshot_scope, sport_of

# In the folder of a program that an asset starts, which may lie outside a lake
JOB = "job.json"
"""What the program was given."""
LOSSES = "losses.jsonl"
"""Of a training: a JSON line for each step."""
RESULT = "result.json"
"""Of a training: how it ended."""
FINAL = "final"
"""Of a training: the folder of the finished model."""
REPORT = "report.json"
"""Of a tokenizer or an evaluator: how good it is."""
METRICS = "metrics.json"
"""Of a report: its figures."""
PAGE = "index.html"
"""Of a report: the page that people read."""
SUMMARY = "report.md"
"""Of a report without a page: what people read."""
STATS = "dataset_stats.json"
"""Of a data set: what is in it, and what is not and why."""

CARD = "README.md"
"""Of what others are to find their way in, such as a data set: what it is, in words and figures."""

_MANIFEST = "manifest.json"

ModelKind = Literal["language", "recogniser", "coach", "tokenizer"]
"""The kinds of models of which one is in use, with a history of releases."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


def checked_name(name: str) -> str:
    """Return `name` where it is safe as one part of a path, else raise ValueError."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"{name!r} cannot name a folder of the lake: use lower-case letters, digits, '.', '_' and '-'")
    return name


def split_file(folder: Path, split: str) -> Path:
    """The rows of one split in the folder of a data set (parquet); `split` is train, val or test."""
    return folder / f"{checked_name(split)}.parquet"


class Lake:
    """The layout of a data lake under the folder `root`; raises ValueError where that is a URL."""

    def __init__(self, root: str | os.PathLike[str]):
        if "://" in os.fspath(root):
            raise ValueError(f"the lake is a folder, and {root} is a URL: mount it, and give the folder")
        self.root = Path(root)

    @property
    def raw(self) -> Path:
        """The drop zone: `raw/<sport>/[<label>/]<file>`."""
        return self.root / "raw"

    @property
    def removed(self) -> Path:
        """Clips that were taken out of the drop zone, by their places in it."""
        return self.root / "removed"

    @property
    def purged(self) -> Path:
        """Which snapshots saw a video that was purged, by the sha256 of its key (JSON)."""
        return self.root / "purged.json"

    @property
    def glossary(self) -> Path:
        """The user's own sport glossaries: `glossary/<sport>.yaml`."""
        return self.root / "glossary"

    @property
    def label_sets(self) -> Path:
        """The user's own classes of actions: `label_sets/<sport>.yaml`."""
        return self.root / "label_sets"

    @property
    def registry(self) -> Path:
        """One JSON line for every footage file that was seen: registered, duplicate or quarantined."""
        return self.root / "footage" / "registry.jsonl"

    def footage(self, key: str) -> Path:
        """The manifest of a registered video (JSON)."""
        return self._of_video("footage", key, ".json")

    def registered_videos(self) -> list[str]:
        """The keys of all registered videos, from the names in the lake."""
        return _keys(self.root / "footage")

    def poses(self, key: str) -> Path:
        """Landmarks per frame and person (parquet)."""
        return self._of_video("poses", key, ".parquet")

    def pose_quality(self, key: str) -> Path:
        """The verdicts of the pose checks (JSON)."""
        return self._of_video("poses", key, ".quality.json")

    def contact_sheet(self, key: str) -> Path:
        """Six frames with the skeleton drawn over them (JPEG)."""
        return self._of_video("poses", key, ".jpg")

    def motion(self, key: str) -> Path:
        """The subject's movement in body coordinates (parquet)."""
        return self._of_video("motion", key, ".parquet")

    def motion_strip(self, key: str) -> Path:
        """The movement at six times, as stick figures (JPEG)."""
        return self._of_video("motion", key, ".jpg")

    def captions(self, key: str) -> Path:
        """Texts about a video and the measured facts behind them (JSON)."""
        return self._of_video("captions", key, ".json")

    def captioned_videos(self) -> list[str]:
        """The keys of all videos with captions, the last asset of an ingest, from the names in the lake."""
        return _keys(self.root / "captions")

    @property
    def tokenizers(self) -> Path:
        """All tokenizer lineages."""
        return self.root / "tokenizers"

    @property
    def tokenizer_in_training(self) -> Path:
        """The folder in which a tokenizer is trained before it has a name."""
        return self.tokenizers / "in-training"

    def tokenizer(self, lineage: str) -> Path:
        """The folder of one tokenizer lineage (weights, configuration, report)."""
        return self.tokenizers / checked_name(lineage)

    def motion_tokens(self, lineage: str, key: str) -> Path:
        """The code ids of a video under one tokenizer lineage (JSON)."""
        return self.root / "motion_tokens" / checked_name(lineage) / sport_of(key) / f"{check_video_key(key)}.json"

    def tokenised_videos(self, lineage: str) -> list[str]:
        """The keys of all videos that have motion tokens of `lineage`, from the names in the lake."""
        return _keys(self.root / "motion_tokens" / checked_name(lineage))

    @property
    def snapshots(self) -> Path:
        """All snapshots, a folder for each."""
        return self.root / "snapshots"

    def snapshot(self, snapshot: str) -> Path:
        """The frozen manifest of a snapshot (JSON)."""
        return self.snapshots / check_snapshot_key(snapshot) / _MANIFEST

    def frozen_snapshots(self) -> list[str]:
        """The names of all snapshots that have a manifest, in no order."""
        return [path.parent.name for path in self.snapshots.glob(f"*/{_MANIFEST}")]

    def examples(self, snapshot: str, split: str) -> Path:
        """The examples of one split of a snapshot (a folder of parquet files); `split` is train, val or test."""
        return split_file(self.snapshots / check_snapshot_key(snapshot), split)

    def stage(self, snapshot: str, stage: str) -> Path:
        """The folder of a training stage: checkpoints, the finished model, losses."""
        return self.root / "models" / check_snapshot_key(snapshot) / checked_name(stage)

    def finished_model(self, snapshot: str, stage: str) -> Path:
        """The finished model of a stage, as a folder on this machine that model libraries can open."""
        return self.stage(snapshot, stage) / FINAL

    def finished_models(self) -> list[Path]:
        """The finished models of all stages of all snapshots."""
        return sorted(path.parent for path in self.root.glob(f"models/*/*/{FINAL}/config.json"))

    def losses(self, snapshot: str, stage: str) -> Path:
        """The losses of a stage, a JSON line for each step."""
        return self.stage(snapshot, stage) / LOSSES

    def evaluator(self, snapshot: str) -> Path:
        """The folder of the text-motion retrieval model trained on a snapshot's train participants."""
        return self.root / "evaluators" / check_snapshot_key(snapshot)

    def action_dataset(self, snapshot: str) -> Path:
        """The folder of the clips of a snapshot with the actions that they show."""
        return self.root / "actions" / check_snapshot_key(snapshot) / "dataset"

    def action_model(self, snapshot: str) -> Path:
        """The folder of the vision-language model trained on a snapshot's actions: checkpoints, losses, `final`."""
        return self.root / "actions" / check_snapshot_key(snapshot) / "model"

    def recogniser(self, snapshot: str) -> Path:
        """The folder of who names actions: the motion classifier, and how the members are calibrated and weighted."""
        return self.root / "actions" / check_snapshot_key(snapshot) / "recogniser"

    def action_report(self, snapshot: str) -> Path:
        """The folder of the report on a snapshot's recogniser (`index.html`, `metrics.json`)."""
        return self.root / "actions" / check_snapshot_key(snapshot) / "report"

    def action_predictions(self, key: str) -> Path:
        """What was recognised in a video (JSON)."""
        return self._of_video("action_predictions", key, ".json")

    def feedback_dataset(self, snapshot: str) -> Path:
        """The folder of the sessions of a snapshot in which a coach speaks."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "feedback"

    def streaming_coach(self, snapshot: str) -> Path:
        """The folder of the streaming coach trained on a snapshot's feedback: checkpoints, losses, `final`."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "streaming_coach"

    def streaming_report(self, snapshot: str) -> Path:
        """The folder of the report on a snapshot's streaming coach (`index.html`, `metrics.json`)."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "streaming_report"

    def coaching_dataset(self, snapshot: str) -> Path:
        """The folder of a snapshot's coaching labels as rows to train on, with their pictures."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "dataset"

    def coaching_model(self, snapshot: str) -> Path:
        """The folder of the language model trained on a snapshot's coaching labels: checkpoints, losses, `final`."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "model"

    def coaching_report(self, snapshot: str) -> Path:
        """The folder of the report on a snapshot's coaching model (`report.md`, `metrics.json`)."""
        return self.root / "coaching" / check_snapshot_key(snapshot) / "report"

    def coaching_label(self, key: str) -> Path:
        """What the athlete of a video could do better (JSON)."""
        return self._of_video("coaching_labels", key, ".json")

    @property
    def coaching_answers(self) -> Path:
        """What teachers behind endpoints answered, by the content of the question."""
        return self.root / "coaching_answers"

    @property
    def endpoint_spending(self) -> Path:
        """What each endpoint has cost so far (JSON)."""
        return self.root / "endpoint_spending.json"

    def report(self, snapshot: str) -> Path:
        """The folder of an evaluation report (`index.html`, `metrics.json`)."""
        return self.root / "reports" / check_snapshot_key(snapshot)

    def releases(self, kind: ModelKind) -> Path:
        """What is and was in use of a kind of model, and how it came to be (JSON)."""
        return self.root / "releases" / f"{kind}.json"

    @property
    def hub(self) -> Path:
        """Where checkpoints also go where no other place is set."""
        return self.root / "hub"

    @property
    def checksums(self) -> Path:
        """What files were when they were made, by their places in the lake."""
        return self.root / "checksums"

    def checksum(self, path: Path) -> Path:
        """What the file `path` of the lake was when it was made (a line of `sha256sum`)."""
        place = path.relative_to(self.root)
        return self.checksums / place.parent / f"{place.name}.sha256"

    def second_copy(self, path: Path) -> Path:
        """The second copy of the file `path` of the lake, where it is one that nothing makes again."""
        place = path.relative_to(self.root)
        return self.checksums / place.parent / f"{place.name}.copy"

    @property
    def damaged(self) -> Path:
        """Damaged files that were moved out of the way so that they are made again, by their places in the lake."""
        return self.root / "damaged"

    @property
    def problems(self) -> Path:
        """Why videos did not get through a step."""
        return self.root / "problems"

    def problem(self, step: str, key: str) -> Path:
        """Why one video, or the generation of a snapshot, did not get through `step` (JSON)."""
        group = sport_of(key) if "." in key else snapshot_scope(key)
        return self.problems / checked_name(step) / group / f"{key}.json"

    def steps_with_problems(self) -> list[str]:
        """The steps that some video did not get through once."""
        return sorted(path.name for path in self.problems.iterdir() if path.is_dir()) if self.problems.exists() else []

    def recorded_problems(self) -> list[Path]:
        """The files of all problems, by step and key."""
        return sorted(self.problems.glob("*/*/*.json"))

    def waiting(self, sensor: str) -> Path:
        """What waits and for what, as a sensor last saw it (JSON)."""
        return self.registry.with_name(f"waiting-{checked_name(sensor)}.json")

    @property
    def grounds_to_train(self) -> dict[Path, int]:
        """The folders on whose files it rests whether to train, but for the drop zone, each with the number of levels
        of folders in it."""
        depths = {"captions": 1, "motion_tokens": 2, "problems": 2, "snapshots": 1, "reports": 1, "releases": 0, "": 0}
        return {self.root / name: depth for name, depth in depths.items()}

    def _of_video(self, folder: str, key: str, suffix: str) -> Path:
        return self.root / folder / sport_of(key) / f"{check_video_key(key)}{suffix}"


def _keys(folder: Path) -> list[str]:
    """The keys of the JSON files of a folder that has a folder for each sport."""
    return sorted(path.name.removesuffix(".json") for path in folder.glob("*/*.json")) if folder.exists() else []
