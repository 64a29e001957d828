"""The carried data step against a direct solve: primal and dual, even and uneven noise, several items."""

from __future__ import annotations

import pytest
import torch
from known_answer import SIDE
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators.noise import Photon
from scanprior.operators.radon import Radon
from scanprior.priors.analytic import GaussianPrior
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.posterior.solver import Dual, Primal, data_solver
from scanprior.recon.problem import Problem
from torch import Tensor
from toys import Dense, Uneven

ROWS = 7


def posed(sigma: Tensor) -> Posed:
    g = torch.Generator().manual_seed(0)
    operator = Dense(torch.rand(ROWS, SIDE * SIDE, generator=g), (SIDE, SIDE))
    prior = GaussianPrior(torch.zeros(1, SIDE, SIDE), torch.eye(SIDE * SIDE))
    y = torch.randn(3, ROWS, generator=g) * torch.tensor(
        [[1.0], [30.0], [0.01]]
    )  # items of very different size
    return Posed(Problem(y, operator, Uneven(sigma)), prior, torch.zeros(3, SIDE, SIDE), model_error=0.0)


def exact(p: Posed, x: Tensor, variance: float | Tensor) -> Tensor:
    A, W = (
        p.physical_operator.get_buffer("matrix").double(),
        torch.diag_embed(p.weights.double().expand(3, ROWS)),
    )
    precision = (1 / (torch.zeros_like(x) + variance)).flatten(1).double()
    normal = A.T @ W @ A + torch.diag_embed(precision)
    right = (A.T @ W.sqrt() @ p.y.double()[..., None])[..., 0] + x.flatten(1).double() * precision
    return torch.linalg.solve(normal, right).view_as(x)


@pytest.mark.parametrize("solver", [Primal, Dual])
@pytest.mark.parametrize("spread", [1.0, 30.0], ids=["even", "uneven"])
def test_many_steps_reach_the_minimum(solver: type[Primal] | type[Dual], spread: float) -> None:
    p = posed(0.3 * torch.logspace(0, 1, ROWS, base=spread))
    solve = solver(p)
    uneven = (
        torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(9)) + 0.02
    )  # a map, of each item
    for seed, variance in enumerate(
        (1.0, 0.2, 0.2 * uneven, 0.03)
    ):  # the carried start must not change the answer
        x = torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
        want = exact(p, x, variance)
        for b in range(3):  # item by item: their sizes differ by thousands
            got = solve(x, variance, 40)[b] if b == 0 else solve(x, variance, 1)[b]
            assert float((got - want[b]).norm() / want[b].norm()) < 2e-3


@pytest.mark.parametrize("solver", [Primal, Dual])
def test_carrying_pays_when_the_levels_are_close(solver: type[Primal] | type[Dual]) -> None:
    p = posed(torch.full((ROWS,), 0.05))
    x = torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    want = exact(p, x, 0.5)
    fresh, after = solver(p), solver(p)
    after(x + 0.01, 0.6, 3)
    errors = [float((solve(x, 0.5, 1) - want).norm()) for solve in (fresh, after)]
    assert errors[1] < 0.5 * errors[0]


def test_the_dual_is_chosen_for_small_real_measurements() -> None:
    assert isinstance(data_solver(posed(torch.full((ROWS,), 0.1))), Dual)


def test_dual_steps_take_one_projection_each_and_one_back(monkeypatch: pytest.MonkeyPatch) -> None:
    p, calls = posed(torch.full((ROWS,), 0.05)), []
    A, AH = p.A, p.AH
    monkeypatch.setattr(p, "A", lambda x: calls.append("A") or A(x))
    monkeypatch.setattr(p, "AH", lambda r: calls.append("AH") or AH(r))
    solve, x = Dual(p), torch.randn(3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    for steps in (3, 1):  # the first begins at zero, the second where the first ended
        calls.clear()
        solve(x, 0.5, steps)
        assert (calls.count("A"), calls.count("AH")) == (steps, steps)
    assert torch.allclose(solve.g, AH(solve.q), rtol=1e-5, atol=1e-5)


def test_preconditioned_dual_is_ahead_on_photon_data() -> None:
    """Rays through the middle of a disc have a hundredth of the photons of those beside it."""
    grid = Grid((48, 48), 8.0)
    operator = Radon(ParallelBeam.covering(grid, 11), grid)
    axis = torch.arange(48) - 23.5
    image = (0.02 * (torch.hypot(axis[:, None], axis) < 16).float())[None]
    noise = Photon(1e4)
    y = noise.sample(operator(image), torch.Generator().manual_seed(0))
    prior = GaussianPrior(torch.zeros(1, 48, 48), torch.eye(48 * 48))
    p = Posed(Problem(y, operator, noise), prior, torch.zeros_like(image))
    x, variance = torch.full_like(image, 0.005), 1e-4
    want = Primal(p)(x, variance, 400)
    errors = [float((solver(p)(x, variance, 3) - want).norm() / want.norm()) for solver in (Primal, Dual)]
    assert errors[1] < 0.7 * errors[0]
