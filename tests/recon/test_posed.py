"""What the methods are made of, against dense matrices: the VJP of a prior, the largest eigenvalue, draws
from the data step, functions of A^H A; for real, complex, evenly and unevenly measured images."""

from __future__ import annotations

import math

import known_answer as known
import pytest
import torch
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators.radon import Radon
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.score import from_channels
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.posterior.spectral import Krylov
from scanprior.recon.problem import Problem
from torch import Tensor
from toys import OneGenerator

CASES = ["uneven", "complex"]


def normal_matrix(posed, channels: int) -> Tensor:
    """A^H A of the first item, whitened, as a real matrix (n, n) of stacked parts."""
    n = posed.initial[0].numel() * channels
    eye = torch.eye(n).unflatten(1, (channels, known.SIDE, known.SIDE))
    columns = [known.real_parts(posed.AHA(from_channels(e[None]).expand(2, -1, -1)))[0] for e in eye]
    return torch.stack(columns, 1).double()


@pytest.fixture(params=CASES)
def case(request):
    return known.cases()[request.param]


def test_the_vjp_is_the_transposed_jacobian(case) -> None:
    posed, C = case.posed(), case.prior.channels
    x, v = torch.randn(
        2, 2, known.SIDE, known.SIDE, dtype=posed.initial.dtype, generator=torch.Generator().manual_seed(0)
    )
    _, vjp = posed.tweedie(x, 0.4)
    S = case.prior.covariance.double()
    J = torch.linalg.solve(S + 0.16 * torch.eye(len(S)), S)  # symmetric: S and S + s² commute
    want = known.real_parts(v).double() @ J
    torch.testing.assert_close(known.real_parts(vjp(v)).double(), want, rtol=1e-4, atol=1e-5)
    assert (posed.evaluations, posed.vjps, C) == (1, 1, 1 + v.is_complex())


def test_gain_is_the_largest_eigenvalue_of_each_item(case) -> None:
    posed = case.posed()
    want = torch.linalg.eigvalsh(normal_matrix(posed, case.prior.channels))[-1]
    assert float(posed.gain[0]) == pytest.approx(float(want), rel=0.03)  # the power method: from below


def test_a_draw_has_the_mean_and_the_covariance_of_the_data_step(case) -> None:
    count, variance = 2000, 0.3
    posed = case.posed(count)
    x = torch.full_like(posed.initial, 0.2)
    drawn = known.real_parts(posed.draw(x, variance, 24, OneGenerator(1)))[:count].double()
    single = case.posed()
    n = normal_matrix(single, case.prior.channels)
    covariance = torch.linalg.inv(n + torch.eye(len(n)) / variance)
    right = known.real_parts(single.AHy) + known.real_parts(x[:2]) / variance
    mean = right[0].double() @ covariance
    exact = covariance.diagonal().sqrt()
    assert float(((drawn.mean(0) - mean).abs() / exact).max()) < 5 * count**-0.5
    found = drawn.T.cov()
    assert float((found - covariance).norm() / covariance.norm()) < 0.2  # 2000 samples: about 0.1


def test_functions_of_the_normal_operator(case) -> None:
    posed = case.posed()
    v = torch.randn(2, known.SIDE, known.SIDE, dtype=posed.initial.dtype)
    e, U = torch.linalg.eigh(normal_matrix(posed, case.prior.channels))
    for f in (lambda e: 1 / (1 + e), lambda e: torch.sqrt(1 + e)):
        got = known.real_parts(Krylov(posed, v, 16)(f))[0].double()
        want = U @ (f(e.clamp_min(0)) * (U.T @ known.real_parts(v)[0].double()))
        torch.testing.assert_close(got, want, rtol=2e-3, atol=2e-3 * float(want.abs().max()))


ORTHOGONAL = ("MRI, one coil", "inpainting", "colorization", "super-resolution")


@pytest.mark.parametrize("name", ORTHOGONAL)
def test_two_steps_are_exact_where_the_operator_is_a_mask_in_an_orthogonal_basis(name: str) -> None:
    posed = known.operators()[name].posed()
    v = torch.randn(posed.initial.shape, dtype=posed.initial.dtype)
    few, many = (Krylov(posed, v, steps) for steps in (2, 8))
    torch.testing.assert_close(few(torch.sqrt), many(torch.sqrt), rtol=1e-3, atol=1e-3)
    assert many.basis.shape[1] == 2  # the third would be noise: it ended by itself


def test_a_full_space_leaves_batch_mates_alone() -> None:
    posed = known.cases()["uneven"].posed()
    v = torch.randn(posed.initial.shape, generator=torch.Generator().manual_seed(0))
    alone = Krylov(posed, v, 6)(torch.sqrt)
    U = torch.linalg.eigh(normal_matrix(posed, 1))[1]
    v[0] = U[:, -1].view_as(v[0])  # one dimension is all its space
    torch.testing.assert_close(Krylov(posed, v, 6)(torch.sqrt)[1], alone[1])


def test_gamma_is_the_number_of_pixels_to_a_measured_number() -> None:
    few, many = (
        known.cases()["uneven"],
        known.cases()["complex"],
    )  # 6 numbers of 16 pixels; 2 coils, every second line
    assert few.posed().undersampling.flatten().tolist() == pytest.approx([16 / 6, 16 / 6])
    assert many.posed().undersampling.flatten().tolist() == [1.0, 1.0]
    for case, gamma in ((few, 16 / 6), (many, 2.0)):  # 2 at least
        out = [DDS(steps=4, gamma=g)(case.problem, case.prior, 1, batch=2).mean for g in (None, gamma, 5.0)]
        torch.testing.assert_close(out[0], out[1])
        assert not torch.allclose(out[0], out[2], rtol=1e-2)


def test_a_warm_start_begins_higher_where_an_angle_is_missing() -> None:
    """Least squares leave a missing angle far off: the first level must be above that error, or it is never undone."""
    levels = {}
    for degrees in (90, 180, 360):
        grid = Grid((16, 16), 1.0)
        operator = Radon(ParallelBeam.covering(grid, 12, arc=math.radians(degrees)), grid)
        problem = Problem(operator(torch.ones(1, 16, 16)), operator)
        prior = GaussianPrior(torch.zeros(1, 16, 16), torch.eye(256))
        levels[degrees] = Posed(problem, prior, problem.least_squares()).first_level(None)
        assert Posed(problem, prior, problem.least_squares()).first_level(0.7) == 0.7
    assert levels == {90: 4.0, 180: 0.5, 360: 0.5}
