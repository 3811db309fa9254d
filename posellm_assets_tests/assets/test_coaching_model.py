"""From coaching labels to a model that gives such labels, and the report on it, through the real assets."""

import importlib
import json
from pathlib import Path
from typing import Any

import dagster as dg

from posellm_assets.coaching.labels.lake_labels import Labeller
from posellm_assets.defs import coaching
from posellm_assets.defs.partitions import snapshots
from posellm_assets.defs.resources import LakeResource, Programs
from posellm_assets.demo.faults import DemoRepetition
from posellm_assets.files import read_json, write_json
from posellm_assets.footage.splits import split_of
from posellm_assets.generations.snapshots import Snapshot, SnapshotVideo
from posellm_assets.lake import Lake
from posellm_assets.program import Job
from posellm_assets.training import backends
from posellm_assets_tests.coaching_clips import add
from posellm_assets_tests.tokens import segment, write_tokens
from posellm_assets_tests.unit.language.samples import save_tokenizer

CLEAN, LAGS, FAST = DemoRepetition(), DemoRepetition("asymmetric arms", "right"), DemoRepetition("too fast")
SMALL = {
    "hidden_size": 32, "layers": 2, "attention_heads": 2, "key_value_heads": 1, "head_size": 16,
    "intermediate_size": 64, "text_tokens": 600,
}  # fmt: skip
STAGE = {"name": "coaching_model", "tasks": {"m2t": 1.0}, "steps": 3, "row_tokens": 1024, "rows_per_batch": 1,
         "evaluate_every": 1, "patience": 3}  # fmt: skip
SNAPSHOT = "all-0001"


class InThisProcess(Programs):
    """Runs the programs of the assets here, so that a test pays once for loading what they need."""

    def run(self, context: dg.AssetExecutionContext, job: Job, progress: Any = None) -> None:
        """See `Programs.run`."""
        program = importlib.import_module(job.program)
        if job.program.endswith("train"):
            program.train(job, backends.choose("hf"), context.log.info)
        else:
            program.evaluate(job, context.log.info)


def labelled(folder: Path) -> Lake:
    """A lake with labelled squats of two people in train and one in val and test each, frozen in a snapshot."""
    lake = Lake(folder / "lake")
    lineage = save_tokenizer(folder / "tokenizer")
    lake.tokenizers.mkdir(parents=True)
    (folder / "tokenizer").rename(lake.tokenizer(lineage))
    people = sorted((f"p{number}" for number in range(40)), key=split_of)
    chosen = [[one for one in people if split_of(one) == split] for split in ("train", "train", "val", "test")]
    labeller, videos = Labeller(lake, ["rules"]), []
    shown = [(CLEAN, LAGS, CLEAN), (CLEAN, CLEAN, FAST), (CLEAN, LAGS, CLEAN), (LAGS, CLEAN, CLEAN)]
    for number, (of_split, repetitions) in enumerate(zip(chosen, shown, strict=True)):
        who = of_split[number]
        key = add(lake, number, "squat", repetitions, "2026-01-01T10:00:00Z", who)
        labeller.label(key)
        write_tokens(lake, lineage, key, [segment([number, 3, 5, 7], end_s=3.0)])
        hashes = dict.fromkeys(("captions_sha256", "motion_sha256", "tokens_sha256"), "")
        videos.append(
            SnapshotVideo(key=key, sport="gym", label="squat", participant=who, split=split_of(who), **hashes)
        )
    frozen = Snapshot(
        snapshot=SNAPSHOT, scope="all", created_at="2026-01-01T10:00:00Z", lineage=lineage, parent=None, videos=videos,
        settings={}, code_version="0",
    )  # fmt: skip
    write_json(lake.snapshot(SNAPSHOT), frozen.model_dump())
    return lake


def test_labels_become_rows_a_trained_model_and_a_report_beside_baselines(tmp_path: Path) -> None:
    lake = labelled(tmp_path)
    settings = {"coaching": {"model": {"model": {"tiny": SMALL}, "stage": STAGE}}}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(snapshots.name or "", [SNAPSHOT])
        run = dg.materialize(
            [coaching.coaching_dataset, coaching.coaching_model, coaching.coaching_report],
            instance=instance,
            partition_key=SNAPSHOT,
            resources={"lake": LakeResource(root=str(lake.root), settings=settings), "programs": InThisProcess()},
        )
    (dataset,) = run.asset_materializations_for_node("coaching_dataset")
    assert dataset.metadata["splits"].value == {
        "train": {"examples": 2, "sources": 2},
        "val": {"examples": 1, "sources": 1},
        "test": {"examples": 1, "sources": 1},
    }
    result = read_json(lake.coaching_model(SNAPSHOT) / "result.json")
    best = min((one["val_loss"], one["step"]) for one in _losses(lake))
    assert result["best_step"] == best[1] and result["val"]["m2t"]["loss"] <= best[0] + 1e-4
    metrics = read_json(lake.coaching_report(SNAPSHOT) / "metrics.json")
    assert metrics["clips"] == 1 and metrics["points"] == 1
    said = metrics["speakers"]
    assert list(said) == ["the model", "commonest label of the exercise", "nothing is wrong"]
    assert said["nothing is wrong"]["figures"]["fault_recall"]["value"] == 0
    assert "| schema_valid | 0.00 (n=1" in (lake.coaching_report(SNAPSHOT) / "report.md").read_text()
    (verdict,) = run.get_asset_check_evaluations()
    assert verdict.check_name == "better_than_baselines" and not verdict.passed


def _losses(lake: Lake) -> list[dict[str, Any]]:
    lines = (lake.coaching_model(SNAPSHOT) / "losses.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
