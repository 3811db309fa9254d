"""Programs as Ray jobs: how they end is told as on one machine, and what is lost with its machine goes on elsewhere."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from posellm_assets.cluster.config import ClusterConfig, ClusterTraining, ProgramNeeds
from posellm_assets.cluster.jobs import ClusterJob
from posellm_assets.defs.cluster import ClusterPool, ClusterPrograms
from posellm_assets.lake import LOSSES
from posellm_assets.language import train as program
from posellm_assets.language.config import StageJob
from posellm_assets.program import Job
from posellm_assets.training.backends import Backend
from posellm_assets_tests.assets.test_training import materialize, once, training
from posellm_assets_tests.cluster.conftest import TestCluster
from posellm_assets_tests.unit.language import samples
from posellm_assets_tests.unit.training.test_processes import finished, torchrun

pytestmark = pytest.mark.cluster
NEEDS = ProgramNeeds(cpus=1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def programs(cluster: TestCluster) -> ClusterPrograms:
    return ClusterPrograms(progress_every_s=0.05, cluster=ClusterConfig(address=cluster.address, jobs=NEEDS))


def test_settings_alone_choose_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from posellm_assets.definitions import build_defs

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POSELLM_LAKE", "lake")
    monkeypatch.setenv("POSELLM_CLUSTER__ADDRESS", "10.0.0.1:6379")
    resources = build_defs().resources
    assert resources
    assert isinstance(resources["pool"], ClusterPool) and isinstance(resources["programs"], ClusterPrograms)
    assert resources["lake"].root == str(tmp_path / "lake")


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ("refused", "a training: clip 7 has no picture: remove it"),
        ("broken", "posellm_assets_tests.assets.stoppable ended with status 1; the last lines of its standard error"),
    ],
)
def test_a_run_fails_with_the_sentence_that_its_program_ended_with(
    cluster: TestCluster, tmp_path: Path, instance: dg.DagsterInstance, ends: str, told: str
) -> None:
    out = tmp_path / "out"
    (out / "stop").mkdir(parents=True)
    run = materialize(training(out, ends), instance, tmp_path / "lake", programs(cluster))
    (failure,) = [event for event in run.all_events if event.is_step_failure]
    assert failure.step_failure_data.user_failure_data.description.startswith(told)
    said = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert any("stoppable is the Ray job raysubmit_" in line for line in said)
    assert [path.name for path in out.iterdir() if ".stoppable." in path.name] == [], "its messages are taken away"


def test_a_program_that_saved_and_stopped_is_started_again(
    cluster: TestCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    out = tmp_path / "out"
    (out / "stop").mkdir(parents=True)
    asked: list[dg.RetryRequested] = []

    class Noted(ClusterPrograms):
        """Takes down what Dagster is asked for, and asks it for nothing: it would wait for seconds."""

        def run(self, context: dg.AssetExecutionContext, job: Job, progress: Any = dict) -> None:
            try:
                super().run(context, job, progress)
            except dg.RetryRequested as again:
                asked.append(again)

    noted = Noted(cluster=ClusterConfig(address=cluster.address, jobs=NEEDS))
    materialize(training(out, "preempted"), instance, tmp_path / "lake", noted)
    assert [again.max_retries for again in asked] == [2]


def test_a_run_that_is_cancelled_waits_until_its_program_has_saved(
    cluster: TestCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    out = tmp_path / "out"
    once(out / LOSSES, lambda: os.kill(os.getpid(), signal.SIGINT))
    run = materialize(training(out, "preempted"), instance, tmp_path / "lake", programs(cluster))
    assert not run.success and (out / "saved").exists()


def test_a_training_that_is_killed_with_its_machine_goes_on_elsewhere_to_the_same_weights(
    cluster: TestCluster, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: dict[str, Any] = {"steps": 120, "checkpoint_every": 20}
    calm, lost = (samples.job(tmp_path, name, steps) for name in ("calm", "lost"))
    program.train(calm, Backend("hf", "asked for"), lambda message: None)
    ran_on = machines_of_jobs(monkeypatch)
    once(lost.out / "checkpoint-20", lambda: cluster.lose(ran_on[0]()))

    @dg.asset
    def stage(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        programs(cluster).run(context, lost)
        return dg.MaterializeResult()

    run = dg.materialize([stage], instance=instance, raise_on_error=False)
    assert run.success
    assert len(ran_on) == 2 and ran_on[1]() in {node.node_id for node in cluster.ray.worker_nodes}
    assert any("resumes from step" in str(entry.user_message) for entry in instance.all_logs(run.run_id))
    assert weights(lost) == weights(calm)


def machines_of_jobs(patch: pytest.MonkeyPatch) -> list[Callable[[], str]]:
    """Where each job that is started from now on runs."""
    found: list[Callable[[], str]] = []
    waited = ClusterJob.wait

    def wait(job: ClusterJob) -> int:
        found.append(lambda: str(job.client.get_job_info(job.name).driver_node_id))
        return waited(job)

    patch.setattr(ClusterJob, "wait", wait)
    return found


def weights(job: StageJob) -> bytes:
    return (job.out / "final" / "model.safetensors").read_bytes()


def test_a_training_over_two_of_three_machines_of_which_one_is_lost_ends_with_the_same_weights(
    cluster: TestCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    steps: dict[str, Any] = {"steps": 80, "checkpoint_every": 10, "rows_per_batch": 3}
    calm, lost = (samples.job(tmp_path, name, steps) for name in ("calm", "lost"))
    finished(torchrun(calm))

    cluster.complete(3)
    once(lost.out / "checkpoint-20", lambda: cluster.lose_where(lost.program))
    config = ClusterConfig(address=cluster.address, train=ClusterTraining(workers=2))

    @dg.asset
    def stage(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        ClusterPrograms(cluster=config).run(context, lost)
        return dg.MaterializeResult()

    run = dg.materialize([stage], instance=instance, raise_on_error=False)
    said = [str(entry.user_message) for entry in instance.all_logs(run.run_id)]
    assert run.success, said
    assert any("resumes from step" in line for line in said)
    assert json.loads((lost.out / "result.json").read_text())["processes"] == 2
    assert weights(lost) == weights(calm)


def test_a_training_over_two_machines_saves_where_its_run_is_cancelled(
    cluster: TestCluster, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    job = samples.job(tmp_path, "out", {"steps": 5000, "checkpoint_every": 5000, "rows_per_batch": 3})
    once(job.out / LOSSES, lambda: os.kill(os.getpid(), signal.SIGINT))
    config = ClusterConfig(address=cluster.address, train=ClusterTraining(workers=2))

    @dg.asset
    def stage(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        ClusterPrograms(cluster=config).run(context, job)
        return dg.MaterializeResult()

    run = dg.materialize([stage], instance=instance, raise_on_error=False)
    assert not run.success and list(job.out.glob("checkpoint-*"))
