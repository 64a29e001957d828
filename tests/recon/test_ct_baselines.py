"""Known answers for FBP and FISTA-TV."""

import math

import numpy as np
import pytest
import torch
from scanprior.geometry import FanBeam, Grid, ParallelBeam
from scanprior.operators.linear import Identity, LinearOperator
from scanprior.operators.radon_sparse import RadonSparse
from scanprior.recon.baselines.fbp import FILTERS, fbp
from scanprior.recon.baselines.tv import fista_tv, gradient, gradient_adjoint, tv_prox
from torch import Tensor

GRID = Grid((96, 80), 2.0)
MU = 0.02
FAN = {"source_origin": 250.0, "source_detector": 450.0}
FULL = 2 * math.pi


def disc_sinogram(geometry, centre=(0.0, 0.0), radius=40.0, mu=MU, sub: int = 4) -> Tensor:
    """The exact chords of a disc, averaged over the width of each element: (1, views, detectors)."""
    origin, direction = geometry.refine(sub).rays()
    r = np.asarray(centre) - origin
    distance = np.abs(r[..., 0] * direction[..., 1] - r[..., 1] * direction[..., 0])
    chord = 2 * mu * np.sqrt(np.clip(radius**2 - distance**2, 0, None))
    return torch.tensor(chord.reshape(*geometry.shape, sub).mean(-1), dtype=torch.float32)[None]


def positions(grid: Grid) -> tuple[Tensor, Tensor]:
    """x and y of the pixel centres [mm]."""
    H, W = grid.matrix
    x = (torch.arange(W) - (W - 1) / 2) * grid.pixel
    return x[None, :].expand(H, W), (((H - 1) / 2 - torch.arange(H)) * grid.pixel)[:, None].expand(H, W)


def parallel(views=360, arc=math.pi, **more):
    return ParallelBeam.covering(GRID, views, arc=arc, **more)


def fan(views=360, arc=FULL, curved=False, **more):
    return FanBeam.covering(GRID, views, arc=arc, curved=curved, **FAN, **more)


TWO_ARCS = [v for v in range(720) if not (200 <= v < 240 or 400 <= v < 440)]  # every ray at least once
SHORT = math.pi + 2 * math.asin(GRID.radius / FAN["source_origin"]) + 0.2
BEAMS = {
    "parallel": parallel(),
    "parallel, full circle": parallel(361, FULL),
    "parallel, quarter offset": parallel(offset=0.25),
    "parallel, far offset": parallel(offset=7.4),
    "flat": fan(),
    "flat, offset": fan(offset=-3.3),
    "flat, short scan": fan(arc=SHORT),
    "flat, two arcs": fan(720).subset(TWO_ARCS),
    "curved": fan(curved=True),
    "curved, offset": fan(curved=True, offset=5.25),
    "curved, short scan": fan(arc=SHORT, curved=True),
}


@pytest.mark.parametrize("name", BEAMS)
def test_fbp_gives_a_disc_its_attenuation_and_place(name: str) -> None:
    geometry, centre = BEAMS[name], (24.0, -31.0)  # right of the centre and below it
    image = fbp(disc_sinogram(geometry, centre), geometry, GRID)[0]
    x, y = positions(GRID)
    distance = torch.hypot(x - centre[0], y - centre[1])
    inside = image[distance < 34]
    assert abs(float(inside.mean()) / MU - 1) < 0.005
    assert float((inside - MU).abs().max()) < 0.02 * MU
    assert float(image[distance > 48].abs().max()) < 0.05 * MU
    sharp = torch.where(distance < 60, image, 0)
    for axis, expected in zip((x, y), centre, strict=True):
        assert abs(float((sharp * axis).sum() / sharp.sum()) - expected) < 0.1 * GRID.pixel


def test_fbp_does_not_care_for_the_order_of_views_or_full_turns() -> None:
    geometry = fan(200)
    y = disc_sinogram(geometry, (10.0, 20.0))
    order = np.random.default_rng(0).permutation(200)
    turns = tuple(geometry.angles[v] + FULL * (v % 5 - 2) for v in order)
    shuffled = FanBeam(turns, geometry.detectors, geometry.spacing, 250.0, 450.0)
    torch.testing.assert_close(
        fbp(y[:, order], shuffled, GRID), fbp(y, geometry, GRID), atol=2e-4 * MU, rtol=0
    )


def test_fbp_of_uneven_views_keeps_the_attenuation() -> None:
    """Twice as dense in one half of the arc: equal weights would be wrong by a third on each side."""
    angles = (*np.arange(0, 90, 0.5), *np.arange(90, 180, 1.0))
    geometry = ParallelBeam(tuple(np.deg2rad(angles)), 129, 2.0)
    image = fbp(disc_sinogram(geometry), geometry, GRID)[0]
    x, y = positions(GRID)
    torch.testing.assert_close(image[torch.hypot(x, y) < 34].mean(), torch.tensor(MU), rtol=0.01, atol=0)


