"""A Ray cluster on this machine: a head that works on nothing, and two machines with a core each."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from posellm_assets_tests.conftest import ROOT, free_port


@dataclass
class TestCluster:
    """A running cluster, of which machines can be lost."""

    __test__ = False

    ray: Any
    address: str

    def lose(self, node_id: str) -> None:
        """End a machine and all that runs on it at once, as a power cut does."""
        node = next(one for one in self.ray.worker_nodes if one.node_id == node_id)
        (raylet,) = node.all_processes["raylet"]
        # Children first looked up: afterwards nobody knows whose they were.
        processes = psutil.Process(raylet.process.pid).children(recursive=True)
        for process in [psutil.Process(raylet.process.pid), *processes]:
            process.kill()
        self.ray.remove_node(node, allow_graceful=False)

    def lose_where(self, program: str) -> None:
        """End a machine on which a program runs."""
        for node in self.ray.worker_nodes:
            (raylet,) = node.all_processes["raylet"]
            processes = psutil.Process(raylet.process.pid).children(recursive=True)
            if any(program in process.cmdline() for process in processes):
                self.lose(node.node_id)
                return

    def complete(self, count: int = 2) -> None:
        """Replace the machines that were lost, or add some; from the main thread alone."""
        while len(self.ray.worker_nodes) < count:
            self.ray.add_node(num_cpus=1, object_store_memory=10**8)
        self.ray.wait_for_nodes()


@pytest.fixture(scope="session")
def _ray_cluster() -> Iterator[TestCluster]:
    pytest.importorskip("ray", reason="Ray is not installed: make cluster")
    import ray
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    # A busy machine takes longer to start its processes than Ray waits; what runs there imports from here.
    patch.setenv("RAY_raylet_start_wait_time_s", "240")
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    patch.setenv("OMP_NUM_THREADS", "1")
    head: dict[str, Any] = {"num_cpus": 0, "object_store_memory": 10**8, "include_dashboard": True}
    # Another cluster may be running here: its ports are Ray's usual ones.
    head |= {name: free_port() for name in ("dashboard_port", "dashboard_agent_listen_port")}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield TestCluster(cluster, cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()
        patch.undo()


@pytest.fixture
def cluster(_ray_cluster: TestCluster) -> TestCluster:
    """The cluster, complete."""
    _ray_cluster.complete()
    return _ray_cluster
