"""How a stage ends before its last step, beside what every training does: a clip that broke it, and patience."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from posellm_assets.language import losses
from posellm_assets.language.clips import UnusableData
from posellm_assets.language.config import StageConfig, StageJob
from posellm_assets.language.train import train
from posellm_assets.training.backends import Backend
from posellm_assets.training.loop import NonFiniteLoss
from posellm_assets_tests.unit.language import samples
from posellm_assets_tests.unit.language.test_train import trajectory


def run(job: StageJob, said: list[str] | None = None) -> dict[str, Any]:
    return train(job, Backend("hf", "asked for"), (said if said is not None else []).append)


def test_after_a_broken_step_a_clip_may_be_taken_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = samples.job(tmp_path, stage_changes={"steps": 12}, val=None)
    whole = losses.summed_loss
    monkeypatch.setattr("posellm_assets.language.losses.summed_loss", lambda *a: whole(*a) * float("nan"))
    with pytest.raises(NonFiniteLoss, match="at step 1"):
        run(job)
    monkeypatch.undo()
    samples.examples(tmp_path / "train.parquet", clips_per_label=2)
    result = run(job)
    assert result["steps"] == 12 and result["clips"] == 6
    assert len(result["changed"]) == 1 and result["changed"][0].startswith("train was")


STALE = {"steps": 400, "learning_rate": 2e-2, "evaluate_every": 4, "patience": 2, "checkpoint_every": 3}


def test_a_stage_out_of_patience_ends_early_with_its_best_weights_also_when_it_was_stopped(tmp_path: Path) -> None:
    job = samples.job(tmp_path, stage_changes=STALE)
    result = run(job)
    held_out = {
        line["step"]: line["val_loss"]
        for line in map(json.loads, (job.out / "losses.jsonl").read_text().splitlines())
        if "val_loss" in line
    }
    best = min(held_out, key=lambda step: held_out[step])
    assert list(held_out) == list(range(4, result["steps"] + 1, 4))
    assert result["best_step"] == best == result["steps"] - 8 < 392
    shares = job.stage.tasks
    final = sum(shares[task] * part["loss"] for task, part in result["val"].items()) / sum(shares.values())
    assert final == pytest.approx(held_out[best], rel=1e-6)
    weights = load_file(job.out / f"checkpoint-{best}" / "weights.safetensors")
    for name, weight in load_file(job.out / "final" / "model.safetensors").items():
        assert torch.equal(weight, weights[name])

    # As a stop right after the best checkpoint leaves it.
    whole, model = trajectory(job), (job.out / "final" / "model.safetensors").read_bytes()
    (job.out / "result.json").unlink()
    shutil.rmtree(job.out / "final")
    for checkpoint in job.out.glob("checkpoint-*"):
        if checkpoint.name != f"checkpoint-{best}":
            shutil.rmtree(checkpoint)
    assert run(job)["best_step"] == best
    assert trajectory(job) == whole
    assert (job.out / "final" / "model.safetensors").read_bytes() == model


def test_patience_needs_evaluations_and_something_to_evaluate_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="patience counts evaluations"):
        StageConfig(name="x", tasks={"t2m": 1.0}, steps=1, patience=2)
    for changes in ({"val": None}, {"val": samples.examples(tmp_path / "silent.parquet", texts=[])}):
        changed = {"steps": 9, "evaluate_every": 8, "tasks": {"t2m": 0.5, "m2t": 0.5}}
        with pytest.raises(UnusableData, match=r"clips that serve t2m, m2t, and of (0|12) none does"):
            run(samples.job(tmp_path, stage_changes=changed, **changes))
    assert not (tmp_path / "out" / "losses.jsonl").exists(), "not a step was made in vain"
