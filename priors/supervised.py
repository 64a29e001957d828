"""A supervised network: from the first reconstruction of one kind of measurement to the image,

    x = x_0 + F(x_0),        x_0: filtered backprojection or zero-filled, in network units,

F a network of nets/ whose noise label is constant (FBPConvNet: Jin et al., IEEE Trans. Image Process. 26, 4509, 2017).
It learns from pairs (x_0, image) by the mean absolute error, which blurs less than the squared one. What it has learned
belongs to the measurement of its training, which its card names; a prior belongs to none.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .intensity import Intensity
from .score import item_by_item


class SupervisedNetwork(nn.Module):
    """x_0 (B, C, H, W) -> x (B, C, H, W), both in network units, float32.

    Args:
        network: F, (B, C, H, W), (B,) -> (B, C, H, W); any H, W.
        channels: C, 1 real or 2 (real and imaginary part).
        intensity: the map from physical units.
    """

    def __init__(self, network: nn.Module, channels: int, intensity: Intensity) -> None:
        super().__init__()
        self.network, self.channels, self.intensity = network, channels, intensity

    def forward(self, x: Tensor) -> Tensor:
        dtype = next(self.network.parameters()).dtype
        label = torch.zeros(len(x), device=x.device)
        return x + item_by_item(self.network, x.to(dtype), label)[:, : self.channels].float()

    def __repr__(self) -> str:
        weights, network = sum(p.numel() for p in self.parameters()), type(self.network).__name__
        return (
            f"SupervisedNetwork({network} of {weights / 1e6:.3g} M weights, channels={self.channels}, "
            f"intensity={self.intensity})"
        )


def supervised_loss(model: nn.Module, pairs: Tensor, _: torch.Generator | None = None) -> Tensor:
    """The error of each item, (B,), a mean over its numbers.

    Args:
        pairs: (B, 2 C, H, W), the first reconstruction's channels before the image's.
    """
    first, image = pairs.chunk(2, 1)
    return (model(first) - image).abs().mean((1, 2, 3))
