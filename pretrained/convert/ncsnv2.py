"""NCSNv2 (ermongroup/ncsnv2, csgm-mri-langevin, score_sde_pytorch's ncsnv2) and NCSN. What shapes cannot tell:

centered              images in [-1, 1] (`rescaled`, or `centered` in score_sde) rather than [0, 1]: no, as in
                      csgm-mri-langevin, whose network maps real and imaginary part by 2 x - 1
sigma_max, sigma_min  NCSN's range; NCSNv2's checkpoints hold their levels
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...priors.nets.ncsnv2 import InstanceNormPlus, NCSNv2
from .mapping import TensorMap, network_of, reading, without_prefix

STAGES = {4: ("1", "2", "3", "4"), 5: ("1", "2", "3", "4", "5"), 6: ("1", "2", "3", "31", "4", "5")}


def unwrap(checkpoint: Any) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint [model, optimizer, epoch, step, averages], or a plain state dict.

    Raises ValueError where the averages are not of the model.
    """
    if not isinstance(checkpoint, list | tuple):
        return without_prefix(checkpoint, "module.")
    state = without_prefix(checkpoint[0], "module.")
    averages = without_prefix(checkpoint[4], "module.") if len(checkpoint) > 4 else {}
    if strange := [name for name in averages if name not in state]:
        raise ValueError(f"checkpoint: moving averages of {', '.join(strange[:3])}, which its model has not")
    return state | averages


def convert(
    state: Mapping[str, Tensor], *, centered: bool = False, sigma_max: float = 1.0, sigma_min: float = 0.01
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(network table with its noise law, weights). Raises ValueError for keys missing or unknown."""
    found = {name.split(".")[0].removeprefix("res") for name in state if name.startswith("res")}
    order = next((names for names in STAGES.values() if set(names) == found), None)
    if order is None:
        raise ValueError(
            f"checkpoint: stages {', '.join(sorted(found)) or 'none'} of res1, res2, …: not a network of NCSN or NCSNv2"
        )
    rows, sigmas = state.get("normalizer.embed.weight"), state.get("sigmas")
    if rows is None and sigmas is None:
        raise ValueError("checkpoint: missing sigmas, the noise levels of NCSNv2")
    with reading("NCSN or NCSNv2"):
        base, channels = state["begin_conv.weight"].shape[:2]
        multipliers = [state[f"res{n}.1.conv2.weight"].shape[0] // base for n in order]
        count = len(rows) if rows is not None else len(cast(Tensor, sigmas))
        if sigmas is not None:
            sigma_max, sigma_min = float(sigmas[0]), float(sigmas[-1])
            _check_geometric(sigmas.double())
    config: dict[str, Any] = {
        "name": "ncsnv2",
        "channels": channels,
        "base": base,
        "multipliers": multipliers,
        "levels": 0 if rows is None else count,
        "centered": centered,
        "noise": {
            "kind": "levels",
            "sigma_max": sigma_max,
            "sigma_min": sigma_min,
            "count": count,
            "gives": "scaled" if rows is None else "score",
        },
    }
    with reading("NCSN or NCSNv2"):
        network = cast(NCSNv2, network_of(config))
    tensors = TensorMap(state)
    tensors.drop("sigmas")
    _place(tensors, network, order)
    return config, tensors.onto(network)


def _check_geometric(sigmas: Tensor) -> None:
    steps = sigmas.log().diff()
    if len(steps) and not torch.allclose(steps, steps.mean().expand_as(steps), rtol=1e-2, atol=1e-5):
        raise ValueError("checkpoint: its noise levels are not a geometric sequence")


def _place(tensors: TensorMap, network: NCSNv2, order: tuple[str, ...]) -> None:
    """Layers by name; of a norm, the row or rows gamma, alpha, beta."""
    modules = dict(network.named_modules())
    for ours, theirs in _names(order):
        module = modules.get(ours)
        if isinstance(module, InstanceNormPlus) and len(module.table) > 1:
            tensors.put(f"{ours}.table", f"{theirs}.embed.weight")
        elif isinstance(module, InstanceNormPlus):
            parts = [f"{theirs}.{part}" for part in ("gamma", "alpha", "beta")]
            tensors.put(f"{ours}.table", *parts, make=lambda *rows: torch.cat(rows)[None])
        elif isinstance(module, nn.Conv2d):
            tensors.put(f"{ours}.weight", f"{theirs}.weight")
            if module.bias is not None:
                tensors.put(f"{ours}.bias", f"{theirs}.bias")


def _names(order: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(our module, its name) at every place where there may be one."""
    yield "enter", "begin_conv"
    yield "leave", "end_conv"
    yield "norm", "normalizer"
    for i, name in enumerate(order):
        for j in range(2):
            ours, theirs = f"stages.{i}.{j}", f"res{name}.{j}"
            pooled = ".conv" if j == 0 and 0 < i < len(order) - 2 else ""
            yield f"{ours}.norm1", f"{theirs}.normalize1"
            yield f"{ours}.norm2", f"{theirs}.normalize2"
            yield f"{ours}.conv1", f"{theirs}.conv1"
            yield f"{ours}.conv2", f"{theirs}.conv2{pooled}"
            yield f"{ours}.skip", f"{theirs}.shortcut{pooled}"
    for i, name in enumerate(
        ("1", "2", "31", "3", "4", "5") if "31" in order else order
    ):  # from the coarsest
        ours, theirs = f"refine.{i}", f"refine{name}"
        units = [("adapt.0", "adapt_convs.0"), ("adapt.1", "adapt_convs.1"), ("out", "output_convs")]
        for mine, its in units:
            for j in range(6):
                place = f"{theirs}.{its}.{j // 2 + 1}_{j % 2 + 1}"
                yield f"{ours}.{mine}.convs.{j}", f"{place}_conv"
                yield f"{ours}.{mine}.norms.{j}", f"{place}_norm"
        for mine, its in (("pool", "crp"), ("fuse", "msf")):
            for j in range(2):
                yield f"{ours}.{mine}.convs.{j}", f"{theirs}.{its}.convs.{j}"
                yield f"{ours}.{mine}.norms.{j}", f"{theirs}.{its}.norms.{j}"
