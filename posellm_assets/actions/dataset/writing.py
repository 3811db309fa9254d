"""Writes the folder of a data set of actions: a file for each clip, what is asked about it, figures and card."""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from posellm_assets.actions.dataset.clips import (
    EXAMPLES,
    ActionDataset,
    ActionExample,
    Refused,
    UnusableDataset,
)
from posellm_assets.actions.dataset.config import DatasetConfig
from posellm_assets.actions.dataset.formats import card, statistics, write_conversations, write_messages
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.files import link_or_copy, write_bytes, write_json
from posellm_assets.footage import video
from posellm_assets.footage.splits import SPLITS
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.footage.writing import write_timed_video
from posellm_assets.lake import CARD, STATS
from posellm_assets.pool import Pool


def write_dataset(
    out: Path,
    examples: Sequence[ActionExample],
    refused: Iterable[Refused],
    label_set: LabelSet,
    config: DatasetConfig,
    pool: Pool,
    seed: int,
) -> tuple[ActionDataset, list[Refused]]:
    """Write a data set of the examples whose video can be read, and return it with all that was refused.

    A whole video is linked into the folder (copied where that cannot be), a part of one is cut. Raises UnusableDataset
    where no example is left to train on, or where `out` holds something else already.
    """
    if out.exists() and any(out.iterdir()) and not (out / EXAMPLES).exists():
        raise UnusableDataset(f"{out} is not empty and holds no data set of actions; name a new folder")
    (out / "videos").mkdir(parents=True, exist_ok=True)
    used, refused = [], list(refused)
    for example, outcome in pool.map(partial(_place, out=out), examples):
        if isinstance(outcome, UnreadableVideo | OSError):
            refused.append(Refused(str(example.video), str(outcome)))
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            used.append(outcome)
    used.sort(key=lambda example: example.id)
    if not any(example.split == "train" for example in used):
        raise UnusableDataset(
            f"none of {len(used)} usable clips falls into the train split ({len(refused)} refused); add clips of more "
            f"participants or matches{''.join(f'; {one.what}: {one.reason}' for one in refused[:3])}"
        )
    names = {example.file for example in used}
    for left_over in (path for path in (out / "videos").iterdir() if path.name not in names):
        left_over.unlink()
    dataset = ActionDataset(out, label_set, config.languages, used)
    for split in SPLITS:
        write_conversations(out / f"{split}.json", dataset.of(split), label_set, config, seed)
        write_messages(out / f"{split}.jsonl", dataset.of(split), label_set, config, seed)
    stats = statistics(used, refused, label_set)
    write_json(out / STATS, stats)
    write_bytes(out / CARD, card(stats, label_set, config).encode())
    records = [example.as_record() for example in used]
    content = {"label_set": label_set.model_dump(), "languages": config.languages, "examples": records}
    write_json(out / EXAMPLES, content)
    return dataset, refused


def _place(example: ActionExample, out: Path) -> ActionExample:
    """Decode the action to its end and put it into the folder as a file of its own; returns it with its true end.

    Raises UnreadableVideo or OSError where that cannot be done.
    """
    info = video.probe(example.video)
    whole = example.start_s <= 0 and example.end_s >= info.duration_s
    whole = whole and not video.is_mirrored(example.video)  # the copy has no sidecar that says so
    example = dataclasses.replace(
        example,
        start_s=max(0.0, example.start_s),
        end_s=min(example.end_s, info.duration_s),
        file=f"{example.id}{example.video.suffix.lower() if whole else '.mp4'}",
    )
    if example.start_s >= example.end_s:
        raise UnreadableVideo(f"it is {info.duration_s:.2f} s long, and the action begins at {example.start_s:.2f} s")
    target = out / "videos" / example.file
    if not whole:
        _cut(example, info.fps, target)
        return example
    for _ in video.frames(example.video):
        pass
    link_or_copy(example.video, target)
    return example


def _cut(example: ActionExample, fps: float, target: Path) -> None:
    """Write what is on the screen during the action as a video of its own, as long as the action."""
    shown = video.shown_frames(example.video, example.start_s, example.end_s)
    first = next(shown, None)
    if first is None:
        raise UnreadableVideo(f"it has no frame between {example.start_s:.2f} and {example.end_s:.2f} s")
    timed = ((max(0.0, frame.time_s - example.start_s), frame.rgb) for frame in chain([first], shown))
    write_timed_video(target, timed, fps, crf=22, end_s=example.end_s - example.start_s)
