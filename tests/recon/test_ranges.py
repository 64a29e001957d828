"""Receivers have any unit: k-space of 1e30 or 1e-30 gives the image that it gives at 1, times the unit. What float32
cannot hold is refused, and an image is never empty or NaN without a word."""

from __future__ import annotations

from dataclasses import replace

import known_answer as known
import numpy as np
import pytest
import torch
from scanprior.formats.scan import FormatError, Scan, check, problems
from scanprior.geometry import Grid, ParallelBeam
from scanprior.modality import Modality
from scanprior.operators.coils import espirit_maps, smooth_maps, smooth_phase
from scanprior.operators.fourier import fft2c
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian
from scanprior.operators.radon import Radon
from scanprior.operators.sampling import equispaced
from scanprior.priors.intensity import RobustMaximum
from scanprior.recon.baselines.supervised import measurement_of
from scanprior.recon.domain import noise_residual
from scanprior.recon.methods import BASELINES, METHODS, class_of, method_of
from scanprior.recon.metrics import data_residual
from scanprior.recon.options import settings_of
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.presets import likeness
from scanprior.recon.problem import Problem, Reconstruction
from scanprior.recon.study import problem_of

SIDE, LARGE = 32, 2.0**100  # 1e30; a power of two, so that no bit may differ
MRI_BASELINES = [name for name in BASELINES if Modality.MR in getattr(class_of(name), "scans", ())]


def body(side: int) -> torch.Tensor:
    """A disc with a hole, (side, side)."""
    axis = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return 0.8 * (torch.hypot(x, y) < 0.8) - 0.4 * (torch.hypot(x - 0.2, y) < 0.2)


def mri() -> Problem:
    """One slice of 12 x 12 pixels, four coils, every third line and the centre."""
    operator, noise = cartesian_mri(equispaced((12, 12), 3), smooth_maps(4, (12, 12))), ComplexGaussian(0.02)
    draw = torch.Generator().manual_seed(0)
    y = noise.sample(operator(torch.polar(body(12)[None], smooth_phase((1, 12, 12), 1))), draw)
    return Problem(y * operator.mask, operator, noise)


def in_unit(problem: Problem, unit: float) -> Problem:
    assert isinstance(problem.noise, ComplexGaussian)
    return replace(problem, y=problem.y * unit, noise=ComplexGaussian(problem.noise.sigma * unit))


def image(name: str, problem: Problem) -> Reconstruction:
    if name in BASELINES:
        settings = [one.name for one in settings_of(class_of(name))]
        return method_of(name, "iterations=10" if "iterations" in settings else "")(problem)
    prior = known.prior_of(problem.operator)
    prior.intensity = RobustMaximum()
    return method_of(name, "steps=2")(problem, prior, samples=2)


@pytest.mark.parametrize("name", [*METHODS, *MRI_BASELINES])
def test_an_image_scales_with_its_k_space(name: str) -> None:
    problem = mri()
    want = image(name, problem)
    assert want.samples.any()
    for unit in (LARGE, 1 / LARGE):
        got = image(name, in_unit(problem, unit))
        torch.testing.assert_close(got.samples / unit, want.samples, rtol=0, atol=0)
        torch.testing.assert_close(got.mean / unit, want.mean, rtol=0, atol=0)
        if want.std is not None and got.std is not None:
            torch.testing.assert_close(got.std / unit, want.std, rtol=1e-6, atol=0)


def test_a_prior_without_intensity_sees_the_units_of_the_scan() -> None:
    """The unit of the computation is undone before such a prior is asked."""
    problem = mri()
    own = problem.in_own_unit()
    assert own.unit != 1
    prior = known.prior_of(problem.operator)
    there, here = (Posed(p, prior, p.least_squares()) for p in (own, problem))
    torch.testing.assert_close(there.initial, here.initial, rtol=0, atol=0)
    torch.testing.assert_close(there.physical(there.initial) * own.unit, here.physical(here.initial))


