"""Known answers for SIRT, CGLS and ADMM-TV."""

import pytest
import torch
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators.linear import Identity, LinearOperator
from scanprior.operators.noise import Gaussian, Photon
from scanprior.operators.radon_sparse import RadonSparse
from scanprior.recon.baselines.admm import admm_tv
from scanprior.recon.baselines.cgls import cgls
from scanprior.recon.baselines.sirt import sirt
from scanprior.recon.baselines.tv import fista_tv, gradient
from scanprior.recon.problem import Problem
from scanprior.recon.weights import MODEL_ERROR, inverse_variance, measured
from torch import Tensor


class Matrix(LinearOperator):
    """M x for images (H, W), M (m, H W)."""

    def __init__(self, matrix: Tensor, side: tuple[int, int]) -> None:
        super().__init__(
            side,
            (matrix.shape[0],),
            domain_complex=matrix.is_complex(),
            range_complex=matrix.is_complex(),
        )
        self.register_buffer("matrix", matrix)

    def apply_forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix.T

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return (y @ self.matrix.conj()).view(-1, *self.domain)


def random(*shape: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def well_posed(dtype: torch.dtype = torch.float32) -> tuple[Matrix, Tensor, Tensor]:
    """A of 60 x 12 with entries >= 0 where real, two noisy measurements, two sets of weights."""
    M = random(60, 12, seed=0, dtype=dtype)
    M = M if dtype.is_complex else M.abs()
    A = Matrix(M, (3, 4))
    x = random(2, 3, 4, seed=1, dtype=dtype)
    weights = torch.rand(2, 60, generator=torch.Generator().manual_seed(2)) + 0.2
    return A, A(x if dtype.is_complex else x.abs()) + 0.3 * random(2, 60, seed=3, dtype=dtype), weights


def exact(A: Matrix, y: Tensor, weights: Tensor) -> Tensor:
    """The weighted least squares of each item, by a dense solver in double precision."""
    kind = torch.complex128 if y.is_complex() else torch.float64
    rows = [
        torch.linalg.lstsq(w[:, None] * A.matrix.to(kind), (w * b.to(kind))[:, None]).solution
        for w, b in zip(weights.double().sqrt(), y, strict=True)
    ]
    return torch.stack(rows).view(-1, *A.domain).to(y.dtype)


# --- the solution they go to
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_cgls_ends_at_the_weighted_least_squares(dtype: torch.dtype) -> None:
    A, y, weights = well_posed(dtype)
    x = cgls(y, A, 40, weights=weights)
    torch.testing.assert_close(x, exact(A, y, weights), atol=1e-4, rtol=1e-4)
    assert (cgls(y, A, 40) - x).abs().max() > 1e-2  # the weights matter
    torch.testing.assert_close(cgls(y, A, 40), exact(A, y, torch.ones_like(weights)), atol=1e-4, rtol=1e-4)


def test_sirt_ends_at_the_weighted_least_squares() -> None:
    A, y, weights = well_posed()
    x = sirt(y, A, 1500, weights=weights, nonnegative=False)
    torch.testing.assert_close(x, exact(A, y, weights), atol=2e-3, rtol=2e-3)
    rows = A.matrix.sum(1).reciprocal().expand(2, -1)  # without weights: W = 1 / (A 1)
    torch.testing.assert_close(sirt(y, A, 1500, nonnegative=False), exact(A, y, rows), atol=2e-3, rtol=2e-3)


def test_cgls_of_too_few_data_is_the_solution_of_least_norm() -> None:
    M = random(5, 12, seed=4)
    y = random(1, 5, seed=5)
    x = cgls(y, Matrix(M, (3, 4)), 30)
    torch.testing.assert_close(x.flatten(1), y @ torch.linalg.pinv(M).T, atol=1e-5, rtol=1e-4)


def test_nonnegative_sirt_satisfies_kuhn_and_tucker() -> None:
    """x >= 0, the gradient is 0 where x > 0 and >= 0 where x = 0."""
    A, y, weights = well_posed()
    y = y - 3
    x = sirt(y, A, 1500, weights=weights)
    slope = A.adjoint(weights * (A(x) - y))
    assert float(x.min()) == 0 < float(x.max())
    assert float(slope[x > 1e-4].abs().max()) < 1e-2
    assert float(slope[x == 0].min()) > -1e-2


def test_sirt_never_raises_the_misfit() -> None:
    A, y, weights = well_posed()
    costs = [
        float((weights * (A(sirt(y, A, n, weights=weights)) - y).square()).sum())
        for n in (1, 2, 4, 8, 30, 100)
    ]
    assert costs == sorted(costs, reverse=True)


# --- where they stop
GRID = Grid((32, 32), 6.0)


def noisy_disc(noise: Gaussian | Photon, views: int = 40) -> tuple[Problem, Tensor]:
    x, y = ((torch.arange(32) - 15.5) * s for s in (6.0, -6.0))
    radius = torch.hypot(x[None, :], y[:, None])
    truth = 0.02 * (radius < 80).float() + 0.01 * (radius < 30).float()
    A = RadonSparse(ParallelBeam.covering(GRID, views), GRID)
    clean = A(truth[None])
    return Problem(noise.sample(clean, torch.Generator().manual_seed(0)), A, noise), truth[None]


@pytest.mark.parametrize("noise", [Gaussian(0.1), Photon(2e3)])
@pytest.mark.parametrize("method", [cgls, sirt])
def test_the_discrepancy_principle_stops_before_the_noise_is_fitted(method, noise) -> None:
    """Semi-convergence: the error falls, then rises; the stopped image is nearly the best of all."""
    P, truth = noisy_disc(noise)
    W = inverse_variance(P)
    options = {} if method is cgls else {"nonnegative": False}

    def error(iterations: int, misfit: float | None = None) -> float:
        x = method(P.y, P.operator, iterations, weights=W, misfit=misfit, **options)
        return float((x - truth).norm() / truth.norm())

    last = 150 if method is cgls else 600
    errors = [error(n) for n in (1, 2, 4, 7, 10, 15, 20, 30, last)]
    stopped = error(last, misfit=P.y[0].numel())
    assert errors[-1] > 1.3 * min(errors)
    assert stopped < 1.25 * min(errors), (stopped, errors)
    x = method(P.y, P.operator, last, weights=W, misfit=P.y[0].numel(), **options)
    assert float((W * (P.operator(x) - P.y).square()).sum()) <= P.y[0].numel()


def test_weights_are_the_inverse_variance_and_a_model_error() -> None:
    P, _ = noisy_disc(Photon(2e3))
    own = MODEL_ERROR**2 * P.y[measured(P)].square().mean()
    torch.testing.assert_close(inverse_variance(P), 1 / (1 / Photon(2e3).weights(P.y) + own))
    clean = inverse_variance(Problem(P.y, P.operator))
    torch.testing.assert_close(clean, (1 / own).view(1, 1, 1))


def test_weighting_silences_a_broken_detector() -> None:
    P, truth = noisy_disc(Gaussian(0.001))
    y, W = P.y.clone(), torch.ones_like(P.y)
    y[:, :, 12], W[:, :, 12] = 9.0, 0.0
    for method in (cgls, sirt):
        errors = [
            float((method(y, P.operator, 30, weights=w) - truth).norm()) for w in (torch.ones_like(W), W)
        ]
        assert errors[1] < 0.6 * errors[0]


# --- ADMM-TV
def objective(x: Tensor, y: Tensor, A: LinearOperator, lam: float) -> float:
    tv = gradient(x).abs().square().sum(1).sqrt().sum()
    return float(0.5 * (A(x) - y).abs().square().sum() + lam * tv)


@pytest.mark.parametrize("weight", [1e-3, 1e-2])
def test_admm_and_fista_reach_the_same_objective(weight: float) -> None:
    A = RadonSparse(ParallelBeam.covering(Grid((16, 16), 12.0), 8), Grid((16, 16), 12.0))
    truth = torch.zeros(1, 16, 16)
    truth[:, 3:12, 4:13] = 0.02
    truth[:, 6:9, 6:10] = 0.03
    y = A(truth) + 0.02 * random(1, *A.range, seed=6)
    lam = weight * float(A.adjoint(y).abs().max())
    admm = objective(admm_tv(y, A, weight, 150, inner_steps=8), y, A, lam)
    fista = objective(fista_tv(y, A, weight, 250, inner=20), y, A, lam)
    assert admm == pytest.approx(fista, rel=1e-3)


def test_admm_and_fista_agree_on_complex_images() -> None:
    A, y, _ = well_posed(torch.complex64)
    weight = 0.05
    lam = weight * float(A.adjoint(y[:1]).abs().max())
    one, other = admm_tv(y[:1], A, weight, 300), fista_tv(y[:1], A, weight, 300, inner=30)
    assert objective(one, y[:1], A, lam) == pytest.approx(objective(other, y[:1], A, lam), rel=1e-4)
    torch.testing.assert_close(one, other, atol=5e-3, rtol=0)
    torch.testing.assert_close(admm_tv(1j * y[:1], A, weight, 300), 1j * one, atol=1e-4, rtol=0)


def test_admm_loses_lambda_over_the_length_of_a_step() -> None:
    """Plateaus of 12 and 20 pixels: the low one rises by lambda / 12, the high one falls by lambda / 20."""
    y = torch.cat([torch.full((12,), 1.0), torch.full((20,), 3.0)]).expand(1, 6, 32)
    expected = torch.cat([torch.full((12,), 1.2), torch.full((20,), 2.88)]).expand(1, 6, 32)
    x = admm_tv(y, Identity((6, 32)), weight=2.4 / 3, iterations=300)
    torch.testing.assert_close(x, expected, atol=2e-3, rtol=0)


# --- all of them
METHODS = {
    "cgls": lambda y, A, W: cgls(y, A, 4, weights=W),  # more of them amplify rounding
    "sirt": lambda y, A, W: sirt(y, A, 15, weights=W),
    "admm": lambda y, A, W: admm_tv(y, A, 1e-2, 15, weights=W),
}


@pytest.mark.parametrize("name", METHODS)
def test_batch_mates_do_not_matter(name: str) -> None:
    P, _ = noisy_disc(Gaussian(0.02), views=9)
    y = torch.cat([P.y, 50 * P.y.flip(2)])
    W = torch.cat([torch.ones_like(P.y), torch.full_like(P.y, 1e-3)])
    both = METHODS[name](y, P.operator, W)
    for b in range(2):
        alone = METHODS[name](y[b : b + 1], P.operator, W[b : b + 1])
        torch.testing.assert_close(both[b : b + 1], alone, rtol=1e-3, atol=1e-3 * float(alone.abs().max()))


@pytest.mark.parametrize("method", [cgls, sirt])
def test_an_item_that_has_stopped_waits_for_the_others(method) -> None:
    P, _ = noisy_disc(Gaussian(0.1))
    y = torch.cat([P.y, P.y + 0.5 * random(*P.y.shape, seed=7)])
    W = torch.full_like(y, 100.0)
    both = method(y, P.operator, 60, weights=W, misfit=P.y[0].numel())
    alone = method(P.y, P.operator, 60, weights=W[:1], misfit=P.y[0].numel())
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-6)


def test_nothing_measured_gives_nothing() -> None:
    A, y = Identity((4, 4)), torch.zeros(2, 4, 4)
    for x in (cgls(y, A), sirt(y, A), admm_tv(y, A, 0.1)):
        torch.testing.assert_close(x, y)


def test_nonsense_is_refused() -> None:
    A, y = Identity((4, 4)), torch.zeros(1, 4, 4)
    with pytest.raises(ValueError, match="iterations=0"):
        cgls(y, A, 0)
    with pytest.raises(ValueError, match="misfit=-1"):
        sirt(y, A, misfit=-1)
    with pytest.raises(ValueError, match="negative statistical weights"):
        cgls(y, A, weights=-torch.ones(1, 4, 4))
    with pytest.raises(ValueError, match="expected a real operator"):
        sirt(y, Identity((4, 4), is_complex=True))
    with pytest.raises(ValueError, match="admm_tv: got weight=-1"):
        admm_tv(y, A, -1)
    with pytest.raises(ValueError, match=r"admm_tv: got images of shape \(4,\)"):
        admm_tv(torch.zeros(1, 4), Identity((4,)), 0.1)
