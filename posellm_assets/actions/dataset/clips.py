"""Clips with the class of what they show: what recognisers are trained and measured on, and the folder that holds them.

`examples.json` is what this project reads; `train.json`, `val.json`, `test.json` are in the conversation format of
Qwen-VL, the `.jsonl` files hold chat messages, and `videos/` has a file for each action.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.files import read_json
from posellm_assets.footage.splits import Split
from posellm_assets.vision.frames import Box

EXAMPLES = "examples.json"


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
