"""What the options `--device` and `--dtype` say."""

from __future__ import annotations

from typing import Any

from ..errors import UsageError

DTYPES = ("auto", "float32", "bfloat16")


def device_of(name: str) -> str:
    """`cpu`, `cuda`, `cuda:1`, or `auto`: a GPU where there is one. UsageError for a device that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise UsageError(f"--device: got {name!r}, expected cpu, cuda or auto")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device: got {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices; use cpu or auto"
        )
    return name


def dtype_of(name: str) -> Any:
    """The torch.dtype of `float32` or `bfloat16`; None for `auto`: the one that is fast on the device. UsageError for
    another."""
    import torch

    if name not in DTYPES:
        raise UsageError(f"--dtype: got {name!r}, expected {', '.join(DTYPES)}")
    return None if name == "auto" else {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
