"""The one seam for fan-out: a function mapped over independent items.

Here a pool of local processes; `cluster.pool` has one over several machines. Nothing about clips, poses or training
belongs here.
"""

import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# A worker is replaced after this many items: native libraries keep memory (MediaPipe 6 MB for each landmarker opened).
ITEMS_PER_WORKER = 32
_one_at_a_time = threading.Lock()


class WorkerDied(RuntimeError):
    """A worker process ended before it gave the result of its item."""


class Pool(Protocol):
    """Maps a function over items somewhere else."""

    @property
    def workers(self) -> int:
        """How many items are worked on at once."""
        ...

    def map(self, fn: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Exception]]:
        """Yield each item with its result, or with the exception that it raised, in the order of completion."""
        ...


def shares(items: Sequence[Item], workers: int) -> list[Sequence[Item]]:
    """`items` in one part for each worker, in order, for work that is dear to begin; no part where there are none."""
    size = max(1, -(-len(items) // workers))
    return [items[start : start + size] for start in range(0, len(items), size)]


class LocalPool:
    """Spawned processes on this machine, one for each core that this process may use unless `workers` says otherwise.

    Spawned, because neither MediaPipe nor CUDA survives a fork. `fn` (importable by name) and the items are pickled.
    A worker that dies (out of memory, a crash in native code) costs its own item only: that is tried once more behind
    all others, then comes back with `WorkerDied`; a fresh worker takes the next. Items are drawn as workers become
    free, so a long iterator is not held in memory. Leaving the iteration early ends the workers.
    """

    def __init__(self, workers: int | None = None):
        if workers is not None and workers < 1:
            raise ValueError(f"a pool needs at least one worker, not {workers}")
        self.workers = workers or _cores()

    def map(self, fn: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Exception]]:
        """See `Pool.map`."""
        waiting, nothing = iter(items), object()
        crew: dict[Any, _Worker] = {}  # by the pipe that each answers through
        unlucky: list[Item] = []  # whose worker died once
        try:
            for item in itertools.islice(waiting, self.workers):
                worker = _Worker(fn, item)
                crew[worker.pipe] = worker
            while crew:
                for pipe in connection.wait(list(crew)):
                    worker = crew[pipe]
                    item, outcome = worker.item, worker.outcome()
                    again = isinstance(outcome, WorkerDied) and not any(item is other for other in unlucky)
                    if again:
                        unlucky.append(item)
                        waiting = itertools.chain(waiting, [item])
                    upcoming = next(waiting, nothing)
                    if upcoming is not nothing and not worker.spent:
                        worker.give(upcoming)
                    else:
                        crew.pop(pipe).stop()
                        if upcoming is not nothing:
                            worker = _Worker(fn, upcoming)
                            crew[worker.pipe] = worker
                    if not again:
                        yield item, outcome
        finally:
            for worker in crew.values():
                worker.process.terminate()
                worker.stop()


class _Worker:
    """A process, the item that it has in hand, and the pipe through which items go in and outcomes come out."""

    def __init__(self, fn: Callable, item: Any):
        context = get_context("spawn")
        self.pipe, inner = context.Pipe()
        self.process = context.Process(target=_work, args=(fn, inner), daemon=True)
        with _main_left_alone(fn, item):
            self.process.start()
        inner.close()  # so that the end of the process is the end of the pipe
        self.spent = False
        self.given = 0
        self.give(item)

    def give(self, item: Any) -> None:
        self.item = item
        self.given += 1
        with suppress(BrokenPipeError):  # where it died while idle, `outcome` says so
            self.pipe.send(item)

    def outcome(self) -> Any:
        try:
            outcome = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            outcome = WorkerDied(f"the worker process for {self.item} {_how_it_ended(self.process.exitcode)}")
            self.spent = True
        self.spent = self.spent or self.given >= ITEMS_PER_WORKER
        return outcome

    def stop(self) -> None:
        self.pipe.close()
        self.process.join()


@contextmanager
def _main_left_alone(fn: Callable, item: Any) -> Iterator[None]:
    """Keep a process that is spawned from running the user's script again, which then needs no `if __name__` guard.

    Where the function or the item is the script's own, its worker needs the script.
    """
    own = getattr(fn, "func", fn)
    if "__main__" in (getattr(own, "__module__", None), type(item).__module__):
        yield
        return
    with _one_at_a_time:
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _work(fn: Callable, pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it ends the workers
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        try:
            outcome = fn(item)
        except Exception as error:  # noqa: BLE001 - carried to the parent, which hands it to the caller
            outcome = error
        try:
            pipe.send(outcome)
        except BrokenPipeError:
            return
        except Exception as error:  # noqa: BLE001 - the outcome cannot be pickled; its text can
            pipe.send(RuntimeError(f"{type(outcome).__name__} cannot be sent between processes ({error}): {outcome}"))


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name
    hint = "; the machine may be out of memory" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
