import math

import pytest
import torch
from scanprior.operators.fourier import Fourier, Sampling, fft2c, ifft2c


def gaussian(shape, widths, shift=(0.0, 0.0)):
    """exp(-pi (n - c - d)^2/(N w^2)) per axis, float64."""
    axes = []
    for n, w, d in zip(shape, widths, shift, strict=True):
        position = torch.arange(n, dtype=torch.float64) - n // 2 - d
        axes.append(torch.exp(-math.pi * position**2 / (n * w**2)))
    return axes[0][:, None] * axes[1]


@pytest.mark.parametrize("shape", [(48, 64), (49, 63), (64, 51)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (3.0, -5.0)])
def test_a_gaussian_has_its_analytic_transform(shape, shift):
    """G[k] = w exp(-pi w^2 (k - c)^2/N), and a ramp exp(-2 pi i (k - c) d/N) if displaced by d."""
    w = (0.8, 1.3)
    expected = w[0] * w[1] * gaussian(shape, (1 / w[0], 1 / w[1])).to(torch.complex128)
    for axis, (n, d) in enumerate(zip(shape, shift, strict=True)):
        ramp = torch.exp(-2j * math.pi * (torch.arange(n, dtype=torch.float64) - n // 2) * d / n)
        expected = expected * (ramp[:, None] if axis == 0 else ramp)
    got = fft2c(gaussian(shape, w, shift).to(torch.complex128))
    assert (got - expected).abs().max() < 1e-7  # the tails that are cut


def test_a_constant_becomes_the_centre():
    k = fft2c(torch.ones(1, 6, 9, dtype=torch.complex64))
    expected = torch.zeros(1, 6, 9, dtype=torch.complex64)
    expected[0, 3, 4] = math.sqrt(54)
    torch.testing.assert_close(k, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(3, 16, 20), (15, 17)])
def test_fourier_is_unitary_and_keeps_the_contract(shape, contract):
    F = Fourier(shape)
    contract(F)
    x = torch.randn(2, *shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(F.adjoint(F(x)), x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(F(x).norm(), x.norm())
    torch.testing.assert_close(ifft2c(fft2c(x)), x, atol=1e-5, rtol=1e-5)
    assert F.norm() == pytest.approx(1, abs=1e-4)


def test_sampling_keeps_the_measured_and_the_contract(contract):
    shared = torch.rand(12, 10, generator=torch.Generator().manual_seed(0)) < 0.3
    own = torch.stack([shared, ~shared])
    y = torch.randn(2, 4, 12, 10, dtype=torch.complex64)
    for mask in (shared, own):
        P = Sampling(mask, 4)
        contract(P)
        each = mask.expand(2, 12, 10)
        for b in range(2):
            assert bool((P(y)[b][:, ~each[b]] == 0).all())
            assert torch.equal(P(y)[b][:, each[b]], y[b][:, each[b]])
        assert torch.equal(P(P(y)), P(y))


@pytest.mark.parametrize("mask", [torch.ones(8, 8), torch.ones(8, dtype=torch.bool)])
def test_what_is_no_mask_is_refused(mask):
    with pytest.raises(ValueError, match=r"expected bool \(ky, kx\)"):
        Sampling(mask, 2)


def test_a_mask_per_item_refuses_another_batch():
    P = Sampling(torch.ones(2, 8, 8, dtype=torch.bool), 3)
    with pytest.raises(ValueError, match=r"got a batch of 1.*2 items"):
        P(torch.zeros(1, 3, 8, 8, dtype=torch.complex64))
