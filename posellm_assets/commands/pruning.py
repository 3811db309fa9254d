"""What lies on the disk and is of no more use: checkpoints of trainings that have come to their end."""

from collections.abc import Iterator
from pathlib import Path

from posellm_assets.lake import FINAL, RESULT, Lake
from posellm_assets.training import checkpoints

_TRAININGS = {
    "models/*/*": None,
    "actions/*/model": "actions",
    "coaching/*/model": "coaching",
    "coaching/*/streaming_coach": "coach",
}
"""Where trainings lie, and what they are called in the lake's own store; stages by their own names."""


def spent_checkpoints(lake: Lake) -> Iterator[Path]:
    """The checkpoints of finished trainings, here and in the lake's own store. Finished models do not rest on them."""
    for pattern, name in _TRAININGS.items():
        for out in sorted(lake.root.glob(pattern)):
            if not ((out / RESULT).is_file() and (out / FINAL).is_dir()):
                continue
            snapshot = out.relative_to(lake.root).parts[1]
            for folder in (out, lake.hub / (name or out.name) / snapshot):
                yield from (checkpoints.folder_of(folder, step) for step in checkpoints.steps(folder))


def prune(lake: Lake) -> tuple[int, int]:
    """Remove the spent checkpoints; returns how many there were, and their bytes."""
    spent = list(spent_checkpoints(lake))
    size = sum(map(bytes_of, spent))
    for folder in spent:
        checkpoints.remove(folder)
    return len(spent), size


def bytes_of(folder: Path) -> int:
    """How much a folder holds, each file once however many names it has."""
    found = {(one.st_dev, one.st_ino): one.st_size for one in (path.lstat() for path in folder.rglob("*"))}
    return sum(found.values())
