"""Noise laws of published networks against a known answer: a Gaussian's exact noise or score, of the label alone."""

import math

import pytest
import torch
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.published import (
    ContinuousSubVP,
    ContinuousVE,
    ContinuousVP,
    DiscreteVP,
    Flow,
    Levels,
    PublishedPrior,
    noise_law,
)
from scanprior.priors.sampling.loop import karras_levels, level_times
from scanprior.priors.sampling.predictor_corrector import Scheme, sample
from scanprior.priors.sampling.predictors import ddim, none, reverse_diffusion
from scanprior.priors.sde import VE, VP, SubVP
from torch import nn


@pytest.fixture
def gaussian():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(12, 12, generator=generator) / 3
    return GaussianPrior(torch.rand(1, 3, 4, generator=generator), root @ root.T)


class Exact(nn.Module):
    """What a perfectly trained network gives for x_t = alpha x0 + s z, where `noise_of(label)` = (alpha, s)."""

    def __init__(self, gaussian, noise_of, gives):
        super().__init__()
        self.gaussian, self.noise_of, self.gives = gaussian, noise_of, gives

    def forward(self, x, label):
        alpha, s = (
            torch.as_tensor(v, dtype=torch.float64)[:, None, None, None]
            for v in self.noise_of(label.double())
        )
        mean = self.gaussian.denoise((x / alpha).float(), (s / alpha).flatten())
        noise = (x - alpha * mean) / s
        out = {
            "noise": noise,
            "scaled": -noise,
            "score": -noise / s,
            "velocity": mean - noise,
            "velocity to noise": noise - mean,
        }[self.gives]
        return torch.cat([out, out + 7], 1).float()  # the second half is a learned variance, to be left aside


def vp(label):
    t = label / 999
    alpha = torch.exp(-0.25 * t**2 * 19.9 - 0.5 * t * 0.1)
    return alpha, torch.sqrt(1 - alpha**2)


def sub_vp(label):
    alpha, _ = vp(label)
    return alpha, 1 - alpha**2


