"""guided-diffusion's ADM (Dhariwal & Nichol 2021), the network of DDS's AAPM and fastMRI priors, and diffusers'
UNet2DModel, that of DM4CT's: one U-Net, two sets of names. What shapes cannot tell:

    num_heads, num_head_channels   heads a level, or channels a head: 64 in guided diffusion, 8 in diffusers
    use_new_attention_order        rows of qkv: q, k, v first rather than heads first (guided diffusion)
    schedule                       "linear", "cosine", or "flow" for a network of velocities
    towards, labels                of a flow: "image" and 1, or diffusers' "noise" and 1000

Where there is attention is read from the weights. DDS's fastMRI prior asks for it at 16 of 320 pixels, a size the
network never has: only its middle attends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...priors.nets.adm import ADM, ADMConfig
from ...priors.nets.layers import Attention, ResidualBlock
from .mapping import (
    TensorMap,
    has,
    network_of,
    pixelwise,
    reading,
    reorder_heads,
    swap_halves,
    unchanged,
    without_prefix,
)

GUIDED = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "noise": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "skip": "skip_connection",
}
DIFFUSERS = {
    "norm1": "norm1",
    "conv1": "conv1",
    "noise": "time_emb_proj",
    "norm2": "norm2",
    "conv2": "conv2",
    "skip": "conv_shortcut",
}


def unwrap(checkpoint: Any) -> dict[str, Tensor]:
    """The state dict of a checkpoint: itself, or its `model_state` (DM4CT's training script)."""
    return without_prefix(checkpoint.get("model_state", checkpoint), "module.")


def convert(
    state: Mapping[str, Tensor],
    *,
    num_heads: int | None = None,
    num_head_channels: int | None = None,
    use_new_attention_order: bool = False,
    schedule: str = "linear",
    towards: str | None = None,
    labels: float | None = None,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """(network table with its noise law, weights). Raises ValueError for keys missing or unknown, heads that do not
    divide the channels, and class-conditional networks."""
    if any(name.startswith(("label_emb.", "class_embedding.")) for name in state):
        raise ValueError(
            "checkpoint: a class-conditional network; only unconditional ones are priors of images"
        )
    guided = not has(state, "down_blocks.")
    family = "guided diffusion" if guided else "diffusers"
    with reading(family):
        config = _guided(state) if guided else _diffusers(state)
    if num_heads is not None:
        config["heads"] = num_heads
    config["head_channels"] = num_head_channels or (64 if guided else 8)
    config["noise"] = {"kind": "discrete", "schedule": schedule}
    if schedule == "flow":
        usual = ("image", 1.0) if guided else ("noise", 1000.0)
        config["noise"] = {"kind": "flow", "towards": towards or usual[0], "labels": labels or usual[1]}
    elif towards is not None or labels is not None:
        raise ValueError(
            f"checkpoint: towards and labels belong to a flow, the schedule is {schedule!r}; leave them out"
        )

    with reading(family):
        network = cast(ADM, network_of(config))
    tensors = TensorMap(state)
    for ours, theirs in _guided_names(network) if guided else _diffusers_names(network.config):
        module = network.get_submodule(ours)
        if isinstance(module, ResidualBlock):
            tensors.residual_block(ours, module, theirs, GUIDED if guided else DIFFUSERS)
        elif isinstance(module, Attention) and guided:
            reorder = reorder_heads(module.heads, "3hd" if use_new_attention_order else "h3d")
            tensors.layer(f"{ours}.norm", f"{theirs}.norm")
            tensors.put(
                f"{ours}.qkv.weight", f"{theirs}.qkv.weight", make=lambda w, r=reorder: r(pixelwise(w))
            )
            tensors.put(f"{ours}.qkv.bias", f"{theirs}.qkv.bias", make=reorder)
            tensors.layer(f"{ours}.out", f"{theirs}.proj_out", make=pixelwise)
        elif isinstance(module, Attention):
            heads = [f"{theirs}.to_{part}" for part in "qkv"]
            tensors.layer(f"{ours}.norm", f"{theirs}.group_norm")
            tensors.put(
                f"{ours}.qkv.weight", *[f"{h}.weight" for h in heads], make=lambda *w: pixelwise(torch.cat(w))
            )
            tensors.put(f"{ours}.qkv.bias", *[f"{h}.bias" for h in heads], make=lambda *b: torch.cat(b))
            tensors.layer(f"{ours}.out", f"{theirs}.to_out.0", make=pixelwise)
        elif not isinstance(module, nn.Identity):
            tensors.layer(ours, theirs, make=swap_halves if ours == "embed.first" else unchanged)
    return config, tensors.onto(network)


def _config(widths: list[int], base: int, enter: Tensor, out: Tensor, **entries: Any) -> dict[str, Any]:
    channels = enter.shape[1]
    multipliers = [width // base if width % base == 0 else width / base for width in widths]
    learns = out.shape[0] == 2 * channels
    return {
        "name": "adm",
        "channels": channels,
        "base": base,
        "multipliers": multipliers,
        "learn_sigma": learns,
    } | entries


def _guided(state: Mapping[str, Tensor]) -> dict[str, Any]:
    count = 1 + max((int(n.split(".")[1]) for n in state if n.startswith("input_blocks.")), default=0)

    def grows(
        block: int,
    ) -> list[str]:  # what may end a level of the decoder: a second block, or a convolution
        tails = [f"output_blocks.{block}.{i}.{end}." for i in (1, 2) for end in ("in_layers", "conv")]
        return [name for name in tails if has(state, name)]

    blocks = next((i for i in range(count) if grows(i)), count - 1)
    levels = count // (blocks + 1)
    first = [f"input_blocks.{1 + level * (blocks + 1)}" for level in range(levels)]
    widths = [state[f"{name}.0.out_layers.3.weight"].shape[0] for name in first]
    growth = grows(blocks)
    return _config(
        widths,
        state["time_embed.0.weight"].shape[1],
        state["input_blocks.0.0.weight"],
        state["out.2.weight"],
        blocks=blocks,
        attention=[2**level for level, name in enumerate(first) if has(state, f"{name}.1.")],
        scale_shift=state[f"{first[0]}.0.emb_layers.1.weight"].shape[0] == 2 * widths[0],
        block_resampling=not growth or "in_layers" in growth[0],
    )


def _diffusers(state: Mapping[str, Tensor]) -> dict[str, Any]:
    levels = 1 + max((int(n.split(".")[1]) for n in state if n.startswith("down_blocks.")), default=-1)
    widths = [state[f"down_blocks.{level}.resnets.0.conv2.weight"].shape[0] for level in range(levels)]
    blocks = sum(has(state, f"down_blocks.0.resnets.{j}.") for j in range(20))
    return _config(
        widths,
        state["conv_in.weight"].shape[0],
        state["conv_in.weight"],
        state["conv_out.weight"],
        blocks=blocks,
        attention=[2**i for i in range(levels) if has(state, f"down_blocks.{i}.attentions.")],
        scale_shift=state["down_blocks.0.resnets.0.time_emb_proj.weight"].shape[0] == 2 * widths[0],
        block_resampling=False,
    )


def _guided_names(network: ADM) -> Iterator[tuple[str, str]]:
    """(our module, its name). Modules are numbered through: one more for each residual block or resampling."""
    config = network.config
    depth = len(config.multipliers)
    yield "embed.first", "time_embed.0"
    yield "embed.second", "time_embed.2"
    yield "enter", "input_blocks.0.0"
    n = 1
    for i in range(depth):
        if i:
            yield f"down.{i}.resample", f"input_blocks.{n}.0{'' if config.block_resampling else '.op'}"
            n += 1
        for j in range(config.blocks):
            yield f"down.{i}.stages.{j}.block", f"input_blocks.{n}.0"
            yield f"down.{i}.stages.{j}.attention", f"input_blocks.{n}.1"
            n += 1
    yield "middle.0.block", "middle_block.0"
    yield "middle.0.attention", "middle_block.1"
    yield "middle.1.block", "middle_block.2"
    n = 0
    for i in range(depth):
        if i:  # growth ends the level before
            before = network.get_submodule(f"up.{i - 1}.stages.0.attention")
            place = 2 if isinstance(before, Attention) else 1
            yield (
                f"up.{i}.resample",
                f"output_blocks.{n - 1}.{place}{'' if config.block_resampling else '.conv'}",
            )
        for j in range(config.blocks + 1):
            yield f"up.{i}.stages.{j}.block", f"output_blocks.{n}.0"
            yield f"up.{i}.stages.{j}.attention", f"output_blocks.{n}.1"
            n += 1
    yield "leave.norm", "out.0"
    yield "leave.conv", "out.2"


def _diffusers_names(config: ADMConfig) -> Iterator[tuple[str, str]]:
    yield "embed.first", "time_embedding.linear_1"
    yield "embed.second", "time_embedding.linear_2"
    yield "enter", "conv_in"
    for side, blocks in (("down", config.blocks), ("up", config.blocks + 1)):
        for i in range(len(config.multipliers)):
            if i:  # it ends the level before
                yield f"{side}.{i}.resample", f"{side}_blocks.{i - 1}.{side}samplers.0.conv"
            for j in range(blocks):
                yield f"{side}.{i}.stages.{j}.block", f"{side}_blocks.{i}.resnets.{j}"
                yield f"{side}.{i}.stages.{j}.attention", f"{side}_blocks.{i}.attentions.{j}"
    yield "middle.0.block", "mid_block.resnets.0"
    yield "middle.0.attention", "mid_block.attentions.0"
    yield "middle.1.block", "mid_block.resnets.1"
    yield "leave.norm", "conv_norm_out"
    yield "leave.conv", "conv_out"
