"""The samplers of plain images against the exact Gaussian; one seed per image; grids of times."""

from __future__ import annotations

import pytest
import torch
from scanprior.priors.analytic import GaussianPrior, MixturePrior
from scanprior.priors.sampling import loop, ode
from scanprior.priors.sampling.loop import (
    ItemNoise,
    item_seeds,
    karras_levels,
    level_times,
    log_snr_levels,
    sample_images,
    uniform_times,
)
from scanprior.priors.sampling.ode import flow_images
from scanprior.priors.sde import SDE, VE, VP, SubVP
from toys import OneGenerator

SIDE = 6


def prior() -> GaussianPrior:
    axis = torch.arange(SIDE * SIDE, dtype=torch.float32)
    return GaussianPrior(0.4 * torch.ones(1, SIDE, SIDE), 0.3 * torch.exp(-(axis[:, None] - axis).abs() / 2))


def check_moments(x: torch.Tensor, bound_mean: float, bound_cov: float) -> None:
    exact, flat = prior(), x.flatten(1)
    standard_error = exact.covariance.diagonal().sqrt() / len(x) ** 0.5
    assert float(((flat.mean(0) - exact.mean.flatten()) / standard_error).abs().max()) < bound_mean
    relative = (flat.T.cov() - exact.covariance).norm() / exact.covariance.norm()
    assert float(relative) < bound_cov


def test_sample_images_has_the_priors_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ItemNoise", OneGenerator)
    x = sample_images(prior(), (SIDE, SIDE), range(4000), steps=80, sigma_max=20.0)
    check_moments(x, bound_mean=4, bound_cov=0.12)  # sampling error of 36 x 36 entries included


def test_flow_images_have_the_priors_moments_after_41_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ode, "ItemNoise", OneGenerator)
    x = flow_images(prior(), (SIDE, SIDE), range(4000))
    check_moments(x, bound_mean=4, bound_cov=0.12)


def test_sample_images_finds_the_modes_of_a_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "ItemNoise", OneGenerator)
    count, weights, stds = 4000, [0.3, 0.7], [0.2, 0.4]
    means = torch.tensor([[1.0, 0.5], [-1.0, -0.5]])
    mixture = MixturePrior(torch.tensor(weights), means.view(2, 1, 1, 2), torch.tensor(stds))
    x = sample_images(mixture, (1, 2), range(count), steps=80).flatten(1)
    mode = torch.cdist(x, means).argmin(1)
    for k, (w, s) in enumerate(zip(weights, stds, strict=True)):
        part = x[mode == k]
        assert len(part) / count == pytest.approx(w, abs=4.5 * (w * (1 - w) / count) ** 0.5 + 0.02)
        assert float((part.mean(0) - means[k]).abs().max()) < (4.5 / len(part) ** 0.5 + 0.05) * s
        relative = part.T.cov() / s**2 - torch.eye(2)
        assert float(relative.abs().max()) < 4.5 * (2 / len(part)) ** 0.5 + 0.06


@pytest.mark.parametrize("sampler", [sample_images, flow_images])
def test_an_image_depends_on_its_seed_and_not_on_its_batch(sampler) -> None:
    together = sampler(prior(), (SIDE, SIDE), [5, 6, 7], steps=10)
    alone = sampler(prior(), (SIDE, SIDE), [6], steps=10)
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


@pytest.mark.parametrize("sde", [VE(0.005, 20.0), VP(), SubVP()], ids=lambda s: type(s).__name__)
def test_grids_are_uniform_in_what_they_say(sde: SDE) -> None:
    def level(t: torch.Tensor) -> torch.Tensor:
        return sde.sigma(t) / sde.alpha(t)

    t = uniform_times(11, sde, sigma_min=0.02)
    torch.testing.assert_close(t.diff(), (t[-1] - t[0]).expand(10) / 10)
    assert float(t[0]) == 1
    assert float(level(t[-1])) == pytest.approx(0.02)
    for levels in (log_snr_levels(9, 15.0, 0.03), karras_levels(9, 15.0, 0.03)):
        times = level_times(levels, sde)
        torch.testing.assert_close(level(times), torch.tensor(levels, dtype=torch.float64))
        assert bool((times.diff() < 0).all())
    log_snr = 2 * torch.log(1 / level(level_times(log_snr_levels(9, 15.0, 0.03), sde)))
    torch.testing.assert_close(log_snr.diff(), (log_snr[-1] - log_snr[0]).expand(8) / 8)
    assert log_snr_levels(1, 15.0, 0.03) == karras_levels(1, 15.0, 0.03) == [15.0]
