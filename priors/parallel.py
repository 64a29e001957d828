"""Training by several processes at once, one a GPU, on one machine or many: who this process is, what it takes of a
batch, and how what each of them found becomes one.

`torchrun` starts the processes and tells them so by WORLD_SIZE, RANK and LOCAL_RANK. All of them draw the same random
numbers for the whole batch of a step, and each works on its own share. The loss of the batch is the mean of the losses
of equal shares and its gradient the mean of their gradients (DistributedDataParallel), so that n processes take the
steps that one takes with the same batch, up to rounding. A lone process is a world of one, for which nothing changes.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
import torch.distributed.nn  # now: DistributedDataParallel would import it later, and its defaults keep the group
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class World:
    """The processes of a training: this one is number `rank` of `size`, on its own `device`."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    def share(self, batch: int) -> slice:
        """This process's part of a batch. Raises ValueError for a batch that does not divide."""
        if batch % self.size:
            raise ValueError(
                f"got a batch of {batch} for {self.size} processes, expected a multiple of {self.size}: "
                "change the preset's `batch` or torchrun's --nproc-per-node"
            )
        each = batch // self.size
        return slice(self.rank * each, (self.rank + 1) * each)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module on every process: the first one's weights to begin with, and the mean of all gradients."""
        return module if self.size == 1 else DistributedDataParallel(module)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a value over the processes."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.size

    def greatest(self, value: int) -> int:
        """The greatest of the processes' values; all wait here for the last of them."""
        if self.size == 1:
            return value
        found = torch.tensor(value, device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)


ALONE = World()


def is_first() -> bool:
    """Whether this is the first of the processes that torchrun started, or a lone one: the one that speaks."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1 or os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that torchrun started, or a world of one; its processes stay connected inside the `with`.

    Nothing that `World.wrap` gave should outlive the `with`: it holds gloo's threads, and one of them that lets go of
    a tensor while Python shuts down ends the process with SIGABRT (pytorch/pytorch#179291).

    Args:
        device: "cpu", or "cuda": then each process has the GPU of its number on its machine.

    Raises:
        ValueError: more processes on this machine than GPUs, or one GPU asked for by all of them.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device=device)
        return
    if device != "cpu":
        device = _own_gpu(device)
        dist.init_process_group("nccl", device_id=torch.device(device))
    else:
        dist.init_process_group("gloo")
    try:
        yield World(dist.get_rank(), size, device)
    finally:
        gc.collect()  # wrapped modules are in cycles
        dist.destroy_process_group()


def _own_gpu(device: str) -> str:
    local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if device != "cuda":
        raise ValueError(
            f"got {device} for several processes, expected cuda: each takes the GPU of its number; "
            "CUDA_VISIBLE_DEVICES chooses among them"
        )
    if local >= gpus:
        raise ValueError(
            f"got process {local} of this machine (counted from 0), which has {gpus} GPUs; start at most "
            f"{gpus} with --nproc-per-node"
        )
    torch.cuda.set_device(local)
    return f"cuda:{local}"
