"""The training program: it learns, a killed run goes on to the bit, two processes train like one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from posellm_assets.actions.config import ActionJob
from posellm_assets.actions.dataset.clips import UnusableDataset, read_dataset
from posellm_assets.actions.members.opinions import VISION
from posellm_assets.actions.members.vision_language import VisionModel
from posellm_assets.actions.train import train
from posellm_assets.footage.video import UnreadableVideo
from posellm_assets.language.bases import UnsupportedModel
from posellm_assets.training.checkpoints import CheckpointMismatch
from posellm_assets_tests.unit.vision.models import HF, job
from posellm_assets_tests.waits import HANG_S

PROGRAM = "posellm_assets.actions.train"


def silently(message: str) -> None:
    """Takes a line of progress nowhere."""


def start(training: ActionJob, *launcher: str) -> subprocess.Popen[str]:
    """The program on `training`, in a process (or several) of its own."""
    path = training.out.parent / f"{training.out.name}.json"
    path.write_text(training.model_dump_json())
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, PROGRAM, str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def losses(training: ActionJob) -> list[float]:
    return [json.loads(line)["loss"] for line in (training.out / "losses.jsonl").read_text().splitlines()]


def weights(training: ActionJob) -> bytes:
    return (training.out / "final" / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def calm(folder: Path) -> ActionJob:
    """A short training that nothing disturbed."""
    training = job(folder, "calm", {"epochs": 2})
    train(training, HF, silently)
    return training


def test_two_processes_give_the_losses_of_one(folder: Path, calm: ActionJob) -> None:
    two = job(folder, "two", {"epochs": 2})
    process = start(two, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    output, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, output
    assert output.count("the model is finished") == 1, "only the first process reports"
    # Sums over two halves are rounded otherwise than sums over the whole.
    assert losses(two) == pytest.approx(losses(calm), rel=1e-3)
    results = [json.loads((one.out / "result.json").read_text()) for one in (two, calm)]
    assert [result["processes"] for result in results] == [2, 1]
    assert results[0]["val"] == pytest.approx(results[1]["val"], rel=1e-2)


def test_the_way_that_squares_go_is_learned(folder: Path) -> None:
    training = job(folder, "learned", {"epochs": 40, "clips_per_batch": 8})
    train(training, HF, silently)
    dataset = read_dataset(training.dataset)
    model = VisionModel.load(training.out / "final")
    held_out = [dataset.clip_of(one) for one in dataset.examples if one.split != "train"]
    opinions = model.opinions(held_out, dataset.label_set)
    right = [opinion.action == one.class_id for opinion, one in zip(opinions, held_out, strict=True)]
    assert np.mean(right) >= 0.75 and len(right) >= 8, "chance is 0.25"
    assert all(opinion.member == VISION and opinion.seconds > 0 for opinion in opinions)
    result = json.loads((training.out / "result.json").read_text())
    assert result["final_loss"] < 0.5 * result["first_loss"]
    assert not (training.out / "base").exists() and not (training.out / "frames").exists()

    # A finished model is a base like any other: LoRA on it learns on, and is merged into a whole model again.
    lora = {"base": str(training.out / "final"), "lora_rank": 4, "train_vision": True}
    adapted = job(folder, "adapted", {"epochs": 1, "learning_rate": 1e-4}, lora)
    train(adapted, HF, silently)
    again = VisionModel.load(adapted.out / "final").opinions(held_out, dataset.label_set)
    assert np.mean([o.action == one.class_id for o, one in zip(again, held_out, strict=True)]) >= 0.75
    assert (adapted.out / "final" / "adapter" / "adapter_model.safetensors").is_file()
    result = json.loads((adapted.out / "result.json").read_text())
    assert result["first_loss"] < 1.0, "it starts from what the base had learned"


def test_a_job_that_cannot_be_done_is_refused_with_the_reason(folder: Path, calm: ActionJob) -> None:
    with pytest.raises(CheckpointMismatch, match=r"training\.learning_rate was 0\.003 and is now 0\.001"):
        train(job(folder, "calm", {"epochs": 2, "learning_rate": 1e-3}), HF, silently)
    assert train(calm, HF, silently)["steps"] == json.loads((calm.out / "result.json").read_text())["steps"]
    with pytest.raises(UnusableDataset, match=r"holds no examples\.json"):
        train(calm.model_copy(update={"dataset": folder, "out": folder / "x"}), HF, silently)
    with pytest.raises(UnsupportedModel, match="there is no such folder"):
        train(job(folder, "no-base", {"epochs": 1}, {"base": "./nothing"}), HF, silently)


def test_a_clip_that_went_bad_since_is_named(folder: Path, calm: ActionJob) -> None:
    dataset = read_dataset(calm.dataset)
    model = VisionModel.load(calm.out / "final")
    bad = dataset.clip_of(dataset.examples[0])
    missing = bad.__class__(**{**vars(bad), "video": folder / "gone.mp4"})
    with pytest.raises(UnreadableVideo, match=rf"{bad.id} \(.*gone\.mp4\)"):
        model.opinions([missing], dataset.label_set)
