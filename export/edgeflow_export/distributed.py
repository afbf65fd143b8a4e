"""The processes that train one model together: one, or as many as torch's own launcher started."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from edgeflow.errors import ConfigError

__all__ = ["ALONE", "Processes", "existing_device", "joined"]

T = TypeVar("T")

# One process may work long on what the others wait for, such as a self-supervised extractor.
_PATIENCE = timedelta(hours=48)


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Rank of this process among those that train together.

    Attributes:
        device: torch device of this process.
    """

    rank: int = 0
    count: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """True if this is the process that writes files and reports."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's share of independent pieces of work."""
        return items[self.rank :: self.count]

    def wait(self) -> None:
        """Until every process has come this far."""
        if self.count > 1:
            distributed.barrier()

    def mean(self, value: float) -> float:
        """The mean of every process's value; the same in all of them."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total) / self.count

    def agree(self, value: int) -> bool:
        """True if every process has the same value."""
        return self.mean(float(value)) == value and self.mean(float(value) ** 2) == value**2

    def receive(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the first one's tensors, in place."""
        for tensor in tensors if self.count > 1 else ():
            distributed.broadcast(tensor, src=0)

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are means over all processes."""
        if self.count == 1:
            return module
        return DistributedDataParallel(module, broadcast_buffers=False, gradient_as_bucket_view=True)


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """This process as torch's launcher (torchrun) describes it in the environment; alone without.

    Args:
        device: ``auto``: CUDA where there is one; or a torch device. ``cuda`` without a number is the
            launcher's local rank.

    Raises:
        ConfigError: no such device.
    """
    count, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    chosen = existing_device(device, local)
    if count == 1:
        yield Processes(device=chosen)
        return
    if chosen.startswith("cuda"):
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.startswith("cuda") else "gloo", timeout=_PATIENCE)
    try:
        yield Processes(rank=distributed.get_rank(), count=count, device=chosen)
    finally:
        distributed.destroy_process_group()


def existing_device(name: str, local: int = 0) -> str:
    """A torch device that exists.

    Args:
        local: number of this process on its machine, for ``cuda`` without a number.

    Raises:
        ConfigError: no such device.
    """
    present = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if present else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as cause:
        raise ConfigError(f"--device {name}: no such device; allowed: auto, cpu, cuda, cuda:N") from cause
    if device.type != "cuda":
        return name
    index = local if device.index is None else device.index
    if index >= present:
        raise ConfigError(
            f"--device {name}: torch sees {present} CUDA device(s), number {index} is needed; start fewer "
            "processes, check the driver, or use --device cpu"
        )
    return f"cuda:{index}"
