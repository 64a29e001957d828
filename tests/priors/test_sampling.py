"""Unconditional samplers against the exact Gaussian, for every law of noise; one seed per image."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.sampling.loop import ItemNoise, item_seeds, karras_levels, sample_images
from scanprior.priors.sampling.predictor_corrector import langevin, reverse_diffusion, transition
from scanprior.priors.sde import SDE, VE, VP, SubVP

SIDE, COUNT = 6, 4000


class OneGenerator(ItemNoise):
    """One generator for thousands of tiny images, for speed; the interface of ItemNoise."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def like(self, x: torch.Tensor) -> torch.Tensor:
        return torch.randn(x.shape, generator=self.generator)


def prior() -> GaussianPrior:
    axis = torch.arange(SIDE * SIDE, dtype=torch.float32)
    return GaussianPrior(0.4 * torch.ones(1, SIDE, SIDE), 0.3 * torch.exp(-(axis[:, None] - axis).abs() / 2))


def check_moments(x: torch.Tensor, bound_mean: float, bound_cov: float) -> None:
    exact, flat = prior(), x.flatten(1)
    standard_error = exact.covariance.diagonal().sqrt() / len(x) ** 0.5
    assert float(((flat.mean(0) - exact.mean.flatten()) / standard_error).abs().max()) < bound_mean
    relative = (flat.T.cov() - exact.covariance).norm() / exact.covariance.norm()
    assert float(relative) < bound_cov


def test_sample_images_has_the_priors_moments() -> None:
    x = sample_images(prior(), (SIDE, SIDE), range(1500), steps=100, sigma_max=20.0)
    check_moments(x, bound_mean=4, bound_cov=0.16)  # sampling error of 36 x 36 entries included


@pytest.mark.parametrize("sde", [VE(0.01, 20.0), VP(), SubVP()], ids=lambda s: type(s).__name__)
def test_predictor_corrector_has_the_priors_moments(sde: SDE) -> None:
    exact, noise = prior(), OneGenerator(0)
    times = torch.linspace(1, 1e-4, 201, dtype=torch.float64)
    x = float(sde.sigma(times[0])) * noise.like(torch.zeros(COUNT, 1, SIDE, SIDE))
    mean = x
    for t, s in pairwise(times):
        x, _ = reverse_diffusion(exact, x, t, s, sde, noise)
        x, mean = langevin(exact, x, s, s, sde, 0.1, noise)
    check_moments(mean / float(sde.alpha(times[-1])), bound_mean=6, bound_cov=0.12)


@pytest.mark.parametrize("sde", [VE(0.01, 20.0), VP(), SubVP()], ids=lambda s: type(s).__name__)
def test_transition_composes_to_the_marginal(sde: SDE) -> None:
    s, t = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.35, dtype=torch.float64)
    a, G = transition(sde, t, s)
    torch.testing.assert_close(a * sde.alpha(s), sde.alpha(t))
    torch.testing.assert_close((a * sde.sigma(s)) ** 2 + G**2, sde.sigma(t) ** 2)
    assert float(G) > 0


def test_an_image_depends_on_its_seed_and_not_on_its_batch() -> None:
    together = sample_images(prior(), (SIDE, SIDE), [5, 6, 7], steps=10)
    alone = sample_images(prior(), (SIDE, SIDE), [6], steps=10)
    torch.testing.assert_close(together[1:2], alone)
    assert not torch.allclose(together[0], together[1])
    seeds = item_seeds(0, 3, 0, 4)
    assert seeds[2:] == item_seeds(0, 3, 2, 2)
    assert len({*seeds, *item_seeds(0, 4, 0, 4), *item_seeds(1, 3, 0, 4)}) == 12


def test_karras_levels_run_from_max_to_min() -> None:
    levels = karras_levels(10, 5.0, 0.02)
    assert levels[0] == pytest.approx(5.0)
    assert levels[-1] == pytest.approx(0.02)
    assert levels == sorted(levels, reverse=True)
    with pytest.raises(ValueError, match="one seed per item"):
        ItemNoise([1]).like(torch.zeros(2, 3))
