"""Noise models: moments of the samples, likelihoods against scipy, weights as the likelihood's curvature."""

import math

import numpy as np
import pytest
import torch
from scanprior.operators.noise import ComplexGaussian, Gaussian, Photon
from scipy import stats

N = 40_000


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("electronic", [0.0, 30.0])
@pytest.mark.parametrize("line", [0.0, 2.0, 3.5])
def test_photon_moments(line, electronic):
    noise = Photon(1e4, electronic)
    y = noise.sample(torch.full((1, N), line), generator()).double()
    counts, mean = 1e4 * torch.exp(-y), 1e4 * math.exp(-line)
    variance = mean + electronic**2
    assert float(counts.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / N))
    assert float(counts.var()) == pytest.approx(variance, rel=0.05)
    # the variance of the line integral is the inverse of the weights
    assert float(y.var()) == pytest.approx(variance / mean**2, rel=0.06)
    assert float(noise.weights(torch.tensor(line))) == pytest.approx(mean**2 / variance, rel=1e-5)


def test_low_counts_are_poisson_and_floored():
    y = Photon(3.0).sample(torch.full((1, N), 0.4), generator(1))
    counts = (3.0 * torch.exp(-y)).round(decimals=3).numpy().ravel()
    mean = 3 * math.exp(-0.4)
    for k in range(1, 6):
        p = stats.poisson.pmf(k, mean)
        assert np.mean(np.isclose(counts, k, atol=2e-3)) == pytest.approx(p, abs=5 * math.sqrt(p / N))
    assert np.mean(counts < 0.6) == pytest.approx(math.exp(-mean), abs=5 * math.sqrt(math.exp(-mean) / N))
    assert np.isfinite(y.numpy()).all() and counts.min() == pytest.approx(0.5, abs=1e-3)


def test_electronic_noise_below_zero_stays_finite():
    y = Photon(10.0, electronic=20.0).sample(torch.full((2, 1000), 5.0), generator())
    assert torch.isfinite(y).all() and float(y.max()) == pytest.approx(math.log(10 / 0.5), rel=1e-5)
    assert float(Photon(10.0).weights(torch.tensor([50.0]))) == 1.0  # one count at least


def test_gaussian_moments():
    noise = Gaussian(0.3).sample(torch.full((2, N), 7.0), generator()) - 7
    assert float(noise.std()) == pytest.approx(0.3, rel=0.02)
    assert float(noise.mean()) == pytest.approx(0, abs=5 * 0.3 / math.sqrt(2 * N))


def test_complex_gaussian_moments():
    noise = ComplexGaussian(0.3).sample(torch.full((2, N), 1 + 2j), generator()) - (1 + 2j)
    assert noise.dtype == torch.complex64
    assert float(noise.abs().square().mean().sqrt()) == pytest.approx(0.3, rel=0.02)
    assert float(noise.real.std()) == pytest.approx(0.3 / math.sqrt(2), rel=0.02)
    assert float(noise.imag.std()) == pytest.approx(0.3 / math.sqrt(2), rel=0.02)
    assert float((noise.real * noise.imag).mean()) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("noise", [Gaussian(0.1), Photon(1e3, 5.0)])
def test_a_seed_gives_one_result_and_a_generator_moves_on(noise):
    clean = torch.rand(2, 5, 6, generator=generator(3))
    g = generator(4)
    first, second = noise.sample(clean, g), noise.sample(clean, g)
    assert torch.equal(first, noise.sample(clean, generator(4)))
    assert not torch.equal(first, second)
    assert first.dtype == clean.dtype and first.shape == clean.shape


def test_likelihoods_against_scipy():
    y, clean = torch.rand(3, 4, 5, generator=generator(1)), torch.rand(3, 4, 5, generator=generator(2))
    expected = stats.norm.logpdf(y, clean, 0.2).sum((1, 2))
    np.testing.assert_allclose(Gaussian(0.2).log_likelihood(y, clean), expected, rtol=1e-5)

    y, clean = torch.complex(y, 1 - y), torch.complex(clean, clean**2)
    part = 0.2 / math.sqrt(2)
    expected = stats.norm.logpdf(y.real, clean.real, part) + stats.norm.logpdf(y.imag, clean.imag, part)
    np.testing.assert_allclose(ComplexGaussian(0.2).log_likelihood(y, clean), expected.sum((1, 2)), rtol=1e-5)

    counts = torch.randint(1, 400, (3, 4, 5), generator=generator(3), dtype=torch.float64)
    line = torch.rand(3, 4, 5, generator=generator(4), dtype=torch.float64)
    expected = stats.poisson.logpmf(counts, 300 * torch.exp(-line)).sum((1, 2))
    np.testing.assert_allclose(
        Photon(300).log_likelihood(-torch.log(counts / 300), line), expected, rtol=1e-9
    )


@pytest.mark.parametrize("noise", [Gaussian(0.3), Photon(500.0), Photon(500.0, 8.0)])
def test_weights_are_the_curvature_at_the_data(noise):
    y = torch.rand(1, 6, generator=generator(5), dtype=torch.float64)

    def likelihood(clean):
        return noise.log_likelihood(y, clean).sum()

    slope = torch.autograd.functional.jacobian(likelihood, y)
    hessian = torch.autograd.functional.hessian(likelihood, y)[0, :, 0].diagonal()
    torch.testing.assert_close(slope, torch.zeros_like(slope), rtol=0, atol=1e-6)  # the best explanation
    torch.testing.assert_close(-hessian, noise.weights(y).expand(1, 6)[0], rtol=1e-6, atol=0)


def test_likelihood_and_weights_are_per_item():
    y, clean = torch.rand(3, 4, generator=generator(1)), torch.rand(3, 4, generator=generator(2))
    for noise in (Gaussian(0.2), Photon(1e4)):
        together = noise.log_likelihood(y, clean)
        alone = torch.cat([noise.log_likelihood(y[k : k + 1], clean[k : k + 1]) for k in range(3)])
        torch.testing.assert_close(together, alone)
        assert together.shape == (3,) and (noise.weights(y) * y).shape == y.shape
    assert not ComplexGaussian(0.5).weights(y + 0j).is_complex()
    assert float(ComplexGaussian(0.5).weights(y + 0j)) == 4


def test_refusals():
    with pytest.raises(ValueError, match="sigma=0"):
        Gaussian(0)
    with pytest.raises(ValueError, match="photons=-1"):
        Photon(-1)
    with pytest.raises(ValueError, match="electronic=-1"):
        Photon(1e4, -1)
    with pytest.raises(ValueError, match="got complex data, expected real"):
        Gaussian(1.0).sample(torch.zeros(1, 2, dtype=torch.complex64), generator())
    with pytest.raises(ValueError, match="got real data, expected complex"):
        ComplexGaussian(1.0).sample(torch.zeros(1, 2), generator())
