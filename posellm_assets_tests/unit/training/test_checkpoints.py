from pathlib import Path

import pytest
import torch

from posellm_assets.training import checkpoints
from posellm_assets.training import state as stage
from posellm_assets.training.checkpoints import CheckpointMismatch
from posellm_assets.training.position import Position
from posellm_assets.training.state import Checkpoint


def checkpoint(step: int) -> Checkpoint:
    weights = {"layer": torch.full((4, 4), float(step))}
    return Checkpoint(weights, {"random/cpu": torch.get_rng_state()}, Position(step=step, identity={"seed": 0}))


def written(out: Path, *steps: int) -> None:
    for step in steps:
        checkpoints.write(
            out, step, lambda folder, step=step: stage.fill(folder, checkpoint(step), out / "losses.jsonl", Path.mkdir)
        )
        checkpoints.prune(out, [])


def newest(out: Path, said: list[str]) -> Checkpoint | None:
    folder = checkpoints.newest_valid(out, said.append)
    return stage.read(folder) if folder else None


def test_what_was_written_is_read_back_and_only_the_newest_two_stay(tmp_path: Path) -> None:
    written(tmp_path, 5, 90, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-100", "checkpoint-90"]
    found = newest(tmp_path, [])
    assert found is not None and found.position.step == 100
    assert torch.equal(found.weights["layer"], torch.full((4, 4), 100.0))


@pytest.mark.parametrize("file", ["weights.safetensors", "state.safetensors", "position.json"])
def test_a_checkpoint_with_a_flipped_byte_is_passed_over_and_the_older_one_taken(tmp_path: Path, file: str) -> None:
    written(tmp_path, 10, 20)
    path = tmp_path / "checkpoint-20" / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    said: list[str] = []
    found = newest(tmp_path, said)
    assert found is not None and found.position.step == 10
    assert len(said) == 1 and "checkpoint-20" in said[0] and file in said[0]


def test_torn_checkpoints_are_passed_over_until_none_is_left(tmp_path: Path) -> None:
    written(tmp_path, 10, 20)
    (tmp_path / "checkpoint-20" / "manifest.json").unlink()
    (tmp_path / "checkpoint-10" / "weights.safetensors").unlink()
    said: list[str] = []
    assert newest(tmp_path, said) is None
    assert len(said) == 2


def test_what_a_killed_writer_left_is_never_read_and_is_cleared_away(tmp_path: Path) -> None:
    leftover = tmp_path / ".checkpoint-30.tmp"
    leftover.mkdir()
    (leftover / "weights.safetensors").write_bytes(b"half")
    assert newest(tmp_path, []) is None
    written(tmp_path, 40)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-40"]


def test_every_difference_between_two_jobs_is_named(tmp_path: Path) -> None:
    before = {"seed": 0, "stage": {"steps": 10, "tasks": {"t2m": 1.0}}, "train": "aa"}
    now = {"seed": 0, "stage": {"steps": 12, "tasks": {"m2t": 1.0}}, "train": "bb"}
    checkpoints.check_identity(before, before, str(tmp_path))
    with pytest.raises(CheckpointMismatch) as caught:
        checkpoints.check_identity(before, now, str(tmp_path))
    for name in ("stage.steps was 10 and is now 12", "stage.tasks.t2m", "stage.tasks.m2t", "train was 'aa'"):
        assert name in str(caught.value)
    assert "seed" not in str(caught.value)
