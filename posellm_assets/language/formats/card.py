"""The card of an exported dataset: what is in it, where it comes from, and what it must not be taken for."""

from collections import Counter
from typing import Any

import yaml

_FIELDS = {
    "alpaca": "`instruction`, `input`, `output`; a motion is written `<motion_3><motion_17>...` without separators",
    "chat": "`messages` (a question of the user, an answer of the assistant), `task` (`t2m` from text to motion, `m2t` "
    "from motion to text), `key` of the clip, `participant`",
    "parquet": "`key`, `segment`, `variant` (original, mirrored, other speeds), `mirrored`, `sport`, `label`, "
    "`participant`, `texts` (all are true of the motion), `codes`",
    "motion-llm": "`text_query`, `motion_tokens` (code ids with spaces between them), `participant_id`",
}


def card(
    to: str, suffix: str, rows: dict[str, list[dict[str, Any]]], counts: dict[str, int], about: dict[str, Any]
) -> str:
    """The card as Markdown, with the front matter from which the Hugging Face Hub and `datasets` take the splits."""
    configs = {"config_name": "default", "data_files": [{"split": s, "path": f"{s}.{suffix}"} for s in rows]}
    front = yaml.safe_dump(
        {"tags": ["motion", "sports", "motion-language"], "license": "other", "configs": [configs]}, sort_keys=False
    )
    clips = {split: {(row["key"], row["segment"]) for row in of_split} for split, of_split in rows.items()}
    people = {split: {row["participant"] for row in of_split} - {None} for split, of_split in rows.items()}
    sports = Counter(sport for of_split in rows.values() for _, sport in {(r["key"], r["sport"]) for r in of_split})
    return "\n".join(
        [
            f"---\n{front}---\n",
            "# Motion and text\n",
            "Human motion as discrete codes with texts that are true of it, made with PoseLLM Assets.\n",
            "| split | records | motions | participants |",
            "| --- | --- | --- | --- |",
            *(f"| {split} | {counts[split]} | {len(clips[split])} | {len(people[split])} |" for split in rows),
            "",
            f"Fields: {_FIELDS[to]}.\n",
            f"Videos by sport: {', '.join(f'{sport} {count}' for sport, count in sorted(sports.items()))}.\n",
            *(f"- {name}: {value}" for name, value in about.items()),
            "",
            "No participant is in two splits; where nobody is named, no video is. The train split holds mirrored and "
            "speed-changed variants of its motions, with the sides in their texts swapped; the others hold originals "
            "only. Texts that the project wrote itself say what was measured on the pose; the owners' own captions and "
            "labels are kept as they were given. A code means a pose only with the tokenizer named above.\n",
            "The motions are of people: before you share the dataset, make sure that they agree to it and that the "
            "names of participants may be shown. The licence is yours to state.\n",
        ]
    )
