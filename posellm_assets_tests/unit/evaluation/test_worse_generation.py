"""A generation that was taught wrong labels does not get past the gate, and one command undoes a release."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from posellm_assets.evaluation.config import (
    ChampionReport,
    EvaluateJob,
    EvaluationConfig,
    EvaluatorConfig,
    EvaluatorJob,
)
from posellm_assets.evaluation.evaluate import run
from posellm_assets.evaluation.train_evaluator import run as train_evaluator
from posellm_assets.generations.releases import in_use
from posellm_assets.lake import Lake
from posellm_assets.language.config import ModelConfig, StageConfig, StageJob
from posellm_assets.language.train import train as train_stage
from posellm_assets.training.backends import choose
from posellm_assets_tests.releases import put_in_use
from posellm_assets_tests.unit.evaluation.world import CODES, STEPS, quiet


def with_labels_moved_on(examples: Path) -> Path:
    """The same motions, each with the texts of another movement."""
    rows = pq.read_table(examples)
    labels = sorted(set(rows["label"].to_pylist()))
    texts = {row["label"]: row["texts"] for row in rows.to_pylist()}
    other = dict(zip(labels, [*labels[1:], labels[0]], strict=True))
    wrong = [{**row, "label": other[row["label"]], "texts": texts[other[row["label"]]]} for row in rows.to_pylist()]
    path = examples.with_name("wrong.parquet")
    pq.write_table(pa.Table.from_pylist(wrong, schema=rows.schema), path)
    return path


def test_a_generation_with_shuffled_labels_is_refused_by_name_and_a_release_is_undone(
    world, tokenizer, trained, tmp_path
) -> None:
    train, test, model = trained
    evaluator = EvaluatorJob(
        **STEPS, train=train, test=test, motions=world.motions, out=tmp_path / "evaluator",
        config=EvaluatorConfig(steps=10, batch_size=8, width=32),
    )  # fmt: skip
    train_evaluator(evaluator, quiet)
    wrong = StageJob(
        train=with_labels_moved_on(train), out=tmp_path / "wrong", parent=model, codebook_size=CODES,
        codes_per_step=STEPS["codes_per_step"],
        stage=StageConfig(name="stage", tasks={"m2t": 1.0}, steps=30, row_tokens=160, rows_per_batch=4),
        model=ModelConfig(backend="hf"),
    )  # fmt: skip
    train_stage(wrong, choose("hf"), quiet)
    (tmp_path / "manifest.json").write_text(
        json.dumps({"videos": [{"key": key, "split": "test", "label": None} for key in world.motions]})
    )

    def report(name: str, of: Path, champion: ChampionReport | None) -> dict:
        job = EvaluateJob(
            model=of, tokenizer=tokenizer, evaluator=evaluator.out, train=train, test=test,
            motions=world.motions, out=tmp_path / name, champion=champion,
            config=EvaluationConfig(samples_per_label=1, texts=2, samples_per_text=1),
        )  # fmt: skip
        return run(job, quiet)["decision"]

    assert report("right", model, None)["promote"]
    champion = ChampionReport(snapshot="all-0001", manifest=tmp_path / "manifest.json", report=tmp_path / "right")
    decision = report("wrong-report", wrong.out / "final", champion)
    assert not decision["promote"]
    (lost,) = [c for c in decision["comparisons"] if c["figure"] == "naming_accuracy" and c["of"] == "all that it knew"]
    assert lost["verdict"] == "worse" and lost["n"] == 8
    assert any(
        reason.startswith(f"names the movement (all that it knew): {lost['new']:.3f} against {lost['old']:.3f}")
        for reason in decision["reasons"]
    )

    lake = Lake(tmp_path / "lake")
    for key, of in (("all-0001", model), ("all-0002", wrong.out / "final")):
        shutil.copytree(of, lake.finished_model(key, "stage3"))
        put_in_use(lake, "language", key)
    command = [Path(sys.executable).with_name("posellm"), "release", "rollback", "--lake", str(lake.root)]
    done = subprocess.run([*map(str, command), "--by", "ana"], capture_output=True, text=True, check=True)
    assert "all-0001: rolled back to on" in done.stdout
    released = in_use(lake, "language")
    assert released and released.name == "all-0001" and released.promoted_by == "ana"
    assert released.path(lake).joinpath("config.json").is_file()
