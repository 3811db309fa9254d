"""What is there to train on: the questions about a lake that `retraining.next_step` decides upon."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from posellm_assets.files import sha256_of
from posellm_assets.footage.intake import videos_still_there
from posellm_assets.footage.manifest import read_manifest
from posellm_assets.footage.registry import registry_of
from posellm_assets.generations.retraining import Arrival
from posellm_assets.lake import Lake
from posellm_assets.motion.tokens import MotionTokens
from posellm_assets.problems import Problem, attempted, find_problem, record_problem, sentence, troubled
from posellm_assets.texts.captions import read_captions

_SETTLED_S = 2.0
# The steps whose refusal is final. Tokens are made after the tokenizer, and labels and predictions are results.
_INGEST = ("footage", "poses", "motion", "captions")


def usable_videos(lake: Lake) -> set[str]:
    """The videos with captions, no problem, and a file that is still in the drop zone.

    Raises OSError where the drop zone cannot be listed: nothing may be concluded from that.
    """
    return (set(lake.captioned_videos()) - troubled(lake)) & videos_still_there(lake)


def taken_out(lake: Lake, keys: Iterable[str]) -> dict[str, str]:
    """Which of `keys` nothing may be trained on, and why: their file was deleted, or a step of their ingest refused
    them. What was made of them before is still in the lake.

    Raises OSError as `usable_videos` does.
    """
    deleted = set(registry_of(lake).sha256_of) - videos_still_there(lake)
    refused = {path.stem: path for path in lake.recorded_problems() if path.parts[-3] in _INGEST}
    found = {}
    for key in keys:
        if key in deleted:
            found[key] = "its file is no longer in the drop zone"
        elif key in refused and (problem := find_problem(lake, refused[key].parts[-3], key)):
            found[key] = f"{problem.step}: {problem.reason}"
    return found


def set_aside_damaged(lake: Lake, keys: Iterable[str], lineage: str | None) -> set[str]:
    """Record a problem for each video whose manifest, motion, captions or tokens cannot be read; returns their keys.

    A video that has no tokens yet lacks nothing.
    """
    return {key for key in keys if _recorded(lake, key, lineage)}


def _recorded(lake: Lake, key: str, lineage: str | None) -> bool:
    readers: dict[str, Callable[[str], object]] = {
        "footage": partial(read_manifest, lake),
        "motion": lambda key: sha256_of(lake.motion(key)),
        "captions": partial(read_captions, lake),
    }
    if lineage and os.path.lexists(tokens := lake.motion_tokens(lineage, key)):
        readers["motion_tokens"] = lambda _: MotionTokens.read(tokens)
    for step, read in readers.items():
        found = attempted(read, key)
        if isinstance(found, Exception):
            record_problem(lake, Problem(key=key, step=step, reason=sentence(found)))
            return True
    return False


def unfinished_videos(lake: Lake) -> set[str]:
    """The registered videos that have neither captions nor a problem: what an ingest still owes."""
    return set(registry_of(lake).sha256_of) - set(lake.captioned_videos()) - troubled(lake)


def arrival_of(lake: Lake, key: str) -> Arrival:
    """What the manifest of a video says of its length, age and split."""
    manifest = read_manifest(lake, key)
    since = datetime.fromisoformat(manifest.registered_at)
    return Arrival(manifest.video.duration_s / 60, since.timestamp(), manifest.split)


def stamp_of(lake: Lake, settings: str, now_s: float) -> str:
    """Another one whenever the settings or a file that a decision rests on changed, but for the drop zone, of which the
    listing is what costs; "" where nobody can tell.

    Files are replaced by renaming, which changes the time of their folder, so the times of a few folders say it however
    many files they hold. A time that has just been (or lies ahead, where a clock was set back) says nothing: what comes
    next could get the same one.
    """
    times = sorted(_folder_times(lake))
    if any(time_ns > (now_s - _SETTLED_S) * 1e9 for _, time_ns in times):
        return ""
    return hashlib.sha256(repr((settings, times)).encode()).hexdigest()


def _folder_times(lake: Lake) -> Iterator[tuple[str, int]]:
    for top, depth in lake.grounds_to_train.items():
        level = [top] if top.is_dir() else []
        for remaining in range(depth, -1, -1):
            yield from ((str(folder), os.stat(folder).st_mtime_ns) for folder in level)
            level = [Path(entry.path) for folder in level for entry in _folders(folder)] if remaining else []


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
