"""Clips over several machines: what `LocalPool` promises holds, and nothing that is made is another."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from posellm_assets.cluster.config import ClusterConfig, ProgramNeeds
from posellm_assets.cluster.connecting import NoRoom, connect
from posellm_assets.cluster.pool import RayPool
from posellm_assets.demo.footage import plan, render_clip
from posellm_assets.language.plan import find_hardware, training_hardware
from posellm_assets.pool import ITEMS_PER_WORKER, LocalPool, Pool, WorkerDied
from posellm_assets.poses.config import PoseConfig
from posellm_assets.poses.extract import PoseItem, extract_clips
from posellm_assets_tests.cluster.conftest import TestCluster
from posellm_assets_tests.unit.test_pool import process_id, square, troublesome

pytestmark = pytest.mark.cluster
CLIPS = 20


def machine_and_wait(number: int) -> str:
    import ray

    time.sleep(0.2)
    return str(ray.get_runtime_context().get_node_id())


def locked(_: int) -> object:
    return threading.Lock()


def dies_once(path: Path) -> str:
    if not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def wait_for_the_end(folder: Path) -> str:
    import ray

    machine = str(ray.get_runtime_context().get_node_id())
    (folder / machine).touch()
    while not (folder / "end").exists():
        time.sleep(0.05)
    return machine


def test_every_item_comes_back_once_and_both_machines_work(cluster: TestCluster) -> None:
    pool = RayPool(cluster.address)
    assert pool.workers == 2
    assert dict(pool.map(square, range(20))) == {number: number * number for number in range(20)}
    assert len({str(machine) for _, machine in pool.map(machine_and_wait, range(12))}) == 2


def test_a_killed_worker_costs_only_its_own_item(cluster: TestCluster, tmp_path: Path) -> None:
    outcomes = dict(RayPool(cluster.address).map(troublesome, range(8)))
    died, raised = outcomes.pop(2), outcomes.pop(4)
    assert isinstance(died, WorkerDied) and "the worker for 2 died twice" in str(died)
    assert isinstance(raised, ValueError) and str(raised) == "four is not welcome"
    assert outcomes == {number: number for number in (0, 1, 3, 5, 6, 7)}
    ((_, second),) = RayPool(cluster.address).map(dies_once, [tmp_path / "first"])
    assert second == "first"


def test_a_result_that_cannot_be_sent_is_an_error_and_not_a_hang(cluster: TestCluster) -> None:
    ((_, outcome),) = RayPool(cluster.address).map(locked, [1])
    assert isinstance(outcome, RuntimeError) and "cannot be sent between machines" in str(outcome)


def test_workers_are_replaced_before_native_leaks_add_up(cluster: TestCluster) -> None:
    processes = [outcome for _, outcome in RayPool(cluster.address).map(process_id, range(2 * ITEMS_PER_WORKER + 1))]
    assert len(set(processes)) > 2


def test_items_are_drawn_as_workers_become_free(cluster: TestCluster) -> None:
    drawn = []

    def endless() -> Iterator[int]:
        number = 0
        while True:
            drawn.append(number)
            yield number
            number += 1

    outcomes = RayPool(cluster.address).map(square, endless())
    for _ in range(5):
        next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert len(drawn) <= 5 + 2


def test_an_item_whose_machine_is_lost_is_given_to_another(cluster: TestCluster, tmp_path: Path) -> None:
    outcomes: list[object] = []

    def work() -> None:
        outcomes.extend(outcome for _, outcome in RayPool(cluster.address).map(wait_for_the_end, [tmp_path] * 2))

    thread = threading.Thread(target=work)
    thread.start()
    while len(machines := [path.name for path in tmp_path.iterdir()]) < 2:
        time.sleep(0.05)
    cluster.lose(machines[0])
    (tmp_path / "end").touch()
    thread.join()
    assert outcomes == [machines[1]] * 2


def test_what_no_machine_has_is_said_and_not_waited_for(cluster: TestCluster) -> None:
    with pytest.raises(NoRoom, match=r"no machine of the cluster has 64 CPU, as cluster.cpus_per_clip asks; .* 1 CPU"):
        list(RayPool(cluster.address, cpus=64).map(square, [1]))


def test_a_head_that_does_not_answer_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConnectionError, match=f"no Ray cluster answers at {address}"):
            connect(address)


def test_training_is_planned_for_a_machine_that_has_what_it_is_given(cluster: TestCluster) -> None:
    given = ClusterConfig(address=cluster.address)
    assert training_hardware(given) == find_hardware(), "this machine is each of the cluster's"
    with pytest.raises(NoRoom, match="no machine of the cluster has 1 CPU and 8 GPU"):
        training_hardware(given.model_copy(update={"jobs": ProgramNeeds(gpus=8)}))


def extracted(clips: list[Path], out: Path, pool: Pool) -> Iterator[str]:
    """Extract clips into a folder; yields each that is done."""
    items = [
        PoseItem(clip.stem, clip, out / f"{clip.stem}.parquet", out / f"{clip.stem}.json", out / f"{clip.stem}.jpg")
        for clip in clips
    ]
    for key, outcome in extract_clips(items, pool, PoseConfig()):
        assert not isinstance(outcome, Exception), outcome
        yield key


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name, but for what a killed process had begun to write, under a hidden name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def test_twenty_clips_give_the_same_bytes_though_a_worker_and_a_machine_are_killed(
    cluster: TestCluster, tmp_path: Path
) -> None:
    clips = [render_clip(one, tmp_path / "raw") for one in plan(0)[:CLIPS]]
    assert sorted(extracted(clips, tmp_path / "here", LocalPool(2))) == sorted(clip.stem for clip in clips)
    done = []
    for key in extracted(clips, tmp_path / "cluster", RayPool(cluster.address)):
        done.append(key)
        if len(done) == 3:
            next(one for one in psutil.process_iter() if one.name().startswith("ray::_work")).kill()
        if len(done) == 6:
            cluster.lose(next(iter(cluster.ray.worker_nodes)).node_id)
    assert sorted(done) == sorted(clip.stem for clip in clips)
    assert len(content(tmp_path / "here")) == 3 * CLIPS
    assert content(tmp_path / "cluster") == content(tmp_path / "here")
