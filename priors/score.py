"""A network becomes a denoiser and a score here, and nowhere else.

A `Prior` is what the samplers see. It answers one question, the posterior mean of a clean image under white noise,

    D(x, sigma) = E[x_0 | x_0 + sigma z = x]                                        (Tweedie)

and from it, under any law of noise x_t = alpha x_0 + sigma z,

    score(x_t) = (alpha D(x_t / alpha, sigma / alpha) - x_t) / sigma².

Images are (B, C, H, W) float32 in network units: C = 1 real, C = 2 real and imaginary part, C > 2 a picture in
colour. `intensity` owns the map between physical units (1/mm, HU, the units of k-space) and the network's range.
"""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .intensity import Intensity
from .precision import dtype_name, fast_dtype
from .sde import SDE


class Prior(Protocol):
    """What images look like: a denoiser at every noise level. Knows no operator."""

    channels: int
    intensity: Intensity | None

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """D(x, sigma): (B, C, H, W), sigma a number or (B,) -> (B, C, H, W)."""
        ...


def per_item(value: Tensor | float, x: Tensor) -> Tensor:
    """A number or (B,) as a tensor that broadcasts over x (B, ...)."""
    value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    return value.expand(x.shape[0]).view(-1, *[1] * (x.ndim - 1))


def score(prior: Prior, x: Tensor, t: Tensor | float, sde: SDE) -> Tensor:
    """The score of p_t at x under `sde`: grad log p_t(x), (B, C, H, W); t a number or (B,)."""
    t = per_item(t, x)
    alpha, sigma = sde.alpha(t), sde.sigma(t)
    mean = prior.denoise(x / alpha, (sigma / alpha).flatten())
    return (alpha * mean - x) / sigma**2


class NetworkPrior(nn.Module):
    """A network F with the preconditioning of Karras et al. 2022 (Table 1):

        D(x, sigma) = c_skip x + c_out F(c_in x, ¼ log sigma),
        c_skip = s² / (sigma² + s²),  c_out = sigma s / sqrt(sigma² + s²),  c_in = 1 / sqrt(sigma² + s²),

    with s = sigma_data.

    Args:
        network: (B, C, H, W), (B,) -> (B, C, H, W); any H, W (pads to its stride itself).
        channels: C.
        sigma_data: standard deviation of the data in network units.
        intensity: the map from physical units; None where images are in network units already.
    """

    def __init__(
        self, network: nn.Module, channels: int, sigma_data: float, intensity: Intensity | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.sigma_data = sigma_data
        self.intensity = intensity

    def forward(self, x: Tensor, sigma: Tensor | float, position: Tensor | None = None) -> Tensor:
        return self.denoise(x, sigma, position)

    def denoise(self, x: Tensor, sigma: Tensor | float, position: Tensor | None = None) -> Tensor:
        """D(x, sigma), float32. Crops for a network that asks where it is come with their `position` (B, 2, H, W)
        (`nets.unet.whole_image`). Raises ValueError for a wrong number of channels."""
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(
                f"this prior has {self.channels} channel(s): got an image batch of shape {tuple(x.shape)}, "
                f"expected (batch, {self.channels}, height, width)"
            )
        c_skip, c_out, c_in, label = self.scaling(per_item(sigma, x).flatten())
        where = () if position is None else (position,)
        out = item_by_item(self.network, (per_item(c_in, x) * x).to(self.dtype), label, *where)
        out = out[:, : self.channels].float()
        return per_item(c_skip, x) * x + per_item(c_out, x) * out

    def scaling(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """c_skip, c_out, c_in and the network's noise label at levels (B,)."""
        s = self.sigma_data
        total = torch.sqrt(sigma**2 + s**2)
        return (s / total) ** 2, sigma * s / total, 1 / total, 0.25 * torch.log(sigma.clamp_min(1e-8))

    def for_inference(
        self, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
    ) -> NetworkPrior:
        """This prior on `device`, channels last, frozen, in eval mode; in `dtype`, or the one that is fast there."""
        self.to(device=device, dtype=dtype or fast_dtype(device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self.requires_grad_(False).eval()

    def __repr__(self) -> str:
        """Not the network's thousand layers: their kind and number of weights."""
        weights, network = sum(p.numel() for p in self.parameters()), type(self.network).__name__
        return (
            f"{type(self).__name__}({network} of {weights / 1e6:.3g} M weights in {dtype_name(self.dtype)}, "
            f"channels={self.channels}, sigma_data={self.sigma_data:.4g}, intensity={self.intensity})"
        )

    @property
    def dtype(self) -> torch.dtype:
        """The type the network computes in."""
        return next((p.dtype for p in self.network.parameters()), torch.float32)


def item_by_item(network: nn.Module, *inputs: Tensor) -> Tensor:
    """network(*inputs), (B, ...), on CPUs one item after the other, but for training: their kernels, and with them the
    rounding, are chosen by the size of a batch, and an image would depend on its batch mates (bfloat16: by 8 HU after
    one evaluation). As fast as a batch, where an image has enough pixels for all threads."""
    count = len(inputs[0])
    if inputs[0].device.type != "cpu" or network.training or count == 1:
        return network(*inputs)
    return torch.cat([network(*(part[i : i + 1] for part in inputs)) for i in range(count)])


def to_channels(image: Tensor, channels: int) -> Tensor:
    """(B, H, W), real or complex -> (B, C, H, W). A real image becomes complex for C = 2; ValueError the other way.
    Images of more channels are (B, C, H, W) everywhere."""
    if channels > 2:
        return image
    if channels == 1:
        if image.is_complex():
            raise ValueError(
                "got complex images for a prior of real images; use a prior with two channels (MRI)"
            )
        return image[:, None]
    parts = torch.view_as_real(image if image.is_complex() else image.to(torch.complex64))
    return parts.movedim(-1, 1)


def from_channels(x: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, H, W) real; (B, 2, H, W) -> (B, H, W) complex; more channels as they are."""
    if x.shape[1] > 2:
        return x
    if x.shape[1] == 1:
        return x[:, 0]
    return torch.complex(x[:, 0], x[:, 1])


def split_position(x: Tensor, channels: int) -> tuple[Tensor, Tensor | None]:
    """(B, C + 2, H, W), or (B, C, H, W), of training crops -> the images and where they lie, or None."""
    return x[:, :channels], x[:, channels:] if x.shape[1] > channels else None


def pad_to_multiple(x: Tensor, multiple: int) -> tuple[Tensor, tuple[int, int]]:
    """Replicate the lower and right border so that H and W are multiples; returns the original (H, W) too."""
    height, width = x.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if bottom or right:
        x = F.pad(x, (0, right, 0, bottom), mode="replicate")
    return x, (height, width)
