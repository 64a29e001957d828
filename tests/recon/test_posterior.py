"""Posterior methods against the exact posterior of a Gaussian prior, and their common promises."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from scanprior.operators.fourier import Fourier, fft2c, ifft2c
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian, Gaussian
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.sampling.loop import ItemNoise
from scanprior.priors.sde import SDE, VE, VP, SubVP
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.posterior.descent import noise_levels
from scanprior.recon.posterior.method import PosteriorMethod
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.posterior.projection import Projection
from scanprior.recon.problem import Problem
from torch import Tensor
from toys import Dense, Uneven

SIDE = 4
N = SIDE * SIDE


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
    return make_case(request.param)


def make_case(sigma_y: float) -> Case:
    g = torch.Generator().manual_seed(3)
    A = torch.randn(6, N, generator=g) / N**0.5
    prior = GaussianPrior(0.3 * torch.ones(1, SIDE, SIDE), smooth_covariance().float())
    root = torch.linalg.cholesky(smooth_covariance().float())
    truth = prior.mean.flatten() + torch.randn(2, N, generator=g) @ root.T  # two different slices
    y = truth @ A.T + sigma_y * torch.randn(2, 6, generator=g)
    return Case(prior, A, Problem(y, Dense(A, (SIDE, SIDE)), Gaussian(sigma_y)), sigma_y)


def errors(method: PosteriorMethod, case: Case, samples: int) -> tuple[float, float]:
    """(largest error of the mean in posterior standard deviations, mean ratio of the standard deviations)."""
    out = method(case.problem, case.prior, samples=samples, batch=2 * samples, seed=1)
    mean, covariance = case.prior.posterior(case.A, case.problem.y, case.sigma_y**2)
    spread = covariance.diagonal().sqrt()
    error = (out.mean.flatten(1).double() - mean).abs() / spread
    ratio = out.samples.flatten(2).std(1).double() / spread
    return float(error.max()), float(ratio.mean())


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_dds_with_full_renewal_has_the_posterior_mean_and_seven_tenths_of_its_spread(
    case: Case, warm: bool
) -> None:
    error, ratio = errors(DDS(steps=100, warm_start=warm, cg=N, gamma=1.0), case, 1000)
    assert error < 0.4  # sampling error of the mean: about 0.1
    assert ratio == pytest.approx(0.7, abs=0.05)  # docs/methods.md: the price of the PSNR


def test_ancestral_dds_has_the_posterior_spread(case: Case) -> None:
    method = DDS(steps=100, warm_start=False, cg=N, gamma=1.0, ancestral=True)
    error, ratio = errors(method, case, 1000)
    assert error < (0.8 if case.sigma_y < 0.1 else 1.4)  # docs/methods.md: the prox's covariance is isotropic
    assert ratio == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("sde", [VE(0.01, 10.0), VP(), SubVP()], ids=["VE", "VP", "subVP"])
def test_projection_approximates_the_posterior_of_nearly_noise_free_data(sde: SDE) -> None:
    method = Projection(steps=200, mixing=1.0, snr=0.16, sde=sde, cg=N)
    error, ratio = errors(method, make_case(0.05), 300)
    assert error < 1.3  # replacing the measured part is no exact conditioning: docs/methods.md
    assert ratio == pytest.approx(1.1, abs=0.15)


def test_dds_on_complex_data() -> None:
    """One coil, half of the Fourier samples: exact in stacked real and imaginary parts."""
    g = torch.Generator().manual_seed(5)
    block = smooth_covariance().float()
    prior = GaussianPrior(torch.zeros(2, SIDE, SIDE), torch.block_diag(block, block))
    eye = torch.eye(N).view(N, SIDE, SIDE).to(torch.complex64)
    M = Fourier((SIDE, SIDE))(eye).flatten(1).T[torch.randperm(N, generator=g)[: N // 2]]  # (m, N)
    truth = torch.complex(*(torch.linalg.cholesky(block) @ torch.randn(N, 2, generator=g)).T)
    noise = ComplexGaussian(0.1)
    y = noise.sample((M @ truth)[None], g)
    method = DDS(steps=100, warm_start=False, cg=N, gamma=1.0)
    out = method(Problem(y, Dense(M, (SIDE, SIDE), domain_complex=True), noise), prior, 1000, batch=1000)
    A = torch.cat([torch.cat([M.real, -M.imag], 1), torch.cat([M.imag, M.real], 1)])
    mean, covariance = prior.posterior(A, torch.cat([y.real, y.imag], 1), 0.1**2 / 2)
    got = torch.view_as_real(out.mean).movedim(-1, 1).flatten(1).double()
    assert float(((got - mean).abs() / covariance.diagonal().sqrt()).max()) < 0.4
    assert out.samples.dtype == torch.complex64


def test_dds_weighs_measurements_by_their_noise() -> None:
    plain = make_case(0.05)
    sigma = torch.tensor([0.02, 0.05, 0.1, 0.3, 1.0, 3.0])
    problem = Problem(plain.problem.y, plain.problem.operator, Uneven(sigma))
    out = DDS(steps=100, warm_start=False, cg=N, gamma=1.0)(problem, plain.prior, 1000, batch=2000)
    mean, covariance = plain.prior.posterior(plain.A / sigma[:, None], problem.y / sigma, 1.0)
    assert float(((out.mean.flatten(1) - mean).abs() / covariance.diagonal().sqrt()).max()) < 0.5


@pytest.mark.parametrize("method", [DDS(steps=6), Projection(steps=6)], ids=["dds", "projection"])
def test_a_sample_depends_neither_on_its_batch_nor_on_its_neighbours(method: PosteriorMethod) -> None:
    case = make_case(0.05)
    together = method(case.problem, case.prior, samples=3, batch=64)
    chunked = method(case.problem, case.prior, samples=3, batch=2)
    torch.testing.assert_close(together.samples, chunked.samples, rtol=1e-3, atol=1e-4)
    fewer = method(case.problem, case.prior, samples=2, batch=64)
    torch.testing.assert_close(together.samples[:, :2], fewer.samples, rtol=1e-3, atol=1e-4)
    first = method(case.problem.items(slice(0, 1)), case.prior, samples=3, batch=64)
    torch.testing.assert_close(together.samples[:1], first.samples, rtol=1e-3, atol=1e-4)
    other = method(case.problem, case.prior, samples=3, batch=64, seed=9)
    assert not torch.allclose(together.samples, other.samples)


def test_network_evaluations_are_counted_and_announced() -> None:
    case = make_case(0.05)
    seen: list[tuple[int, int]] = []
    out = DDS(steps=7)(case.problem, case.prior, 4, batch=4, callback=lambda *now: seen.append(now))
    assert out.nfe == 7  # Chung et al. 2024: one a level
    assert seen == [(k + 1, 14) for k in range(14)]  # two slices, one batch each
    assert Projection(steps=5)(case.problem, case.prior).nfe == 10  # Song et al. 2022: predictor, corrector
    assert out.provenance["method"] == "DDS"
    assert out.provenance["steps"] == 7


def test_projection_is_the_papers_closed_form_for_one_coil() -> None:
    """Song et al. 2022, eq. 10 with T = FFT."""
    g = torch.Generator().manual_seed(0)
    mask = torch.rand(8, 8, generator=g) < 0.4
    operator = cartesian_mri(mask, torch.ones(1, 8, 8, dtype=torch.complex64))
    truth, x = torch.randn(2, 1, 8, 8, generator=g, dtype=torch.complex64)
    problem = Problem(operator(truth), operator, ComplexGaussian(1e-5))
    prior = GaussianPrior(torch.zeros(2, 8, 8), torch.eye(128))
    posed = Posed(problem, prior, truth, model_error=0.0)
    method, t = Projection(mixing=0.7, sde=VE(0.01, 10.0), cg=20), torch.tensor(0.5, dtype=torch.float64)
    got = method.project(posed, x, t, ItemNoise([3]))
    y_t = problem.y[:, 0] + float(method.sde.sigma(t)) * mask * fft2c(ItemNoise([3]).like(x))
    k = fft2c(x)
    expected = ifft2c(0.7 * mask * y_t + 0.3 * mask * k + ~mask * k)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)


def test_the_law_of_noise_only_chooses_the_levels() -> None:
    for sde in (VE(0.01, 50.0), VP(), SubVP()):
        levels = noise_levels(12, 0.5, 0.02, sde)
        assert levels[0] == pytest.approx(0.5, rel=1e-3)
        assert levels[-1] == pytest.approx(0.02, rel=1e-3)
        assert levels == sorted(levels, reverse=True)


def test_a_prior_of_another_modality_is_refused() -> None:
    case = make_case(0.05)
    with pytest.raises(ValueError, match="another modality"):
        DDS(steps=2)(case.problem, GaussianPrior(torch.zeros(2, SIDE, SIDE), torch.eye(2 * N)))


def test_a_measurement_that_does_not_fit_is_refused() -> None:
    case = make_case(0.05)
    with pytest.raises(ValueError, match="another scan"):
        Problem(case.problem.y[:, :-1], case.problem.operator)
    with pytest.raises(ValueError, match="NaN"):
        Problem(case.problem.y * float("nan"), case.problem.operator)
