"""The published settings (`DDS.paper()` ...) against their papers' equations, written out here once more in the papers'
own variables: a Gaussian prior of 4 x 4 pixels, six measurements, the same noise, every estimate of every step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import known_answer as known
import pytest
import torch
from scanprior.operators.noise import Gaussian
from scanprior.priors.sampling.loop import ItemNoise
from scanprior.recon.methods import METHODS, class_of
from scanprior.recon.posterior.ald import ALD
from scanprior.recon.posterior.auto import Auto
from scanprior.recon.posterior.daps import DAPS
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.posterior.diffpir import DiffPIR
from scanprior.recon.posterior.dps import DPS
from scanprior.recon.posterior.method import PosteriorMethod
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.posterior.ula import ULA
from scanprior.recon.problem import Problem
from torch import Tensor
from toys import Dense

SIGMA, N, ROWS = 0.1, known.N, 6
A = torch.randn(ROWS, N, generator=torch.Generator().manual_seed(0))
A = A / torch.linalg.matrix_norm(A, 2)  # as the papers' operators
Y = torch.randn(1, ROWS, generator=torch.Generator().manual_seed(1))
OPERATOR = Dense(A, (known.SIDE, known.SIDE))
PRIOR = known.prior_of(OPERATOR)
MEAN, S, EYE = PRIOR.mean.flatten().double(), PRIOR.covariance.double(), torch.eye(N, dtype=torch.float64)
AD, YD = A.double(), Y[0].double()


def posed(repeat: int = 1) -> Posed:
    problem = Problem(Y, OPERATOR, Gaussian(SIGMA))
    out = Posed(problem, PRIOR, torch.zeros(1, known.SIDE, known.SIDE), repeat, model_error=0.0)
    out.__dict__["gain"] = torch.full_like(out.gain, SIGMA**-2)  # exactly: the power method ends below
    return out


def ours(method: PosteriorMethod) -> list[Tensor]:
    with torch.no_grad():
        return [x[0].flatten().double() for x in method.trajectory(posed(), ItemNoise([5]))]


class Draws:
    """The same noise, in the same order."""

    def __init__(self) -> None:
        self.noise = ItemNoise([5])

    def __call__(self) -> Tensor:
        return self.noise.like(torch.zeros(1, known.SIDE, known.SIDE)).flatten().double()


def alpha_bars(method) -> list[tuple[float, float]]:
    """Pairs of the cumulative alpha of DDPM, of one step and the next; 1 at the end."""
    bars = [1 / (1 + s**2) for s in method.levels()] + [1.0]
    return list(pairwise(bars))


def score(x: Tensor, signal: float, variance: float) -> Tensor:
    """Of sqrt(signal) x_0 + sqrt(variance) z."""
    return -torch.linalg.solve(signal * S + variance * EYE, x - signal**0.5 * MEAN)


def dps(method) -> Iterator[Tensor]:
    """Chung et al. 2023, Alg. 1, zeta_i = zeta' / |y - A x_0|."""
    z = Draws()
    x = z()
    for bar, before in alpha_bars(method):
        alpha, beta = bar / before, 1 - bar / before
        x = x.requires_grad_()
        x_0 = (x + (1 - bar) * score(x, bar, 1 - bar)) / bar**0.5
        square = (YD - AD @ x_0).square().sum()
        (slope,) = torch.autograd.grad(square, x)
        x, x_0 = x.detach(), x_0.detach()
        noise = ((1 - before) / (1 - bar) * beta) ** 0.5 * z()
        moved = alpha**0.5 * (1 - before) / (1 - bar) * x + before**0.5 * beta / (1 - bar) * x_0 + noise
        x = moved - method.zeta / square.detach() ** 0.5 * slope
        yield x_0 if before < 1 else x


def dds(method) -> Iterator[Tensor]:
    """Chung, Lee & Ye 2024, Alg. 2 with the proximal step of noisy measurements, M conjugate gradients from x_0."""
    z = Draws()
    x = z()
    for bar, before in alpha_bars(method):
        eps = -((1 - bar) ** 0.5) * score(x, bar, 1 - bar)
        u = (x - (1 - bar) ** 0.5 * eps) / bar**0.5
        r = method.gamma * AD.T @ (YD - AD @ u)
        p = r
        for _ in range(method.cg):
            q = p + method.gamma * AD.T @ (AD @ p)
            a = (r @ r) / (p @ q)
            u, new = u + a * p, r - a * q
            p, r = new + (new @ new) / (r @ r) * p, new
        b = ((1 - before) / (1 - bar)) ** 0.5 * (1 - bar / before) ** 0.5
        kept = (1 - before - (method.eta * b) ** 2) ** 0.5 if before < 1 else 0.0
        x = before**0.5 * u + kept * eps + method.eta * b * z()
        yield u


def diffpir(method) -> Iterator[Tensor]:
    """Zhu et al. 2023, Alg. 1, rho_t = lambda sigma_n² / sigma_t²."""
    z = Draws()
    x = z()
    for bar, before in alpha_bars(method):
        x_0 = (x + (1 - bar) * score(x, bar, 1 - bar)) / bar**0.5
        rho = method.lambda_ * SIGMA**2 / ((1 - bar) / bar)
        u = torch.linalg.solve(AD.T @ AD + rho * EYE, AD.T @ YD + rho * x_0)
        eps = (x - bar**0.5 * u) / (1 - bar) ** 0.5
        x = before**0.5 * u + (1 - before) ** 0.5 * ((1 - method.zeta) ** 0.5 * eps + method.zeta**0.5 * z())
        yield u


