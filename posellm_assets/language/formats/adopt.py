"""A motion-LLM dataset made ready to train on: examples split by participant, and the jobs of all stages."""

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.footage.splits import split_of
from posellm_assets.lake import write_atomic, write_json
from posellm_assets.language.config import ModelConfig, StageConfig, StageJob
from posellm_assets.language.formats.motion_llm import Entry, read_entries
from posellm_assets.language.snapshots import EXAMPLE_SCHEMA, SPLITS

SPORT = "imported"


def adopt(
    dataset: Path, codebook_size: int, out: Path, stages: tuple[StageConfig, ...], model: ModelConfig, seed: int
) -> tuple[dict[str, int], list[Path]]:
    """Write `<split>.parquet` and `<stage>.json` into `out`; returns the entries per split and the jobs in their order.

    Each job is for `python -m posellm_assets.language.train`. Entries of one participant, and where nobody is named
    those with the same codes, are in the same split. Raises UnreadableDataset for a malformed file and ValueError where
    no entry falls into the train split.
    """
    entries = read_entries(dataset, codebook_size)
    rows: dict[str, list[dict]] = {split: [] for split in SPLITS}
    for number, entry in enumerate(entries, start=1):
        rows[split_of(_group(entry))].append(_row(entry, number))
    if not rows["train"]:
        raise ValueError(
            f"{dataset}: none of its {len(entries)} entries falls into the train split, which goes by participant; add "
            "entries of more participants"
        )
    for split in SPLITS:
        table = pa.Table.from_pylist(rows[split], schema=EXAMPLE_SCHEMA)
        write_atomic(out / f"{split}.parquet", partial(pq.write_table, table))
    jobs = []
    parent: Path | None = None
    for stage in stages:
        job = StageJob(
            train=(out / "train.parquet").resolve(),
            val=(out / "val.parquet").resolve() if rows["val"] else None,
            out=(out / stage.name).resolve(),
            stage=stage,
            model=model,
            parent=parent,
            codebook_size=codebook_size,
            lineage=f"{SPORT}-{codebook_size}",
            seed=seed,
        )
        parent = job.out / "final"
        jobs.append(out / f"{stage.name}.json")
        write_json(jobs[-1], job.model_dump(mode="json"))
    return {split: len(rows[split]) for split in SPLITS}, jobs


def _group(entry: Entry) -> str:
    return entry.participant or " ".join(map(str, entry.codes))


def _row(entry: Entry, number: int) -> dict:
    return {
        "key": f"entry-{number}",
        "segment": 0,
        "variant": "original",
        "mirrored": False,
        "sport": SPORT,
        "label": None,
        "participant": entry.participant,
        "texts": [entry.text],
        "codes": list(entry.codes),
    }
