"""What the option `--device` says."""

from __future__ import annotations


def device_of(name: str) -> str:
    """`cpu`, `cuda`, `cuda:1`, or `auto`: a GPU where there is one. ValueError for a device that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdigit()):
        raise ValueError(f"--device: got {name!r}, expected cpu, cuda or auto")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"--device: got {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices; use cpu or auto"
        )
    return name
