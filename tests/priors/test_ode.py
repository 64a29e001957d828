"""The probability flow against the exact flow of a Gaussian: its equation, the solvers' orders, encode and decode."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from scanprior.priors.analytic import GaussianPrior, MixturePrior
from scanprior.priors.sampling.loop import ItemNoise, karras_levels, log_snr_levels, uniform_levels
from scanprior.priors.sampling.ode import (
    RK45,
    SIGMA_MIN,
    Euler,
    Heun,
    Solver,
    decode,
    encode,
    flow,
    interpolate,
    top_level,
)
from scanprior.priors.score import score
from scanprior.priors.sde import SDE, VE, VP, SubVP

SIDE = 6
LAWS = [VE(0.01, 50.0), VP(), SubVP()]
laws = pytest.mark.parametrize("sde", LAWS, ids=lambda s: type(s).__name__)


def prior() -> GaussianPrior:
    axis = torch.arange(SIDE * SIDE, dtype=torch.float32)
    return GaussianPrior(0.4 * torch.ones(1, SIDE, SIDE), 0.3 * torch.exp(-(axis[:, None] - axis).abs() / 2))


def images(count: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    exact = prior()
    root = torch.linalg.cholesky(exact.covariance)
    z = torch.randn(count, SIDE * SIDE, generator=torch.Generator().manual_seed(0))
    return (exact.mean + (z @ root.T).view(-1, 1, SIDE, SIDE)).to(dtype)


def exact_flow(x: torch.Tensor, start: float, stop: float) -> torch.Tensor:
    """x(stop): each eigen-direction of the covariance stretches by sqrt((S + stop²) / (S + start²))."""
    exact = prior()
    gain = torch.sqrt((exact.eigenvalues + stop**2) / (exact.eigenvalues + start**2))
    deviation = (x.double() - exact.mean).flatten(1) @ exact.basis
    return exact.mean + ((gain * deviation) @ exact.basis.T).view_as(x)


@laws
def test_the_flow_in_the_noise_level_is_equation_13_of_every_law(sde: SDE) -> None:
    """With x = alpha y: dx/dt = alpha' y + alpha (dy/ds) (ds/dt) must be f - ½ g² score."""
    exact, y = prior(), images(1, torch.float64)
    for value in (0.05, 0.2, 0.5, 0.9):
        t = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        alpha, level = sde.alpha(t), sde.sigma(t) / sde.alpha(t)
        (speed,) = torch.autograd.grad(level, t, retain_graph=True)
        rate = torch.autograd.grad(alpha, t)[0] if alpha.requires_grad else 0.0  # VE: alpha = 1
        t, alpha, level = t.detach(), alpha.detach(), level.detach()
        ours = rate * y + alpha * flow(exact)(y, float(level)) * speed
        x = alpha * y
        theirs = sde.drift(x, t) - 0.5 * sde.diffusion(t) ** 2 * score(exact, x, t, sde)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-8)


@laws
@pytest.mark.parametrize(("solver", "order"), [(Euler, 1), (Heun, 2)])
def test_solvers_converge_with_their_order(sde: SDE, solver: type[Euler] | type[Heun], order: int) -> None:
    exact, x, top = prior(), images(2, torch.float64), top_level(sde)
    z = exact_flow(x, SIGMA_MIN, top) / top
    steps = (20, 40, 80, 160)
    up = [float((encode(exact, x, sde, solver(n)).x - z).norm()) for n in steps]
    down = [float((decode(exact, z, sde, solver(n)).x - x).norm()) for n in steps]
    for errors in (up, down):
        slopes = [math.log2(a / b) for a, b in pairwise(errors)]
        assert slopes[-1] == pytest.approx(order, abs=0.05), slopes
        assert slopes[0] == pytest.approx(order, abs=0.15), slopes


@laws
@pytest.mark.parametrize(("solver", "order"), [(Euler, 1), (Heun, 2)])
def test_the_order_is_the_same_on_every_grid(sde: SDE, solver: type[Euler] | type[Heun], order: int) -> None:
    exact, x, top = prior(), images(1, torch.float64), top_level(sde)
    z = exact_flow(x, SIGMA_MIN, top) / top
    for grid in (karras_levels, log_snr_levels, partial(uniform_levels, sde=sde)):
        low, high = (float((decode(exact, z, sde, solver(n, grid)).x - x).norm()) for n in (100, 200))
        assert math.log2(low / high) == pytest.approx(order, abs=0.15)
        assert high < 0.5 / 200 ** (order - 1)


