"""A damaged or missing file of a lake, how it comes back, and which files have to go for it to be made again."""

from pathlib import Path

from posellm_assets.checksums import SUMS, recorded
from posellm_assets.files import sha256_of
from posellm_assets.lake import Lake
from posellm_assets.records import Record
from posellm_assets.training import checkpoints

OF_VIDEOS = ("poses", "motion", "captions", "motion_tokens", "coaching_labels", "action_predictions")
INGESTED = ("poses", "motion", "captions")
"""What the ingest makes anew where captions, the last of it, are not there."""

REPAIR = "`posellm lake check --repair`"
_FOLDERS = {
    ("evaluators",): "motion_evaluator",
    ("reports",): "evaluation_report",
    ("actions", "dataset"): "action_dataset",
    ("actions", "model"): "action_model",
    ("actions", "recogniser"): "action_recogniser",
    ("actions", "report"): "action_report",
    ("coaching", "dataset"): "coaching_dataset",
    ("coaching", "model"): "coaching_model",
    ("coaching", "report"): "coaching_report",
    ("coaching", "feedback"): "feedback_dataset",
    ("coaching", "streaming_coach"): "streaming_coach",
    ("coaching", "streaming_report"): "streaming_report",
}
"""The assets that are a folder for each snapshot, by its place in the lake."""
_RESTORE = {
    "releases": "put a copy back: it is the history of what was in use, and is never removed",
    "snapshots": "put a copy back: models rest on what was frozen, and it is never removed",
    "tokenizers": "put a copy back: models read the codes of this one alone",
    "glossary": "put it right, or put a copy back: it is your own",
    "label_sets": "put it right, or put a copy back: it is your own",
    "endpoint_spending.json": "put a copy back, or write what was spent: the cap is held against it",
}


class Fault(Record):
    """A file of the lake that is not what it should be."""

    path: Path
    what: str
    """What is wrong with it."""
    remedy: str
    """How it comes back."""
    repairable: bool
    """Whether `repair` brings it back, or moves it away so that it is made again."""

    def __str__(self) -> str:
        return f"{self.path}: {self.what}; {self.remedy}"


def fault_of(lake: Lake, path: Path, what: str) -> Fault:
    """`what` is wrong with a file, and how that file comes back."""
    remedy, repairable = _remedy(lake, path)
    return Fault(path=path, what=what, remedy=remedy, repairable=repairable)


def has_copy(lake: Lake, path: Path) -> bool:
    """Whether there is a second copy of a file, as the file was when it was made."""
    copy = lake.second_copy(path)
    return copy.is_file() and sha256_of(copy) == recorded(lake, path)


def is_kept_twice(lake: Lake, path: Path) -> bool:
    """Whether a file is one of those that nothing makes again, of which a second copy is kept."""
    parts = path.relative_to(lake.root).parts
    return parts[0] == "releases" or (parts[0] == "snapshots" and len(parts) == 3)


def key_of(path: Path) -> str:
    """The video of a file that is named by its key."""
    return ".".join(path.name.split(".")[:3])


def _remedy(lake: Lake, path: Path) -> tuple[str, bool]:
    """How a file comes back, and whether `repair` sees to it."""
    parts = path.relative_to(lake.root).parts
    top = parts[0]
    if checkpoints.step_of(path.name) is not None:
        return f"{REPAIR}; training goes on from another checkpoint", True
    if top in INGESTED:
        return f"{REPAIR}; the next ingest makes it again", True
    if top in OF_VIDEOS:
        return f"{REPAIR}, then materialize {top} for {key_of(path)}", True
    if top == "problems":
        return f"{REPAIR}; {parts[1]} is then tried again", True
    if top == "snapshots" and len(parts) == 4:
        return f"{REPAIR}; the next run on {parts[1]} makes it again", True
    if is_kept_twice(lake, path) and has_copy(lake, path):
        return f"{REPAIR}; its second copy is put back", True
    if top == "coaching_answers":
        return f"{REPAIR}; the teacher is then asked again, which may cost money", True
    if top == "models" or (top, *parts[2:3]) in _FOLDERS or (top,) in _FOLDERS:
        asset = parts[2] if top == "models" else _FOLDERS.get((top, *parts[2:3])) or _FOLDERS[(top,)]
        return f"{REPAIR}, then materialize {asset} for {parts[1]}, or put a copy back", True
    return _RESTORE.get(top, "put a copy back"), False


def to_move(lake: Lake, path: Path) -> list[Path]:
    """What goes for a damaged file: of a folder that is made as a whole all of it but what a training resumes from."""
    parts = path.relative_to(lake.root).parts
    if checkpoint := next((one for one in (path, *path.parents) if checkpoints.step_of(one.name) is not None), None):
        return [checkpoint]
    depth = 3 if parts[0] == "models" or (parts[0], *parts[2:3]) in _FOLDERS else 2 if (parts[0],) in _FOLDERS else 0
    folder = lake.root.joinpath(*parts[:depth])
    if not depth or len(parts) <= depth or not folder.is_dir():
        return [path]
    inside = [one for one in folder.iterdir() if checkpoints.step_of(one.name) is None]
    return sorted(inside, key=lambda one: one.name == SUMS)
