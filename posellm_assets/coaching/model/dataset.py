"""What athletes were seen to do, with what a teacher said of it: the data set that coaching models are trained on.

A row asks what `EndpointTeacher` asks and answers as it is answered, so that a model trained on it can be served behind
an endpoint and be a teacher itself. `train.jsonl`, `val.jsonl`, `test.jsonl` hold chat messages in words alone, the
files `*.images.jsonl` the same with the picture, `dataset_stats.json` what is in them, and what is not and why.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posellm_assets.coaching.labels.endpoint_teacher import PROMPT
from posellm_assets.coaching.labels.schema import FeedbackPoint, TeacherAnswer
from posellm_assets.coaching.model.config import CoachingDatasetConfig
from posellm_assets.coaching.model.images import LeftOut
from posellm_assets.files import link_or_copy, write_bytes, write_json
from posellm_assets.footage.splits import SPLITS, Split
from posellm_assets.lake import STATS

IMAGES = "images"


class UnusableCoaching(ValueError):
    """Labels or pictures of which no data set can be made; the message says what to do."""


@dataclass(frozen=True)
class CoachingExample:
    """One clip or picture: what was measured of it, and what a teacher said that was verified."""

    id: str
    activity: str
    source: str | None
    """The participant, or what the picture is from: everything of one is in one split. None where nobody knows."""
    split: Split
    facts: str
    answer: TeacherAnswer
    teacher: str
    picture: Path | None
    question: str = ""
    """The facts in short, as a language model on motion codes is asked (`answers.question`)."""
    key: str | None = None
    """The video's key where it is footage of the lake."""

    @property
    def answer_json(self) -> str:
        """The answer as a model has to write it."""
        return json.dumps(self.answer.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class PictureRow:
    """A row with its picture, as `write_dataset` wrote it: what is said before, asked, and answered (JSON)."""

    id: str
    activity: str
    prompt: str
    question: str
    answer: str
    picture: Path


def picture_rows(folder: Path, split: Split) -> Path:
    """The file of a split's rows with pictures."""
    return folder / f"{split}.images.jsonl"


def read_picture_rows(path: Path) -> list[PictureRow]:
    """The rows of such a file, the pictures beside it. Raises UnusableCoaching where there is none."""
    if not path.is_file():
        raise UnusableCoaching(f"there is no {path}; make the data set with `posellm dataset coaching`")
    rows = []
    for content in map(json.loads, path.read_text().splitlines()):
        system, asked, answered = (message["content"] for message in content["messages"])
        picture, question = asked
        file = path.parent / IMAGES / Path(picture["image"]).name
        rows.append(PictureRow(content["id"], content["activity"], system, question["text"], answered, file))
    return rows


def answer_of(positive_note: str, points: Sequence[FeedbackPoint]) -> TeacherAnswer:
    """What a teacher would have answered who said just this."""
    return TeacherAnswer(positive_note=positive_note, feedback_points=tuple(points))


def write_dataset(
    out: Path, examples: Iterable[CoachingExample], left_out: Iterable[LeftOut], config: CoachingDatasetConfig
) -> dict[str, Any]:
    """Write the rows and their pictures to `out`, a new folder or one of ours, and return the statistics.

    Training rows of rare activities are repeated. Raises UnusableCoaching where nothing is left to train on, or where
    `out` holds something else.
    """
    if out.exists() and any(out.iterdir()) and not (out / STATS).exists():
        raise UnusableCoaching(f"{out} is not empty and holds no coaching data set; name a new folder")
    used, refused = [], list(left_out)
    for example in sorted(examples, key=lambda one: one.id):
        characters = len(PROMPT) + len(example.facts) + len(example.answer_json)
        if characters > config.max_characters:
            refused.append(LeftOut(example.id, f"{characters} characters, of {config.max_characters} allowed"))
        else:
            used.append(example)
    if not any(example.split == "train" for example in used):
        raise UnusableCoaching(
            f"none of {len(used)} examples can be trained on ({len(refused)} left out"
            f"{''.join(f'; {one.what}: {one.reason}' for one in refused[:3])}); label footage of more participants"
        )
    (out / IMAGES).mkdir(parents=True, exist_ok=True)
    pictures = {example.id: _placed(example, out / IMAGES) for example in used if example.picture}
    for left_over in (path for path in (out / IMAGES).iterdir() if path.name not in pictures.values()):
        left_over.unlink()
    rows = {split: [example for example in used if example.split == split] for split in SPLITS}
    rows["train"] = balanced(rows["train"], config.most_repeats)
    for split, of_split in rows.items():
        _write_rows(out / f"{split}.jsonl", [_row(one, None) for one in of_split])
        with_picture = [one for one in of_split if one.id in pictures]
        _write_rows(picture_rows(out, split), [_row(one, f"{IMAGES}/{pictures[one.id]}") for one in with_picture])
    stats = statistics(used, rows["train"], refused)
    write_json(out / STATS, stats)
    return stats


def balanced(examples: Sequence[CoachingExample], most_repeats: int) -> list[CoachingExample]:
    """Every example, those of rarer activities in turn again until all activities are as many as the largest, none
    oftener than `most_repeats` times."""
    of_activity: dict[str, list[CoachingExample]] = defaultdict(list)
    for example in examples:
        of_activity[example.activity].append(example)
    largest = max(map(len, of_activity.values()), default=0)
    return [
        own[turn % len(own)]
        for _, own in sorted(of_activity.items())
        for turn in range(min(largest, most_repeats * len(own)))
    ]


def statistics(
    examples: Sequence[CoachingExample], train_rows: Sequence[CoachingExample], left_out: Sequence[LeftOut]
) -> dict[str, Any]:
    """Examples by split, activity, teacher and fault, training rows after balancing, and what was left out and why."""
    activities = sorted({example.activity for example in examples})
    rows = Counter(example.activity for example in train_rows)
    points = [point for example in examples for point in example.answer.feedback_points]
    return {
        "splits": {
            split: {
                "examples": sum(one.split == split for one in examples),
                "sources": len({one.source for one in examples if one.split == split and one.source}),
            }
            for split in SPLITS
        },
        "activities": {
            activity: {
                **{s: sum(one.split == s and one.activity == activity for one in examples) for s in SPLITS},
                "train_rows": rows[activity],
            }
            for activity in activities
        },
        "train_rows": len(train_rows),
        "with_picture": sum(one.picture is not None for one in examples),
        "without_source": sum(one.source is None for one in examples),
        "teachers": dict(Counter(one.teacher for one in examples)),
        "faults": dict(Counter(point.fault for point in points)),
        "severities": dict(Counter(point.severity for point in points)),
        "without_fault": sum(not one.answer.feedback_points for one in examples),
        "left_out": [{"what": one.what, "reason": one.reason} for one in left_out],
    }


def _row(example: CoachingExample, picture: str | None) -> dict[str, Any]:
    asked: Any = example.facts
    if picture:
        asked = [{"type": "image", "image": picture}, {"type": "text", "text": example.facts}]
    return {
        "id": example.id,
        "activity": example.activity,
        "messages": [
            {"role": "system", "content": PROMPT},
            {"role": "user", "content": asked},
            {"role": "assistant", "content": example.answer_json},
        ],
    }


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_bytes(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def _placed(example: CoachingExample, folder: Path) -> str:
    """The name of the example's picture in `folder`, where it is linked to, or copied."""
    assert example.picture is not None
    name = f"{example.id}{example.picture.suffix.lower()}"
    link_or_copy(example.picture, folder / name)
    return name
