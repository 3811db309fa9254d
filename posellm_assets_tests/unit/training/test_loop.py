"""Every training, through the one loop: killed, asked to stop, broken, its store behind, other settings or memory."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posellm_assets.files import read_json
from posellm_assets.program import PREEMPTED, Preempted
from posellm_assets.training.checkpoints import CheckpointMismatch
from posellm_assets.training.loop import NonFiniteLoss, Run
from posellm_assets.training.store import open_store
from posellm_assets_tests.hub_server import Fault, Hub
from posellm_assets_tests.unit.training.trainings import ALL, STEPS, Training, losses, weights
from posellm_assets_tests.waits import HANG_S


@pytest.fixture(scope="module", params=ALL, ids=lambda training: training.name)
def training(request: pytest.FixtureRequest) -> Training:
    kind: Training = request.param
    return kind


@pytest.fixture(scope="module")
def folder(training: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp(training.name)


@pytest.fixture(scope="module")
def calm(training: Training, folder: Path) -> Any:
    """A training that nothing disturbed."""
    job = training.job(folder, "calm")
    training.train(job)
    assert [step for step, *_ in losses(job)] == list(range(1, STEPS + 1)) and weights(job)
    return job


def after(steps: int) -> Callable[[], bool]:
    """A stop that says no so often."""
    calls = iter(range(10_000))
    return lambda: next(calls) >= steps


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_training_resumes_from_the_store_on_an_emptied_machine_to_the_bit(
    training: Training, folder: Path, calm: Any
) -> None:
    killed = training.job(folder, "killed", hub=str(folder / "store"), checkpoint_every=1)
    process = training.start(killed)
    wait_for(lambda: process.poll() is not None or bool(open_store(killed.hub).steps()))
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    assert not (killed.out / "result.json").exists(), output
    shutil.rmtree(killed.out)
    said: list[str] = []
    training.train(killed, said.append)
    assert any(line.startswith("resumes from step") for line in said)
    assert losses(killed) == losses(calm) and weights(killed) == weights(calm)


def test_a_training_that_is_asked_to_stop_saves_where_it_is_and_resumes_there(
    training: Training, folder: Path, calm: Any
) -> None:
    asked = training.job(folder, "asked")
    with pytest.raises(Preempted, match="saved: the same command resumes from step 7 of 12"):
        training.train(asked, stop=after(7))
    said: list[str] = []
    training.train(asked, said.append)
    assert "resumes from step 7 of 12" in said
    assert losses(asked) == losses(calm) and weights(asked) == weights(calm)


def test_sigterm_saves_and_ends_with_a_status_of_its_own(training: Training, folder: Path) -> None:
    long = {"epochs": 1000} if training.name == "vision" else {"steps": 20_000}
    job = training.job(folder, "terminated", **long)
    process = training.start(job)
    wait_for(lambda: process.poll() is not None or ((job.out / "losses.jsonl").is_file() and bool(losses(job))))
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=HANG_S)
    assert process.returncode == PREEMPTED == 143, output
    assert f"saved: the same command resumes from step {len(losses(job))} of" in output
    assert (job.out / f"checkpoint-{len(losses(job))}" / "manifest.json").is_file()


@pytest.mark.parametrize("unread", [1, 5], ids=["read every step", "read every five steps, as on a GPU"])
def test_a_step_that_breaks_is_not_lost_and_training_resumes_in_place_with_another_learning_rate(
    training: Training, folder: Path, calm: Any, monkeypatch: pytest.MonkeyPatch, unread: int
) -> None:
    if unread > 1 and training.name == "tokenizer":
        pytest.skip("a tokenizer's codes move in the forward pass, so its losses are read at every step")
    monkeypatch.setattr(Run, "_steps_between_readings", lambda run: float(unread))
    job = training.job(folder, f"broken-{unread}")
    with training.overflowing(8, monkeypatch), pytest.raises(NonFiniteLoss, match="at step 8, on: ") as caught:
        training.train(job)
    assert str(job.out / "checkpoint-7") in str(caught.value) and "again, which resumes there" in str(caught.value)
    assert (job.out / "checkpoint-7").is_dir() and not (job.out / "final").exists()
    assert losses(job) == losses(calm)[:7]

    # What broke may be gone: the state is that of a training that never broke, to the bit.
    unchanged = job.model_copy(update={"out": folder / f"unchanged-{unread}"})
    shutil.copytree(job.out, unchanged.out)
    training.train(unchanged)
    assert losses(unchanged) == losses(calm) and weights(unchanged) == weights(calm)

    # Another seed makes another model, and is no cure; a lower learning rate is one.
    other = job.model_copy(update={"seed": 1, "out": folder / f"other-{unread}"})
    shutil.copytree(job.out, other.out)
    if training.name == "tokenizer":
        said: list[str] = []
        training.train(other, said.append)
        assert any("it is of another job: seed was 0 and is now 1" in line for line in said)
    else:
        with pytest.raises(CheckpointMismatch, match="seed was 0 and is now 1"):
            training.train(other)
    rate = getattr(job, training.settings).learning_rate
    gentler, said = training.changed(job, learning_rate=rate / 10), []
    result = training.train(gentler, said.append)
    change = f"{training.rate} was {rate} and is now {rate / 10}"
    assert f"resumes from step 7 of 12; {change}" in said and result["changed"] == [change]
    assert [step for step, *_ in losses(gentler)] == list(range(1, STEPS + 1))
    assert losses(gentler)[:7] == losses(calm)[:7] and weights(gentler) != weights(calm)


def test_losses_that_are_read_later_give_the_same_weights_and_the_same_log(
    training: Training, folder: Path, calm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Run, "_steps_between_readings", lambda run: 5.0)
    job = training.job(folder, "later")
    training.train(job)
    assert losses(job) == losses(calm) and weights(job) == weights(calm)


def test_a_store_that_lacks_the_last_checkpoint_is_a_warning_and_is_made_up_for_by_the_same_command(
    training: Training, folder: Path, calm: Any, remote: Hub
) -> None:
    remote.faults.append(Fault("PUT", "/lfs/", 507, times=99, message="no space"))
    job = training.job(folder, "behind", hub=f"hf://me/posellm-{training.name}/all-0001")
    store = training.train(job)["store"]
    assert store["newest"] is None and f"checkpoint-{STEPS} could not be stored" in store["warnings"][-1]
    assert weights(job) == weights(calm)
    remote.faults.clear()
    assert training.train(job)["store"] == {"url": job.hub, "newest": STEPS, "warnings": []}
    assert open_store(str(job.hub)).steps() == [STEPS, STEPS // 2]
    assert read_json(job.out / "result.json")["store"]["newest"] == STEPS
    assert f"{STEPS} of {STEPS}" in remote.repositories[f"me/posellm-{training.name}"].files["README.md"].decode()


def test_other_settings_are_another_job(training: Training, folder: Path, calm: Any) -> None:
    finished = (calm.out / "result.json").read_bytes()
    assert training.train(calm)["steps"] == STEPS, "a finished job is left as it is"
    assert (calm.out / "result.json").read_bytes() == finished
    other = training.job(folder, "other settings")
    with pytest.raises(Preempted):
        training.train(other, stop=after(3))
    other, said = training.changed(other, learning_rate=1e-5), list[str]()
    if training.name == "tokenizer":
        training.train(other, said.append)
        assert any(f"it is of another job: {training.rate} was" in line for line in said)
        assert not any(line.startswith("resumes") for line in said)
    else:
        with pytest.raises(CheckpointMismatch, match=rf"{training.rate} was .* and is now 1e-05") as refused:
            training.train(other)
        assert str(other.out) in str(refused.value)


def test_what_changes_memory_and_not_the_result_resumes(training: Training, folder: Path, calm: Any) -> None:
    job = training.job(folder, "memory")
    with pytest.raises(Preempted):
        training.train(job, stop=after(5))
    slower, said = training.changed(job, **training.slower, checkpoint_every=4), list[str]()
    training.train(slower, said.append)
    assert "resumes from step 5 of 12" in said, "and nothing was changed"
    for ours, theirs in zip(losses(slower), losses(calm), strict=True):
        # The sums are the same but for the order in which floats are added.
        assert ours == pytest.approx(theirs, rel=2e-2)


def test_every_step_tells_loss_learning_rate_a_rate_memory_and_the_time_that_is_left(
    training: Training, calm: Any
) -> None:
    said: list[str] = []
    again = calm.model_copy(update={"out": calm.out.with_name("told")})
    training.train(again, said.append)
    (line,) = (line for line in said if "step 12/12" in line)
    for part in ("loss ", "learning rate ", "/s", " MB", "0 s left"):
        assert part in line
    entries = [json.loads(line) for line in (again.out / "losses.jsonl").read_text().splitlines()]
    assert all({"step", "loss", "lr", "grad_norm", "memory_mb", "left_s"} <= entry.keys() for entry in entries)
    assert all(any(name.endswith("_per_s") for name in entry) for entry in entries)
    assert entries[-1]["left_s"] == 0 < entries[0]["left_s"]
