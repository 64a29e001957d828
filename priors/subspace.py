"""At high noise an image is its coarse image (Jing, Corso, Berlinghieri & Jaakkola 2022, Subspace Diffusion).

Means over f x f pixels of x + sigma z are the coarse image with noise sigma / f, and what they leave out, the detail,
drowns: above a level of some times its strength a denoiser cannot tell it from its mean. There

    D(x, sigma) = up(D_coarse(mean_f x, sigma / f))

loses next to nothing, costs 1 / f² of the fine network, and is learned f² times as fast from whole images: it is where
the plan of a body is drawn, which crops do not show. The fine network keeps to the levels where its detail is. A coarse
prior may have a coarser one in turn; its level is one of its own images' noise, sigma / f.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .crops import Images
from .intensity import Intensity
from .score import NetworkPrior, pad_to_multiple
from .settings import check_coarse


class SubspacePrior(NetworkPrior):
    """A `NetworkPrior` whose levels above `above` are left to `coarse`, a prior of the images' means over `factor` x
    `factor` pixels.

    Raises:
        ValueError: a factor below 2, or no level above zero.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        sigma_data: float,
        intensity: Intensity | None,
        *,
        coarse: NetworkPrior,
        factor: int,
        above: float,
    ) -> None:
        check_coarse("a coarse prior", factor, above)
        super().__init__(network, channels, sigma_data, intensity)
        self.coarse, self.factor, self.above = coarse, factor, above

    def denoise(self, x: Tensor, sigma: Tensor | float, position: Tensor | None = None) -> Tensor:
        """D(x, sigma), float32, of whole images; crops, which come with their `position`, are the fine network's."""
        fine = super().denoise
        if position is not None:
            return fine(x, sigma, position)
        return by_level(x, sigma, self.above, fine, self.denoise_coarse)

    def denoise_coarse(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """up(D_coarse(mean_f x, sigma / f)), (B, C, H, W)."""
        small, (height, width) = pad_to_multiple(x, self.factor)
        small = self.coarse.denoise(F.avg_pool2d(small, self.factor), sigma / self.factor)
        up = F.interpolate(small, scale_factor=float(self.factor), mode="bicubic", align_corners=False)
        return up[..., :height, :width]


Denoiser = Callable[[Tensor, Tensor | float], Tensor]


def by_level(x: Tensor, sigma: Tensor | float, above: float, low: Denoiser, high: Denoiser) -> Tensor:
    """Each item of a batch by the denoiser of its level: (B, C, H, W), sigma a number or (B,)."""
    level = torch.as_tensor(sigma)
    is_high = level > above
    if not is_high.any():
        return low(x, sigma)
    if is_high.all():
        return high(x, sigma)
    out, here = torch.empty_like(x), is_high.to(x.device)
    out[here] = high(x[here], level[is_high])
    out[~here] = low(x[~here], level[~is_high])
    return out


def averaged(images: Images, factor: int) -> Images:
    """Images as their means over factor x factor pixels, for training; at the edge what is missing is repeated."""
    return images if factor == 1 else _Averaged(images, factor)


@dataclass(frozen=True)
class _Averaged:
    images: Images
    factor: int

    @property
    def parts(self) -> np.ndarray:
        """Rows and columns of images that are parts of larger ones (crops.py)."""
        return getattr(self.images, "parts", np.zeros((len(self), 2), int)) // self.factor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> np.ndarray:
        image, f = np.asarray(self.images[index]), self.factor
        missing = [(0, 0)] * (image.ndim - 2) + [(0, -n % f) for n in image.shape[-2:]]
        image = np.pad(image, missing, mode="edge")
        height, width = image.shape[-2:]
        return image.reshape(*image.shape[:-2], height // f, f, width // f, f).mean((-3, -1))
