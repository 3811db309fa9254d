"""Several processes train like one: `torchrun` for real, with gloo, on the CPU."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from posellm_assets.language.clips import UnusableData
from posellm_assets.language.config import StageJob
from posellm_assets.language.train import train
from posellm_assets.training.backends import Backend
from posellm_assets_tests.unit.language import samples
from posellm_assets_tests.unit.language.test_train import trajectory
from posellm_assets_tests.waits import HANG_S

HF = Backend("hf", "asked for")
CHANGES = {"steps": 24, "checkpoint_every": 5, "rows_per_batch": 3, "evaluate_every": 8}


def torchrun(job: StageJob) -> subprocess.Popen[str]:
    """Two processes that train `job`; terminating the one returned ends both."""
    path = job.out.parent / f"{job.out.name}.json"
    path.write_text(job.model_dump_json())
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*launcher, "-m", "posellm_assets.language.train", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, output
    return output


def test_two_processes_give_the_losses_of_one_and_go_on_to_the_bit_where_they_stopped(tmp_path: Path) -> None:
    alone, two = samples.job(tmp_path, "alone", CHANGES), samples.job(tmp_path, "two", CHANGES)
    train(alone, HF, lambda message: None)
    output = finished(torchrun(two))
    assert output.count("stage2 is finished") == 1, "only the first process reports"
    # Sums over two halves are rounded otherwise than sums over the whole, and each step takes that on: after 24 of them
    # it is 1.01e-3 of a loss on one processor and less on another.
    assert len(trajectory(two)) == 24
    for one, both in zip(trajectory(alone), trajectory(two), strict=True):
        assert both == pytest.approx(one, rel=3e-3)
    results = [json.loads((job.out / "result.json").read_text()) for job in (alone, two)]
    assert [result["processes"] for result in results] == [1, 2]
    assert results[1]["val"]["t2m"]["loss"] == pytest.approx(results[0]["val"]["t2m"]["loss"], rel=1e-3)
    weights, expected = (load_file(job.out / "final" / "model.safetensors") for job in (two, alone))
    for name, weight in expected.items():
        assert (weights[name] - weight).abs().max() < 0.05 * weight.abs().max(), name

    whole, model = trajectory(two), two.out / "final" / "model.safetensors"
    never_stopped = model.read_bytes()
    (two.out / "result.json").unlink()
    for gone in ("final", "checkpoint-24"):
        shutil.rmtree(two.out / gone)
    assert finished(torchrun(two)).count("resumes from step 20 of 24") == 1
    assert trajectory(two) == whole and model.read_bytes() == never_stopped


def test_more_processes_than_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = samples.job(tmp_path, stage_changes={"rows_per_batch": 1})
    from posellm_assets.training import processes

    monkeypatch.setattr(processes.distributed, "init_process_group", lambda backend: None)
    monkeypatch.setattr(processes.distributed, "destroy_process_group", lambda: None)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UnusableData, match="2 processes cannot share the 1 rows of a step"):
        train(job, HF, lambda message: None)
