"""Priors whose denoiser is known exactly: a Gaussian and a mixture of Gaussians. The known answers behind the tests of
every sampler, posterior method and likelihood; also a sanity check for users' operators.

Gaussian N(m, S) on flattened images:   D(x, sigma) = m + S (S + sigma² I)^-1 (x - m)
Mixture of isotropic N(m_k, s_k²):      D = sum_k r_k(x) (s_k² x + sigma² m_k) / (s_k² + sigma²),
                                        r_k ~ w_k N(x; m_k, s_k² + sigma²).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .intensity import Intensity
from .score import per_item


class GaussianPrior:
    """N(mean, covariance) over images (C, H, W).

    Args:
        mean: (C, H, W).
        covariance: (n, n), n = C H W; symmetric positive semi-definite.
    """

    intensity: Intensity | None = None

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        n = mean.numel()
        if covariance.shape != (n, n):
            raise ValueError(
                f"got a covariance of shape {tuple(covariance.shape)} for images of {n} numbers; expected {n, n}"
            )
        self.mean, self.covariance, self.channels = mean, covariance, mean.shape[0]
        self.eigenvalues, self.basis = torch.linalg.eigh(covariance.double())

    def __repr__(self) -> str:
        return f"GaussianPrior(images of {tuple(self.mean.shape)})"

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x0 | x0 + sigma z = x]: (B, C, H, W)."""
        variance = per_item(sigma, x).double().flatten(1) ** 2  # (B, 1)
        deviation = (x - self.mean).flatten(1).double() @ self.basis
        gain = self.eigenvalues / (self.eigenvalues + variance)
        return self.mean + ((gain * deviation) @ self.basis.T).to(x.dtype).view_as(x)

    def posterior(self, A: Tensor, y: Tensor, variance: float) -> tuple[Tensor, Tensor]:
        """Mean (B, n) and covariance (n, n) of x given y = A x + N(0, variance): A (m, n), y (B, m), real."""
        S, A, y = self.covariance.double(), A.double(), y.double()
        gain = torch.linalg.solve(A @ S @ A.T + variance * torch.eye(len(A)), A @ S).T  # (n, m)
        m = self.mean.flatten().double()
        return m + (y - m @ A.T) @ gain.T, S - gain @ A @ S


class MixturePrior:
    """Mixture of isotropic Gaussians over images (C, H, W): weights (K,), means (K, C, H, W), stds (K,)."""

    intensity: Intensity | None = None

    def __init__(self, weights: Tensor, means: Tensor, stds: Tensor) -> None:
        self.weights, self.means, self.stds = weights / weights.sum(), means, stds
        self.channels = means.shape[1]

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x0 | x0 + sigma z = x]: (B, C, H, W)."""
        noise = per_item(sigma, x).double().flatten(1) ** 2  # (B, 1)
        flat, means = x.flatten(1).double(), self.means.flatten(1).double()  # (B, n), (K, n)
        own = self.stds.double() ** 2  # (K,)
        total = own + noise  # (B, K)
        distance = ((flat[:, None] - means) ** 2).sum(2)  # (B, K)
        log = self.weights.double().log() - 0.5 * distance / total - 0.5 * flat.shape[1] * total.log()
        r = torch.softmax(log, 1)
        mean = (r * own / total).sum(1, keepdim=True) * flat + noise * ((r / total) @ means)
        return mean.to(x.dtype).view_as(x)
