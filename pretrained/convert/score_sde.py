"""score_sde_pytorch (Song et al. 2021): NCSN++, DDPM++ and DDPM, which keep their layers in one numbered list.

The list's order is that of evaluation, so the architecture is read by walking it, and its names are those of our
network walked in the same way. Layers without weights take a number and leave no key. What shapes cannot tell:

    sde           the law of noise: "ve" with Fourier features, else "vp"; "sub-vp"; "discrete" for DDPM's steps
    fir           FIR resampling: with Fourier features
    skip_rescale  sums divided by sqrt(2): with BigGAN blocks
    centered      images in [-1, 1] rather than [0, 1]: without Fourier features (the published configurations)

A VE network is taken to divide its output by sigma (`scale_by_sigma`), as all published ones do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ...priors.nets.layers import Attention, FourierFeatures, ResidualBlock
from .mapping import TensorMap, network_of, pixelwise, reading, without_prefix

LAYER = re.compile(r"all_modules\.(\d+)\.(.+)")
NO_WEIGHTS = ""  # a layer that takes a number in the list and leaves no key
BLOCK = {
    "norm1": "GroupNorm_0",
    "conv1": "Conv_0",
    "noise": "Dense_0",
    "norm2": "GroupNorm_1",
    "conv2": "Conv_1",
    "skip": "Conv_2",
}


def unwrap(checkpoint: Any) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint {model, ema, step, optimizer}, or a plain state dict.

    `ema["shadow_params"]` is a list in the order of the parameters that are trained: all but `sigmas` and the
    Fourier frequencies. Raises ValueError where list and model do not match.
    """
    if "model" not in checkpoint:
        return without_prefix(checkpoint, "module.")
    state = without_prefix(checkpoint["model"], "module.")
    if "ema" not in checkpoint:
        return state
    trained = [name for name in state if name != "sigmas" and not re.fullmatch(r"all_modules\.\d+\.W", name)]
    averages = checkpoint["ema"]["shadow_params"]
    if [tuple(a.shape) for a in averages] != [tuple(state[name].shape) for name in trained]:
        raise ValueError(
            f"checkpoint: its {len(averages)} moving averages do not match the {len(trained)} trained tensors of its "
            "model; pass the model's own state dict to use the weights without averaging"
        )
    return state | dict(zip(trained, averages, strict=True))


