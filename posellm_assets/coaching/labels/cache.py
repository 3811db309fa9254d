"""Answers that were paid for are kept, by the content of everything that decided them, the useless ones too."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posellm_assets.coaching.labels.schema import SCHEMA_VERSION
from posellm_assets.endpoint import NotJson
from posellm_assets.files import read_json, write_json


class AnswerCache:
    """One JSON file per answer in `folder`, named by the hash of frames, prompt, schema and teacher."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.hits = 0

    def ask(self, frames: bytes, prompt: Any, schema: Any, teacher: str, ask: Callable[[], Any]) -> Any:
        """The kept answer, or that of `ask()`, which is then kept.

        An answer that was not JSON is kept as well and raises NotJson again. Where nothing was answered (a time-out, a
        refusal), nothing is kept.
        """
        path = self.folder / f"{answer_hash(frames, prompt, schema, teacher)}.json"
        if path.exists():
            self.hits += 1
            kept = read_json(path)
        else:
            try:
                kept = {"teacher": teacher, "answer": ask()}
            except NotJson as error:
                kept = {"teacher": teacher, "not_json": str(error), "said": error.text}
            write_json(path, kept)
        if "not_json" in kept:
            raise NotJson(kept["not_json"], kept["said"])
        return kept["answer"]


def answer_hash(frames: bytes, prompt: Any, schema: Any, teacher: str) -> str:
    """The sha256 of everything that decides an answer, in hex."""
    parts = {
        "frames": hashlib.sha256(frames).hexdigest(),
        "prompt": prompt,
        "schema": schema,
        "schema_version": SCHEMA_VERSION,
        "teacher": teacher,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