@pytest.fixture(scope="module")
def scan() -> Scan:
    """Four coils, noise, a centre to calibrate on, and nothing stated."""
    image = torch.polar(body(SIDE)[None], smooth_phase((1, SIDE, SIDE), 1))
    coils = smooth_maps(4, (SIDE, SIDE)) * image[:, None]
    noise = torch.randn(coils.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    return Scan("mri", (fft2c(coils) + 0.01 * noise).numpy(), (SIDE, SIDE), 1.0)


@pytest.mark.parametrize("unit", [LARGE, 1 / LARGE])
def test_what_a_scan_does_not_say_is_estimated_in_any_unit(scan: Scan, unit: float) -> None:
    want, got = problem_of(scan), problem_of(replace(scan, data=scan.data * np.float32(unit)))
    assert isinstance(want.noise, ComplexGaussian) and isinstance(got.noise, ComplexGaussian)
    assert got.noise.sigma == pytest.approx(unit * want.noise.sigma) and want.noise.sigma < 0.1
    torch.testing.assert_close(got.operator.maps, want.operator.maps, rtol=1e-4, atol=1e-4)
    assert likeness(got) == likeness(want)
    assert measurement_of(got) == measurement_of(want)
    x = want.operator.adjoint(want.y)
    residual = [data_residual(p.operator, x * u, p.y)[0] for p, u in ((want, 1.0), (got, unit))]
    assert residual[1] == pytest.approx(residual[0], rel=1e-5)
    assert noise_residual(got) == pytest.approx(noise_residual(want), rel=1e-5)


def test_maps_have_no_unit(scan: Scan) -> None:
    y = torch.from_numpy(scan.data)
    torch.testing.assert_close(espirit_maps(y * LARGE), espirit_maps(y), rtol=1e-4, atol=1e-4)


def spiked(data: np.ndarray, place: tuple[int, ...], factor: float) -> np.ndarray:
    data = data.copy()
    data[place] = factor * np.abs(data).max()
    return data


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {"data": spiked(s.data, (0, 1, 5, 9), 1e20)}, "slice 1, coil 2, ky 6, kx 10 is"),
        (lambda s: {"data": spiked(s.data, (0, 1, 5, 9), 1e3)}, "a spike"),
        (lambda s: {"data": spiked(s.data, (0, 1, 16, 16), 1e20)}, "times the median"),
        (lambda s: {"maps": np.zeros_like(s.data)}, "coil maps of slice 1 are zero everywhere"),
        (lambda s: {"maps": np.full_like(s.data, 1e-30)}, "expected about 1"),
        (lambda s: {"maps": np.full_like(s.data, np.nan)}, "NaN or Inf in maps"),
    ],
)
def test_k_space_and_maps_that_make_no_image_are_refused(scan: Scan, change, words: str) -> None:
    assert problems(scan) == []
    with pytest.raises(FormatError, match=words):
        check(replace(scan, **change(scan)))


def ct_scan() -> Scan:
    grid = Grid((12, 12), 8.0)
    beam = ParallelBeam.covering(grid, 8)
    return Scan("ct", Radon(beam, grid)(0.02 * body(12)[None]).numpy(), (12, 12), 8.0, geometry=beam)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda s: {"data": np.where(np.arange(s.data.shape[-1]) < 4, s.data * 1e30, 0)},
            "line integral of slice 1, view",
        ),
        (lambda s: {"data": s.data * 1e-30}, "less than any detector sees"),
        (lambda s: {"counts": np.zeros_like(s.data)}, "photon counts are zero everywhere"),
    ],
)
def test_line_integrals_that_no_detector_sees_are_refused(change, words: str) -> None:
    assert problems(ct_scan()) == []
    with pytest.raises(FormatError, match=words):
        check(replace(ct_scan(), **change(ct_scan())))


def test_lost_rays_may_hold_anything() -> None:
    scan = ct_scan()
    mask = np.ones(scan.data.shape[1:], bool)
    mask[2, 3] = False
    data = np.where(mask, scan.data, 1e30)
    assert problems(replace(scan, data=data, mask=mask)) == []


@pytest.mark.parametrize(
    ("maps", "words"), [(np.nan, "slice 1"), (0.0, "slice 1 is zero and its k-space is not")]
)
@pytest.mark.parametrize("name", ["dds", "zero-filled"])
def test_an_empty_or_broken_image_is_an_error(name: str, maps: float, words: str) -> None:
    good = mri()
    broken = cartesian_mri(good.operator.mask, torch.full((4, 12, 12), maps, dtype=torch.complex64))
    with pytest.raises(ValueError, match=words):
        image(name, replace(good, operator=broken))
