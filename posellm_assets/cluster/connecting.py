"""The Ray cluster that this process works with, and what its machines have."""

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Answer = TypeVar("Answer")

CARRIED = ("PYTHONPATH", "POSELLM_CACHE", "OMP_NUM_THREADS", "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE")
"""Variables that hold on all machines as they do here. No secret is among them: Ray shows them to whoever asks."""
_ANSWERS_S = 10.0


class NoRoom(ValueError):
    """No machine of the cluster has what a piece of work needs."""


def connect(address: str) -> None:
    """Join the cluster at `address`, once for this process, whose machine must be part of it.

    Raises ValueError where Ray is not installed, and ConnectionError where no cluster answers.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError("cluster.address is set and Ray is not installed: pip install '.[cluster]'") from error
    if ray.is_initialized():
        return
    if address != "auto":
        _check_that_it_answers(address)  # Ray itself tries for minutes
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="ERROR",
            runtime_env={"env_vars": carried()},
        )
    except (ConnectionError, ray.exceptions.RayError) as error:
        raise ConnectionError(f"the Ray cluster at {address} cannot be joined ({error}): {_REMEDY}") from error


_REMEDY = "start it with `ray start --head`, or make this machine part of it with `ray start --address HOST:PORT`"


def _check_that_it_answers(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()):
        raise ValueError(f"cluster.address is HOST:PORT, as `ray start --head` prints it, or 'auto', not {address!r}")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWERS_S).close()
    except OSError as error:
        raise ConnectionError(f"no Ray cluster answers at {address} ({error}): {_REMEDY}") from error


def carried() -> dict[str, str]:
    """The variables of this process that hold on all machines."""
    return {name: os.environ[name] for name in CARRIED if name in os.environ}


def machines() -> list[dict[str, Any]]:
    """What Ray tells of each machine that is alive."""
    import ray

    return [machine for machine in ray.nodes() if machine["Alive"]]


def check_room(needs: Mapping[str, float], setting: str, count: int = 1) -> None:
    """Raise NoRoom where the machines have not `count` times what the `setting` asks for, each time on one of them.

    Ray would wait for it without a word.
    """
    have = [machine["Resources"] for machine in machines()]
    wanted = {name: amount for name, amount in needs.items() if amount}
    room = sum(min((int(one.get(name, 0) // amount) for name, amount in wanted.items()), default=count) for one in have)
    if room < count:
        each = " and ".join(f"{amount:g} {name}" for name, amount in wanted.items())
        most = ", ".join(f"{max((one.get(name, 0) for one in have), default=0):g} {name}" for name in wanted)
        if count > 1:
            raise NoRoom(f"the cluster has {each} {room} times and not {count} times, as {setting} asks")
        raise NoRoom(f"no machine of the cluster has {each}, as {setting} asks; the most that one has: {most}")


def ask(address: str, function: Callable[[], Answer], needs: Mapping[str, float]) -> Answer:
    """What `function` says on a machine of the cluster that has what is needed, in CPUs and GPUs.

    Raises NoRoom where none has, and what `connect` raises.
    """
    connect(address)
    check_room(needs, "cluster.jobs or cluster.train")
    import ray

    answer: Answer = ray.get(ray.remote(num_cpus=needs["CPU"], num_gpus=needs["GPU"])(function).remote())
    return answer
