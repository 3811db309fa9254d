"""What benches ask of a lake: its tokenizer, whether files are whole, and the same as another's. No bench by itself."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from posellm_assets.checksums import SUMS
from posellm_assets.generations.tokenizers import lineage_in_use
from posellm_assets.lake import CARD, Lake
from posellm_assets.training.checkpoints import MANIFEST

VOLATILE = {
    *("registered_at", "created_at", "promoted_at", "seconds", "cpu_seconds", "step_seconds", "step_cpu_seconds"),
    *("seconds_of_last_start", "memory_mb", "peak_memory_mb", "cpu_s", "left_s"),
    *("tokens_per_s", "labels_per_s", "frames_per_s", "clips_per_s", "rows_per_s"),
}
"""What says when or how fast something was done."""

DERIVED = {MANIFEST, CARD}
"""Hashes and cards of files that hold such figures; `torn` looks at their being whole."""


def current_tokenizer() -> Path | None:
    """The folder of the tokenizer that the lake of `POSELLM_LAKE` uses; None, and a line that says so, without one."""
    lake = Lake(os.environ.get("POSELLM_LAKE", "data_lake"))
    lineage = lineage_in_use(lake)
    if lineage is None:
        print(f"skipped: {lake.root} has no tokenizer; run `make demo` there first, or set POSELLM_LAKE")
        return None
    return lake.tokenizer(lineage)


def torn(lake: Path) -> list[str]:
    """The files that are there under their name and not whole. Hidden names are still being written."""
    found = []
    for path in _visible(lake):
        try:
            content = path.read_bytes()
            if path.suffix == ".json":
                json.loads(content)
            elif path.suffix == ".parquet" and not (content[:4] == content[-4:] == b"PAR1" and len(content) > 12):
                raise ValueError("no parquet file")
            elif path.suffix == ".safetensors":
                header = int.from_bytes(content[:8], "little")
                tensors = json.loads(content[8 : 8 + header])
                ends = [about["data_offsets"][1] for name, about in tensors.items() if name != "__metadata__"]
                if len(content) != 8 + header + max(ends, default=0):
                    raise ValueError("no safetensors file")
        except (ValueError, KeyError) as error:
            # In a store a checkpoint counts from its manifest on, which is written last.
            if path.relative_to(lake).parts[0] != "hub" or (path.parent / MANIFEST).exists():
                found.append(f"{path.relative_to(lake)}: {error}")
    return found


def compared(reference: Path, lake: Path) -> tuple[list[str], list[str]]:
    """What is in `reference` and not in `lake`, and what is otherwise there or in `lake` alone."""
    lost, different = [], []
    for path in _visible(reference):
        name = path.relative_to(reference)
        if not (lake / name).exists():
            lost.append(str(name))
        elif path.name not in DERIVED and _content(path) != _content(lake / name):
            different.append(str(name))
    extra = {path.relative_to(lake) for path in _visible(lake)} - {
        path.relative_to(reference) for path in _visible(reference)
    }
    return lost, [*different, *(f"{path} is there only where it was killed" for path in sorted(extra))]


def _visible(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        # What `posellm lake check` compares files with is none of them.
        hidden = any(part.startswith(".") for part in parts) or parts[0] == "checksums" or path.name == SUMS
        if path.is_file() and not hidden and path.suffix not in (".lock", ".tmp"):
            yield path


def _content(path: Path) -> Any:
    """What must be the same: the bytes, or for JSON the values that do not say when or how fast."""
    if path.suffix == ".json":
        return _lasting(json.loads(path.read_bytes()))
    if path.suffix == ".jsonl":
        return [_lasting(json.loads(line)) for line in path.read_text().splitlines()]
    return path.read_bytes()


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(part) for name, part in value.items() if name not in VOLATILE}
    return [_lasting(part) for part in value] if isinstance(value, list) else value
