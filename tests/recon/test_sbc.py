"""Simulation-based calibration on a Gaussian prior, whose posterior is known: exact samples pass, wrong ones fail, and
what is wrong where the data decide nothing is found there."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian, Gaussian
from scanprior.operators.pixel import Inpainting
from scanprior.operators.sampling import equispaced
from scanprior.priors.analytic import GaussianPrior
from scanprior.recon.problem import Problem
from scanprior.recon.sbc import (
    MEANS,
    OPEN,
    QUANTITIES,
    SEEN,
    TARP,
    Patches,
    as_assumed,
    sbc_ranks,
    tarp_ranks,
    uniformity,
)
from scanprior.recon.weights import inverse_variance

S, N, SIDE, SIGMA = 8, 60, 32, 0.05


def prior() -> GaussianPrior:
    """Images of standard deviation 0.5 whose neighbours go together."""
    i, j = np.divmod(np.arange(SIDE**2), SIDE)
    distance = np.hypot(i[:, None] - i, j[:, None] - j)
    covariance = torch.from_numpy(0.25 * np.exp(-distance / 2))
    return GaussianPrior(torch.zeros(1, SIDE, SIDE), covariance)


@pytest.fixture(scope="module")
def measured():
    """N truths of the prior seen through a mask, and what is known of their posterior: (problem, truths, means, root of
    the covariance, mask)."""
    own, g = prior(), torch.Generator().manual_seed(0)
    root = torch.linalg.cholesky(own.covariance + 1e-9 * torch.eye(SIDE**2))
    truths = (torch.randn(N, SIDE**2, generator=g, dtype=torch.float64) @ root.T).float().view(N, SIDE, SIDE)
    mask = torch.rand(SIDE, SIDE, generator=g) < 0.5
    operator = Inpainting(mask)
    problem = Problem(operator(truths), operator, Gaussian(SIGMA))
    problem = as_assumed(problem, truths, torch.randn(problem.y.shape, generator=g))
    A = torch.eye(SIDE**2, dtype=torch.float64)[mask.flatten()]
    mean, covariance = own.posterior(A, problem.y.flatten(1)[:, mask.flatten()], SIGMA**2)
    return problem, truths, mean, torch.linalg.cholesky(covariance + 1e-9 * torch.eye(SIDE**2)), mask


def p_values(measured, shrink=1.0, where="everywhere", bias=0.0) -> dict[str, float]:
    problem, truths, mean, root, mask = measured
    g = torch.Generator().manual_seed(3)
    off = torch.randn(N, S, SIDE**2, generator=g, dtype=torch.float64) @ root.T
    factor = torch.full((SIDE**2,), shrink, dtype=torch.float64)
    if where == "open":
        factor[mask.flatten()] = 1.0
    samples = (mean[:, None] + bias + factor * off).float().view(N, S, SIDE, SIDE)
    patches = Patches(problem.items(slice(0, 1)), prior())
    members = [patches.members(*pair) for pair in zip(truths, samples, strict=True)]
    out = {name: uniformity(sbc_ranks([one[name] for one in members])) for name in QUANTITIES}
    return out | {TARP: uniformity(tarp_ranks([one[TARP] for one in members]))}


def test_the_exact_posterior_passes(measured) -> None:
    assert min(p_values(measured).values()) > 0.02


@pytest.mark.parametrize("wrong", [{"shrink": 0.6}, {"shrink": 1.6}])
def test_a_shrunk_and_an_inflated_posterior_fail_everywhere(measured, wrong) -> None:
    assert max(p_values(measured, **wrong).values()) < 0.002


def test_a_biased_posterior_fails(measured) -> None:
    assert p_values(measured, bias=0.1)[MEANS] < 0.002


def test_what_is_wrong_where_nothing_was_measured_is_found_there(measured) -> None:
    found = p_values(measured, shrink=0.6, where="open")
    assert found[OPEN] < 0.002 < 0.02 < found[SEEN]


def test_p_values_of_ranks_that_go_together_are_uniform() -> None:
    """All patches of an image have one rank: counted as independent, nearly every p-value would be tiny."""
    rng = np.random.default_rng(1)
    found = []
    for seed in range(200):
        members = [np.repeat(rng.standard_normal((S + 1, 1)), 16, 1) for _ in range(20)]
        found.append(uniformity(sbc_ranks(members), resamples=199, seed=seed))
    assert np.mean(np.array(found) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(found) == pytest.approx(0.5, abs=0.07)


def test_means_of_patches_are_their_two_parts_and_those_of_complex_images() -> None:
    operator = cartesian_mri(
        equispaced((SIDE, SIDE), 2, 0.1), torch.ones(1, SIDE, SIDE, dtype=torch.complex64)
    )
    g = torch.Generator().manual_seed(0)
    x = torch.randn(4, SIDE, SIDE, dtype=torch.complex64, generator=g)
    problem = Problem(operator(x[:1]), operator, ComplexGaussian(0.01))
    found = Patches(problem, SimpleNamespace(channels=2, intensity=None)).members(x[0], x[1:])
    np.testing.assert_allclose(found[SEEN] + found[OPEN], found[MEANS], atol=1e-6)
    first = x[0, 5:7, 5:7]  # of 32 pixels, 4 patches of 2: their middles are at 6, 12, 19 and 25
    assert found[MEANS][0, :2] == pytest.approx(
        [float(first.real.mean()), float(first.imag.mean())], abs=1e-6
    )
    assert found[MEANS].shape == (4, 32) and found[TARP].shape == (4, 16, 8)
    assert 0.05 < found[OPEN].std() / found[MEANS].std() < 0.95  # half of the lines are missing


def test_measured_as_assumed_the_residual_has_unit_variance() -> None:
    truth = 1 + torch.rand(1, 128, 128, generator=torch.Generator().manual_seed(0))
    operator = cartesian_mri(equispaced((128, 128), 2, 0.1), torch.ones(1, 128, 128, dtype=torch.complex64))
    noise = torch.randn(1, 1, 128, 128, 2, generator=torch.Generator().manual_seed(1))
    problem = Problem(operator(truth.to(torch.complex64)), operator, ComplexGaussian(0.2))
    found = as_assumed(problem, truth.to(torch.complex64), torch.view_as_complex(noise))
    off = found.y - operator(truth.to(torch.complex64))
    seen = off[off != 0]
    assert len(seen) == int(operator.mask.sum())
    assert float((seen.abs() ** 2 * inverse_variance(found).flatten()[0]).mean()) == pytest.approx(
        1, abs=0.03
    )
