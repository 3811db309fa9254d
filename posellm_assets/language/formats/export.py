"""The examples of a snapshot as a dataset that others can load, with its card.

A folder in one format, a file per split, named so that `datasets.load_dataset(folder)` finds the splits.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.files import write_atomic, write_bytes
from posellm_assets.footage.splits import SPLITS
from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA
from posellm_assets.lake import CARD, split_file
from posellm_assets.language.clips import View
from posellm_assets.language.formats.card import card
from posellm_assets.language.formats.motion_llm import UNNAMED, Entry, to_json
from posellm_assets.texts.captions import label_words

INSTRUCTIONS = {"t2m": "Generate the motion that this text describes.", "m2t": "Describe this motion."}
# What `datasets` calls the splits.
SPLIT_NAMES = {"train": "train", "val": "validation", "test": "test"}
Rows = list[dict[str, Any]]


def export_dataset(source: Path, to: str, out: Path, about: dict[str, Any]) -> dict[str, int]:
    """Write the examples in `source` (`<split>.parquet`) into `out` as `to`; returns the records per split.

    `about` is what the card says of where they come from. Raises ValueError for a format that is not in FORMATS, where
    `source` holds no examples, or where `out` holds something already.
    """
    if to not in FORMATS:
        raise ValueError(f"{to!r} is not a format; choose {', '.join(FORMATS)}")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"{out} is not empty; name a new folder, so that no files of two datasets get mixed")
    tables = {split: _examples(split_file(source, split)) for split in SPLITS if split_file(source, split).exists()}
    if not tables:
        raise ValueError(f"{source} holds no examples (train.parquet); name a snapshot or a folder of examples")
    suffix, write = FORMATS[to]
    counts: dict[str, int] = {}
    for split, rows in tables.items():
        if rows:
            counts[SPLIT_NAMES[split]] = write(out / f"{SPLIT_NAMES[split]}.{suffix}", rows)
    everything = {SPLIT_NAMES[split]: rows for split, rows in tables.items() if rows}
    write_bytes(out / CARD, card(to, suffix, everything, counts, about).encode())
    return counts


def _examples(path: Path) -> Rows:
    rows: Rows = pq.read_table(path).to_pylist()
    return rows


def _instructions(rows: Rows) -> Iterator[tuple[dict[str, Any], str, str, str]]:
    """(example, task, question, answer), both ways for every text of every motion."""
    for row in rows:
        motion = "".join(f"<motion_{code}>" for code in row["codes"])
        view = View((), (), label_words(row["label"]) if row["label"] else None)
        for text in row["texts"]:
            yield row, "t2m", text, motion
            yield row, "m2t", motion, view.description(text)


def _write_alpaca(path: Path, rows: Rows) -> int:
    records = [
        {"instruction": INSTRUCTIONS[task], "input": question, "output": answer}
        for _, task, question, answer in _instructions(rows)
    ]
    write_bytes(path, (json.dumps(records, ensure_ascii=False, indent=0) + "\n").encode())
    return len(records)


def _write_chat(path: Path, rows: Rows) -> int:
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"{INSTRUCTIONS[task]}\n{question}"},
                    {"role": "assistant", "content": answer},
                ],
                "task": task,
                "key": row["key"],
                "participant": row["participant"],
            },
            ensure_ascii=False,
        )
        for row, task, question, answer in _instructions(rows)
    ]
    write_bytes(path, "".join(f"{line}\n" for line in lines).encode())
    return len(lines)


def _write_parquet(path: Path, rows: Rows) -> int:
    write_atomic(path, partial(pq.write_table, pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA)))
    return len(rows)


def _write_motion_llm(path: Path, rows: Rows) -> int:
    entries = [
        Entry(
            text, tuple(row["codes"]), row["participant"], clip=None if row["key"].startswith(UNNAMED) else row["key"]
        )
        for row in rows
        for text in row["texts"]
    ]
    write_bytes(path, to_json(entries).encode())
    return len(entries)


FORMATS: dict[str, tuple[str, Callable[[Path, Rows], int]]] = {
    "alpaca": ("json", _write_alpaca),
    "chat": ("jsonl", _write_chat),
    "parquet": ("parquet", _write_parquet),
    "motion-llm": ("json", _write_motion_llm),
}
