"""In which floating-point type a network is fast on a machine.

bfloat16 halves float32's time where the processor computes in it: CPUs with AVX512-BF16 or AMX, GPUs from Ampere on.
Elsewhere it is emulated and takes up to eight times as long. The choice is by what the processor says, not by a
measurement, so that the same machine gives the same numbers every time; limits set for PyTorch or oneDNN by the
environment count as the processor's.
"""

from __future__ import annotations

import os

import torch

_WITHOUT = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}


def fast_dtype(device: torch.device | str = "cpu") -> torch.dtype:
    """bfloat16 where `device` computes in it, else float32."""
    device = torch.device(device)
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = device.type == "cpu" and _cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


def dtype_name(dtype: torch.dtype | str) -> str:
    """`bfloat16` of torch.bfloat16: what `--dtype` and the cards call it."""
    return str(dtype).removeprefix("torch.")


def _cpu_has_bfloat16() -> bool:
    limit = (os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "").upper()
    if limit in _WITHOUT or "AVX512" not in torch.backends.cpu.get_cpu_capability():
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
