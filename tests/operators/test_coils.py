import math

import pytest
import torch
from scanprior.operators.acs import acs_size
from scanprior.operators.coils import (
    Coils,
    espirit_maps,
    noise_covariance,
    normalise,
    smooth_maps,
    smooth_phase,
    whiten,
)
from scanprior.operators.fourier import fft2c
from scanprior.operators.sampling import equispaced


def disc(shape):
    y, x = (torch.linspace(-1, 1, n) for n in shape)
    inside = (y[:, None] ** 2 + x**2).sqrt() < 0.75
    texture = 1 + 0.4 * torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return inside, torch.polar(inside * texture, smooth_phase(shape, 1))


def measured(shape=(64, 56), coils=6, noise=1e-3, slices=1):
    """k-space of a textured disc, whether a pixel is in it, and the maps."""
    inside, image = disc(shape)
    maps = torch.stack([smooth_maps(coils, shape, seed) for seed in range(slices)])
    k = fft2c(maps * image)
    return (
        k + noise * torch.randn(k.shape, dtype=k.dtype, generator=torch.Generator().manual_seed(2)),
        inside,
        maps,
    )


def correlation(a, b):
    """|<a, b>| per pixel: 1 if the maps agree up to a phase."""
    return (a.conj() * b).sum(-3).abs()


@pytest.mark.parametrize("per_item", [False, True])
def test_contract(per_item, contract):
    maps = torch.stack([smooth_maps(3, (12, 14), s) for s in (0, 1)])
    contract(Coils(maps if per_item else maps[0]))


def test_normalised_maps_give_the_image_back():
    S = Coils(smooth_maps(5, (16, 20)))
    x = torch.randn(2, 16, 20, dtype=torch.complex64)
    torch.testing.assert_close(S.adjoint(S(x)), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("maps", [torch.ones(2, 8, 8), torch.ones(8, 8, dtype=torch.complex64)])
def test_what_is_no_set_of_maps_is_refused(maps):
    with pytest.raises(ValueError, match="expected complex"):
        Coils(maps)


def test_smooth_maps_are_normalised_smooth_seeded_and_independent_of_the_matrix():
    maps = smooth_maps(8, (64, 48), seed=3)
    torch.testing.assert_close(maps.abs().square().sum(0), torch.ones(64, 48))
    assert float((maps[:, 1:] - maps[:, :-1]).abs().max()) < 0.1
    assert torch.equal(maps, smooth_maps(8, (64, 48), seed=3))
    assert not torch.allclose(maps, smooth_maps(8, (64, 48), seed=4))
    torch.testing.assert_close(smooth_maps(8, (128, 96), seed=3)[:, ::2, ::2], maps)
    strongest = maps.abs().flatten(1).argmax(1)  # each coil sees another side of the border
    rows, columns = strongest // 48, strongest % 48
    assert (
        bool(((rows < 2) | (rows > 61) | (columns < 2) | (columns > 45)).all())
        and len(set(strongest.tolist())) == 8
    )


def test_smooth_phase_has_its_amplitude():
    phase = smooth_phase((400, 24, 24), seed=0, amplitude=0.7)
    varying = phase - phase.mean((1, 2), keepdim=True)
    assert float(varying.square().mean().sqrt()) == pytest.approx(0.7, rel=0.05)
    assert float(phase.mean((1, 2)).abs().max()) <= math.pi + 0.1
    assert torch.equal(smooth_phase((24, 24), 5), smooth_phase((24, 24), torch.Generator().manual_seed(5)))


def test_espirit_recovers_the_maps():
    k, inside, maps = measured(slices=2)
    mask = equispaced(k.shape[-2:], 4, 0.36)
    size = min(acs_size(mask))
    estimate = espirit_maps(k * mask, calibration=size)
    agreement = correlation(estimate, maps)[:, inside]
    assert float(agreement.min()) > 0.99 and float(agreement.mean()) > 0.999
    torch.testing.assert_close(estimate.abs().square().sum(1), torch.ones(2, *inside.shape))


def test_espirit_on_principal_coils_is_espirit_on_the_coils():
    """sigpy on the coils themselves gives the same maps up to a phase per pixel, and the same support."""
    from sigpy.mri.app import EspiritCalib

    k, inside, _ = measured()
    theirs = EspiritCalib(k[0].numpy(), calib_width=20, crop=0.9, max_iter=100, show_pbar=False).run()
    ours = espirit_maps(k, calibration=20, crop=0.9)[0]
    assert float(correlation(ours, torch.from_numpy(theirs))[inside].min()) > 0.9995
    support, theirs = ours.abs().sum(0) > 0, torch.from_numpy(abs(theirs).sum(0) > 0)
    assert bool(support[inside].all()) and float((support == theirs).float().mean()) > 0.99
    assert 0.3 < float(support.float().mean()) < 0.9


def test_espirit_follows_the_order_of_the_coils_and_leaves_a_dead_one_dark():
    """One constant phase, of the principal coil, stays open."""
    k, inside, _ = measured(coils=4)
    maps = espirit_maps(k, calibration=20)
    order, dead = [2, 0, 3, 1], torch.zeros_like(k[:, :1])
    for estimate, expected in (
        (espirit_maps(k[:, order], calibration=20), maps[:, order]),
        (espirit_maps(torch.cat([dead, k], 1), calibration=20), torch.cat([torch.zeros_like(dead), maps], 1)),
    ):
        turned = estimate * torch.polar(torch.ones(()), (estimate.conj() * expected).sum().angle())
        torch.testing.assert_close(turned[..., inside], expected[..., inside], atol=1e-3, rtol=0)


def test_espirit_phase_is_smooth_and_that_of_the_principal_coil():
    k, inside, maps = measured()
    estimate = espirit_maps(k, calibration=20)[0]
    phase = (estimate * maps[0].conj()).sum(0)  # of the estimate against the simulated maps
    step = (phase[:, 1:] * phase[:, :-1].conj()).angle().abs()[inside[:, 1:] & inside[:, :-1]]
    assert float(step.max()) < 0.3


def test_espirit_of_one_coil_and_of_empty_centres():
    assert bool((espirit_maps(torch.randn(2, 1, 16, 16, dtype=torch.complex64)) == 1).all())
    k = measured()[0]
    mask = equispaced(k.shape[-2:], 4, 0.1)
    with pytest.raises(ValueError, match=r"lower calibration to acs\.acs_size"):
        espirit_maps(k * mask, calibration=24)
    with pytest.raises(ValueError, match="calibration=100, expected at least the kernel's 6 and at most 56"):
        espirit_maps(k, calibration=100)


def test_normalise_keeps_zero():
    maps = torch.zeros(2, 3, 4, 4, dtype=torch.complex64)
    maps[:, :, 1] = 2j
    size = normalise(maps).abs().square().sum(1)
    torch.testing.assert_close(size[:, 1], torch.ones(2, 4))
    assert float(size[:, 0].max()) == 0


def test_whitening():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 4, dtype=torch.complex64, generator=generator)

    def noise(*shape):
        white = torch.randn(4, *shape, dtype=torch.complex64, generator=generator)
        return torch.einsum("ij,j...->i...", mixing, white)

    samples = noise(20_000)
    torch.testing.assert_close(noise_covariance(samples), mixing @ mixing.mH, atol=0.3, rtol=0.05)
    white = whiten(noise(100, 100)[None], samples)
    covariance = noise_covariance(white[0].flatten(1))
    torch.testing.assert_close(covariance, torch.eye(4, dtype=torch.complex64), atol=0.05, rtol=0)
    with pytest.raises(ValueError, match="samples >= coils"):
        noise_covariance(samples[:, :2])