def test_smoother_filters_carry_less_noise() -> None:
    geometry = parallel(60)
    noise = torch.randn(1, *geometry.shape, generator=torch.Generator().manual_seed(0))
    levels = [float(fbp(noise, geometry, GRID, filter).std()) for filter in FILTERS]
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] < 0.6 * levels[0]


def test_fbp_refuses_what_does_not_fit() -> None:
    geometry = parallel(10)
    y = torch.zeros(1, *geometry.shape)
    with pytest.raises(ValueError, match="filter 'ram', expected one of ramp, shepp-logan"):
        fbp(y, geometry, GRID, "ram")
    with pytest.raises(ValueError, match=r"shape \(10, .*expected real line integrals \(batch, 10, "):
        fbp(y[0], geometry, GRID)
    with pytest.raises(ValueError, match="source_origin=50 mm, inside the grid"):
        fbp(y, FanBeam(geometry.angles, geometry.detectors, 1.0, 50.0, 90.0), GRID)


# --- total variation
def objective(x: Tensor, y: Tensor, A: LinearOperator, lam: float) -> float:
    tv = gradient(x).abs().square().sum(1).sqrt().sum()
    return float(0.5 * (A(x) - y).abs().square().sum() + lam * tv)


def test_gradient_adjoint_is_the_adjoint() -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, 7, 5, generator=g, dtype=torch.complex128)
    p = torch.randn(2, 2, 7, 5, generator=g, dtype=torch.complex128)
    torch.testing.assert_close((gradient(x).conj() * p).sum(), (x.conj() * gradient_adjoint(p)).sum())


@pytest.mark.parametrize("phase", [1, 1j])
def test_a_step_loses_lambda_over_its_length(phase: complex) -> None:
    """1-D TV of a step: the low plateau of m pixels rises by lambda / m, the high one falls by lambda / n."""
    is_complex = phase != 1
    y = (
        torch.cat([torch.full((12,), 1.0), torch.full((20,), 3.0)]).expand(1, 6, 32) * phase
    )  # constant columns
    A = Identity((6, 32), is_complex=is_complex)
    lam = 2.4  # < 12 * 20 / 32 * 2: the step survives
    x = fista_tv(y, A, weight=lam / 3, iterations=60, inner=50)
    expected = (
        torch.cat([torch.full((12,), 1 + lam / 12), torch.full((20,), 3 - lam / 20)]).expand(1, 6, 32) * phase
    )
    torch.testing.assert_close(x, expected, atol=2e-3, rtol=0)


def test_a_heavy_weight_leaves_the_mean() -> None:
    y = torch.rand(1, 9, 11, generator=torch.Generator().manual_seed(0))
    x = fista_tv(y, Identity((9, 11)), weight=100.0, iterations=80, inner=40)
    torch.testing.assert_close(x, y.mean().expand(1, 9, 11), atol=1e-3, rtol=0)


def test_negative_values_are_cut_off_where_asked() -> None:
    y = torch.tensor([[[-2.0, -2.0, 4.0, 4.0]]])
    A = Identity((1, 4))
    torch.testing.assert_close(fista_tv(y, A, 0.0, 30), y.clamp_min(0), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fista_tv(y, A, 0.0, 30, nonnegative=False), y, atol=1e-4, rtol=1e-4)
    # lambda = 1: the high plateau falls by 1/2; unconstrained, the low one rises by 1/2
    low_high = torch.tensor([[[-1.5, -1.5, 3.5, 3.5]]])
    torch.testing.assert_close(
        fista_tv(y, A, 0.25, 40, inner=40, nonnegative=False), low_high, atol=1e-3, rtol=0
    )
    torch.testing.assert_close(fista_tv(y, A, 0.25, 40, inner=40), low_high.clamp_min(0), atol=1e-3, rtol=0)


def test_prox_is_optimal() -> None:
    """The dual gap ½||x - b||² + tau TV(x) - (½||b||² - ½||b - D^T q||²) closes."""
    g = torch.Generator().manual_seed(1)
    b = torch.randn(2, 12, 10, generator=g, dtype=torch.float64)
    tau = torch.tensor([0.3, 1.5], dtype=torch.float64).view(2, 1, 1)
    x, q = tv_prox(b, tau, torch.zeros(2, 2, 12, 10, dtype=torch.float64), 800)
    tv = gradient(x).square().sum(1).sqrt()
    primal = (0.5 * (x - b).square() + tau * tv).sum((1, 2))
    dual = 0.5 * (b.square() - (b - gradient_adjoint(q)).square()).sum((1, 2))
    assert float((primal - dual).min()) > -1e-9
    assert float(((primal - dual) / primal).max()) < 1e-4


SMALL = Grid((64, 64), 3.0)


