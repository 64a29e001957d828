"""Every predictor with every corrector under every law of noise: the moments of thousands of samples of a Gaussian and
of a mixture, orders of convergence, evaluations, temperature.

A bound is the statistical one, 4.5 standard errors of 4,000 samples, plus what the method itself owes to its steps.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
from scanprior.priors.analytic import GaussianPrior, MixturePrior
from scanprior.priors.sampling import predictor_corrector
from scanprior.priors.sampling.correctors import Corrector, annealed, langevin
from scanprior.priors.sampling.loop import (
    ItemNoise,
    karras_levels,
    level_times,
    log_snr_levels,
    uniform_times,
)
from scanprior.priors.sampling.predictor_corrector import Scheme, sample
from scanprior.priors.sampling.predictors import (
    Predictor,
    ancestral,
    ddim,
    euler_maruyama,
    heun,
    none,
    reverse_diffusion,
    transition,
)
from scanprior.priors.score import Prior
from scanprior.priors.sde import SDE, VE, VP, SubVP
from toys import OneGenerator

SIDE, COUNT, Z = 4, 4000, 4.5
TOP, BOTTOM = 20.0, 0.05  # levels; the prior's standard deviations are 0.37 ... 0.8
LAWS = [VE(0.01, 20.0), VP(), SubVP()]
laws = pytest.mark.parametrize("sde", LAWS, ids=lambda s: type(s).__name__)

# predictor, steps, and the relative bias of its variances at these steps
PREDICTORS = {
    "Euler-Maruyama": (euler_maruyama, 80, 0.05),
    "reverse diffusion": (reverse_diffusion, 100, 0.08),
    "ancestral": (ancestral, 100, 0.08),
    "DDIM": (ddim, 80, 0.06),
    "DDIM half": (partial(ddim, eta=0.5), 100, 0.06),
    "Heun": (heun, 20, 0.03),
    "EDM": (partial(heun, churn=0.2), 30, 0.05),
    "none": (none, 400, 0.2),
}
CORRECTORS = {"Langevin": partial(langevin, snr=0.1), "annealed": partial(annealed, snr=0.1), "none": none}
ALONE = {"Langevin": partial(langevin, snr=0.25), "annealed": partial(annealed, snr=0.25)}
PAIRS = [(p, c) for p in PREDICTORS for c in CORRECTORS if (p, c) != ("none", "none")]
pairs = pytest.mark.parametrize(("name", "corrector"), PAIRS, ids=[f"{p}-{c}" for p, c in PAIRS])


@pytest.fixture(autouse=True)
def fast_noise(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "seeds" not in request.node.name:
        monkeypatch.setattr(predictor_corrector, "ItemNoise", OneGenerator)


def gaussian() -> GaussianPrior:
    axis = torch.arange(SIDE * SIDE, dtype=torch.float32)
    return GaussianPrior(0.1 * torch.ones(1, SIDE, SIDE), 0.3 * torch.exp(-(axis[:, None] - axis).abs()))


def draw(
    prior: Prior, side: tuple[int, int], name: str, corrector: str, sde: SDE, finer: int
) -> torch.Tensor:
    predictor, steps, _ = PREDICTORS[name]
    chosen = (ALONE if name == "none" else CORRECTORS)[corrector]
    times = level_times(log_snr_levels(finer * steps, TOP, BOTTOM), sde)
    return sample(prior, side, range(COUNT), times, sde, Scheme(predictor, chosen)).x


def bias_of(name: str, corrector: str, finer: int) -> float:
    return PREDICTORS[name][2] / finer + (0.02 if corrector != "none" else 0)  # a Langevin step's own: snr²


def langevin_excess(name: str, share: torch.Tensor, n: int) -> torch.Tensor:
    """By how much the Langevin corrector inflates variances v_i whose inverses are `share` of the sum of all n, from
    correctors.py: it settles at p |score|², and a step e = 2 snr² n / |score|² adds e / 2 v_i."""
    snr = (ALONE if name == "none" else CORRECTORS)["Langevin"].keywords["snr"]
    return (1 + 2 * share) / (1 - n * snr**2 * share) - 1


def check_gaussian(name: str, corrector: str, sde: SDE, finer: int) -> None:
    exact = gaussian()
    x = draw(exact, (SIDE, SIDE), name, corrector, sde, finer)
    # the last step gives D(x) of x ~ N(m, S + BOTTOM²), whose variances are S² / (S + BOTTOM²)
    v = exact.eigenvalues**2 / (exact.eigenvalues + BOTTOM**2)
    white = (x - exact.mean).flatten(1).double() @ exact.basis / v.sqrt()
    true_mean = float((exact.mean.flatten().double() @ exact.basis / v.sqrt()).norm())
    bias, error = bias_of(name, corrector, finer), Z * math.sqrt(2 / COUNT)
    share = 1 / exact.eigenvalues / (1 / exact.eigenvalues).sum()
    inflated = langevin_excess(name, share, SIDE**2) if corrector == "Langevin" else torch.zeros(1)
    excess, off = white.T.cov().diagonal() - 1, white.T.corrcoef() - torch.eye(SIDE * SIDE)
    assert float(white.mean(0).abs().max()) < Z / COUNT**0.5 + bias * true_mean
    assert float(off.abs().max()) < Z / COUNT**0.5
    assert bool((excess > -error - bias).all()), excess
    assert bool((excess < error + bias + inflated).all()), excess
    assert -error / SIDE - bias < float(excess.mean()) < error / SIDE + bias + float(inflated.mean())


def check_mixture(name: str, corrector: str, sde: SDE, finer: int) -> None:
    weights, stds = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.25, 0.4, 0.3])
    means = torch.tensor([[1.5, 0.0], [-1.0, 1.0], [-0.5, -1.5]])  # 6 standard deviations apart
    x = draw(
        MixturePrior(weights, means.view(3, 1, 1, 2), stds), (1, 2), name, corrector, sde, finer
    ).flatten(1)
    bias = bias_of(name, corrector, finer)
    mode = torch.cdist(x, means).argmin(1)
    for k, (w, s) in enumerate(zip(weights.tolist(), stds.tolist(), strict=True)):
        part, v = x[mode == k], s**4 / (s**2 + BOTTOM**2)  # D(x) as above
        n = len(part)
        assert abs(n / COUNT - w) < Z * math.sqrt(w * (1 - w) / COUNT) + bias * w
        assert float((part.mean(0) - means[k]).abs().max()) < (Z / n**0.5 + bias) * s
        relative = part.T.cov() / v - torch.eye(2)
        assert float(relative.abs().max()) < Z * math.sqrt(2 / n) + bias


@laws
@pairs
def test_samples_have_the_moments_of_a_gaussian(name: str, corrector: str, sde: SDE) -> None:
    check_gaussian(name, corrector, sde, finer=1)


@pytest.mark.slow
@laws
@pairs
def test_with_more_steps_the_moments_come_nearer(name: str, corrector: str, sde: SDE) -> None:
    check_gaussian(name, corrector, sde, finer=5)


# on two numbers an image |score| comes near 0 and the Langevin corrector's step has no bound: see correctors.py
MIXTURE_PAIRS = [(p, c) for p, c in PAIRS if c != "Langevin"]
LANGEVIN = [p for p, c in PAIRS if c == "Langevin"]


def check_mixture_of_images(name: str, sde: SDE, finer: int) -> None:
    """The Langevin corrector, on images of 36 numbers: there it inflates the variances by about 2 / 36."""
    n, weights, stds = 36, torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.25, 0.4, 0.3])
    means = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(5))
    means = 3.5 * means / means.flatten(1).norm(dim=1).view(3, 1, 1, 1)
    x = draw(MixturePrior(weights, means, stds), (6, 6), name, "Langevin", sde, finer).flatten(1)
    mode, bias = torch.cdist(x, means.flatten(1)).argmin(1), bias_of(name, "Langevin", finer)
    inflated = float(langevin_excess(name, torch.tensor(1 / n), n))
    for k, (w, s) in enumerate(zip(weights.tolist(), stds.tolist(), strict=True)):
        part, v = x[mode == k], s**4 / (s**2 + BOTTOM**2)
        count = len(part)
        assert abs(count / COUNT - w) < Z * math.sqrt(w * (1 - w) / COUNT) + bias * w
        assert float((part.mean(0) - means[k].flatten()).abs().max()) < (Z / count**0.5 + bias) * s
        relative = part.T.cov() / v - torch.eye(n)
        diagonal = relative.diagonal()
        assert float((relative - diagonal.diag()).abs().max()) < (Z + 1) / count**0.5 * (1 + bias)  # of 630
        error = Z * math.sqrt(2 / (count * n)) + bias
        assert -error < float(diagonal.mean()) < error + inflated
        assert float((diagonal - diagonal.mean()).abs().max()) < Z * math.sqrt(2 / count) * (1 + bias)


@pytest.mark.parametrize(
    ("name", "sde"),
    [
        pytest.param(p, LAWS[k % 3], id=f"{p}", marks=[pytest.mark.slow] if p == "none" else [])
        for k, p in enumerate(LANGEVIN)
    ],
)
def test_with_the_langevin_corrector_the_moments_of_a_mixture_of_images(name: str, sde: SDE) -> None:
    check_mixture_of_images(name, sde, finer=1)


@pytest.mark.parametrize(
    ("name", "corrector", "sde"), [(p, c, LAWS[k % 3]) for k, (p, c) in enumerate(MIXTURE_PAIRS)]
)
def test_samples_have_the_moments_of_a_mixture(name: str, corrector: str, sde: SDE) -> None:
    check_mixture(name, corrector, sde, finer=1)


@pytest.mark.slow
@laws
@pytest.mark.parametrize(("name", "corrector"), MIXTURE_PAIRS)
def test_under_every_law_the_moments_of_a_mixture(name: str, corrector: str, sde: SDE) -> None:
    check_mixture(name, corrector, sde, finer=5)


class Probe:
    """In place of noise: the coefficients of a step that is linear, x_s = b + A x + C z."""

    x = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).view(3, 1, 1, 1)

    def like(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).view_as(x)

    @classmethod
    def coefficients(
        cls, step: Predictor | Corrector, prior: GaussianPrior, t: torch.Tensor, s: torch.Tensor, sde: SDE
    ) -> tuple[float, float, float]:
        b, A, C = step(prior, cls.x, t, s, sde, noise=cls())[0].flatten().tolist()
        return b, A - b, C - b


def one_number() -> GaussianPrior:
    """N(0.4, 0.3) of images of one number."""
    return GaussianPrior(
        torch.full((1, 1, 1), 0.4, dtype=torch.float64), torch.full((1, 1), 0.3, dtype=torch.float64)
    )


ORDERS = {
    "Euler-Maruyama": (lambda n: euler_maruyama, 1),
    "reverse diffusion": (lambda n: reverse_diffusion, 1),
    "ancestral": (lambda n: ancestral, 1),
    "DDIM": (lambda n: ddim, 1),
    "DDIM half": (lambda n: partial(ddim, eta=0.5), 1),
    "Heun": (lambda n: heun, 2),
    "EDM": (lambda n: partial(heun, churn=10 / n), 2),  # gamma = S_churn / N
}


@laws
@pytest.mark.parametrize("name", ORDERS)
def test_predictors_converge_with_their_weak_order(name: str, sde: SDE) -> None:
    """Slope of the error of the variance at the end, which on a Gaussian follows from the step's coefficients."""
    predictor, order = ORDERS[name]
    prior, errors = one_number(), []
    for n in (160, 320, 640):
        times = level_times(karras_levels(n + 1, 15.0, 0.02), sde)
        alpha, variance = sde.alpha(times), sde.sigma(times) ** 2
        mean, v = float(alpha[0]) * 0.4, float(alpha[0] ** 2 * 0.3 + variance[0])
        for t, s in pairwise(times):
            b, A, C = Probe.coefficients(predictor(n), prior, t, s, sde)
            mean, v = b + A * mean, A**2 * v + C**2
        exact = float(alpha[-1] ** 2 * 0.3 + variance[-1])
        errors.append(abs(v / exact - 1))
        assert mean / float(alpha[-1]) == pytest.approx(0.4, abs=1.0 / n)
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes[-1] == pytest.approx(order, abs=0.15), (slopes, errors)


