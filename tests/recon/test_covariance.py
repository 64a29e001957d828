"""The uncertainty map of the denoised image: Stein's lemma against the derivative of a Gaussian prior's denoiser."""

from __future__ import annotations

import pytest
import torch
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.score import from_channels, to_channels
from scanprior.recon.posterior import covariance
from scanprior.recon.posterior.covariance import FLOOR, SteinDiagonal
from torch import Tensor

SIDE, ITEMS, SIGMA = 12, 4000, 0.7


def left_and_right(channels: int) -> tuple[GaussianPrior, float, float]:
    """A prior that knows the left half well and the right half badly, and dD/dx of both halves at SIGMA."""
    std = torch.full((channels, SIDE, SIDE), 0.2)
    std[..., SIDE // 2 :] = 1.5
    exact = [float(s**2 / (s**2 + SIGMA**2)) for s in (std[0, 0, 0], std[0, 0, -1])]
    return GaussianPrior(torch.full_like(std, 0.3), torch.diag(std.flatten() ** 2)), exact[0], exact[1]


def random(seed: int, dtype: torch.dtype) -> Tensor:
    z = torch.randn(ITEMS, SIDE, SIDE, 2, generator=torch.Generator().manual_seed(seed))
    return torch.view_as_complex(z) if dtype.is_complex else z[..., 0].clone()


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_noise_times_answer_is_the_diagonal_of_the_derivative(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covariance, "FLOOR", 0.0)
    channels = 2 if dtype.is_complex else 1
    prior, left, right = left_and_right(channels)
    u, z = 0.5 * random(1, dtype), random(2, dtype)
    D = from_channels(prior.denoise(to_channels(u + SIGMA * z, channels), SIGMA))
    diagonal = SteinDiagonal()
    diagonal(D, u, z, SIGMA)
    assert diagonal.v is not None
    mean = diagonal.v.mean(0)[3:-3]  # over items; whole windows
    for column, want in ((2, left), (-3, right)):
        assert float((mean[:, column] - want).abs().max()) < 0.02


def test_the_map_is_bounded_follows_the_levels_and_belongs_to_its_item() -> None:
    prior, left, right = left_and_right(1)
    u = 0.5 * random(1, torch.float32)
    noises = [random(seed, torch.float32) for seed in range(2, 42)]

    def maps(chosen: slice) -> Tensor:
        diagonal, out = SteinDiagonal(), u[chosen]
        for z in noises:
            D = from_channels(prior.denoise(to_channels((u + SIGMA * z)[chosen], 1), SIGMA))
            out = diagonal(D, u[chosen], z[chosen], SIGMA)
        return out

    few = maps(slice(0, 3))
    assert float(few.min()) >= FLOOR**0.5 - 1e-6
    assert float(few.max()) <= 1
    assert torch.allclose(few[2:], maps(slice(2, 3)))
    assert float(few[..., 2].mean()) == pytest.approx(left**0.5, abs=0.15)
    assert float(few[..., -3].mean()) == pytest.approx(right**0.5, abs=0.1)
