"""A pool on a Ray cluster: each item is a task."""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

from posellm_assets.cluster.connecting import check_room, connect, machines
from posellm_assets.pool import ITEMS_PER_WORKER, Item, Result, WorkerDied

_MACHINES_PER_ITEM = 4
"""An item whose machine is lost goes to another, so many in all: some item may be what takes them down."""
_LOOK_EVERY_S = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Given(Generic[Item]):
    """An item that is being worked on, and on how many machines that were lost it was before."""

    item: Item
    lost: int = 0


class RayPool:
    """The machines of the Ray cluster at `address`, with `cpus` cores for each item.

    `fn` (importable by name on all machines) and the items are pickled. What `LocalPool` promises holds: a worker that
    dies costs its own item only, which is tried once more behind all others and then comes back with `WorkerDied`;
    workers are replaced; items are drawn as workers become free; leaving the iteration early ends the work. An item
    whose machine is lost is given to another. Raises NoRoom where no machine has as many cores.
    """

    def __init__(self, address: str, cpus: float = 1.0):
        self.address, self.cpus = address, cpus

    @property
    def workers(self) -> int:
        """How many items are worked on at once, on the machines that there are now."""
        connect(self.address)
        return max(1, sum(int(machine["Resources"].get("CPU", 0) // self.cpus) for machine in machines()))

    def map(self, fn: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Exception]]:
        """See `Pool.map`."""
        connect(self.address)
        check_room({"CPU": self.cpus}, "cluster.cpus_per_clip")
        import ray

        task = ray.remote(num_cpus=self.cpus, max_retries=0, max_calls=ITEMS_PER_WORKER)(_work)
        waiting = iter(items)
        given: dict[Any, _Given[Item]] = {}  # by the reference to its outcome
        unlucky: list[Item] = []  # whose worker died once
        places: Counter[str] = Counter()
        try:
            while True:
                for item in itertools.islice(waiting, max(0, self.workers - len(given))):
                    given[task.remote(fn, item)] = _Given(item)
                if not given:
                    return
                done, _ = ray.wait(list(given), timeout=_LOOK_EVERY_S)  # ends early, because machines come and go
                for reference in done:
                    one = given.pop(reference)
                    try:
                        place, outcome = ray.get(reference)
                        places[place] += 1
                    except (ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError) as error:
                        if one.lost + 1 < _MACHINES_PER_ITEM:
                            given[task.remote(fn, one.item)] = _Given(one.item, one.lost + 1)
                            continue
                        outcome = WorkerDied(f"{one.lost + 1} machines were lost at work on {one.item}: {error}")
                    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                        if not any(one.item is other for other in unlucky):
                            unlucky.append(one.item)
                            waiting = itertools.chain(waiting, [one.item])
                            continue
                        outcome = WorkerDied(_how_it_ended(one.item, error))
                    except ray.exceptions.RayError as error:  # what it gave cannot be pickled, or not be unpickled here
                        outcome = RuntimeError(f"what came of {one.item} cannot be sent between machines: {error}")
                    yield one.item, outcome
        finally:
            for reference in given:
                ray.cancel(reference, force=True)
            said = ", ".join(f"{count} on {place}" for place, count in sorted(places.items()))
            _log.info("%d items: %s", places.total(), said)


def _work(fn: Callable[[Any], Any], item: Any) -> tuple[str, Any]:
    """In a worker: its machine, and what came of an item."""
    import ray

    here = f"{ray.util.get_node_ip_address()} ({ray.get_runtime_context().get_node_id()[:6]})"
    try:
        return here, fn(item)
    except Exception as error:  # noqa: BLE001 - carried to the caller of `map`
        return here, error


def _how_it_ended(item: Any, error: Exception) -> str:
    import ray

    of_memory = isinstance(error, ray.exceptions.OutOfMemoryError)
    why = "was out of memory" if of_memory else "killed it or it crashed in native code; it may be out of memory"
    return f"the worker for {item} died twice: its machine {why}"
