"""How uncertain the denoised image is, pixel by pixel, from the noise that a sampler adds anyway.

The covariance of x0 given x = u + s z is s² dD/dx (Tweedie's second moment; Meng et al. 2021, Boys et al. 2024). z is
independent of u, so that by Stein's lemma

    E_z[z (D(u + s z, s) - u)] / s = diag E_z[dD/dx]:

the noise times the network's answer is an unbiased estimate that costs no evaluation. It is averaged over a window of
pixels and over the levels:

    v <- keep v + (1 - keep) window[z (D - u)] / s,        clamped to [floor, 1].

Its square root stands between an isotropic covariance and the diagonal of Tweedie's: where the network is wrong, its
own covariance is too small as well (docs/lab/2026-11-27-dds-settings.md).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

# Found for DDS on validation slices: docs/lab/2026-11-27-dds-settings.md, "A map of uncertainty"
WINDOW, KEEP, FLOOR = 7, 0.8, 0.02


class SteinDiagonal:
    """The running estimate of the root of diag dD/dx; per item, images (B, H, W) or (B, C, H, W), real or complex."""

    def __init__(self) -> None:
        self.v: Tensor | None = None

    def __call__(self, D: Tensor, u: Tensor, z: Tensor, s: Tensor | float) -> Tensor:
        """For D = D(u + s z, s), s a number or (B, 1, ..., 1): a real map like u, within [sqrt(FLOOR), 1]."""
        answer = D - u
        product = (  # of complex images: the mean of real and imaginary part
            (z.real * answer.real + z.imag * answer.imag) / 2 if u.is_complex() else z * answer
        )
        w = window_mean(product) / s
        self.v = w if self.v is None else KEEP * self.v + (1 - KEEP) * w
        return self.v.clamp(FLOOR, 1).sqrt()


def window_mean(x: Tensor, window: int = WINDOW) -> Tensor:
    """The mean of the pixels of x (B, ..., H, W) in a window around each; of fewer at the border."""
    for kernel in ((1, window), (window, 1)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        x = F.avg_pool2d(x, kernel, stride=1, padding=padding, count_include_pad=False)
    return x
