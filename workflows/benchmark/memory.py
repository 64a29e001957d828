"""The peak of memory while something runs: of the GPU, or of this process (Linux: the kernel's high-water mark)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

_RESET, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


@dataclass
class Memory:
    """mib: None where the system does not tell."""

    mib: float | None = None


@contextmanager
def peak_memory(device: str) -> Iterator[Memory]:
    """The memory is known when the block has ended. On the CPU it is all that the process holds, the network and the
    slice's data with it."""
    memory = Memory()
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
        yield memory
        memory.mib = torch.cuda.max_memory_allocated(device) / 2**20
        return
    try:
        _RESET.write_text("5")
    except OSError:
        yield memory
        return
    yield memory
    lines = [line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM")]
    memory.mib = int(lines[0].split()[1]) / 1024
