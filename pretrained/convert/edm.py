"""EDM (Karras et al. 2022): SongUNet (NCSN++ or DDPM++) and DhariwalUNet (ADM), in any of four preconditionings.

NVIDIA publishes pickles, which run code when they are opened; scanprior never does. Export the weights once, where
the edm repository is installed: `torch.save(pickle.load(open(pkl, "rb"))["ema"].state_dict(), "weights.pt")`.

What shapes cannot tell is the preconditioning, the class of the exported network: "edm" (EDMPrecond: becomes a
`NetworkPrior` with sigma_data 0.5), "vp", "ve" or "iddpm". Augmentation labels, zero when a network is used, are
left out. FIR filters are read from the checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...priors.nets.layers import Attention, FourierFeatures, ResidualBlock
from .mapping import (
    TensorMap,
    has,
    network_of,
    reading,
    reorder_heads,
    swap_halves,
    unchanged,
    without_prefix,
)

BLOCK = {
    "norm1": "norm0",
    "conv1": "conv0",
    "noise": "affine",
    "norm2": "norm1",
    "conv2": "conv1",
    "skip": "skip",
}
NOISE: dict[str, dict[str, Any] | None] = {
    "edm": None,
    "vp": {"kind": "vp"},
    "ve": {"kind": "ve", "sigma_min": 0.02, "sigma_max": 100.0, "scale": 0.5},
    "iddpm": {"kind": "discrete", "schedule": "cosine"},
}
HEAD_CHANNELS = 64  # of a head in DhariwalUNet


def unwrap(checkpoint: Any) -> dict[str, Tensor]:
    """The state dict of a preconditioned network, or of its `model`."""
    return without_prefix(checkpoint, "model.")


def convert(
    state: Mapping[str, Tensor], *, preconditioning: str = "edm"
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(network table with its noise law, which "edm" has not, weights). Raises ValueError for keys missing or
    unknown, and class-conditional networks."""
    if preconditioning not in NOISE:
        raise ValueError(f"preconditioning {preconditioning!r}: expected one of {', '.join(NOISE)}")
    if any(name.startswith("map_label.") for name in state):
        raise ValueError(
            "checkpoint: a class-conditional network; only unconditional ones are priors of images"
        )
    sizes = {int(match[1]) for name in state if (match := re.match(r"enc\.(\d+)x\d+_", name))}
    resolutions = sorted(sizes, reverse=True)
    dhariwal = has(state, "out_norm.")
    with reading("EDM"):
        config = _architecture(state, resolutions, dhariwal)
        network = network_of(config)
    if noise := NOISE[preconditioning]:
        config["noise"] = noise
    tensors = TensorMap(state)
    tensors.drop("u", "map_augment.weight", *[name for name in state if name.endswith(".resample_filter")])
    for ours, theirs in _names(config, resolutions):
        module = network.get_submodule(ours)
        if isinstance(module, ResidualBlock):
            tensors.residual_block(ours, module, theirs, BLOCK)
        elif isinstance(module, Attention):
            reorder = reorder_heads(module.heads, "hd3")
            tensors.layer(f"{ours}.norm", f"{theirs}.norm2")
            tensors.put(f"{ours}.qkv.weight", f"{theirs}.qkv.weight", make=reorder)
            tensors.put(f"{ours}.qkv.bias", f"{theirs}.qkv.bias", make=reorder)
            tensors.layer(f"{ours}.out", f"{theirs}.proj")
        elif isinstance(module, FourierFeatures):
            tensors.put(f"{ours}.frequencies", theirs)
        elif not isinstance(module, nn.Identity):
            tensors.layer(ours, theirs, make=swap_halves if ours == "embed.first" and dhariwal else unchanged)
    return config, tensors.onto(network)


