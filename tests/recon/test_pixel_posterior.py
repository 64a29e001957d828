"""Inpainting, colorization and super-resolution: methods against the exact posterior of a Gaussian prior."""

from __future__ import annotations

import pytest
import torch
from scanprior.operators.linear import LinearOperator
from scanprior.operators.noise import ComplexGaussian, Gaussian
from scanprior.operators.pixel import Colorization, Downsampling, Inpainting
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.sampling.loop import ItemNoise
from scanprior.priors.score import from_channels
from scanprior.priors.sde import VE
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.posterior.method import PosteriorMethod
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.posterior.projection import Projection
from scanprior.recon.problem import Problem
from torch import Tensor

SIDE = 4
N = SIDE * SIDE
SIGMA_Y = 0.05
KNOWN = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(2)) < 0.5
OPERATORS = {
    "inpainting": Inpainting(KNOWN),
    "super-resolution": Downsampling((SIDE, SIDE), 2),
    "colorization": Colorization((3, SIDE, SIDE)),
    "inpainting-in-colour": Inpainting(KNOWN, channels=3),
    "complex-inpainting": Inpainting(KNOWN, is_complex=True),
    "complex-super-resolution": Downsampling((SIDE, SIDE), 2, is_complex=True),
}
# (samples, largest error of the mean in posterior standard deviations, ratio of the standard deviations), with the
# biases of docs/methods.md: DDS renews all noise; replacing the measured part is no exact conditioning
METHODS: dict[str, tuple[PosteriorMethod, int, float, float]] = {
    "dds": (DDS(steps=50, cg=8, gamma=1.0), 150, 0.5, 0.7),
    "projection": (Projection(steps=100, mixing=1.0, snr=0.16, cg=8), 60, 1.0, 1.0),
}


def prior_of(A: LinearOperator, correlation: float = 0.8) -> GaussianPrior:
    """Smooth images whose channels, in colour, resemble one another."""
    channels = 2 if A.domain_complex else A.domain[0] if len(A.domain) == 3 else 1
    axis = torch.arange(SIDE, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).flatten(0, 1)
    smooth = 0.25 * torch.exp(-torch.cdist(points, points) / 1.5)
    coupled = correlation + (1 - correlation) * torch.eye(channels, dtype=torch.float64)
    return GaussianPrior(0.3 * torch.ones(channels, SIDE, SIDE), torch.kron(coupled, smooth).float())


def real_parts(x: Tensor) -> Tensor:
    """(B, ...) -> (B, n): a complex tensor as its real parts, then its imaginary parts."""
    return torch.cat([x.real.flatten(1), x.imag.flatten(1)], 1) if x.is_complex() else x.flatten(1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("operator", OPERATORS)
def test_methods_draw_from_the_exact_posterior(operator: str, method: str) -> None:
    A, (sampler, samples, worst, spread) = OPERATORS[operator], METHODS[method]
    prior, g = prior_of(A), torch.Generator().manual_seed(3)
    root = torch.linalg.cholesky(prior.covariance)
    truth = prior.mean + (root @ torch.randn(len(root), 1, generator=g)).view(1, *prior.mean.shape)
    noise = ComplexGaussian(SIGMA_Y * 2**0.5) if A.domain_complex else Gaussian(SIGMA_Y)
    y = noise.sample(A(truth if len(A.domain) == 3 else from_channels(truth)), g)
    out = sampler(Problem(y, A, noise), prior, samples=samples, batch=samples, seed=1)
    assert out.samples.shape == (1, samples, *A.domain)
    eye = torch.eye(len(root)).view(-1, *prior.mean.shape)
    matrix = real_parts(A(eye if len(A.domain) == 3 else from_channels(eye))).T  # (m, n)
    rows = matrix.abs().sum(1) > 0  # what is measured
    mean, covariance = prior.posterior(matrix[rows], real_parts(y)[:, rows], SIGMA_Y**2)
    exact = covariance.diagonal().sqrt()
    drawn = real_parts(out.samples[0]).double()
    assert float(((drawn.mean(0) - mean[0]).abs() / exact).max()) < worst
    assert float((drawn.std(0) / exact).mean()) == pytest.approx(spread, abs=0.2)


def test_projection_replaces_the_grey_coordinate() -> None:
    """Song et al. 2021, App. I: the closed form of the step in an orthogonal basis of the channels."""
    A, g = OPERATORS["colorization"], torch.Generator().manual_seed(0)
    x, truth = torch.randn(2, 1, 3, SIDE, SIDE, generator=g)
    problem = Problem(A(truth), A, Gaussian(1e-5))
    posed = Posed(problem, prior_of(A), truth, model_error=0.0)
    t, method = torch.tensor(0.5, dtype=torch.float64), Projection(mixing=1.0, sde=VE(0.01, 10.0), cg=20)
    got = method.project(posed, x, t, ItemNoise([3]))
    y_t = problem.y + float(method.sde.sigma(t)) * ItemNoise([3]).like(x).mean(1)
    torch.testing.assert_close(got, x + (y_t - x.mean(1))[:, None], rtol=1e-3, atol=1e-3)


def test_a_prior_of_other_channels_is_refused() -> None:
    grey, colour = prior_of(OPERATORS["inpainting"]), prior_of(OPERATORS["colorization"])
    y = torch.zeros(1, SIDE, SIDE)
    with pytest.raises(ValueError, match="must have as many"):
        DDS(steps=2)(Problem(y, OPERATORS["colorization"]), grey)
    with pytest.raises(ValueError, match="the prior has 3 channel"):
        DDS(steps=2)(Problem(y, OPERATORS["inpainting"]), colour)
