"""Clips with the class of what they show: what recognisers are trained and measured on, and the folder that holds them.

`examples.json` is what this project reads; `train.json`, `val.json`, `test.json` are in the conversation format of
Qwen-VL, the `.jsonl` files hold chat messages, and `videos/` has a file for each action.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from posellm_assets.actions.dataset.config import DatasetConfig
from posellm_assets.actions.dataset.formats import card, statistics, write_conversations, write_messages
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.files import link_or_copy, read_json, write_bytes, write_json
from posellm_assets.footage import video
from posellm_assets.footage.splits import Split
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.footage.writing import write_timed_video
from posellm_assets.lake import STATS
from posellm_assets.pool import Pool
from posellm_assets.vision.frames import Box

EXAMPLES = "examples.json"
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class UnusableDataset(ValueError):
    """Clips from which no data set can be made, or a folder that holds none; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class ActionExample:
    """One action in one video, from `start_s` to `end_s` of it."""

    id: str
    video: Path
    start_s: float
    end_s: float
    class_id: str
    participant: str | None
    """Who moves, or the match that it is cut from: everything of one is in one split."""
    split: Split
    key: str | None = None
    """The video's key where it is footage of the lake."""
    hit_s: float | None = None
    """When the racket meets the ball, or the like, where that is known."""
    box: Box | None = None
    """Where the person is whom it is about, if that is known: recognisers are shown this part of the picture."""
    file: str = ""
    """The name of its own file in the folder `videos` of a data set."""

    def as_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**dataclasses.asdict(self), "video": str(self.video)}


@dataclasses.dataclass(frozen=True)
class Refused:
    """A clip, folder, file or sport that could not be used, and why."""

    what: str
    reason: str


@dataclasses.dataclass(frozen=True)
class ActionDataset:
    """The examples of a folder that `write_dataset` wrote, and their classes."""

    folder: Path
    label_set: LabelSet
    languages: tuple[str, ...]
    examples: list[ActionExample]

    def of(self, split: Split) -> list[ActionExample]:
        """The examples of one split."""
        return [example for example in self.examples if example.split == split]

    def clip_of(self, example: ActionExample) -> ActionExample:
        """The same action in its own file of this folder, which may have been moved since it was written."""
        hit_s = None if example.hit_s is None else example.hit_s - example.start_s
        path, length_s = self.folder / "videos" / example.file, example.end_s - example.start_s
        return dataclasses.replace(example, video=path, start_s=0.0, end_s=length_s, hit_s=hit_s)


def check_dataset(folder: Path) -> None:
    """Raise UnusableDataset where `folder` holds no data set of actions."""
    if not (folder / EXAMPLES).is_file():
        raise UnusableDataset(f"{folder} holds no {EXAMPLES}; make it with `posellm dataset actions`")


def read_dataset(folder: Path) -> ActionDataset:
    """Read what `write_dataset` wrote; raises UnusableDataset where there is none."""
    check_dataset(folder)
    content = read_json(folder / EXAMPLES)
    examples = [ActionExample(**{**record, "video": Path(record["video"])}) for record in content["examples"]]
    return ActionDataset(folder, LabelSet.model_validate(content["label_set"]), tuple(content["languages"]), examples)


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
    write_bytes(out / "README.md", card(stats, label_set, config).encode())
    records = [example.as_record() for example in used]
    content = {"label_set": label_set.model_dump(), "languages": config.languages, "examples": records}
    write_json(out / EXAMPLES, content)
    return dataset, refused


def balanced_epoch(examples: Sequence[ActionExample], seed: int, epoch: int) -> list[int]:
    """Places in `examples`, as many as there are, in which every class comes equally often.

    Over the epochs each clip of a class comes as often as any other of it: what is rare is repeated, what is frequent
    takes turns.
    """
    of_class: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        of_class.setdefault(example.class_id, []).append(place)
    classes, drawn = list(of_class.values()), []
    for place in range(epoch * len(examples), (epoch + 1) * len(examples)):
        turn, number = divmod(place, len(classes))
        places = classes[number]
        order = np.random.default_rng([seed, number, turn // len(places)]).permutation(len(places))
        drawn.append(places[order[turn % len(places)]])
    return [drawn[place] for place in np.random.default_rng([seed, epoch]).permutation(len(drawn))]


def _place(example: ActionExample, out: Path) -> ActionExample:
    """Decode the action to its end and put it into the folder as a file of its own; returns it with its true end.

    Raises UnreadableVideo or OSError where that cannot be done.
    """
    info = video.probe(example.video)
    whole = example.start_s <= 0 and example.end_s >= info.duration_s
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
    """Write the frames of the action as a video of their own."""
    shown = video.frames(example.video, example.start_s, example.end_s)
    first = next(shown, None)
    if first is None:
        raise UnreadableVideo(f"it has no frame between {example.start_s:.2f} and {example.end_s:.2f} s")
    timed = ((frame.time_s - first.time_s, frame.rgb) for frame in chain([first], shown))
    write_timed_video(target, timed, fps, crf=22)
