"""Posterior methods against the exact posterior of a Gaussian prior, and their common promises."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from scanprior.operators.linear import LinearOperator
from scanprior.operators.noise import Gaussian
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.sde import VE, VP, SubVP
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.posterior.projection import Projection
from scanprior.recon.problem import Problem
from torch import Tensor

SIDE = 4
N = SIDE * SIDE


class Dense(LinearOperator):
    """y = M x for a stored matrix (m, n) over flattened images."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(
            (SIDE, SIDE),
            (len(matrix),),
            domain_complex=matrix.is_complex(),
            range_complex=matrix.is_complex(),
        )
        self.register_buffer("matrix", matrix)

    def apply_forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).to(self.matrix.dtype) @ self.matrix.T

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.matrix.conj()).unflatten(1, (SIDE, SIDE))


@dataclass(frozen=True)
class Case:
    prior: GaussianPrior
    A: Tensor
    problem: Problem
    sigma_y: float


def smooth_covariance(n: int = SIDE, length: float = 1.5, variance: float = 0.25) -> Tensor:
    axis = torch.arange(n, dtype=torch.float64)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([rows.flatten(), columns.flatten()], 1)
    return variance * torch.exp(-torch.cdist(points, points) / length)


@pytest.fixture(params=[0.05, 0.3], ids=["low-noise", "high-noise"])
def case(request: pytest.FixtureRequest) -> Case:
    sigma_y = request.param
    g = torch.Generator().manual_seed(3)
    A = torch.randn(6, N, generator=g) / N**0.5
    prior = GaussianPrior(0.3 * torch.ones(1, SIDE, SIDE), smooth_covariance().float())
    root = torch.linalg.cholesky(smooth_covariance().float())
    truth = prior.mean.flatten() + torch.randn(2, N, generator=g) @ root.T  # two different slices
    y = truth @ A.T + sigma_y * torch.randn(2, 6, generator=g)
    return Case(prior, A, Problem(y, Dense(A), Gaussian(sigma_y)), sigma_y)


@pytest.mark.parametrize(
    "method", [DDS(steps=100, warm_start=False, cg=N), DDS(steps=60, cg=N)], ids=["cold", "warm"]
)
def test_dds_samples_the_gaussian_posterior(case: Case, method: DDS) -> None:
    out = method(case.problem, case.prior, samples=2000, batch=4000, seed=1)
    mean, covariance = case.prior.posterior(case.A, case.problem.y, case.sigma_y**2)
    spread = covariance.diagonal().sqrt()
    error = (out.mean.flatten(1).double() - mean).abs() / spread
    assert error.max() < 0.35  # in standard deviations of the posterior
    got = out.samples.flatten(2).std(1).double()
    ratio = got / spread
    assert 0.6 < ratio.mean() < 1.1
    assert out.nfe == method.steps


@pytest.mark.parametrize("sde", [VE(0.01, 10.0), VP(), SubVP()], ids=["VE", "VP", "subVP"])
def test_projection_samples_the_gaussian_posterior(case: Case, sde: VE) -> None:
    method = Projection(steps=200, mixing=1.0, snr=0.16, sde=sde, cg=N)
    out = method(case.problem, case.prior, samples=1000, batch=2000, seed=1)
    mean, covariance = case.prior.posterior(case.A, case.problem.y, case.sigma_y**2)
    spread = covariance.diagonal().sqrt()
    error = (out.mean.flatten(1).double() - mean).abs() / spread
    ratio = out.samples.flatten(2).std(1).double() / spread
    print(error.max(), ratio.mean())
    assert error.max() < 0.35
    assert 0.6 < ratio.mean() < 1.1
    assert out.nfe == 2 * method.steps
