"""A denoiser and a score are the same thing; the network's wrapping; images as channels."""

from __future__ import annotations

import pytest
import torch
from scanprior.priors.analytic import GaussianPrior, MixturePrior
from scanprior.priors.losses import denoising, edm
from scanprior.priors.nets.build import build
from scanprior.priors.score import NetworkPrior, from_channels, score, to_channels
from scanprior.priors.sde import SDE, VE, VP, SubVP

LAWS = [VE(0.01, 5.0), VP(), SubVP()]


def gaussian() -> GaussianPrior:
    g = torch.Generator().manual_seed(0)
    root = torch.randn(9, 9, generator=g)
    return GaussianPrior(torch.randn(1, 3, 3, generator=g), root @ root.T / 9 + 0.1 * torch.eye(9))


@pytest.mark.parametrize("sde", LAWS, ids=lambda s: type(s).__name__)
def test_score_of_a_gaussian(sde: SDE) -> None:
    prior, x = gaussian(), torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(1))
    t = torch.tensor([0.1, 0.3, 0.6, 0.9])
    got = score(prior, x, t, sde)
    for b in range(4):
        a, s = float(sde.alpha(t[b])), float(sde.sigma(t[b]))
        covariance = a**2 * prior.covariance + s**2 * torch.eye(9)
        expected = -torch.linalg.solve(covariance, (x[b] - a * prior.mean).flatten())
        torch.testing.assert_close(got[b].flatten(), expected, rtol=2e-3, atol=2e-4)


def test_score_of_a_mixture_is_the_gradient_of_its_log_density() -> None:
    g = torch.Generator().manual_seed(2)
    weights, stds = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.3, 0.5, 0.2])
    means = torch.randn(3, 1, 1, 2, generator=g)
    prior, sigma = MixturePrior(weights, means, stds), 0.4
    x = torch.randn(5, 1, 1, 2, generator=g, dtype=torch.float64).requires_grad_(True)
    variance = stds.double() ** 2 + sigma**2
    distance = ((x.flatten(1)[:, None] - means.flatten(1).double()) ** 2).sum(2)
    log = torch.logsumexp(weights.double().log() - distance / (2 * variance) - variance.log(), 1)
    (expected,) = torch.autograd.grad(log.sum(), x)
    got = (prior.denoise(x.detach(), sigma) - x.detach()) / sigma**2
    torch.testing.assert_close(got, expected)


def test_loss_of_a_silent_network_is_one() -> None:
    """With F = 0 the best the preconditioning can do on N(0, s²) data leaves a weighted loss of 1 at every level."""
    network = build(
        {"name": "unet", "base": 8, "multipliers": [1, 2], "stem": 2}
    )  # its last layer starts at zero
    prior = NetworkPrior(network, 1, 0.5)
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        loss = torch.cat(
            [denoising(prior, 0.5 * torch.randn(16, 1, 32, 32, generator=g), g, edm(0.5)) for _ in range(4)]
        )
    assert loss.shape == (64,)
    assert float(loss.mean()) == pytest.approx(1.0, abs=0.02)
    assert loss.std() < 0.1


def test_loss_of_the_exact_denoiser_is_lower_than_of_a_wrong_one() -> None:
    class Exact(NetworkPrior):
        factor = 1.0

        def denoise(
            self, x: torch.Tensor, sigma: torch.Tensor | float, position: torch.Tensor | None = None
        ) -> torch.Tensor:
            variance = torch.as_tensor(sigma).view(-1, 1, 1, 1) ** 2
            return self.factor * x * 0.25 / (0.25 + variance)

    prior = Exact(torch.nn.Identity(), 1, 0.5)
    values = []
    for prior.factor in (1.0, 0.9, 1.1):
        g = torch.Generator().manual_seed(0)
        values.append(
            float(denoising(prior, 0.5 * torch.randn(64, 1, 16, 16, generator=g), g, edm(0.5)).mean())
        )
    assert values[0] == pytest.approx(1.0, abs=0.03)
    assert values[0] < values[1]
    assert values[0] < values[2]


def test_channels_round_trip_and_modality() -> None:
    real, z = torch.randn(2, 4, 5), torch.randn(2, 4, 5, dtype=torch.complex64)
    assert torch.equal(from_channels(to_channels(real, 1)), real)
    assert torch.equal(from_channels(to_channels(z, 2)), z)
    with pytest.raises(ValueError, match="two channels"):
        to_channels(z, 1)
    prior = NetworkPrior(build({"name": "unet", "base": 8, "multipliers": [1, 2]}), 1, 0.5)
    with pytest.raises(ValueError, match="1 channel"):
        prior.denoise(torch.zeros(1, 2, 8, 8), 0.1)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (7, 16)])
def test_unet_takes_any_size_and_bfloat16(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    prior = NetworkPrior(build({"name": "unet", "base": 16, "multipliers": [1, 2, 2]}), 1, 0.5)
    torch.nn.init.normal_(prior.network.leave[2].weight, std=0.05)  # type: ignore[union-attr,index,arg-type]
    x = torch.randn(2, 1, *size)
    with torch.no_grad():
        full = prior.denoise(x, torch.tensor([0.1, 1.0]))
        alone = prior.denoise(x[1:], 1.0)
        fast = prior.for_inference().denoise(x, torch.tensor([0.1, 1.0]))
    assert full.shape == x.shape
    torch.testing.assert_close(full[1:], alone, rtol=1e-4, atol=1e-5)  # no cross-talk in the batch
    assert fast.dtype == torch.float32
    assert float((fast - full).norm() / full.norm()) < 0.02


def test_unknown_network_options_are_errors() -> None:
    with pytest.raises(ValueError, match="unknown network"):
        build({"name": "resnet"})
    with pytest.raises(ValueError, match="no option depth"):
        build({"name": "unet", "depth": 3})
