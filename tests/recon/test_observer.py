"""Observers of whom the answer is known: the matched filter on a small operator, Hotelling's on white noise."""

import math

import numpy as np
import pytest
import torch
from scanprior.operators.linear import LinearOperator
from scanprior.operators.noise import ComplexGaussian, Gaussian, Photon
from scanprior.recon.observer import (
    channelised_hotelling,
    ideal_auc,
    ideal_detectability,
    laguerre_gauss,
    unexplained,
)
from scanprior.recon.problem import Problem
from scipy import stats

SIDE = 33


class Dense(LinearOperator):
    """y = M x of images flattened."""

    def __init__(self, matrix: torch.Tensor, shape: tuple[int, int]) -> None:
        kind = matrix.is_complex()
        super().__init__(shape, (len(matrix),), domain_complex=kind, range_complex=kind)
        self.matrix = matrix

    def apply_forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.matrix.T

    def apply_adjoint(self, y: torch.Tensor) -> torch.Tensor:
        return (y @ self.matrix.conj()).unflatten(1, self.domain)


def test_the_ideal_observer_of_photons_has_the_closed_form() -> None:
    g = torch.Generator().manual_seed(0)
    A = Dense(torch.rand(20, 12, generator=g) / 6, (3, 4))
    background, signals = torch.rand(1, 3, 4, generator=g), 0.1 * torch.rand(2, 3, 4, generator=g)
    y = A(background)
    problem = Problem(y, A, Photon(1e4))
    M, W = A.matrix.double(), 1e4 * torch.exp(-y[0].double())  # 1 / variance of a logarithm of counts
    expected = [float((W * (M @ s.double().flatten()).square()).sum().sqrt()) for s in signals]
    assert ideal_detectability(problem, signals).tolist() == pytest.approx(expected, rel=1e-4)
    assert ideal_detectability(Problem(y, A), signals).tolist() == [math.inf, math.inf]
    with pytest.raises(ValueError, match="expected one"):
        ideal_detectability(Problem(torch.cat([y, y]), A), signals)


@pytest.mark.parametrize("kind", ["photons", "complex"])
def test_the_matched_filter_reaches_the_ideal_area(kind: str) -> None:
    """Decisions of the likelihood ratio on simulated noise, real and complex."""
    g = torch.Generator().manual_seed(1)
    dtype = torch.complex64 if kind == "complex" else torch.float32
    A = Dense(torch.randn(16, 9, generator=g, dtype=dtype) / 3, (3, 3))
    signal = torch.randn(1, 3, 3, generator=g, dtype=dtype)
    clean = A(torch.randn(1, 3, 3, generator=g, dtype=dtype))
    scale, noise = (1.0, ComplexGaussian(2.5)) if kind == "complex" else (0.007, Photon(2e3))
    many = clean.expand(20000, -1)
    absent, present = noise.sample(many, g), noise.sample(many + A(scale * signal), g)
    d = float(ideal_detectability(Problem(clean, A, noise), scale * signal)[0])
    filtered = noise.weights(clean) * A(scale * signal)
    a, b = ((filtered.conj() * y).sum(1).real.numpy() for y in (absent, present))
    area = stats.mannwhitneyu(b, a).statistic / len(a) / len(b)
    assert 0.7 < ideal_auc(d) < 0.95
    assert area == pytest.approx(ideal_auc(d), abs=0.01)


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_what_an_image_lacks_is_left_in_the_data(kind: str) -> None:
    g = torch.Generator().manual_seed(3)
    dtype, noise = (
        (torch.complex64, ComplexGaussian(0.5)) if kind == "complex" else (torch.float32, Gaussian(0.5))
    )
    A = Dense(torch.randn(16, 9, generator=g, dtype=dtype) / 3, (3, 3))
    signal, image = (torch.randn(1, 3, 3, generator=g, dtype=dtype) for _ in range(2))
    problem = Problem(A(image + signal), A, noise)
    d = ideal_detectability(problem, signal)
    assert unexplained(problem, image, signal).item() == pytest.approx(d.item(), rel=1e-5)
    assert unexplained(problem, image + 0.25 * signal, signal).item() == pytest.approx(
        0.75 * d.item(), rel=1e-5
    )
    draws = [
        unexplained(Problem(noise.sample(A(image), g), A, noise), image, signal).item() for _ in range(800)
    ]
    assert np.std(draws) == pytest.approx(1, abs=0.08), "noise alone has one standard deviation"
    assert math.isnan(unexplained(Problem(A(image), A), image, signal).item())


def pictures(signal: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(seed).normal(size=(2, count, SIDE, SIDE))
    return noise[0] + signal, noise[1]


def test_channels_on_white_noise_see_what_they_hold_of_the_signal() -> None:
    channels = laguerre_gauss(SIDE, 8.0)
    flat = channels.reshape(5, -1)
    np.testing.assert_allclose(flat @ flat.T, np.eye(5), atol=1e-3)
    signal = (
        1.4 * channels[0] + 0.5 * channels[2] + 3 * np.eye(1, SIDE, 0).T * np.eye(1, SIDE, 0)
    )  # and a corner
    seen = channelised_hotelling(*pictures(signal, 600, 2), channels, np.arange(600) % 20)
    assert seen is not None
    assert seen.auc == pytest.approx(ideal_auc(math.hypot(1.4, 0.5)), abs=0.02)
    assert seen.low < seen.auc < seen.high and seen.high - seen.low < 0.08


def test_a_template_never_sees_those_it_is_tested_on() -> None:
    """No signal, few pictures: trained and tested on the same ones, the area would be about .85."""
    areas = [
        channelised_hotelling(
            *pictures(np.zeros((SIDE, SIDE)), 12, s), laguerre_gauss(SIDE, 8.0), np.arange(12) // 3
        )
        for s in range(40)
    ]
    assert np.mean([one.auc for one in areas if one]) == pytest.approx(0.5, abs=0.06)
    assert sum(one.low <= 0.5 <= one.high for one in areas if one) >= 20


def test_too_few_pictures_have_no_observer() -> None:
    channels = laguerre_gauss(SIDE, 8.0)
    assert channelised_hotelling(*pictures(channels[0], 5, 0), channels, range(5)) is None
    assert channelised_hotelling(*pictures(channels[0], 9, 0), channels, [1] * 9) is None
    with pytest.raises(ValueError, match="of 8 groups"):
        channelised_hotelling(*pictures(channels[0], 9, 0), channels, range(8))
