"""Does a reconstruction fit the data as an answer should? The chi-squared of the whitened residual.

    r = W^½ (A x - y),        W = 1 / (variance of the noise + of the model error)           (recon/weights.py)

x and the truth have the same law given y where x is a sample of the true posterior, so that its residual is white noise
of unit variance: |r|² over the m measured numbers is 1 ± sqrt(2 / m) (of complex numbers ± sqrt(1 / m)), and so is that
of each view or line. The mean of S samples lies closer, by what the samples differ within the data:

    E |r_mean|² = m - (1 - 1/S) tr(A V A^H W),    V the samples' covariance.

The map is |A^H W^½ r|² in a window around each pixel, over what white noise in the place of r gives: 1 where the data
are explained everywhere alike, large where something lies in their way that the image does not show.

Data that are stated to be noise-free have no noise to compare with: W is the model error alone, four ten thousandths of
the data's rms, and 1 means that much.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...operators.solve import item_sum
from ...priors.sampling.loop import ItemNoise
from ..posterior.covariance import window_mean
from ..problem import Problem
from ..weights import inverse_variance, measured

WINDOW = 15  # pixels of the map's window
DRAWS = 4  # of white noise that the map is compared with


@dataclass(frozen=True)
class Fit:
    """Chi-squared for a measured number; B slices.

    Attributes:
        samples: of a sample, the mean over them, (B,); 1 is expected.
        mean: of the samples' mean, (B,).
        expected: what is expected of it, (B,).
        parts: of a sample by view (CT) or column of k-space (MRI), (B, P); NaN where nothing was measured.
        map: over the image, (B, H, W); 1 is expected.
    """

    samples: Tensor
    mean: Tensor
    expected: Tensor
    parts: Tensor
    map: Tensor


@torch.no_grad()
def fit(problem: Problem, samples: Tensor) -> Fit:
    """The fit of samples.

    Args:
        problem: B slices.
        samples: (B, S, H, W) in the units of the scan.
    """
    own = problem.in_own_unit()
    samples = samples.to(own.y.device) / own.unit
    known = measured(own)
    root = known * inverse_variance(own).sqrt()
    count = item_sum(known.float()).flatten()
    S = samples.shape[1]
    mean = root * (own.operator(samples.mean(1)) - own.y)
    total, spread, power = torch.zeros_like(own.y.real), torch.zeros_like(count), torch.zeros(())
    for x in samples.unbind(1):
        r = root * (own.operator(x) - own.y)
        total = total + r.abs().square() / S
        spread = spread + _energy(r - mean) / S  # (1 - 1/S) tr(A V A^H W)
        power = power + own.operator.adjoint(root * r).abs().square() / S
    sums, numbers = _by_part(total), _by_part(known.float())
    return Fit(
        samples=(sums.sum(1) / count).cpu(),
        mean=(_energy(mean) / count).cpu(),
        expected=(1 - spread / count).cpu(),
        parts=torch.where(numbers > 0, sums / numbers.clamp_min(1), torch.nan).cpu(),
        map=_over_noise(own, root, power).cpu(),
    )


def _over_noise(problem: Problem, root: Tensor, power: Tensor) -> Tensor:
    """The map: the power of the back-projected residual over that of white noise."""
    source = ItemNoise([0] * len(problem.y))
    scale = 0.5**0.5 if problem.y.is_complex() else 1.0
    draws = [problem.operator.adjoint(root * scale * source.like(problem.y)) for _ in range(DRAWS)]
    expected = window_mean(torch.stack(draws).abs().square().mean(0), WINDOW)
    least = 1e-3 * expected.amax((-2, -1), keepdim=True)  # beyond what any coil or ray sees
    return window_mean(power, WINDOW) / expected.clamp_min(least)


def _energy(r: Tensor) -> Tensor:
    return item_sum(r.abs().square()).flatten()


def _by_part(values: Tensor) -> Tensor:
    """Sums of views (B, views, detectors) or of columns of k-space (B, coils, ky, kx): (B, P)."""
    if values.ndim == 4:
        return values.sum((1, 2), dtype=torch.float64).float()
    return values.flatten(2).sum(2, dtype=torch.float64).float()