def cosine(label):
    bar = torch.cos((torch.arange(1001, dtype=torch.float64) / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2
    return _step((bar[1:] / bar[:-1]).clamp_min(1e-3), label)


def linear(label):
    return _step(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), label)


def _step(kept, label):
    """alpha and s between the steps: sigma = s / alpha is interpolated geometrically, alpha² + s² = 1."""
    log_sigma = (1 / torch.cumprod(kept, 0) - 1).log() / 2
    low = label.long().clamp(0, len(kept) - 2)
    sigma = torch.exp(torch.lerp(log_sigma[low], log_sigma[low + 1], label - low))
    alpha = 1 / torch.sqrt(1 + sigma**2)
    return alpha, alpha * sigma


def level(label):
    return torch.ones_like(label), 50 * (0.01 / 50) ** (label / 231)


CASES = {
    "vp": (ContinuousVP(), vp, "noise"),
    "sub-vp": (ContinuousSubVP(), sub_vp, "noise"),
    "ve": (ContinuousVE(), lambda label: (torch.ones_like(label), label.exp()), "scaled"),
    "edm's ve": (
        ContinuousVE(0.02, 100, 0.5),
        lambda label: (torch.ones_like(label), 2 * label.exp()),
        "scaled",
    ),
    "ddpm": (DiscreteVP("linear"), linear, "noise"),
    "iddpm": (DiscreteVP("cosine"), cosine, "noise"),
    "ncsnv2": (Levels(50, 0.01, 232), level, "scaled"),
    "ncsn": (Levels(50, 0.01, 232, "score"), level, "score"),
    "flow": (Flow(), lambda label: (label, 1 - label), "velocity"),
    "diffusers' flow": (
        Flow("noise", 1000.0),
        lambda label: (1 - label / 1000, label / 1000),
        "velocity to noise",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_denoiser_of_an_exact_network_is_the_gaussian_s(gaussian, case):
    law, noise_of, gives = CASES[case]
    prior = PublishedPrior(Exact(gaussian, noise_of, gives), 1, law)
    sigma = torch.tensor([0.02, 0.1, 0.7, 3.0, 20.0])
    z = torch.randn(5, 1, 3, 4, generator=torch.Generator().manual_seed(1))
    x = gaussian.mean + sigma[:, None, None, None] * z
    torch.testing.assert_close(prior.denoise(x, sigma), gaussian.denoise(x, sigma), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(prior.denoise(x[2:3], 0.7), prior.denoise(x, sigma)[2:3])


@pytest.mark.parametrize("sde", [VE(0.01, 20.0), VP(), SubVP()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("case", CASES)
def test_a_network_of_one_law_samples_under_every_other(gaussian, case, sde):
    """Whatever law a network was trained under, it draws the images of the exact prior, seed by seed."""
    law, noise_of, gives = CASES[case]
    prior = PublishedPrior(Exact(gaussian, noise_of, gives), 1, law)
    times = level_times(karras_levels(10, 15.0, 0.05), sde)
    for predictor in (ddim, reverse_diffusion):
        got, exact = (
            sample(p, (3, 4), [1, 2], times, sde, Scheme(predictor, none)).x for p in (prior, gaussian)
        )
        torch.testing.assert_close(got, exact, rtol=1e-2, atol=1e-2)


def test_labels_are_those_of_the_papers():
    assert ContinuousVP().label(torch.tensor([1e9])).item() == pytest.approx(999)
    assert DiscreteVP().label(torch.tensor([1e-9, 1e9])).tolist() == pytest.approx([0, 999])
    assert DiscreteVP().levels()[[0, -1]].tolist() == pytest.approx([0.0100005, 157.407], rel=1e-4)
    assert DiscreteVP("cosine").levels()[0] == pytest.approx(0.00642, rel=1e-2)
    assert Levels(232, 0.0066, 2311).label(torch.tensor([232.0, 0.0066, 1e-5])).tolist() == pytest.approx(
        [0, 2310, 2310]
    )
    assert ContinuousVE().label(torch.tensor([1e-9, 1e9])).tolist() == pytest.approx(
        [math.log(0.01), math.log(50)]
    )


def test_noise_law_from_a_table():
    assert noise_law({"kind": "ve", "sigma_max": 378.0}) == ContinuousVE(0.01, 378.0)
    with pytest.raises(ValueError, match="unknown noise law 'edm'"):
        noise_law({"kind": "edm"})
    with pytest.raises(ValueError, match="no entry sigma; known: sigma_min"):
        noise_law({"kind": "ve", "sigma": 1})
    with pytest.raises(ValueError, match="lacks sigma_min, count"):
        noise_law({"kind": "levels", "sigma_max": 50})
    with pytest.raises(ValueError, match="image or noise"):
        noise_law({"kind": "flow", "towards": "data"})
    with pytest.raises(ValueError, match="linear or cosine"):
        noise_law({"kind": "discrete", "schedule": "quadratic"})


def test_inference_keeps_float32_for_rounding_counts_sigma_times(gaussian):
    network = nn.Conv2d(1, 1, 3, padding=1)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = network

        def forward(self, x, label):
            return self.conv(x)

    prior = PublishedPrior(Net(), 1, DiscreteVP())
    x = 100 * torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    before = prior.denoise(x, 100.0)
    ready = prior.for_inference()
    assert network.weight.dtype == torch.float32
    assert not network.weight.requires_grad
    torch.testing.assert_close(ready.denoise(x, 100.0), before, rtol=1e-4, atol=1e-3)


def test_wrong_number_of_channels_is_refused(gaussian):
    prior = PublishedPrior(Exact(gaussian, vp, "noise"), 1, ContinuousVP())
    with pytest.raises(ValueError, match=r"1 channel.*\(2, 3, 3, 4\)"):
        prior.denoise(torch.zeros(2, 3, 3, 4), 1.0)