@laws
@pytest.mark.parametrize("name", ["Euler-Maruyama", "reverse diffusion", "ancestral", "DDIM", "Heun"])
def test_every_grid_of_times_leads_to_the_prior(name: str, sde: SDE) -> None:
    """The moments at the end, which on a Gaussian follow from the step's coefficients, after 400 steps."""
    prior, n = one_number(), 401
    for grid in ("uniform", "Karras", "log-SNR"):
        times = {
            "uniform": uniform_times(n, sde, 0.02),
            "Karras": level_times(karras_levels(n, 15.0, 0.02), sde),
            "log-SNR": level_times(log_snr_levels(n, 15.0, 0.02), sde),
        }[grid]
        alpha, variance = sde.alpha(times), sde.sigma(times) ** 2
        mean, v = float(alpha[0]) * 0.4, float(alpha[0] ** 2 * 0.3 + variance[0])
        for t, s in pairwise(times):
            b, A, C = Probe.coefficients(ORDERS[name][0](n), prior, t, s, sde)
            mean, v = b + A * mean, A**2 * v + C**2
        assert v == pytest.approx(float(alpha[-1] ** 2 * 0.3 + variance[-1]), rel=0.05), grid
        assert mean / float(alpha[-1]) == pytest.approx(0.4, abs=0.02), grid