def test_the_adaptive_solver_s_error_is_of_the_order_of_its_tolerance() -> None:
    """Slope 1; the evaluations grow with about its fifth root (some are of steps that were refused)."""
    exact, x, top = prior(), images(1, torch.float64), top_level(VE())
    z = exact_flow(x, SIGMA_MIN, top) / top
    (coarse, few), (fine, many) = (encode(exact, x, VE(), RK45(tolerance)) for tolerance in (1e-5, 1e-8))
    assert math.log10(float((coarse - z).norm() / (fine - z).norm())) / 3 == pytest.approx(1, abs=0.25)
    assert math.log10(int(many) / int(few)) / 3 == pytest.approx(1 / 5, abs=0.05)


@laws
def test_the_adaptive_solver_is_as_exact_as_asked(sde: SDE) -> None:
    exact, x, top = prior(), images(2, torch.float64), top_level(sde)
    z = exact_flow(x, SIGMA_MIN, top) / top
    errors, evaluations = [], []
    for tolerance in (1e-3, 1e-5, 1e-7):
        end, nfe = encode(exact, x, sde, RK45(tolerance))
        errors.append(float((end - z).norm() / z.norm()))
        evaluations.append(int(nfe[0]))
    assert errors[0] < 1e-2
    assert errors[1] < 1e-4
    assert errors[2] < 1e-6
    assert 30 < evaluations[0] < evaluations[1] < evaluations[2] < 400


@laws
@pytest.mark.parametrize("solver", [RK45(), Heun(100)], ids=["RK45", "Heun"])
def test_decode_undoes_encode(sde: SDE, solver: Solver) -> None:
    x = images(3)
    z, up = encode(prior(), x, sde, solver)
    back, down = decode(prior(), z, sde, solver)
    assert float((back - x).abs().max()) < 1e-3
    assert z.shape == x.shape
    assert up.shape == down.shape == (3,)
    if isinstance(solver, Heun):
        assert up.tolist() == down.tolist() == [200] * 3


@laws
def test_decode_undoes_encode_where_paths_bend(sde: SDE) -> None:
    """Of a mixture; of an image halfway between two modes, where paths part, errors grow and tolerances count."""
    x = torch.cat([MEANS, MEANS[:2].mean(0, keepdim=True)]).view(4, 1, 1, 2)
    for part, solver in ((x[:3], RK45()), (x[:3], Heun(100)), (x[3:], RK45(1e-6))):
        back, _ = decode(mixture(), encode(mixture(), part, sde, solver).x, sde, solver)
        assert float((back - part).abs().max()) < 1e-3


@laws
def test_decoded_noise_has_the_priors_moments(sde: SDE) -> None:
    exact, count = prior(), 6000
    z = torch.randn(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    x, _ = decode(exact, z, sde, Heun(60))
    covariance = exact.covariance + SIGMA_MIN**2 * torch.eye(SIDE**2)
    flat, error = x.flatten(1), torch.sqrt(covariance.diagonal() / count)
    assert float(((flat.mean(0) - exact.mean.flatten()) / error).abs().max()) < 4
    assert float((flat.T.cov() - covariance).norm() / covariance.norm()) < 0.08


WEIGHTS, STDS = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.25, 0.4, 0.3])
MEANS = torch.tensor([[1.5, 0.0], [-1.0, 1.0], [-0.5, -1.5]])  # 6 standard deviations apart


def mixture() -> MixturePrior:
    return MixturePrior(WEIGHTS, MEANS.view(3, 1, 1, 2), STDS)


@pytest.mark.parametrize(
    ("solver", "sde"),
    [
        *((Heun(60), sde) for sde in LAWS),
        *((Euler(300), sde) for sde in LAWS),
        pytest.param(RK45(1e-3), VE(0.01, 50.0), marks=pytest.mark.slow),  # one image at a time
    ],
    ids=lambda value: type(value).__name__,
)
def test_decoded_noise_has_the_moments_of_a_mixture(solver: Solver, sde: SDE) -> None:
    count, bound = 4000 if isinstance(solver, RK45) else 6000, 4.5
    z = torch.randn(count, 1, 1, 2, generator=torch.Generator().manual_seed(1))
    x = decode(mixture(), z, sde, solver).x.flatten(1)
    mode = torch.cdist(x, MEANS).argmin(1)
    for k, (w, s) in enumerate(zip(WEIGHTS.tolist(), STDS.tolist(), strict=True)):
        part = x[mode == k]
        assert len(part) / count == pytest.approx(w, abs=bound * math.sqrt(w * (1 - w) / count))
        assert float((part.mean(0) - MEANS[k]).abs().max()) < (bound / len(part) ** 0.5 + 0.02) * s
        relative = part.T.cov() / (s**2 + SIGMA_MIN**2) - torch.eye(2)
        assert float(relative.abs().max()) < bound * math.sqrt(2 / len(part)) + 0.02