def daps(method) -> Iterator[Tensor]:
    """Zhang et al. 2025, Alg. 1: Euler steps of the flow on EDM's levels, Langevin dynamics of eq. 7, new noise."""
    z, levels = Draws(), method.levels()
    x = levels[0] * z()
    for i, sigma in enumerate(levels):
        low, n = 0.01, method.ode
        down = [(sigma ** (1 / 7) + k / (n - 1) * (low ** (1 / 7) - sigma ** (1 / 7))) ** 7 for k in range(n)]
        x_0t = x
        for here, there in zip(down, [*down[1:], 0.0], strict=True):
            x_0t = x_0t - (there - here) * here * score(x_0t, 1.0, here**2)
        x_0 = x_0t
        eta = method.rate * ((1 - i / method.steps) + i / method.steps * method.ratio)
        for _ in range(method.langevin):
            likelihood = AD.T @ (YD - AD @ x_0) / method.tau**2
            x_0 = x_0 - eta * (x_0 - x_0t) / sigma**2 + eta * likelihood + (2 * eta) ** 0.5 * z()
        x = x_0 + ([*levels, 0.0][i + 1]) * z()
        yield x_0


def ald(method) -> Iterator[Tensor]:
    """Jalal et al. 2021, eq. 4."""
    z, levels = Draws(), method.levels()
    x = levels[0] * z()
    for beta in levels:
        eta = method.epsilon * beta**2
        for _ in range(method.inner):
            likelihood = AD.T @ (YD - AD @ x) / ((method.gamma * beta) ** 2 + SIGMA**2)
            x = x + eta * (score(x, 1.0, beta**2) + likelihood) + (2 * eta) ** 0.5 * z()
        yield x


@pytest.mark.parametrize(
    ("method", "transcribed"),
    [
        (DPS.paper(steps=12, zeta=0.3), dps),
        (DDS.paper(steps=12, cg=2), dds),
        (DDS.paper(steps=12, cg=1, eta=0.15, gamma=2.0), dds),
        (DiffPIR.paper(steps=12), diffpir),
        (DiffPIR.paper(steps=12, lambda_=7.0, zeta=0.6), diffpir),
        (DAPS.paper(steps=6, langevin=5), daps),
        (ALD.paper(steps=12, gamma=1.5), ald),
    ],
    ids=lambda value: getattr(type(value), "name", ""),
)
def test_every_estimate_is_the_papers(method, transcribed) -> None:
    got, want = ours(method), list(transcribed(method))
    assert len(got) == len(want) == method.steps
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-3)


class Fixed:
    """Noise that is given, by shape."""

    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = {tensor.shape: tensor for tensor in tensors}

    def like(self, x: Tensor) -> Tensor:
        return self.tensors[x.shape]


def test_pula_is_the_papers() -> None:
    """Blumenthal et al. 2025: x + tau M [score + A^H (y - A x)] + sqrt(2 tau) M^½ z with M = (A^H A + 1 / s²)^-1; its
    noise by its covariance, from every number that is drawn."""
    method, count, s = ULA.paper(cg=N), N + ROWS, 0.7
    p = posed(count + 1)  # the last item without noise
    drawn = torch.eye(count + 1, count)
    noise = Fixed(drawn[:, :N].view(-1, known.SIDE, known.SIDE), drawn[:, N:])
    x = torch.full((count + 1, known.SIDE, known.SIDE), 0.2)
    with torch.no_grad():
        new = method.step(p, x, s, 0.6, noise)[0].flatten(1).double()
    M = torch.linalg.inv(AD.T @ AD / SIGMA**2 + EYE / s**2)
    at = x[0].flatten().double()
    mean = at + method.tau * M @ (score(at, 1.0, s**2) + AD.T @ (YD - AD @ at) / SIGMA**2)
    torch.testing.assert_close(new[-1], mean, rtol=1e-3, atol=1e-3)
    spread = new[:-1] - new[-1]
    torch.testing.assert_close(spread.T @ spread, 2 * method.tau * M, rtol=1e-2, atol=1e-3)
    assert (method.steps, method.inner, method.nfe) == (100, 1, 100)
    levels = method.levels()
    assert levels[0] == pytest.approx(10) and levels[1] / levels[0] == pytest.approx(levels[-1] / levels[-2])


PUBLISHED = {name.removesuffix("-paper") for name in METHODS if name.endswith("-paper")}


def test_published_settings_have_a_name_and_the_papers_budget() -> None:
    assert {"dds", "daps", "ald", "dps", "diffpir", "ula"} == PUBLISHED
    for name in PUBLISHED:
        assert type(class_of(name).paper()) is class_of(f"{name}-paper")
    budgets = {name: class_of(f"{name}-paper")().nfe for name in PUBLISHED}
    assert budgets == {"dds": 50, "daps": 1000, "ald": 3468, "dps": 1000, "diffpir": 100, "ula": 100}
    with pytest.raises(ValueError, match="Auto has no published setting"):
        Auto.paper()
