"""Log-likelihoods against densities that are known: Gaussian, mixture; the trace's estimates; bits/dim."""

from __future__ import annotations

import math

import pytest
import torch
from scanprior.priors.analytic import GaussianPrior, MixturePrior
from scanprior.priors.sampling.likelihood import bits_per_dim, dequantized, log_likelihood
from scanprior.priors.sampling.ode import SIGMA_MIN
from scanprior.priors.sde import SDE, VE, VP, SubVP

SIDE, N = 6, 36
STEP = 0.001
laws = pytest.mark.parametrize("sde", [VE(0.01, 150.0), VP(), SubVP()], ids=lambda s: type(s).__name__)


def gaussian() -> GaussianPrior:
    axis = torch.arange(N, dtype=torch.float32)
    return GaussianPrior(0.4 * torch.ones(1, SIDE, SIDE), 0.3 * torch.exp(-(axis[:, None] - axis).abs() / 2))


def images(count: int) -> torch.Tensor:
    prior, z = gaussian(), torch.randn(count, N, generator=torch.Generator().manual_seed(0))
    root = torch.linalg.cholesky(prior.covariance)
    return prior.mean + (z @ root.T).view(-1, 1, SIDE, SIDE)


def gaussian_log_density(x: torch.Tensor, variance: float) -> torch.Tensor:
    """log p of x_0 + noise of `variance`."""
    prior = gaussian()
    covariance = prior.covariance.double() + variance * torch.eye(N)
    law = torch.distributions.MultivariateNormal(prior.mean.flatten().double(), covariance)
    return law.log_prob(x.flatten(1).double())


def mixture() -> MixturePrior:
    means = torch.stack([torch.full((1, 3, 3), -0.5), torch.eye(3)[None], torch.full((1, 3, 3), 0.6)])
    return MixturePrior(torch.tensor([0.2, 0.5, 0.3]), means, torch.tensor([0.3, 0.1, 0.2]))


def mixture_log_density(x: torch.Tensor, variance: float) -> torch.Tensor:
    prior = mixture()
    total = prior.stds.double() ** 2 + variance
    distance = ((x.flatten(1)[:, None] - prior.means.flatten(1)) ** 2).double().sum(2)
    log = prior.weights.double().log() - distance / (2 * total) - 4.5 * torch.log(2 * math.pi * total)
    return torch.logsumexp(log, 1)


@pytest.mark.parametrize("sde", [VE(0.01, 50.0), VP(), SubVP()], ids=lambda s: type(s).__name__)
def test_a_gaussians_bits_per_dim_are_exact(sde: SDE) -> None:
    x = images(4)
    got = log_likelihood(gaussian(), x, sde, range(4), trace="exact")
    bits = bits_per_dim(got.log_density, N, STEP)
    smoothed = bits_per_dim(gaussian_log_density(x, SIGMA_MIN**2), N, STEP)
    sharp = bits_per_dim(gaussian_log_density(x, 0.0), N, STEP)
    assert float((bits - smoothed).abs().max()) < 0.005
    assert float((bits - sharp).abs().max()) < 0.01  # sigma_min included
    assert got.nfe.shape == (4,)
    assert 20 < int(got.nfe[0]) < 100


