"""A training over several machines through Ray Train: the entry point of a Ray job.

    python -m posellm_assets.cluster.train PROGRAM JOB.json --workers 2 --gpus-per-worker 1

Ray Train finds machines for the workers and starts all of them again where one is lost; each worker starts PROGRAM as
`torchrun` would. So a training saves, stops, resumes, reports and ends as it does on one machine.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from posellm_assets.cluster.config import ClusterTraining
from posellm_assets.cluster.connecting import check_room
from posellm_assets.files import write_bytes
from posellm_assets.program import asked_to_stop

_STARTS = 4
"""How often the workers are started in all."""
_PIPES = "DAGSTER_PIPES_"
_LOOK_EVERY_S = 1.0


def command(program: str, job: str, training: ClusterTraining) -> list[str]:
    """What trains `job` with as many workers as the settings say."""
    given = ["--workers", str(training.workers), "--gpus-per-worker", str(training.gpus_per_worker)]
    return [sys.executable, "-m", __name__, program, job, *given]


def main() -> None:
    """Train; ends with the status of PROGRAM, or with a sentence where there is no room or workers were lost."""
    parser = argparse.ArgumentParser(description="Train over several machines through Ray Train.")
    parser.add_argument("program", help="The module to run, such as posellm_assets.language.train")
    parser.add_argument("job", type=Path, help="The file with its job")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpus-per-worker", type=float, default=0)
    given = parser.parse_args()
    import ray

    ray.init(address="auto", log_to_driver=False, logging_level="ERROR")  # its workers have the environment of the job
    needs = {"CPU": 1, "GPU": given.gpus_per_worker}
    try:
        check_room(needs, "cluster.train", given.workers)
    except ValueError as error:
        sys.exit(str(error))
    with asked_to_stop() as stop:
        sys.exit(_train([sys.executable, "-m", given.program, str(given.job)], given.job, given.workers, needs, stop))


def _train(
    command: Sequence[str], job: Path, workers: int, needs: Mapping[str, float], stop: Callable[[], bool]
) -> int | str:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    records = job.absolute().with_name(f".{job.stem}.ray_train.{os.getpid()}")
    records.mkdir(parents=True)
    ended = threading.Event()

    def pass_on() -> None:
        while not ended.wait(_LOOK_EVERY_S):
            if stop():
                _stop(records).touch()

    watching = threading.Thread(target=pass_on, daemon=True)
    watching.start()
    try:
        trainer = DataParallelTrainer(
            _work,
            train_loop_config={"command": command, "records": str(records)},
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=needs["GPU"] > 0,
                resources_per_worker={name: amount for name, amount in needs.items() if amount},
                placement_strategy="SPREAD",
            ),
            run_config=RunConfig(
                name="run", storage_path=str(records), failure_config=FailureConfig(max_failures=_STARTS - 1)
            ),
        )
        trainer.fit()
        return int(_status(records).read_text())
    except TrainingFailedError as error:
        return f"{command[-2]}: its workers were lost {_STARTS} times: {str(error).splitlines()[0]}"
    finally:
        ended.set()
        watching.join()
        shutil.rmtree(records, ignore_errors=True)


def _stop(records: Path) -> Path:
    """Is there where the training is asked to stop."""
    return records / "stop"


def _status(records: Path) -> Path:
    """How the first worker's program ended, the last time that it did."""
    return records / "status"


def _work(config: Mapping[str, Any]) -> None:
    """In a worker: run the program as one of those that train together, and record how the first ended."""
    from ray import train
    from ray.train.collective import broadcast_from_rank_zero

    context = train.get_context()
    rank = context.get_world_rank()
    host, port = broadcast_from_rank_zero(_meeting_place() if rank == 0 else ("", 0))
    own = {
        "RANK": rank,
        "WORLD_SIZE": context.get_world_size(),
        "LOCAL_RANK": context.get_local_rank(),
        "MASTER_ADDR": host,
        "MASTER_PORT": port,
    }
    # The first alone reports to the run.
    here = {name: value for name, value in os.environ.items() if rank == 0 or not name.startswith(_PIPES)}
    environment = {**here, **{name: str(value) for name, value in own.items()}}
    process = subprocess.Popen(config["command"], env=environment)
    records = Path(config["records"])
    status = _wait(process, _stop(records))
    if status < 0:  # where others end with an error because this one is no more, Ray Train still starts all again
        raise RuntimeError(f"the worker was killed by {signal.Signals(-status).name}")
    if rank == 0:
        write_bytes(_status(records), str(status).encode())


def _wait(process: subprocess.Popen[bytes], stop: Path) -> int:
    asked = False
    while True:
        try:
            return process.wait(_LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            if stop.exists() and not asked:
                asked = True
                process.terminate()


def _meeting_place() -> tuple[str, int]:
    """Where the others find the first worker: its machine, and a port that was free a moment ago."""
    import ray

    with socket.socket() as probe:
        probe.bind(("", 0))
        return ray.util.get_node_ip_address(), int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
