"""What the training and evaluation programs share: a JSON configuration in, progress out.

Each is started as `python -m MODULE CONFIG.json`, by hand or by an asset through Dagster Pipes. This module reports to
Pipes where the process was started by it and to standard output otherwise, so that the programs need not know.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol, TypeVar

from dagster_pipes import PipesEnvVarParamsLoader, open_dagster_pipes
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from posellm_assets.files import lock_at
from posellm_assets.records import Record

Config = TypeVar("Config", bound=BaseModel)

# The exit status of a program that saved when it was asked to stop: what a shell says of a process that SIGTERM ended.
PREEMPTED = 128 + signal.SIGTERM
USERS_FAULTS = (ValueError, FileNotFoundError)
"""Errors that are the user's to mend: the program ends with their sentence, and without a traceback."""

_held: list[FileLock] = []  # a lock that nothing refers to is let go


class Job(Record):
    """What a program is given: `python -m PROGRAM JOB.json`. Its results go into the folder `out`."""

    program: ClassVar[str]
    """The module to run."""
    together: ClassVar[bool] = False
    """Whether several processes can share its work, as those that `torchrun` starts do."""
    out: Path


class Refusal(ValueError):
    """A job that cannot be done as it is; the message says why and what to do."""


class Preempted(Exception):
    """Training that was asked to stop and has saved; the message says where the same command resumes."""


class Report(Protocol):
    """Takes a line of progress for the run's log."""

    def __call__(self, message: str) -> None: ...


def bf16_is_fast_on_cpu() -> bool:
    """Whether this processor computes in bf16 itself, as Linux tells; without that it is slower than float32."""
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and "avx512_bf16" in flags.read_text()


def claim_job(model: type[Config], arguments: list[str] | None = None) -> Config:
    """The job in the file named on the command line, for this process alone; exits with what is wrong with it.

    Where another process works on the same file, this one waits for its end: a run that was killed may have left the
    program that it had started, and two that save into one folder would tear what each other writes.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.exit(f"usage: python -m MODULE CONFIG.json (a {model.__name__})")
    try:
        config = model.model_validate_json(Path(arguments[0]).read_bytes())
        if os.environ.get("RANK", "0") == "0":  # the others of `torchrun` wait for the first
            _work_alone(Path(arguments[0]))
    except (OSError, ValidationError) as error:
        sys.exit(f"{arguments[0]}: {error}")
    return config


def _work_alone(job: Path) -> None:
    """Hold the lock beside `job` until this process ends, however it ends."""
    lock = lock_at(job.with_name(f".{job.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"another process works on {job}; waiting for its end", flush=True)
        lock.acquire()
    _held.append(lock)


def run_program(name: str, model: type[Config], run: Callable[[Config, Report], object]) -> None:
    """Run a program on the configuration of the command line, with one torch thread.

    One of `USERS_FAULTS` ends it with one sentence that begins with `name`.
    """
    import torch  # not at the top: the code server imports this module and loads no torch

    config = claim_job(model)
    torch.set_num_threads(1)
    with reporting() as report, _ending(name, USERS_FAULTS):
        run(config, report)


def run_training(
    name: str,
    train: Callable[[Report, Callable[[], bool]], object],
    faults: tuple[type[Exception], ...] = USERS_FAULTS,
) -> None:
    """Run a training, `train(report, stop)`, that saves and raises Preempted where `stop()` says that it should.

    The program then ends with the status PREEMPTED, and where one of the `faults` is met with one sentence that begins
    with `name`.
    """
    with reporting() as report, asked_to_stop() as stop, _ending(name, faults):
        train(report, stop)


@contextmanager
def _ending(name: str, faults: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except Preempted as preempted:
        print(preempted, file=sys.stderr)
        sys.exit(PREEMPTED)
    except faults as error:
        sys.exit(f"{name}: {error}")


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or SIGINT (a preempted machine, a cancelled run) has come; a second one ends the process."""
    asked = threading.Event()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, frame: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def reporting() -> Iterator[Report]:
    """A function that logs a line: to the Dagster run where there is one, else to standard output.

    A sentence that the program ends with is what the run is told of its failure.
    """
    if PipesEnvVarParamsLoader().is_dagster_pipes_process():
        with open_dagster_pipes() as pipes:
            try:
                yield lambda message: pipes.log.info(message)
            except SystemExit as end:
                if isinstance(end.code, str):
                    pipes.report_custom_message(end.code)
                raise
    else:
        yield lambda message: print(message, flush=True)