@laws
def test_a_mixtures_bits_per_dim_are_exact(sde: SDE) -> None:
    prior = mixture()
    z = torch.randn(6, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    which = torch.tensor([0, 1, 2, 0, 1, 2])
    x = prior.means[which] + prior.stds[which].view(-1, 1, 1, 1) * z
    x[5] += 0.7  # between the modes
    got = log_likelihood(prior, x, sde, range(6), trace="exact", tolerance=1e-4)
    expected = mixture_log_density(x, SIGMA_MIN**2)
    assert float((bits_per_dim(got.log_density - expected, 9, 1.0)).abs().max()) < 0.01


@pytest.mark.parametrize(("trace", "spread"), [("rademacher", 0.3), ("gaussian", 3.0)])
def test_probes_give_the_trace_in_the_mean(trace, spread: float) -> None:
    x, count = images(1).expand(64, 1, SIDE, SIDE), 64
    got = log_likelihood(gaussian(), x, VE(), range(count), trace=trace, tolerance=1e-2).log_density
    exact = gaussian_log_density(x[:1], SIGMA_MIN**2)
    error = bits_per_dim(got - exact, N, 1.0)
    assert 0 < float(error.std()) < spread
    assert abs(float(error.mean())) < 3.5 * float(error.std()) / count**0.5 + 0.01


def test_a_less_likely_image_costs_more_bits() -> None:
    x = images(2)
    x[1] = x[0].flip(2)[:, [0, 3, 1, 4, 2, 5]]  # the same numbers, correlated otherwise
    log = log_likelihood(gaussian(), x, VE(), [0, 0]).log_density
    assert float(bits_per_dim(log, N, STEP).diff()) > 0.2


def test_an_images_figure_depends_on_its_seed_and_not_on_its_batch() -> None:
    x = images(3)
    together = log_likelihood(gaussian(), x, VE(), [5, 6, 7])
    alone = log_likelihood(gaussian(), x[1:2], VE(), [6])
    torch.testing.assert_close(together.log_density[1:2], alone.log_density, rtol=1e-5, atol=1e-4)
    assert together.nfe[1] == alone.nfe[0]
    other = log_likelihood(gaussian(), x[1:2], VE(), [8])
    assert abs(float(other.log_density - alone.log_density)) > 1e-2
    noisy = dequantized(x, 0.1, [5, 6, 7])
    torch.testing.assert_close(noisy[1:2], dequantized(x[1:2], 0.1, [6]))


def test_the_evaluations_told_are_those_made() -> None:
    prior, calls = gaussian(), []
    denoise = prior.denoise
    prior.denoise = lambda x, sigma: calls.append(len(x)) or denoise(x, sigma)  # type: ignore[method-assign]
    got = log_likelihood(prior, images(2), VE(), [0, 1], tolerance=1e-2)
    assert int(got.nfe.sum()) == sum(calls)


def test_bits_per_dim_of_a_flat_density() -> None:
    """256 equally likely grey levels of images in [-1, 1] take 8 bits."""
    log = -N * math.log(2) * torch.ones(1, dtype=torch.float64)
    assert float(bits_per_dim(log, N, 2 / 256)) == pytest.approx(8.0)


def test_dequantized_bits_bound_those_of_a_coder() -> None:
    """Quantised N(0, 0.3²) in steps of 0.1 has a known entropy; p(x + u) must cost a little more, never less."""
    law, step = torch.distributions.Normal(0.0, 0.3), 0.1
    levels = step * torch.arange(-40, 41, dtype=torch.float64)
    p = law.cdf(levels + step / 2) - law.cdf(levels - step / 2)
    entropy = float(-(p * p.clamp_min(1e-300).log2()).sum())
    z = torch.randn(16, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    x = (0.3 * z / step).round() * step
    noisy = dequantized(x, step, range(16))
    assert float((noisy - x).abs().max()) <= step / 2
    assert abs(float((noisy - x).mean())) < 1e-3
    bits = bits_per_dim(law.log_prob(noisy).flatten(1).sum(1), 64 * 64, step)
    exact = -torch.log2(law.cdf(x + step / 2) - law.cdf(x - step / 2)).mean()
    assert 0 < float(bits.mean() - exact) < 0.02
    assert float(bits.mean()) == pytest.approx(entropy, abs=0.05)


def test_an_unknown_trace_and_a_wrong_number_of_seeds_are_errors() -> None:
    with pytest.raises(ValueError, match="expected rademacher, gaussian, exact"):
        log_likelihood(gaussian(), images(1), VE(), [0], trace="hutchinson")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one seed per item"):
        log_likelihood(gaussian(), images(2), VE(), [0])
