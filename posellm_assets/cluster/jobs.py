"""A command as a Ray job, on whichever machine of the cluster has room for it."""

import shlex
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from posellm_assets.cluster.config import ProgramNeeds
from posellm_assets.cluster.connecting import carried, check_room, connect, machines
from posellm_assets.program import PREEMPTED

_SAVING_S = 60
"""How long a program that is asked to stop may take to save; Ray itself gives it 3 seconds."""
_LOOK_EVERY_S = 0.5
_AWAY_S = 120.0
"""How long the head may be away while a job runs."""
_KILLED = 128 + signal.SIGKILL
"""What the shell between Ray and the command makes of its SIGKILL."""


@dataclass(frozen=True)
class ClusterJob:
    """A command that runs as the Ray job `name`."""

    client: Any
    name: str

    def wait(self) -> int:
        """The exit status of the command as `subprocess` gives it; that of SIGKILL where its machine was lost.

        Raises ConnectionError where the head is away for minutes.
        """
        ended: Future[int] = Future()
        # In a thread: an interrupt that comes inside a library is lost where that is tidying up, and the run goes on.
        threading.Thread(target=self._follow, args=(ended,), daemon=True).start()
        return ended.result()

    def _follow(self, ended: "Future[int]") -> None:
        answered_s = time.monotonic()
        while True:
            try:
                info = self.client.get_job_info(self.name)
                answered_s = time.monotonic()
                if info.status.is_terminal():
                    return ended.set_result(_status(info))
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors; another status is a RuntimeError
                if time.monotonic() - answered_s > _AWAY_S:
                    return ended.set_exception(ConnectionError(f"the head of the Ray cluster does not answer: {error}"))
            time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        """Ask the command to save and stop, and wait for its end."""
        self.client.stop_job(self.name)
        self.wait()

    def machine(self) -> str:
        """Where it runs, or ran."""
        node = str(self.client.get_job_info(self.name).driver_node_id)
        address = next((one["NodeManagerAddress"] for one in machines() if one["NodeID"] == node), "a machine now lost")
        return f"{address} ({node[:6]})"

    def output(self) -> str:
        """What it wrote to standard output and standard error; nothing where that was lost with its machine."""
        try:
            return str(self.client.get_job_logs(self.name))
        except (OSError, RuntimeError):
            return ""


def submit(address: str, command: Sequence[str], needs: ProgramNeeds, variables: Mapping[str, str]) -> ClusterJob:
    """Start `command` somewhere in the cluster at `address`, with `variables` in its environment.

    Raises NoRoom where no machine has what it needs, and ConnectionError where no cluster answers.
    """
    connect(address)
    memory = int(needs.memory_gib * 2**30)
    check_room({"CPU": needs.cpus, "GPU": needs.gpus, "memory": memory}, "cluster.jobs")
    import ray
    from ray.job_submission import JobSubmissionClient

    client = JobSubmissionClient(ray.get_runtime_context().gcs_address)
    own = {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(_SAVING_S), **carried(), **variables}
    try:
        name = client.submit_job(
            entrypoint=shlex.join(command),
            entrypoint_num_cpus=needs.cpus,
            entrypoint_num_gpus=needs.gpus,
            entrypoint_memory=memory,
            runtime_env={"env_vars": own},
        )
    except RuntimeError as error:  # an answer of another status, such as that no agent runs on the head
        raise ConnectionError(f"the head of the Ray cluster takes no job: {error}") from error
    return ClusterJob(client, name)


def _status(info: Any) -> int:
    if info.status == "SUCCEEDED":
        return 0
    if info.status == "STOPPED":
        return PREEMPTED
    killed = info.driver_exit_code in (None, _KILLED, -signal.SIGKILL)
    return -signal.SIGKILL if killed else int(info.driver_exit_code)
