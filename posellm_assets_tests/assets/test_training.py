"""What an asset makes of a training program: its progress, its end, and a checkpoint that could not be stored."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from posellm_assets.defs.common import stored
from posellm_assets.defs.program_assets import Ran, program_asset
from posellm_assets.defs.resources import LakeResource, Programs
from posellm_assets.lake import LOSSES
from posellm_assets.program import Job
from posellm_assets_tests.assets.stoppable import Stoppable

STORE = {"store": {"url": "hf://me/x/all-0001", "newest": None, "warnings": ["checkpoint-6 could not be stored"]}}
SNAPSHOTS = dg.StaticPartitionsDefinition(["all-0001"])


def training(out: Path, ends: str) -> dg.AssetsDefinition:
    """An asset of a program and how that ends."""

    @program_asset(
        "language",
        job=lambda lake, settings, key: Stoppable.model_validate({"out": out, "ends": ends}),
        deps=[],
        kinds={"pytorch"},
        partitions_def=SNAPSHOTS,
    )
    def model(ran: Ran[Stoppable]) -> dg.MaterializeResult:
        """A model."""
        return dg.MaterializeResult(metadata=stored(ran.context, STORE))

    return model


def materialize(
    asset: dg.AssetsDefinition, instance: dg.DagsterInstance, lake: Path, programs: Programs | None = None
) -> dg.ExecuteInProcessResult:
    programs = programs or Programs(progress_every_s=0.05)
    resources = {"lake": LakeResource(root=str(lake)), "programs": programs}
    return dg.materialize(
        [asset], instance=instance, resources=resources, partition_key="all-0001", raise_on_error=False
    )


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def once(path: Path, then: object) -> threading.Thread:
    """Call `then()` from a thread when `path` is there."""

    def wait() -> None:
        while not path.exists():
            time.sleep(0.02)
        then()  # type: ignore[operator]

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def seen(instance: dg.DagsterInstance) -> list[dg.AssetObservation]:
    records = instance.fetch_observations(dg.AssetKey("model"), limit=100).records
    return [record.asset_observation for record in records if record.asset_observation]


def test_a_training_shows_its_step_and_curves_while_it_runs_and_a_lost_upload_as_a_warning(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    out = tmp_path / "out"

    def stop() -> None:
        while not seen(instance):
            time.sleep(0.02)
        (out / "stop").touch()

    once(out / LOSSES, stop)
    run = materialize(training(out, "well"), instance, tmp_path / "lake")
    assert run.success
    (made,) = run.asset_materializations_for_node("model")
    assert made.metadata["checkpoints"].value == "hf://me/x/all-0001"
    assert "checkpoint-6 could not be stored" in str(made.metadata["not stored"].value)
    warnings = [entry.user_message for entry in instance.all_logs(run.run_id) if entry.level == 30]
    assert warnings[-1] == "checkpoint-6 could not be stored"
    shown = seen(instance)[-1]
    assert shown.partition == "all-0001" and "image/png" in str(shown.metadata["losses"].value)
    told = {name: shown.metadata[name].value for name in ("step", "loss", "lr", "clips_per_s", "memory_mb", "left_s")}
    assert told == {"step": 1, "loss": 3.0, "lr": 1e-3, "clips_per_s": 4.0, "memory_mb": 9.0, "left_s": 60.0}


def test_a_program_that_saved_and_stopped_is_started_again(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    out = tmp_path / "out"
    (out / "stop").mkdir(parents=True)
    asked: list[dg.RetryRequested] = []

    class Noted(Programs):
        """Takes down what Dagster is asked for, and asks it for nothing: it would wait for seconds."""

        def run(self, context: dg.AssetExecutionContext, job: Job, progress: Any = dict) -> None:
            try:
                super().run(context, job, progress)
            except dg.RetryRequested as again:
                asked.append(again)

    materialize(training(out, "preempted"), instance, tmp_path / "lake", Noted())
    assert [again.max_retries for again in asked] == [2]


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ("refused", "a training: clip 7 has no picture: remove it"),
        ("broken", "posellm_assets_tests.assets.stoppable ended with status 1; the last lines of its standard error"),
    ],
)
def test_a_run_fails_with_the_sentence_that_its_program_ended_with(
    tmp_path: Path, instance: dg.DagsterInstance, ends: str, told: str
) -> None:
    out = tmp_path / "out"
    (out / "stop").mkdir(parents=True)
    run = materialize(training(out, ends), instance, tmp_path / "lake")
    (failure,) = [event for event in run.all_events if event.is_step_failure]
    assert failure.step_failure_data.user_failure_data.description.startswith(told)


def test_a_run_that_is_cancelled_waits_until_its_program_has_saved(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    out = tmp_path / "out"
    once(out / LOSSES, lambda: os.kill(os.getpid(), signal.SIGINT))
    run = materialize(training(out, "preempted"), instance, tmp_path / "lake")
    assert not run.success and (out / "saved").exists()