def convert(
    state: Mapping[str, Tensor],
    *,
    sde: str | None = None,
    fir: bool | None = None,
    skip_rescale: bool | None = None,
    centered: bool | None = None,
    sigma_min: float = 0.01,
    sigma_max: float = 50.0,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(network table with its noise law, weights) of a state dict from `unwrap`. `sigma_min`, `sigma_max` where the
    checkpoint does not hold its levels. Raises ValueError for keys missing or unknown, or an option out of
    place."""
    layers: dict[int, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if match := LAYER.fullmatch(name):
            layers.setdefault(int(match[1]), {})[match[2]] = tensor
    with reading("score_sde_pytorch"):
        config = _architecture(layers)
    fourier = config["embedding"] == "fourier"
    config["taps"] = [1, 3, 3, 1] if (fourier if fir is None else fir) else [1, 1]
    config["rescale"] = config["block"] == "biggan" if skip_rescale is None else skip_rescale
    config["centered"] = (not fourier) if centered is None else centered
    sigmas = state.get("sigmas")
    if sigmas is not None and sigmas.numel():
        sigma_max, sigma_min = float(sigmas[0]), float(sigmas[-1])
    count = 1000 if sigmas is None else len(sigmas)
    config["noise"] = _noise(sde or ("ve" if fourier else "vp"), fourier, sigma_min, sigma_max, count)

    with reading("score_sde_pytorch"):
        network = network_of(config)
    tensors = TensorMap(state)
    tensors.drop("sigmas")
    modules = (name for name in _order(config) if not _is_absent(network, name))
    for index, ours in enumerate(modules):
        if ours != NO_WEIGHTS:
            _place(tensors, ours, network.get_submodule(ours), f"all_modules.{index}")
    return config, tensors.onto(network)


def _noise(sde: str, fourier: bool, low: float, high: float, count: int) -> dict[str, Any]:
    tables: dict[str, dict[str, Any]] = {
        "ve": {"kind": "ve", "sigma_min": low, "sigma_max": high}
        if fourier
        else {"kind": "levels", "sigma_max": high, "sigma_min": low, "count": count},
        "vp": {"kind": "vp"},
        "sub-vp": {"kind": "sub-vp"},
        "discrete": {"kind": "discrete", "schedule": "linear"},
    }
    if sde not in tables:
        raise ValueError(f"sde {sde!r}: expected one of {', '.join(tables)}")
    if fourier and sde != "ve":
        raise ValueError(
            f"sde {sde!r}: this network has Fourier features of log sigma, which belong to the VE SDE"
        )
    return tables[sde]


def _kind(layer: Mapping[str, Tensor] | None) -> str:
    if layer is None:
        return "no weights"
    parts = {name.split(".")[0] for name in layer}
    for part, kind in {
        "W": "fourier",
        "GroupNorm_1": "block",
        "Conv_1": "block",
        "GroupNorm_0": "attention",
        "Conv": "combine",
        "Conv2d_0": "filtered",
        "Conv_0": "resample",
    }.items():
        if part in parts:
            return kind
    return {1: "norm", 2: "linear", 4: "conv"}.get(
        layer["weight"].ndim if "weight" in layer else 0, "unknown"
    )


def _architecture(layers: Mapping[int, Mapping[str, Tensor]]) -> dict[str, Any]:
    """The config's entries that shapes tell."""
    if not layers:
        raise ValueError("checkpoint: no keys all_modules.N.…: not a network of score_sde_pytorch")
    kinds = [_kind(layers.get(i)) for i in range(max(layers) + 1)]
    fourier = kinds[0] == "fourier"
    at = int(fourier)
    if kinds[at : at + 3] != ["linear", "linear", "conv"]:
        raise ValueError(
            f"checkpoint: layers {', '.join(kinds[: at + 3])}, expected two linear ones and a convolution"
        )
    base, channels = layers[at + 2]["weight"].shape[:2]
    at += 3

    def shrinks(i: int) -> bool:  # a BigGAN block that resamples projects its skip although the width stays
        skip = layers.get(i, {}).get("Conv_2.weight")
        return kinds[i] == "resample" or (skip is not None and skip.shape[0] == skip.shape[1])

    multipliers: list[int] = []
    attention: list[int] = []
    blocks, progressive = 0, "none"
    while at < len(kinds):
        count, width = 0, base
        while kinds[at] == "block" and not shrinks(at) and (blocks == 0 or count < blocks):
            width = next(
                layers[at][n].shape[0] for n in ("Conv_1.weight", "GroupNorm_1.weight") if n in layers[at]
            )
            at, count = at + 1, count + 1
            if kinds[at] == "attention":
                at += 1
                if count == 1:
                    attention.append(2 ** len(multipliers))
        if count == 0:
            raise ValueError(f"checkpoint: layer {at} is {kinds[at]}, expected a residual block")
        blocks = blocks or count
        multipliers.append(width // base)
        if not shrinks(at):
            break
        at += 1
        if kinds[at : at + 2] == ["no weights", "combine"]:
            at, progressive = at + 2, "skip"
        elif kinds[at] == "filtered":
            at, progressive = at + 1, "residual"
    images = [
        i for i, kind in enumerate(kinds) if kind == "conv" and layers[i]["weight"].shape[0] == channels
    ]
    linear_skips = any("NIN_0.W" in layer and "NIN_1.W" not in layer for layer in layers.values())
    return {
        "name": "ncsnpp",
        "channels": channels,
        "base": base,
        "multipliers": multipliers,
        "blocks": blocks,
        "attention": attention,
        "block": "ddpm" if linear_skips or "resample" in kinds else "biggan",
        "embedding": "fourier" if fourier else "positional",
        "progressive_input": progressive,
        "progressive_output": "skip" if len(images) > 1 else "none",
    }


def _is_absent(network: nn.Module, name: str) -> bool:
    return name != NO_WEIGHTS and isinstance(network.get_submodule(name), nn.Identity)


def _order(config: Mapping[str, Any]) -> Iterator[str]:
    """Our modules in the order of score_sde's list, attention at every place where there may be one."""
    if config["embedding"] == "fourier":
        yield "embed.features"
    yield "embed.first"
    yield "embed.second"
    yield "enter"
    depth = len(config["multipliers"])
    for i in range(depth):
        if i:
            yield f"down.{i}.resample"
            if config["progressive_input"] == "skip":
                yield NO_WEIGHTS
            if config["progressive_input"] != "none":
                yield f"merge.{i - 1}"
        for j in range(config["blocks"]):
            yield f"down.{i}.stages.{j}.block"
            yield f"down.{i}.stages.{j}.attention"
    yield "middle.0.block"
    yield "middle.0.attention"
    yield "middle.1.block"
    for i in range(depth):
        if i:
            yield f"up.{i}.resample"
        for j in range(config["blocks"] + 1):
            yield f"up.{i}.stages.{j}.block"
            yield f"up.{i}.stages.{j}.attention"
        if config["progressive_output"] == "skip":
            if i:
                yield NO_WEIGHTS
            yield f"leave.{i}.norm"
            yield f"leave.{i}.conv"
    if config["progressive_output"] == "none":
        yield "leave.0.norm"
        yield "leave.0.conv"


def _place(tensors: TensorMap, ours: str, module: nn.Module, theirs: str) -> None:
    if isinstance(module, FourierFeatures):
        tensors.put(f"{ours}.frequencies", f"{theirs}.W")
    elif isinstance(module, ResidualBlock):
        if isinstance(module.skip, nn.Conv2d) and f"{theirs}.NIN_0.W" in tensors.left:
            tensors.put(f"{ours}.skip.weight", f"{theirs}.NIN_0.W", make=_network_in_network)
            tensors.put(f"{ours}.skip.bias", f"{theirs}.NIN_0.b")
            names = {mine: its for mine, its in BLOCK.items() if mine != "skip"}
        else:
            names = BLOCK
        tensors.residual_block(ours, module, theirs, names)
    elif isinstance(module, Attention):
        tensors.layer(f"{ours}.norm", f"{theirs}.GroupNorm_0")
        heads = [f"{theirs}.NIN_{i}" for i in range(3)]
        tensors.put(f"{ours}.qkv.weight", *[f"{name}.W" for name in heads], make=_network_in_network)
        tensors.put(f"{ours}.qkv.bias", *[f"{name}.b" for name in heads], make=lambda *b: torch.cat(b))
        tensors.put(f"{ours}.out.weight", f"{theirs}.NIN_3.W", make=_network_in_network)
        tensors.put(f"{ours}.out.bias", f"{theirs}.NIN_3.b")
    else:  # a linear, convolution or norm layer, alone or inside Combine, Downsample, Upsample
        inner = next(
            (n for n in ("Conv.", "Conv2d_0.", "Conv_0.") if f"{theirs}.{n}weight" in tensors.left), ""
        )
        tensors.layer(ours, f"{theirs}.{inner}".removesuffix("."))


def _network_in_network(*weights: Tensor) -> Tensor:
    """(in, out) each -> (all out, in, 1, 1)."""
    return pixelwise(torch.cat(weights, 1).T)
