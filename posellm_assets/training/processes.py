"""The processes that train one model together: one alone, or as many as `torchrun` started.

Each process computes the gradient of its share of every step's rows; the sums over all processes are the gradient of
the whole step, so that any number of them gives the losses of one, but for the order in which floats are added.
"""

import os
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from torch import distributed

from posellm_assets.program import bf16_is_fast_on_cpu

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """This process among those that train together: its number, how many there are, and its device."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def in_bf16(self, precision: Literal["auto", "bf16", "float32"]) -> bool:
        """Whether to compute in bf16; 'auto' does where the device is fast at it."""
        if precision != "auto":
            return precision == "bf16"
        if self.device.type == "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        return bf16_is_fast_on_cpu()

    def share(self, items: Sequence[Item]) -> list[Item]:
        """The part of `items` that is this process's work."""
        return list(items[self.rank :: self.count])

    def add_up(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its sum over all processes, which must call this with the same shapes."""
        if self.count > 1:
            # One tensor at a time, so that the order of additions does not depend on how they are grouped.
            for work in [distributed.all_reduce(tensor, async_op=True) for tensor in tensors]:
                work.wait()

    def any(self, mine: bool) -> bool:
        """Whether any process says so, which all must call together."""
        if self.count == 1:
            return mine
        said = torch.tensor(float(mine), device=self.device)
        self.add_up([said])
        return bool(said)

    def from_first(self, numbers: Sequence[float]) -> list[float]:
        """The numbers that the first process gives, which all must call together with as many."""
        if self.count == 1:
            return list(numbers)
        said = torch.tensor(numbers, dtype=torch.float64, device=self.device) * self.first
        self.add_up([said])
        result: list[float] = said.tolist()
        return result

    def seed(self, seed: int, step: int) -> None:
        """Seed torch for a step: what is drawn in it follows from the job's seed, the step and the process alone."""
        torch.manual_seed(random.Random(f"{seed}/{step}/{self.rank}").getrandbits(63))

    def wait(self) -> None:
        """Go on only when every process has come here."""
        if self.count > 1:
            distributed.barrier()


def alone() -> Processes:
    """This process, on the CPU, for a training that one core carries."""
    return Processes(0, 1, torch.device("cpu"))


@contextmanager
def together() -> Iterator[Processes]:
    """Join the processes that `torchrun` started with this one; without it, this one is alone."""
    rank, count = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if count > 1:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(rank, count, device)
    finally:
        if count > 1:
            distributed.destroy_process_group()