def _architecture(state: Mapping[str, Tensor], resolutions: list[int], dhariwal: bool) -> dict[str, Any]:
    fourier = "map_noise.freqs" in state
    enter = state[f"enc.{resolutions[0]}x{resolutions[0]}_conv.weight"]
    base = state["map_layer0.weight"].shape[1] if dhariwal else enter.shape[0]
    level = [f"enc.{r}x{r}" for r in resolutions]
    widths = [state[f"{name}_block0.conv1.weight"].shape[0] for name in level]
    config: dict[str, Any] = {
        "channels": enter.shape[1],
        "base": base,
        "multipliers": [width // base for width in widths],
        "blocks": sum(has(state, f"{level[0]}_block{j}.") for j in range(20)),
        "attention": [2**i for i, name in enumerate(level) if has(state, f"{name}_block0.qkv.")],
    }
    if dhariwal:
        learns = state["out_conv.weight"].shape[0] == 2 * enter.shape[1]
        shape = {"head_channels": HEAD_CHANNELS, "learn_sigma": learns, "least": 4}
        return {"name": "adm"} | config | shape
    inputs = "none"
    if has(state, f"{level[1]}_aux_skip."):
        inputs = "skip"
    elif has(state, f"{level[1]}_aux_residual."):
        inputs = "residual"
    return (
        {"name": "ncsnpp"}
        | config
        | {
            "block": "biggan",
            "embedding": "fourier" if fourier else "positional",
            "progressive_input": inputs,
            "progressive_output": "skip" if has(state, f"dec.{level[-1][4:]}_aux_conv.") else "none",
            "taps": _taps(state),
            "rescale": True,
            "centered": True,
        }
    )


def _taps(state: Mapping[str, Tensor]) -> list[int]:
    """The one-dimensional filter behind the checkpoint's outer products. ValueError where they differ."""
    filters = [tensor for name, tensor in state.items() if name.endswith(".resample_filter")]
    if not filters or any(f.shape != filters[0].shape or not torch.allclose(f, filters[0]) for f in filters):
        raise ValueError("checkpoint: its resample_filter buffers are missing, or not all the same")
    row = filters[0][0, 0, 0]
    return [round(float(tap / row[0])) for tap in row]


def _names(config: Mapping[str, Any], resolutions: list[int]) -> Iterator[tuple[str, str]]:
    """(our module, its name): EDM names its modules by their resolution."""
    sizes = [f"{r}x{r}" for r in resolutions]
    if config.get("embedding") == "fourier":
        yield "embed.features", "map_noise.freqs"
    yield "embed.first", "map_layer0"
    yield "embed.second", "map_layer1"
    yield "enter", f"enc.{sizes[0]}_conv"
    for side, way, order, blocks in (
        ("down", "enc", sizes, config["blocks"]),
        ("up", "dec", sizes[::-1], config["blocks"] + 1),
    ):
        for i, size in enumerate(order):
            if i:
                yield f"{side}.{i}.resample", f"{way}.{size}_{side}"
            for j in range(blocks):
                yield f"{side}.{i}.stages.{j}.block", f"{way}.{size}_block{j}"
                yield f"{side}.{i}.stages.{j}.attention", f"{way}.{size}_block{j}"
    yield "middle.0.block", f"dec.{sizes[-1]}_in0"
    yield "middle.0.attention", f"dec.{sizes[-1]}_in0"
    yield "middle.1.block", f"dec.{sizes[-1]}_in1"
    if config["name"] == "adm":
        yield "leave.norm", "out_norm"
        yield "leave.conv", "out_conv"
        return
    if config["progressive_input"] != "none":
        for i, size in enumerate(sizes[1:]):
            yield f"merge.{i}", f"enc.{size}_aux_{config['progressive_input']}"
    for i, size in enumerate(sizes[::-1] if config["progressive_output"] == "skip" else sizes[:1]):
        yield f"leave.{i}.norm", f"dec.{size}_aux_norm"
        yield f"leave.{i}.conv", f"dec.{size}_aux_conv"