@laws
def test_the_annealed_corrector_leaves_the_variance_but_for_its_step(sde: SDE) -> None:
    """Where it settles: bias of order 1 in the step e, that is of order 2 in snr."""
    prior, t = one_number(), sde.time(torch.tensor(0.5, dtype=torch.float64))
    exact = float(sde.alpha(t) ** 2 * 0.3 + sde.sigma(t) ** 2)
    errors = []
    for snr in (0.2, 0.1, 0.05):
        _, A, C = Probe.coefficients(partial(annealed, snr=snr), prior, t, t, sde)
        errors.append(C**2 / (1 - A**2) / exact - 1)
    assert 0 < errors[-1] < 0.002
    assert [math.log2(a / b) for a, b in pairwise(errors)] == pytest.approx([2, 2], abs=0.1)


@laws
def test_transition_composes_to_the_marginal(sde: SDE) -> None:
    s, t = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.35, dtype=torch.float64)
    a, G = transition(sde, t, s)
    torch.testing.assert_close(a * sde.alpha(s), sde.alpha(t))
    torch.testing.assert_close((a * sde.sigma(s)) ** 2 + G**2, sde.sigma(t) ** 2)
    assert float(G) > 0


@laws
def test_ancestral_sampling_is_ddim_with_all_noise_renewed(sde: SDE) -> None:
    prior, x = gaussian(), torch.randn(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    t, s = level_times([0.6, 0.4], sde)
    one, mean = ancestral(prior, x, t, s, sde, noise=ItemNoise([1, 2, 3]))
    other, other_mean = ddim(prior, x, t, s, sde, noise=ItemNoise([1, 2, 3]), eta=1.0)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mean, other_mean, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("predictor", [ddim, ancestral, heun, partial(heun, churn=0.3)])
def test_samplers_of_the_level_are_the_same_under_every_law(predictor: Predictor) -> None:
    levels = karras_levels(12, 15.0, 0.02)
    one, two, three = (
        sample(gaussian(), (SIDE, SIDE), range(3), level_times(levels, sde), sde, Scheme(predictor, none)).x
        for sde in LAWS
    )
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(one, three, rtol=1e-3, atol=1e-3)


def test_heun_without_churn_is_the_deterministic_sampler() -> None:
    """Karras Alg. 1 by hand; churn only between its levels."""
    prior, sde, levels = gaussian(), VE(), [5.0, 2.0, 0.7]
    times, x = level_times(levels, sde), 5 * ItemNoise([3]).like(torch.zeros(1, 1, SIDE, SIDE))
    got = sample(
        prior, (SIDE, SIDE), [3], times, sde, Scheme(partial(heun, churn=0.4, between=(10.0, 20.0)), none)
    ).x
    for sigma, lower in pairwise(levels):
        d = (x - prior.denoise(x, sigma)) / sigma
        x_euler = x + (lower - sigma) * d
        x = x + (lower - sigma) / 2 * (d + (x_euler - prior.denoise(x_euler, lower)) / lower)
    # OneGenerator's seed is that of the first image
    torch.testing.assert_close(got, prior.denoise(x, levels[-1]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("predictor", "corrector", "expected"),
    [
        (ancestral, none, 18),  # Ho et al.: N
        (ddim, none, 18),
        (reverse_diffusion, partial(langevin, snr=0.1), 36),  # Song et al.: 2 N
        (euler_maruyama, partial(annealed, snr=0.1), 36),
        (heun, none, 35),  # Karras et al.: 2 N - 1
        (partial(heun, churn=0.2), none, 35),
        (none, partial(annealed, snr=0.1), 19),
    ],
)
def test_no_evaluation_is_wasted(predictor: Predictor, corrector: Corrector, expected: int) -> None:
    prior, calls = gaussian(), []
    denoise = prior.denoise
    prior.denoise = lambda x, sigma: calls.append(1) or denoise(x, sigma)  # type: ignore[method-assign]
    times = uniform_times(18, VP())
    x, nfe = sample(prior, (SIDE, SIDE), [1, 2], times, VP(), Scheme(predictor, corrector))
    assert x.shape == (2, 1, SIDE, SIDE)
    assert nfe == len(calls) == expected


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "none"])
@laws
def test_temperature_scales_the_noise_of_the_steps(name: str, sde: SDE) -> None:
    predictor, prior = PREDICTORS[name][0], one_number()
    times = level_times(log_snr_levels(41, 15.0, 0.05), sde)
    spread = []
    for temperature in (0.0, 0.5, 1.0):
        v = float(sde.sigma(times[0])) ** 2
        for t, s in pairwise(times):
            _, A, C = Probe.coefficients(predictor, prior, t, s, sde)
            v = A**2 * v + (temperature * C) ** 2
        v *= (
            float(0.3 * sde.alpha(times[-1]) / (sde.alpha(times[-1]) ** 2 * 0.3 + sde.sigma(times[-1]) ** 2))
            ** 2
        )
        x = sample(prior, (1, 1), range(COUNT), times, sde, Scheme(predictor, none, temperature)).x
        assert float(x.var()) == pytest.approx(v, rel=Z * math.sqrt(2 / COUNT), abs=1e-9)
        spread.append(v)
    if name in ("DDIM", "Heun"):
        assert spread[0] == spread[2]
    else:
        assert spread[0] < 0.8 * spread[2]
        assert spread[0] < spread[1] < spread[2]


@pytest.mark.parametrize("name", PREDICTORS)
@pytest.mark.parametrize("corrector", CORRECTORS)
def test_an_image_depends_on_its_seeds_alone(name: str, corrector: str) -> None:
    def run(seeds: list[int]) -> torch.Tensor:
        times, step = uniform_times(8, VP()), CORRECTORS[corrector]
        return sample(gaussian(), (SIDE, SIDE), seeds, times, VP(), Scheme(PREDICTORS[name][0], step)).x

    together, alone = run([5, 6, 7]), run([6])
    torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together[0], together[1])


def test_times_and_temperatures_that_make_no_sense_are_errors() -> None:
    for times in (torch.tensor([0.1, 0.5]), torch.tensor([]), torch.tensor([[1.0, 0.5]])):
        with pytest.raises(ValueError, match="descending"):
            sample(gaussian(), (SIDE, SIDE), [1], times, VP())
    with pytest.raises(ValueError, match="temperature"):
        Scheme(temperature=-1.0)
