"""A motion-LLM dataset made ready to train on: examples split by participant, and the jobs of all stages."""

from collections import Counter
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.files import whole_folder, write_atomic, write_json
from posellm_assets.footage.splits import SPLITS, split_of
from posellm_assets.generations.snapshots import EXAMPLE_SCHEMA
from posellm_assets.lake import FINAL, split_file
from posellm_assets.language.config import ModelConfig, StageConfig, StageJob
from posellm_assets.language.formats.export import SPLIT_NAMES
from posellm_assets.language.formats.motion_llm import UNNAMED, Entry, read_entries
from posellm_assets.motion.tokens import ORIGINAL

SPORT = "imported"


def adopt(
    dataset: Path,
    codebook_size: int,
    out: Path,
    stages: tuple[StageConfig, ...],
    model: ModelConfig,
    seed: int,
    layers: int = 1,
) -> tuple[dict[str, int], list[Path]]:
    """Write `<split>.parquet` and `<stage>.json` into `out`; returns the entries per split and the jobs in their order.

    Each job is for `python -m posellm_assets.language.train`. A folder keeps the splits of its files (`train.json`,
    `validation.json`, `test.json`). A file is split: entries of one participant, where nobody is named those of one
    clip, and without either those with the same codes, are in the same split. Raises UnreadableDataset for a malformed
    file and ValueError where `out` is not empty, there is nothing to train on, or a participant or clip is in two
    files.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there and not empty, and what is in it is left as it is; name a new folder")
    if codebook_size % layers:
        raise ValueError(
            f"{codebook_size} codes do not divide into {layers} layers; --codes counts those of all layers"
        )
    entries = _in_splits(dataset, codebook_size, layers)
    if not entries["train"]:
        raise ValueError(
            f"{dataset}: none of its {sum(map(len, entries.values()))} entries falls into the train split, which goes "
            "by participant; add entries of more participants"
        )
    rows: dict[str, list[dict]] = {}
    for split in SPLITS:
        seen: Counter[str] = Counter()
        rows[split] = []
        for number, entry in enumerate(entries[split], start=1):
            key = entry.clip or f"{UNNAMED}{split}-{number}"
            rows[split].append(_row(entry, key, seen[key]))
            seen[key] += 1
    jobs: list[Path] = []
    contents: list[dict] = []
    parent: Path | None = None
    for stage in stages:
        job = StageJob(
            train=split_file(out, "train").resolve(),
            val=split_file(out, "val").resolve() if rows["val"] else None,
            out=(out / stage.name).resolve(),
            stage=stage,
            model=model,
            parent=parent,
            codebook_size=codebook_size,
            codes_per_step=layers,
            lineage=f"{SPORT}-{codebook_size}",
            seed=seed,
        )
        parent = job.out / FINAL
        jobs.append(out / f"{stage.name}.json")
        contents.append(job.model_dump(mode="json"))
    with whole_folder(out) as folder:
        for split in SPLITS:
            table = pa.Table.from_pylist(rows[split], schema=EXAMPLE_SCHEMA)
            write_atomic(split_file(folder, split), partial(pq.write_table, table))
        for path, content in zip(jobs, contents, strict=True):
            write_json(folder / path.name, content)
    return {split: len(rows[split]) for split in SPLITS}, jobs


def _in_splits(dataset: Path, codebook_size: int, layers: int) -> dict[str, list[Entry]]:
    splits: dict[str, list[Entry]] = {split: [] for split in SPLITS}
    if not dataset.is_dir():
        for entry in read_entries(dataset, codebook_size, layers):
            splits[split_of(_group(entry))].append(entry)
        return splits
    split_of_group: dict[str, str] = {}
    for split in SPLITS:
        path = dataset / f"{SPLIT_NAMES[split]}.json"
        splits[split] = read_entries(path, codebook_size, layers) if path.exists() or split == "train" else []
        for group in map(_group, splits[split]):
            other = split_of_group.setdefault(group, split)
            if other != split:
                raise ValueError(
                    f"{path}: {group[:40]} is in {SPLIT_NAMES[other]}.json already: what is held out would be trained "
                    "on; keep it in one of the files"
                )
    return splits


def _group(entry: Entry) -> str:
    return entry.participant or entry.clip or " ".join(map(str, entry.codes))


def _row(entry: Entry, key: str, variant: int) -> dict:
    return {
        "key": key,
        "segment": 0,
        "variant": f"variant-{variant}" if variant else ORIGINAL,
        "mirrored": False,
        "sport": SPORT,
        "label": None,
        "participant": entry.participant,
        "texts": [entry.text],
        "texts_of_parts": None,
        "codes": list(entry.codes),
    }
