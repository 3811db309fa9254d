"""The demo over a cluster of two machines that are both this one: Ray, Postgres and Dagster are started and stopped.

    python -m posellm_assets.commands.cluster_demo [FOLDER]

FOLDER keeps the lake and Dagster's settings; its records end with their Postgres.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from rich.console import Console

from posellm_assets.cluster.postgres import HOST, USER, NoPostgres, free_port, running_postgres
from posellm_assets.commands.demo import run_demo
from posellm_assets.defs.catch_up import home_instance
from posellm_assets.defs.cluster import places
from posellm_assets.files import write_bytes
from posellm_assets.lake import Lake

MACHINES = 2
_EXAMPLE = Path(__file__).parents[2] / "dagster.cluster.yaml.example"
_STORE_BYTES = 10**8


@contextmanager
def running_ray(count: int = MACHINES) -> Iterator[str]:
    """A head that works on nothing and machines of a core each, all of them this one; yields the address."""
    import ray
    from ray.cluster_utils import Cluster

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": _STORE_BYTES,
            "include_dashboard": True,
            # Another cluster may be running here: the ports are not Ray's usual ones.
            "dashboard_port": free_port(),
            "dashboard_agent_listen_port": free_port(),
        },
    )
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1, object_store_memory=_STORE_BYTES)
        cluster.wait_for_nodes()
        yield str(cluster.address)
    finally:
        ray.shutdown()
        cluster.shutdown()


def write_home(home: Path, port: int) -> None:
    """Dagster's settings of a cluster, with a Postgres of this machine."""
    settings = yaml.safe_load(_EXAMPLE.read_text(encoding="utf-8"))
    settings["storage"]["postgres"]["postgres_db"]["port"] = port
    write_bytes(home / "dagster.yaml", yaml.safe_dump(settings).encode())
    os.environ.update(DAGSTER_HOME=str(home), POSELLM_PG_HOST=HOST, POSELLM_PG_USER=USER, POSELLM_PG_PASSWORD="unused")


def main() -> None:
    """Run the demo and print where each part was done."""
    folder, console = Path(sys.argv[1] if len(sys.argv) > 1 else ".cluster-demo").absolute(), Console()
    try:
        with running_postgres() as postgres, running_ray() as address:
            write_home(folder / "home", postgres.port)
            os.environ["POSELLM_CLUSTER__ADDRESS"] = address
            os.environ["POSELLM_LAKE"] = str(folder / "lake")
            run_demo(Lake(folder / "lake"), console)
            with home_instance() as instance:
                for line in places(instance):
                    console.print(line, soft_wrap=True, highlight=False)
    except NoPostgres as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
