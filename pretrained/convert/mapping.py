"""A checkpoint's tensors onto a network's: every one used, found and of the right shape, or an error that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...priors.nets.build import build
from ...priors.nets.layers import ResidualBlock

SHOWN = 6  # names in an error message


@contextmanager
def reading(family: str) -> Iterator[None]:
    """Around the reading of an architecture: what is missing or out of shape becomes a ValueError that says so."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"checkpoint: missing {error}: not a network of {family}") from error
    except (IndexError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"checkpoint: tensors of unexpected shape: not a network of {family}") from error


def has(state: Mapping[str, Tensor], prefix: str) -> bool:
    """Whether any name begins so."""
    return any(name.startswith(prefix) for name in state)


def unchanged(tensor: Tensor) -> Tensor:
    return tensor


class TensorMap:
    """Takes tensors out of a checkpoint's state dict by name and puts them under the network's names."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.left = dict(state)
        self.weights: dict[str, Tensor] = {}
        self.missing: list[str] = []

    def put(self, ours: str, *theirs: str, make: Callable[..., Tensor] = unchanged) -> None:
        """weights[ours] = make(*the tensors named theirs)."""
        if missing := [name for name in theirs if name not in self.left]:
            self.missing += missing
            for name in theirs:
                self.left.pop(name, None)
            return
        tensors = [self.left.pop(name).float() for name in theirs]
        try:
            self.weights[ours] = make(*tensors).contiguous()
        except (RuntimeError, IndexError) as error:
            shapes = ", ".join(f"{n} {tuple(t.shape)}" for n, t in zip(theirs, tensors, strict=True))
            raise ValueError(f"checkpoint: unexpected shapes: {shapes}") from error

    def layer(self, ours: str, theirs: str, make: Callable[..., Tensor] = unchanged) -> None:
        """The weight and bias of a layer; `make` reshapes the weight."""
        self.put(f"{ours}.weight", f"{theirs}.weight", make=make)
        self.put(f"{ours}.bias", f"{theirs}.bias")

    def residual_block(self, ours: str, block: ResidualBlock, theirs: str, names: Mapping[str, str]) -> None:
        """A block whose layers norm1, conv1, noise, norm2, conv2, skip are called `names` in the checkpoint."""
        for mine, its in names.items():
            if mine != "skip" or isinstance(block.skip, nn.Conv2d):
                self.layer(f"{ours}.{mine}", f"{theirs}.{its}")

    def drop(self, *theirs: str) -> None:
        """Names that carry nothing the network needs."""
        for name in theirs:
            self.left.pop(name, None)

    def onto(self, network: nn.Module) -> dict[str, Tensor]:
        """The network's state dict. Raises ValueError naming missing and unknown keys and wrong shapes."""
        expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
        faults = []
        if self.missing:
            faults.append(f"missing: {_some(self.missing)}")
        if self.left:
            faults.append(f"unknown: {_some(list(self.left))}")
        wrong = [
            f"{name} {tuple(tensor.shape)}, expected {tuple(expected[name])}"
            for name, tensor in self.weights.items()
            if name in expected and tensor.shape != expected[name]
        ]
        if wrong:
            faults.append(f"wrong shape: {_some(wrong)}")
        if not faults and set(self.weights) != set(expected):
            faults.append(f"no source for: {_some(sorted(set(self.weights) ^ set(expected)))}")
        if faults:
            raise ValueError(
                f"checkpoint does not fit the network read from its shapes ({'; '.join(faults)}); "
                "wrong kind of checkpoint, or an architecture that is not among those supported"
            )
        return self.weights


def _some(names: list[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """`state` with `prefix` taken off the names that have it (module. of DataParallel, model. of a wrapper)."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items()}


def swap_halves(weight: Tensor) -> Tensor:
    """Columns (cosines, sines) -> (sines, cosines): the first layer after an embedding."""
    return torch.cat(weight.chunk(2, 1)[::-1], 1)


def pixelwise(weight: Tensor) -> Tensor:
    """(out, in) or (out, in, 1) -> (out, in, 1, 1): a layer on each pixel as a 1x1 convolution."""
    return weight.reshape(*weight.shape[:2], 1, 1)


def reorder_heads(heads: int, order: str) -> Callable[[Tensor], Tensor]:
    """Rows of a qkv layer, (3 C, ...) -> our order (q, k, v) x heads x channels. `order` says theirs: "3hd", "h3d"
    (heads first: guided diffusion's legacy order) or "hd3" (EDM)."""
    axes = {"3hd": (0, 1, 2), "h3d": (1, 0, 2), "hd3": (2, 0, 1)}[order]

    def reorder(rows: Tensor) -> Tensor:
        sizes = {"3": 3, "h": heads, "d": rows.shape[0] // (3 * heads)}
        rest = tuple(range(3, 2 + rows.ndim))
        return (
            rows.reshape(*(sizes[axis] for axis in order), *rows.shape[1:])
            .permute(*axes, *rest)
            .flatten(0, 2)
        )

    return reorder


def network_of(config: Mapping[str, Any]) -> nn.Module:
    """The network of a card's table, without memory for its weights."""
    with torch.device("meta"):
        return build({key: value for key, value in config.items() if key != "noise"})
