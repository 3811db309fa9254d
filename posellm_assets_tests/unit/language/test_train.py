import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from posellm_assets.language import train as program
from posellm_assets.language.clips import UnusableData
from posellm_assets.language.config import ModelConfig, StageJob
from posellm_assets.language.origin import Origin
from posellm_assets.language.vocabulary import Vocabulary
from posellm_assets.training.backends import Backend
from posellm_assets.training.checkpoints import CheckpointMismatch
from posellm_assets.training.curves import entries_of
from posellm_assets_tests.unit.language import samples
from posellm_assets_tests.waits import HANG_S

HF = Backend("hf", "asked for")


def train(job: StageJob, said: list[str] | None = None) -> dict[str, Any]:
    return program.train(job, HF, (said if said is not None else []).append)


def start(job: StageJob) -> subprocess.Popen[str]:
    """The training program, in a process of its own."""
    job.out.mkdir(parents=True, exist_ok=True)
    path = job.out.parent / f"{job.out.name}.json"
    path.write_text(job.model_dump_json())
    command = [sys.executable, "-m", "posellm_assets.language.train", str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def finished(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 0, output
    return output


def kill_at_step(job: StageJob, step: int) -> None:
    """Start the program and kill it the hard way as soon as it has logged `step`."""
    process, losses = start(job), job.out / "losses.jsonl"
    while process.poll() is None and (not losses.is_file() or losses.read_bytes().count(b"\n") < step):
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == -signal.SIGKILL, output


def trajectory(job: StageJob) -> list[tuple[int, float, float, float]]:
    lines = [json.loads(line) for line in (job.out / "losses.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["lr"], line["grad_norm"]) for line in lines]


@pytest.mark.parametrize(("method", "moved"), [("full", False), ("lora", True)])
def test_a_killed_and_restarted_stage_ends_bit_for_bit_like_one_never_stopped(
    tmp_path: Path, method: str, moved: bool
) -> None:
    model = ModelConfig(tiny=samples.SMALL, backend="hf", method=method, lora_dropout=0.1 if method == "lora" else 0.0)
    changes = {"steps": 60, "checkpoint_every": 7, "batches_per_step": 2, "rows_per_batch": 1}
    calm = samples.job(tmp_path, "calm", changes, model=model)
    store = tmp_path / "store"
    killed = samples.job(tmp_path, "killed", changes, model=model, hub=str(store) if moved else None)
    train(calm)
    kill_at_step(killed, 24)
    if moved:  # to a machine that has the examples and the store, and nothing else
        shutil.rmtree(killed.out)
    whole = [path.parent for path in (store if moved else killed.out).glob("checkpoint-*/manifest.json")]
    newest = max(whole, key=lambda path: int(path.name.split("-")[1]))
    position = json.loads((newest / "position.json").read_text())
    assert 0 < position["step"] < 60 and not (killed.out / "result.json").exists()
    assert position["place"][1] > 0, "a stop between two epochs would prove less"
    output = finished(start(killed))

    assert f"takes {newest.name} of {store}: there is none here" in output or not moved
    assert f"resumes from step {position['step']} of 60" in output
    assert trajectory(killed) == trajectory(calm)
    for name in ("model.safetensors", *(["adapter/adapter_model.safetensors"] if method == "lora" else [])):
        assert (killed.out / "final" / name).read_bytes() == (calm.out / "final" / name).read_bytes()


def test_a_stage_learns_and_records_how(tmp_path: Path) -> None:
    job, said = samples.job(tmp_path, stage_changes={"steps": 60, "learning_rate": 5e-3}), list[str]()
    result = train(job, said)
    assert result == json.loads((job.out / "result.json").read_text())
    assert result["final_loss"] < 0.8 * result["first_loss"]
    assert set(result["val"]) == {"t2m", "m2t", "denoise"}
    assert result["val"]["t2m"]["loss"] < 0.8 * result["val_before"]["t2m"]["loss"]
    assert result["val"]["t2m"]["clips"] == 3
    assert result["backend"] == {"name": "hf", "reason": "asked for"}
    told = [line for line in said if "tokens/s" in line and "learning rate" in line and " MB" in line]
    assert "step 1/60" in told[0] and "step 60/60" in told[-1], "and between them one about every 10 s"
    assert [entry["step"] for entry in entries_of(job.out / "losses.jsonl")] == list(range(1, 61))
    assert sorted(path.name for path in job.out.glob("checkpoint-*")) == ["checkpoint-30", "checkpoint-60"]


def test_the_next_stage_starts_where_the_last_one_ended(tmp_path: Path) -> None:
    first = samples.job(tmp_path, "one", {"steps": 30})
    ended = train(first)
    second = samples.job(tmp_path, "two", {"steps": 1, "learning_rate": 1e-9}, parent=first.out / "final")
    began = train(second)
    assert began["val_before"]["t2m"]["loss"] == pytest.approx(ended["val"]["t2m"]["loss"], rel=1e-3)
    before, after = (load_file(job.out / "final" / "model.safetensors") for job in (first, second))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)


def test_a_parent_that_speaks_another_codebook_is_refused(tmp_path: Path) -> None:
    first = samples.job(tmp_path, "one", {"steps": 1})
    train(first)
    for changes in ({"codebook_size": 25}, {"lineage": "newer"}):
        with pytest.raises(UnusableData, match="new codes need a model that starts from the base"):
            train(samples.job(tmp_path, "two", parent=first.out / "final", **changes))
    with pytest.raises(UnusableData, match="train the stage before this one first"):
        train(samples.job(tmp_path, "three", parent=tmp_path / "nowhere"))


def test_codes_of_another_tokenizer_than_the_one_given_are_refused(tmp_path: Path) -> None:
    lineage = samples.save_tokenizer(tmp_path / "tokenizer")
    changes = {"tokenizer": tmp_path / "tokenizer"}
    with pytest.raises(UnusableData, match=f"is tokenizer {lineage}, but the codes were made by vq-other"):
        train(samples.job(tmp_path, "other", lineage="vq-other", **changes))
    with pytest.raises(UnusableData, match="is not a finished motion tokenizer"):
        train(samples.job(tmp_path, "nowhere", lineage=lineage, tokenizer=tmp_path / "nowhere"))
    alike, plain = (samples.job(tmp_path, name, {"steps": 1}, lineage=lineage) for name in ("alike", "plain"))
    alike = alike.model_copy(update=changes)
    assert train(alike)["final_loss"] != train(plain)["final_loss"]


def test_checkpoints_of_another_job_are_refused_with_the_difference_named(tmp_path: Path) -> None:
    train(samples.job(tmp_path, stage_changes={"steps": 2}))
    (tmp_path / "out" / "result.json").unlink()
    with pytest.raises(CheckpointMismatch, match=r"stage\.learning_rate was 0\.002 and is now 0\.001"):
        train(samples.job(tmp_path, stage_changes={"steps": 2, "learning_rate": 1e-3}))
    samples.examples(tmp_path / "train.parquet", clips_per_label=5)
    with pytest.raises(CheckpointMismatch, match="train was"):
        train(samples.job(tmp_path, stage_changes={"steps": 2}))


def test_a_finished_stage_is_left_as_it_is(tmp_path: Path) -> None:
    job, said = samples.job(tmp_path, stage_changes={"steps": 2}), list[str]()
    result = train(job)
    assert (result["base"], Origin.read(job.out / "final").tasks) == ("tiny", ("denoise", "m2t", "t2m"))
    written = (job.out / "final" / "model.safetensors").stat().st_mtime_ns
    assert train(job, said) == result
    assert "finished already" in said[0]
    assert (job.out / "final" / "model.safetensors").stat().st_mtime_ns == written


def test_a_loss_that_is_not_a_number_stops_the_stage_names_the_clips_and_saves_nothing(tmp_path: Path) -> None:
    job = samples.job(
        tmp_path, stage_changes={"learning_rate": 1e30, "steps": 40, "checkpoint_every": 1, "warmup": 0.0}
    )
    process = start(job)
    output, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == 1
    assert "norm nan at step 2" in output and "gym.squat-" in output
    assert not (job.out / "final").exists() and not (job.out / "result.json").exists()
    whole = [json.loads(line)["step"] for line in (job.out / "losses.jsonl").read_text().splitlines()]
    kept = [int(path.name.split("-")[1]) for path in job.out.glob("checkpoint-*")]
    assert max(kept, default=0) <= max(whole, default=0) < 40


def test_a_stage_that_none_of_the_clips_can_serve_is_an_error(tmp_path: Path) -> None:
    train_file = samples.examples(tmp_path / "silent.parquet", texts=[])
    with pytest.raises(UnusableData, match="none of 12 clips can be used"):
        train(samples.job(tmp_path, stage_changes={"tasks": {"t2m": 1.0}}, train=train_file))


def test_texts_that_no_model_saw_still_encode_in_the_next_generation(tmp_path: Path) -> None:
    first = samples.job(tmp_path, "one", {"steps": 1})
    train(first)
    news = samples.examples(tmp_path / "news.parquet", texts=["Überkopfschlag: 发球 🎾"])
    second = samples.job(tmp_path, "two", {"steps": 2}, train=news, parent=first.out / "final")
    assert train(second)["left_out"] == []
    assert len(Vocabulary.load(second.out / "final")) == len(Vocabulary.load(first.out / "final"))


def test_recomputed_activations_give_the_same_losses(tmp_path: Path) -> None:
    kept = samples.job(tmp_path, "kept", {"steps": 6})
    recomputed = samples.job(tmp_path, "recomputed", {"steps": 6, "gradient_checkpointing": True})
    for job in (kept, recomputed):
        train(job)
    for one, other in zip(trajectory(kept), trajectory(recomputed), strict=True):
        assert other == pytest.approx(one, rel=1e-3)


def test_a_new_participant_of_the_next_generation_gets_a_marker_and_moves_nobody_elses(tmp_path: Path) -> None:
    first = samples.job(tmp_path, "one", {"steps": 1})
    train(first)
    news = samples.examples(tmp_path / "news.parquet", participant="nadia")
    second = samples.job(tmp_path, "two", {"steps": 2}, train=news, parent=first.out / "final")
    train(second)
    before, after = (Vocabulary.load(job.out / "final") for job in (first, second))
    assert set(after.participants) == {"p0", "p1", "p2", "p3", "nadia"}
    assert {name: after.participants[name] for name in before.participants} == before.participants
