"""Questions and answers about clips in the formats that others train on, the figures of a data set, and its card.

How is asked and answered is data, in `phrasings.yaml`, for each language.
"""

import json
import random
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from posellm_assets.actions.dataset.clips import ActionExample, Refused
from posellm_assets.actions.dataset.config import DatasetConfig
from posellm_assets.actions.dataset.label_set import LabelSet
from posellm_assets.files import write_bytes, write_json
from posellm_assets.footage.splits import SPLITS
from posellm_assets.records import Record
from posellm_assets.reports.markdown import escaped, table


class Phrasings(Record):
    """Questions about a clip, and answers around `{action}`; the first of each is what val, test and scoring use."""

    questions: list[str] = Field(min_length=1)
    answers: list[str] = Field(min_length=1)


@cache
def phrasings() -> dict[str, Phrasings]:
    """The phrasings of every language."""
    content = yaml.safe_load(files(__package__).joinpath("phrasings.yaml").read_text(encoding="utf-8"))
    return {language: Phrasings.model_validate(own) for language, own in content.items()}


def questions_and_answers(
    examples: Sequence[ActionExample], label_set: LabelSet, config: DatasetConfig, seed: int
) -> Iterator[tuple[str, ActionExample, str, str]]:
    """(record id, example, question, answer): drawn phrasings in train; in val and test one question and the bare name.

    The same seed gives the same records. A language without a name for a class has no question about it.
    """
    for example in examples:
        one = label_set[example.class_id]
        languages = [language for language in config.languages if one.spellings(language)] or [config.languages[0]]
        generator = random.Random(f"{seed}/{example.id}")
        for number in range(config.questions_per_clip if example.split == "train" else 1):
            language = languages[number % len(languages)]
            said = phrasings()[language]
            question, answer = said.questions[0], one.name(language)
            if example.split == "train":
                question = generator.choice(said.questions)
                spelling = generator.choice(one.spellings(language) or [one.name(language)])
                answer = generator.choice(said.answers).format(action=spelling)
            yield f"{example.id}_{number:04d}", example, question, answer


def write_conversations(
    path: Path, examples: Sequence[ActionExample], label_set: LabelSet, config: DatasetConfig, seed: int
) -> None:
    """Write what `qwen-vl-finetune` reads: a JSON list of `id`, `video`, `conversations[{from, value}]`.

    Its `data_processor.py` takes whoever is not `human` for the assistant, whose words may hold no `<video>`.
    """
    records = [
        {
            "id": record,
            "video": f"videos/{example.file}",
            "conversations": [
                {"from": "human", "value": f"<video>\n{question}"},
                {"from": "gpt", "value": answer},
            ],
        }
        for record, example, question, answer in questions_and_answers(examples, label_set, config, seed)
    ]
    write_json(path, records)


def write_messages(
    path: Path, examples: Sequence[ActionExample], label_set: LabelSet, config: DatasetConfig, seed: int
) -> None:
    """Write chat messages, a JSON line for each question: what chat templates of vision-language models take."""
    lines = []
    for record, example, question, answer in questions_and_answers(examples, label_set, config, seed):
        asked = [{"type": "video", "video": f"videos/{example.file}"}, {"type": "text", "text": question}]
        answered = [{"type": "text", "text": answer}]
        messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        lines.append(json.dumps({"id": record, "messages": messages}, ensure_ascii=False) + "\n")
    write_bytes(path, "".join(lines).encode())


def statistics(examples: Sequence[ActionExample], refused: Sequence[Refused], label_set: LabelSet) -> dict[str, Any]:
    """Clips by class and split, who is in which split, what was refused and why, and classes without a clip."""
    by_split = {split: [one for one in examples if one.split == split] for split in SPLITS}
    classes: dict[str, dict[str, Any]] = {}
    for one in label_set.classes:
        own = [example for example in examples if example.class_id == one.id]
        if own:
            per_split: dict[str, int] = {split: sum(example.split == split for example in own) for split in by_split}
            clips = [f"videos/{example.file}" for example in own]
            classes[one.name("en")] = {"class_id": one.id, "count": len(own), **per_split, "videos": clips}
    return {
        "classes": classes,
        "classes_without_clips": [one.id for one in label_set.classes if all(e.class_id != one.id for e in examples)],
        "splits": {
            split: {"clips": len(own), "participants": len({one.participant for one in own if one.participant})}
            for split, own in by_split.items()
        },
        "clips_of_nobody": sum(one.participant is None for one in examples),
        "refused": [{"what": one.what, "reason": one.reason} for one in refused],
    }


def card(stats: dict[str, Any], label_set: LabelSet, config: DatasetConfig) -> str:
    """The data set's card as Markdown, with the front matter from which the Hub and `datasets` take the splits."""
    splits = {"train": "train", "val": "validation", "test": "test"}
    files = "\n".join(f"  - split: {name}\n    path: {split}.jsonl" for split, name in splits.items())
    by_split = [[split, own["clips"], own["participants"]] for split, own in stats["splits"].items()]
    actions = [
        [name, label_set[own["class_id"]].description, *(own.get(split, 0) for split in splits)]
        for name, own in stats["classes"].items()
    ]
    refused = [escaped(f"{one['what']}: {one['reason']}") for one in stats["refused"]]
    of_nobody = stats["clips_of_nobody"]
    return "\n".join(
        [
            f"---\ntags: [video, sports, action-recognition]\nlicense: other\nconfigs:\n- config_name: default\n"
            f"  data_files:\n{files}\n---\n",
            f"# Actions: {escaped(label_set.sport)}\n",
            f"Questions about short clips and the action that each shows, in {', '.join(config.languages)}; made with "
            "PoseLLM Assets.\n",
            table(["split", "clips", "participants or matches"], by_split),
            "",
            table(["action", "what it is", *splits], actions),
            "",
            "`train.json`, `val.json`, `test.json`: `id`, `video`, `conversations` of `human` and `gpt`, as the folder "
            "`qwen-vl-finetune` of QwenLM/Qwen3-VL (for Transformers 4.57; Qwen2-VL to Qwen3-VL) reads them, with this "
            "folder as `data_path`. The `.jsonl` files hold the same as chat messages, as `apply_chat_template` of "
            "Transformers 5 takes them. Train has several phrasings of question and answer for each clip, the others "
            "one question and the bare name.\n",
            "Everything of one participant or match is in one split."
            + (f" Of {of_nobody} clips neither is known: each of their videos stands for itself." if of_nobody else "")
            + "\n",
            *(["Refused:\n", *(f"- {line}" for line in refused), ""] if refused else []),
            "The clips are of people: before you share the data set, make sure that they agree to it. The licence is "
            "yours to state.\n",
        ]
    )
