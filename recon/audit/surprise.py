"""Is an image of the kind that the prior knows? Its denoising error over the one that the denoiser expects.

For x of the prior, white noise z and the exact denoiser D (Tweedie's second moment, as in posterior/covariance.py),

    E |D(x + s z, s) - x|²  =  s² E tr dD/dx  =  s E z·(D(x + s z, s) - x),

so that the ratio of the two sides is 1 at any level s, whatever the image's size, brightness and detail. It rises where
x is none of the prior's images: the error is then larger than the network believes. Samples of the true posterior have,
over many scans, the prior's law, and the ratio 1; a smooth image, as a posterior mean, has less.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...operators.solve import inner
from ...priors.sampling.loop import ItemNoise
from ..posterior.posed import Posed

LEVELS = (0.05, 0.2, 0.8)  # in the prior's units: texture, organs, anatomy


@torch.no_grad()
def surprise(posed: Posed, x: Tensor) -> Tensor:
    """The ratio of images (B, H, W) in the prior's units at each of LEVELS: (B, levels). One evaluation a level, with
    the same noise for each item of the batch."""
    noise, found = ItemNoise([0] * len(x)), []
    for s in LEVELS:
        z = noise.like(x)
        error = posed.denoise(x + s * z, s) - x
        believed = s * inner(z, error)
        least = 1e-4 * s**2 * x[0].numel()  # one probe of the trace may be below it where nothing is denoised
        found.append((inner(error, error) / believed.clamp_min(least)).flatten())
    return torch.stack(found, 1).cpu()