def phantom() -> Tensor:
    x, y = positions(SMALL)
    discs = [(0, 0, 85, 0.02), (-30, 20, 22, 0.006), (35, -25, 16, -0.01), (5, -50, 9, 0.015)]
    return sum(mu * (torch.hypot(x - a, y - b) < r) for a, b, r, mu in discs)[None].float()  # type: ignore[union-attr]


def psnr(x: Tensor, truth: Tensor) -> float:
    return float(10 * torch.log10(truth.max() ** 2 / (x - truth).square().mean()))


def test_tv_beats_fbp_with_23_views_and_ignores_batch_mates() -> None:
    geometry = ParallelBeam.covering(SMALL, 23)
    A = RadonSparse(geometry, SMALL)
    truth = phantom()
    g = torch.Generator().manual_seed(0)
    y = A(truth) + 0.01 * torch.randn(1, *geometry.shape, generator=g)
    lam = 1e-3 * float(A.adjoint(y).abs().max())
    runs = {n: fista_tv(y, A, 1e-3, n) for n in (5, 20, 80, 200)}
    costs = [objective(x, y, A, lam) for x in runs.values()]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < objective(truth, y, A, lam)
    tv, straight = psnr(runs[200], truth), psnr(fbp(y, geometry, SMALL, "hann"), truth)
    assert tv > straight + 6, (tv, straight)

    # beside a mate of another scale and other weights
    both = torch.cat([y, 50 * y.flip(2)])
    weights = torch.cat([torch.ones_like(y), torch.full_like(y, 1e-3)])
    beside = fista_tv(both, A, 1e-3, 20, weights=weights)
    torch.testing.assert_close(beside[:1], runs[20], rtol=1e-4, atol=1e-6)


def test_the_weight_is_relative() -> None:
    """Other units of y, another scale of A or of W: the same picture."""
    geometry = ParallelBeam.covering(SMALL, 12)
    A = RadonSparse(geometry, SMALL)
    y = A(phantom())
    x = fista_tv(y, A, 3e-3, 15)
    torch.testing.assert_close(fista_tv(40 * y, A, 3e-3, 15), 40 * x, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(fista_tv(y, 0.1 * A, 3e-3, 15), 10 * x, rtol=1e-3, atol=1e-5)
    heavy = torch.full_like(y, 700.0)
    torch.testing.assert_close(fista_tv(y, A, 3e-3, 15, weights=heavy), x, rtol=1e-3, atol=1e-6)


def test_statistical_weights_silence_a_broken_detector() -> None:
    geometry = ParallelBeam.covering(SMALL, 40)
    A = RadonSparse(geometry, SMALL)
    truth = phantom()
    y = A(truth)
    y[:, :, 30] = 9.0
    weights = torch.ones_like(y)
    weights[:, :, 30] = 0
    plain, weighted = fista_tv(y, A, 1e-3, 60), fista_tv(y, A, 1e-3, 60, weights=weights)
    assert psnr(weighted, truth) > psnr(plain, truth) + 6


def test_complex_images_of_undersampled_spectra() -> None:
    """MRI: 40 % of k-space at random; TV fills better than zeros do, and the global phase is free."""

    class Sampled(LinearOperator):
        def __init__(self, mask: Tensor) -> None:
            super().__init__(mask.shape, mask.shape, domain_complex=True, range_complex=True)
            self.register_buffer("mask", mask)

        def apply_forward(self, x: Tensor) -> Tensor:
            return self.mask * torch.fft.fft2(x, norm="ortho")

        def apply_adjoint(self, y: Tensor) -> Tensor:
            return torch.fft.ifft2(self.mask * y, norm="ortho")

    g = torch.Generator().manual_seed(0)
    mask = (torch.rand(64, 64, generator=g) < 0.4).float()
    mask[:6, :6] = mask[:6, -6:] = mask[-6:, :6] = mask[-6:, -6:] = 1
    A, truth = Sampled(mask), phantom() / 0.026 * (1 + 0j)
    y = A(truth)
    x = fista_tv(y, A, 1e-3, 100)
    error, zero_filled = ((z - truth).abs().square().mean().sqrt() for z in (x, A.adjoint(y)))
    assert error < 0.3 * zero_filled
    torch.testing.assert_close(fista_tv(1j * y, A, 1e-3, 100), 1j * x, atol=1e-4, rtol=0)


def test_fista_tv_refuses_nonsense() -> None:
    A, y = Identity((4, 4)), torch.zeros(1, 4, 4)
    with pytest.raises(ValueError, match="weight=-1"):
        fista_tv(y, A, -1)
    with pytest.raises(ValueError, match="negative statistical weights"):
        fista_tv(y, A, 0.1, weights=-torch.ones(1, 4, 4))
    with pytest.raises(ValueError, match=r"expected \(H, W\)"):
        fista_tv(torch.zeros(1, 4), Identity((4,)), 0.1)
    torch.testing.assert_close(fista_tv(y, A, 0.1), y)
