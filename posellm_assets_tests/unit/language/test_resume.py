"""Stages that are stopped anywhere and go on elsewhere, through a hub of whose token their runs leave nothing."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posellm_assets.language import train as program
from posellm_assets.language.config import ModelConfig, StageJob
from posellm_assets.training.backends import Backend
from posellm_assets.training.checkpoints import CheckpointMismatch
from posellm_assets.training.store import open_store
from posellm_assets_tests.conftest import HF_TOKEN
from posellm_assets_tests.hub_server import Hub
from posellm_assets_tests.unit.language import samples
from posellm_assets_tests.unit.language.test_train import trajectory
from posellm_assets_tests.waits import HANG_S

TASKS: dict[str, dict[str, float]] = {
    "stage1": {"motion": 1.0},
    "stage2": {"t2m": 0.5, "m2t": 0.3, "denoise": 0.2},
    "stage3": {"t2m": 0.6, "m2t": 0.4},
}


class Killed(BaseException):
    """What stands for a SIGKILL in this process: nothing is saved after it."""


def train(job: StageJob, said: list[str] | None = None, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    return program.train(job, Backend("hf", "asked for"), (said if said is not None else []).append, stop)


def after(steps: int, what: bool | Killed) -> Callable[[], bool]:
    """A stop that says no so often, and then stops or kills."""
    calls = iter(range(10_000))

    def stop() -> bool:
        if next(calls) < steps:
            return False
        if isinstance(what, Killed):
            raise what
        return what

    return stop


def weights(job: StageJob) -> dict[str, bytes]:
    return {path.relative_to(job.out).as_posix(): path.read_bytes() for path in job.out.glob("final/**/*.safetensors")}


@pytest.mark.parametrize("method", ["full", "lora"])
def test_every_stage_goes_on_to_the_bit_on_an_emptied_machine_and_leaves_no_token(
    tmp_path: Path, remote: Hub, method: str
) -> None:
    model = ModelConfig(tiny=samples.SMALL, backend="hf", method=method, lora_dropout=0.1 if method == "lora" else 0.0)
    parents: dict[str, Path | None] = {"calm": None, "moved": None}
    said: list[str] = []
    for (stage, tasks), kill in zip(TASKS.items(), (7, 9, 11), strict=True):
        jobs = {
            name: samples.job(
                tmp_path,
                f"{name}/{stage}",
                {"name": stage, "tasks": tasks, "steps": 12, "batches_per_step": 2, "rows_per_batch": 1},
                model=model,
                parent=parent,
                snapshot="all-0001",
                hub=f"hf://me/posellm-{stage}/all-0001" if name == "moved" else None,
            )
            for name, parent in parents.items()
        }
        calm, moved = jobs["calm"], jobs["moved"]
        train(calm)
        with pytest.raises(Killed):
            train(moved, said, after(kill, Killed()))
        repository = remote.repositories[f"me/posellm-{stage}"]
        wait_for(lambda repository=repository: len(repository.commits) == 2)
        assert repository.private
        shutil.rmtree(tmp_path / "moved" / stage)
        train(moved, said)
        assert f"takes checkpoint-6 of {moved.hub}: there is none here" in said
        assert "resumes from step 6 of 12" in said
        assert trajectory(moved) == trajectory(calm) and weights(moved) == weights(calm)
        assert open_store(str(moved.hub)).steps() == [12, 6]
        assert f"# Checkpoints of {stage} (all-0001)" in repository.files["README.md"].decode()
        parents = {name: job.out / "final" for name, job in jobs.items()}

    # All local files are gone once more: nothing is trained a second time.
    shutil.rmtree(moved.out)
    train(moved, said)
    assert "resumes from step 12 of 12" in said
    assert trajectory(moved) == trajectory(calm) and weights(moved) == weights(calm)
    found = [path for path in tmp_path.rglob("*") if path.is_file() and HF_TOKEN.encode() in path.read_bytes()]
    assert not found and not any(HF_TOKEN in line for line in said)
    kept = (content for repository in remote.repositories.values() for content in repository.files.values())
    assert not any(HF_TOKEN.encode() in content for content in kept)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_best_weights_move_too(tmp_path: Path) -> None:
    stale = {"steps": 400, "learning_rate": 2e-2, "evaluate_every": 4, "patience": 2, "checkpoint_every": 3}
    job = samples.job(tmp_path, stage_changes=stale, hub=str(tmp_path / "store"))
    result = train(job)
    best, whole, final = result["best_step"], trajectory(job), weights(job)
    assert open_store(str(job.hub)).steps()[-1] == best
    shutil.rmtree(job.out)
    said: list[str] = []
    assert train(job, said)["best_step"] == best
    assert f"resumes from step {best + 8} of 400" in said
    assert trajectory(job) == whole and weights(job) == final


def test_a_checkpoint_of_another_snapshot_or_lineage_in_the_store_is_refused(tmp_path: Path) -> None:
    changes = {"hub": str(tmp_path / "store"), "snapshot": "all-0001", "lineage": "vq-1"}
    train(samples.job(tmp_path, "first", {"steps": 2}, **changes))
    other = samples.job(tmp_path, "second", {"steps": 2}, **{**changes, "snapshot": "all-0002", "lineage": "vq-2"})
    with pytest.raises(CheckpointMismatch, match="lineage was 'vq-1' and is now 'vq-2'; snapshot was 'all-0001'") as no:
        train(other)
    assert str(tmp_path / "store") in str(no.value)