@laws
def test_temperature_draws_latents_and_images_to_the_mean(sde: SDE) -> None:
    """A Gaussian's flow is linear: the way to an image from the middle scales with its latent."""
    z = ItemNoise([1, 2, 3]).like(torch.zeros(3, 1, SIDE, SIDE))
    middle, whole, half = (decode(prior(), T * z, sde, Heun(40)).x for T in (0.0, 1.0, 0.5))
    torch.testing.assert_close(half - middle, 0.5 * (whole - middle), rtol=1e-3, atol=1e-4)
    assert float((middle - prior().mean).abs().max()) < 0.05


def test_denoised_takes_the_last_noise_away() -> None:
    z = ItemNoise([1, 2]).like(torch.zeros(2, 1, SIDE, SIDE))
    noisy, nfe = decode(prior(), z, VE(), Heun(10))
    clean, more = decode(prior(), z, VE(), Heun(10), denoised=True)
    torch.testing.assert_close(clean, prior().denoise(noisy, SIGMA_MIN))
    assert (more - nfe).tolist() == [1, 1]


@pytest.mark.parametrize("solver", [RK45(), Heun(10), Euler(10)], ids=lambda s: type(s).__name__)
def test_a_path_does_not_depend_on_its_batch_mates(solver: Solver) -> None:
    x = images(3)
    x[0] *= 30  # a wild mate, that needs other steps
    together, counts = encode(prior(), x, VE(), solver)
    alone, count = encode(prior(), x[1:2], VE(), solver)
    torch.testing.assert_close(together[1:2], alone, rtol=1e-6, atol=1e-6)
    assert counts[1] == count[0]


def test_interpolation_stays_on_the_shell() -> None:
    a, b = ItemNoise([1, 2]).like(torch.zeros(2, 1, 32, 32))
    weights = torch.linspace(0, 1, 5)
    arc = interpolate(a, b, weights)
    torch.testing.assert_close(arc[0], a)
    torch.testing.assert_close(arc[-1], b)
    rms = arc.flatten(1).square().mean(1).sqrt()
    assert float((rms - 1).abs().max()) < 0.05  # 0.71 in the middle of a straight line
    torch.testing.assert_close(interpolate(a, a, weights), a.expand(5, 1, 32, 32))


def test_interpolation_leads_from_one_image_to_the_other() -> None:
    """A Gaussian's flow is linear: every image on the way is the same sum of the two as its latent."""
    x = images(2)
    a, b = encode(prior(), x, VE()).x
    way = decode(prior(), interpolate(a, b, torch.tensor([0.0, 0.3, 1.0])), VE()).x
    assert float((way[[0, 2]] - x).abs().max()) < 1e-3
    angle = torch.acos(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0))
    parts = torch.sin(torch.stack([0.7 * angle, 0.3 * angle])) / torch.sin(angle)
    m = exact_flow(torch.zeros_like(x), top_level(VE()), SIGMA_MIN)[:1]  # where the latent 0 leads
    expected = m + (parts.view(2, 1, 1, 1) * (x - m)).sum(0, keepdim=True)
    torch.testing.assert_close(way[1:2], expected.to(way), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("solver", [Euler(7), Heun(7), RK45(1e-3)], ids=lambda s: type(s).__name__)
def test_the_evaluations_told_are_those_made(solver: Solver) -> None:
    exact, calls = prior(), []
    denoise = exact.denoise
    exact.denoise = lambda x, sigma: calls.append(len(x)) or denoise(x, sigma)  # type: ignore[method-assign]
    z, up = encode(exact, images(2), VE(), solver)
    together = 1 if isinstance(solver, RK45) else 2  # images that share a call
    assert int(up.sum()) == sum(calls) == together * len(calls)
    calls.clear()
    _, down = decode(exact, z, VE(), solver, denoised=True)
    assert int(down.sum()) == sum(calls)


def test_a_network_that_gives_nan_is_an_error() -> None:
    class Broken(GaussianPrior):
        def denoise(self, x: torch.Tensor, sigma: torch.Tensor | float) -> torch.Tensor:
            return x * float("nan")

    broken = Broken(torch.zeros(1, 2, 2), torch.eye(4))
    with pytest.raises(FloatingPointError, match=r"not finite at noise level 0\.01"):
        encode(broken, torch.zeros(1, 1, 2, 2), VE())


def test_no_steps_and_no_tolerance_are_errors() -> None:
    for solver, value in ((Euler, 0), (Heun, 0), (RK45, 0.0)):
        with pytest.raises(ValueError, match="expected"):
            solver(value)
