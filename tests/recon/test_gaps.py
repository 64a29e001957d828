"""Sinograms with lost rays: every method answers as if these rays had never been there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scanprior.formats.scan import FormatError, Volume
from scanprior.geometry import FanBeam, Grid, ParallelBeam
from scanprior.operators.linear import LinearOperator
from scanprior.operators.noise import Gaussian, Photon
from scanprior.operators.radon import Radon, fill_gaps
from scanprior.operators.solve import conjugate_gradients
from scanprior.priors.analytic import GaussianPrior
from scanprior.recon import CGLS, FBP, SIRT, AdmmTV, Baseline, FistaTV
from scanprior.recon.baselines.admm import admm_tv
from scanprior.recon.baselines.cgls import cgls
from scanprior.recon.baselines.fbp import fbp
from scanprior.recon.baselines.sirt import sirt
from scanprior.recon.baselines.supervised import first_reconstruction
from scanprior.recon.baselines.tv import fista_tv
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.posterior.solver import Dual, Primal, data_solver
from scanprior.recon.problem import Problem
from scanprior.recon.simulate import CTSimulation, simulate
from scanprior.recon.study import problem_of, sinogram_noise
from scanprior.recon.weights import inverse_variance, measured
from torch import Tensor

N = 12
GRID = Grid((N, N), 10.0)
BEAM = ParallelBeam.covering(GRID, 9)
LOST = torch.rand(BEAM.shape, generator=torch.Generator().manual_seed(4)) < 0.15
LOST[3] = True  # a view without any ray
VALID = ~LOST
SIGMA = 0.05


class Rows(LinearOperator):
    """The measured rays alone, as a dense matrix: (H, W) -> (m,)."""

    def __init__(self) -> None:
        eye = torch.eye(N * N).view(-1, N, N)
        rows = Radon(BEAM, GRID)(eye)[:, VALID].T  # (m, n)
        super().__init__((N, N), (len(rows),))
        self.register_buffer("rows", rows)

    def apply_forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.get_buffer("rows").T

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.get_buffer("rows")).view(-1, N, N)


def image(n: int = N, grid: Grid = GRID) -> Tensor:
    axis = (torch.arange(n) - (n - 1) / 2) * grid.pixel
    r = torch.hypot(axis - 4, axis[:, None] + 7)
    return (0.02 * (r < 45) + 0.01 * (r < 20))[None].float()


def problems(noise: Gaussian | Photon | None = None) -> tuple[Problem, Problem]:
    """With gaps, and with the lost rays removed."""
    noise = noise or Gaussian(SIGMA)
    gapped, removed = Radon(BEAM, GRID, valid=VALID), Rows()
    y = noise.sample(Radon(BEAM, GRID)(image().repeat(2, 1, 1)), torch.Generator().manual_seed(1))
    return Problem(y * VALID, gapped, noise), Problem(y[:, VALID], removed, noise)


# --- filling the gaps for filtered backprojection
def test_gaps_are_filled_along_the_detector() -> None:
    y = torch.tensor([[[1.0, 9, 9, 4, 7, 9], [9, 2, 9, 9, 9, 5], [9, 9, 9, 9, 9, 9], [3, 1, 4, 1, 5, 9]]])
    valid = torch.tensor([[1, 0, 0, 1, 1, 0], [0, 1, 0, 0, 0, 1], [0] * 6, [1] * 6]).bool()
    want = torch.tensor(
        [[1.0, 2, 3, 4, 7, 3.5], [1, 2, 2.75, 3.5, 4.25, 5], [0] * 6, [3, 1, 4, 1, 5, 9]]
    )  # zeros beyond the ends
    torch.testing.assert_close(fill_gaps(torch.cat([y, 2 * y]), valid), torch.stack([want, 2 * want]))
    with pytest.raises(ValueError, match=r"got valid of shape \(6, 4\), expected \(4, 6\)"):
        fill_gaps(y, valid.T)


@pytest.mark.parametrize("kind", ["parallel", "fan"])
def test_fbp_with_a_gap_is_far_better_filled(kind: str) -> None:
    """A disc with a metal trace through it."""
    grid = Grid((64, 64), 2.0)
    if kind == "parallel":
        beam = ParallelBeam.covering(grid, 120)
    else:
        beam = FanBeam.covering(grid, 240, source_origin=250, source_detector=450)
    y = Radon(beam, grid)(truth := image(64, grid))
    k, turn = torch.arange(beam.detectors), torch.tensor(beam.angles)[:, None]
    trace = (beam.detectors - 1) / 2 + 9 * torch.cos(turn)
    valid = (k - trace).abs() > 2.5

    def error(valid: Tensor | None, y: Tensor) -> float:
        return float((fbp(y, beam, grid, "hann", valid) - truth).norm() / truth.norm())

    whole, filled, zeroed = error(None, y), error(valid, y * valid), error(None, y * valid)
    assert filled < 0.5 * zeroed and filled < 2 * whole, (whole, filled, zeroed)
    problem = Problem(y * valid, Radon(beam, grid, valid=valid))
    torch.testing.assert_close(FBP("hann")(problem).mean, fbp(y * valid, beam, grid, "hann", valid))
    torch.testing.assert_close(first_reconstruction(problem), fbp(y * valid, beam, grid, valid=valid))


# --- the other baselines
def test_lost_rays_count_neither_as_measurements_nor_for_the_scale() -> None:
    gapped, removed = problems()
    assert torch.equal(measured(gapped).any(0), VALID & measured(Problem(gapped.y, Radon(BEAM, GRID))).any(0))
    assert int(measured(gapped).sum()) == int(measured(removed).sum())
    for noise in (None, Gaussian(SIGMA), Photon(100.0)):
        W, want = (inverse_variance(replace(P, noise=noise)) for P in (gapped, removed))
        torch.testing.assert_close(W.expand(gapped.y.shape)[:, VALID], want.expand(removed.y.shape))


@pytest.mark.parametrize("weights", ["none", "noise"])
@pytest.mark.parametrize("method", [cgls, sirt, fista_tv, admm_tv])
def test_the_methods_reconstruct_as_if_the_lost_rays_had_never_been(method, weights: str) -> None:
    gapped, removed = problems()
    W = [inverse_variance(P) if weights == "noise" else None for P in (gapped, removed)]
    more = {"weight": 1e-3} if method in (fista_tv, admm_tv) else {}
    got, want = (
        method(P.y, P.operator, iterations=12, weights=w, **more)
        for P, w in zip((gapped, removed), W, strict=True)
    )
    # the power method of the step sizes begins with the same image
    assert float((got - want).norm() / want.norm()) < 1e-4
    assert (
        float((got - method(gapped.y, Radon(BEAM, GRID), iterations=12, **more)).norm() / got.norm()) > 0.05
    )


@pytest.mark.parametrize("method", [SIRT(), CGLS(), FistaTV(), AdmmTV()], ids=lambda method: method.title)
def test_the_baselines_by_name(method: Baseline) -> None:
    """They begin with the interpolated FBP: better than it, and no worse than from zero."""
    gapped, removed = problems()  # `removed` says nothing of lost rays: from zero
    got, from_zero, first = (
        float((m(P).mean - image()).norm()) for m, P in ((method, gapped), (method, removed), (FBP(), gapped))
    )
    assert got < 0.95 * first and got < 1.01 * from_zero, (got, from_zero, first)


# --- the data step and a posterior method
def prior() -> GaussianPrior:
    place = torch.stack(torch.meshgrid(torch.arange(N), torch.arange(N), indexing="ij"), -1).reshape(-1, 2)
    near = torch.exp(-0.5 * torch.cdist(place.double(), place.double()) ** 2 / 4)
    return GaussianPrior(torch.full((1, N, N), 0.01), (0.01**2 * (near + 1e-4 * torch.eye(N * N))))


@pytest.mark.parametrize("noise", [Gaussian(SIGMA), Photon(100.0)])
def test_the_data_step_is_the_minimum_without_the_lost_rays(noise: Gaussian | Photon) -> None:
    gapped, removed = (Posed(P, prior(), image().repeat(2, 1, 1), model_error=0.0) for P in problems(noise))
    assert isinstance(data_solver(gapped), Dual)
    assert float(gapped.row_sums().min()) > 0  # also of the rays without a length
    x, variance = torch.full((2, N, N), 0.008), 1e-5
    A, W = removed.physical_operator.get_buffer("rows").double(), removed.weights.double().expand(2, -1)
    for b in range(2):
        normal = A.T @ (W[b][:, None] * A) + torch.eye(N * N) / variance
        want = torch.linalg.solve(
            normal, A.T @ (W[b].sqrt() * removed.y[b].double()) + x[b].flatten() / variance
        )
        for solver in (Dual, Primal):
            got = solver(gapped)(x, variance, 60)[b].flatten().double()
            assert float((got - want).norm() / want.norm()) < 1e-4
    drawn = gapped.draw(x, variance, 30, Ones())  # noise of the lost rays must not matter
    torch.testing.assert_close(drawn, removed.draw(x, variance, 30, Ones()), rtol=1e-3, atol=1e-6)


class Ones:
    def like(self, x: Tensor) -> Tensor:
        return torch.ones_like(x)


def test_the_start_counts_lost_rays_as_interpolated() -> None:
    """A metal trace, and ten views lost altogether, which stay lost."""
    grid = Grid((64, 64), 2.0)
    beam = ParallelBeam.covering(grid, 120)
    k, turn = torch.arange(beam.detectors), torch.tensor(beam.angles)[:, None]
    valid = (k - (beam.detectors - 1) / 2 - 9 * torch.cos(turn)).abs() > 4.5
    valid[50:60] = False
    views = valid.any(1, keepdim=True).expand(beam.shape)
    y = Radon(beam, grid)(truth := image(64, grid))

    def error(y: Tensor, valid: Tensor) -> float:
        start = Problem(y * valid, Radon(beam, grid, valid=valid)).least_squares()
        return float((start - truth).norm() / truth.norm())

    filled = fill_gaps(y * valid, valid)
    assert error(y, valid) == pytest.approx(error(filled, views))
    assert error(y, valid) < 0.7 * error(filled, torch.ones_like(valid))
    masked = Radon(beam, grid, valid=valid)
    empty = conjugate_gradients(masked.normal, masked.adjoint(y * valid), iterations=8)
    assert error(y, valid) < 0.9 * float((empty - truth).norm() / truth.norm())


@pytest.mark.parametrize("cg", [None, 5])
def test_dds_reconstructs_as_if_the_lost_rays_had_never_been(cg: int | None, monkeypatch) -> None:
    gapped, removed = problems()
    monkeypatch.setattr(Problem, "least_squares", lambda problem: 0.9 * image().expand(len(problem.y), N, N))
    options = {"steps": 6, "sigma_start": 0.01, "sigma_min": 0.001, "cg": cg}
    got, want = (DDS(**options)(P, prior(), samples=2, seed=3).samples for P in (gapped, removed))
    assert float((got - want).norm() / want.norm()) < 1e-3
    blind = DDS(**options)(replace(gapped, operator=Radon(BEAM, GRID)), prior(), samples=2, seed=3).samples
    assert float((blind - want).norm() / want.norm()) > 0.1  # zeros taken for measurements


# --- from a scan
def body() -> Volume:
    hu = 1000 * (image(64, Grid((64, 64), 2.0)) / 0.02 - 1).numpy()
    return Volume(hu.astype(np.float32), "HU", "CT", (5.0, 2.0, 2.0), source="body")


def test_the_mask_of_a_scan_reaches_its_problem() -> None:
    scan = simulate(body(), CTSimulation(views=20, metal=2))
    problem = problem_of(scan)
    assert torch.equal(problem.operator.valid, torch.from_numpy(scan.mask))
    filled = replace(scan, data=scan.data + np.where(scan.mask, 0, 7).astype(np.float32))
    torch.testing.assert_close(problem_of(filled).y, problem.y)  # what the data hold there does not count


@pytest.mark.parametrize("fan", [False, True], ids=["parallel", "fan"])
@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_the_noise_is_estimated_beside_the_gaps(fan: bool, sigma: float) -> None:
    """As in the whole sinogram; the steps at the ends of the gaps would count as noise."""
    scan, plain = (simulate(body(), CTSimulation(views=60, fan=fan, metal=metal)) for metal in (4, 0))
    noise = sigma * torch.randn(scan.data.shape, generator=torch.Generator().manual_seed(0))
    noisy = replace(scan, data=plain.data + noise.numpy(), noise=None)
    whole = sinogram_noise(torch.from_numpy(noisy.data))
    problem = problem_of(noisy)
    assert problem.noise.sigma == pytest.approx(whole, rel=0.15)
    assert sinogram_noise(problem.y) > 1.4 * whole
    with pytest.raises(ValueError, match="five neighbouring rays"):
        sinogram_noise(problem.y, torch.arange(problem.y.shape[-1]).expand(problem.y.shape[1:]) % 4 > 0)


def test_gaps_do_not_look_like_reversed_angles() -> None:
    """Of one half of the views most is lost: opposite rays differ, and say nothing."""
    scan = simulate(body(), CTSimulation(views=120, fan=True))
    mask = np.ones(scan.data.shape[1:], bool)
    mask[:40, 20:] = False
    gapped = replace(scan, data=scan.data * mask, mask=mask)
    assert problem_of(gapped).operator.valid is not None
    wrong = replace(scan.geometry, angles=[-a for a in scan.geometry.angles])
    with pytest.raises(FormatError, match="--angle-sign"):
        problem_of(replace(gapped, geometry=wrong))
