"""From a scan to a problem, and simulated scans: the truth explains the data as well as their noise allows."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scanprior.formats.read import read
from scanprior.formats.scan import FormatError, Scan, Volume, problems
from scanprior.formats.store import read_scan, write_scan
from scanprior.geometry import FanBeam, ParallelBeam
from scanprior.operators.coils import smooth_maps
from scanprior.operators.fourier import fft2c
from scanprior.operators.noise import ComplexGaussian, Gaussian, Photon
from scanprior.operators.sampling import equispaced
from scanprior.recon import CGSense, L1Wavelet, ZeroFilled
from scanprior.recon.simulate import CTSimulation, MRISimulation, simulate, simulate_mri
from scanprior.recon.study import geometry_of, kspace_noise, problem_of, sinogram_noise

SIDE = 64


def body(shape: tuple[int, int] = (SIDE, SIDE), smooth: float = 0.06) -> np.ndarray:
    """A disc with two holes, 0 to 1, with soft edges, (1, H, W)."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    y = y[:, None]

    def disc(cx: float, cy: float, r: float) -> np.ndarray:
        return 1 / (1 + np.exp((np.hypot(x - cx, y - cy) - r) / smooth * 2))

    return (disc(0, 0, 0.75) - 0.6 * disc(0.3, 0.1, 0.2) - 0.4 * disc(-0.2, -0.3, 0.15))[None].astype(
        np.float32
    )


def ct_volume(shape: tuple[int, int] = (SIDE, SIDE), **changes) -> Volume:
    volume = Volume(1000 * (1.05 * body(shape) - 1), "HU", "CT", (5.0, 2.0, 2.0), source="body.dcm")
    return replace(volume, **changes)


def mr_volume(slices: int = 1) -> Volume:
    data = np.concatenate([100 * body() * (1 - 0.2 * z) for z in range(slices)])
    return Volume(data, "magnitude", "MR", (5.0, 2.0, 2.0), source="head.h5")


def truth(scan: Scan) -> torch.Tensor:
    return torch.from_numpy(np.array(scan.truth))


# --- CT
CT = [
    {},
    {"fan": True},
    {"fan": True, "curved": True, "arc": 220.0},
    {"matrix": SIDE // 2},
]


@pytest.mark.parametrize("settings", CT, ids=lambda s: ",".join(s) or "parallel")
def test_the_truth_of_a_noise_free_ct_scan_explains_it(settings: dict) -> None:
    """Up to the finer grid of the simulation, and exactly nothing else: no scale, no shift, no turn."""
    scan = simulate(ct_volume(), CTSimulation(views=20, **settings))
    assert problems(scan) == []
    problem = problem_of(scan)
    assert problem.noise is None  # said to be noise-free
    assert problem.water == scan.header["mu_water"]
    image = truth(scan)

    def residual(x: torch.Tensor) -> float:
        return float((problem.operator(x) - problem.y).norm() / problem.y.norm())

    assert residual(image) < 0.012
    wrong = [image.flip(1), image.flip(2), image.roll(1, 1), image.roll(1, 2), image.mT, 1.02 * image]
    assert min(residual(x) for x in wrong) > 1.5 * residual(image)


@pytest.mark.parametrize("shape", [(48, 64), (63, 50)])
def test_a_scan_of_any_matrix(shape: tuple[int, int]) -> None:
    scan = simulate(ct_volume(shape), CTSimulation(views=9))
    assert scan.matrix == shape and scan.truth.shape == (1, *shape)
    problem = problem_of(scan)
    assert float((problem.operator(truth(scan)) - problem.y).norm() / problem.y.norm()) < 0.012


def test_images_above_400_are_reconstructed_at_half_their_matrix() -> None:
    scan = simulate(ct_volume((402, 404)), CTSimulation(views=4))
    assert scan.matrix == (201, 202) and scan.pixel_mm == 4.0
    problem = problem_of(scan)
    assert float((problem.operator(truth(scan)) - problem.y).norm() / problem.y.norm()) < 0.012


@pytest.mark.parametrize("kind", ["parallel", "fan", "curved"])
def test_the_geometry_survives_a_file(tmp_path, kind: str) -> None:
    settings = CTSimulation(
        views=7, fan=kind != "parallel", curved=kind == "curved", source_origin=300, source_detector=520
    )
    write_scan(tmp_path / "scan.h5", simulate(ct_volume(), settings))
    scan = read_scan(tmp_path / "scan.h5")
    geometry, grid = geometry_of(scan)
    assert grid.matrix == (SIDE, SIDE) and grid.pixel == 2.0
    if kind == "parallel":
        assert geometry == ParallelBeam.covering(grid, 7)
    else:
        assert geometry == FanBeam.covering(
            grid, 7, source_origin=300, source_detector=520, curved=kind == "curved"
        )
    shifted = replace(scan, geometry=replace(scan.geometry, offset=1.5))
    assert geometry_of(shifted)[0].offset == 1.5
    with pytest.raises(FormatError, match=r"scan\.h5: has no geometry"):
        geometry_of(replace(scan, geometry=None))


def test_photon_noise_is_that_of_the_scan() -> None:
    """The data's distance from the truth's line integrals, weighted with the noise model, is 1 an element."""
    scan = simulate(ct_volume(), CTSimulation(views=40, photons=2e4, electronic=5.0), seed=3)
    clean = simulate(ct_volume(), CTSimulation(views=40))
    problem = problem_of(scan)
    assert problem.noise == Photon(2e4, 5.0)
    difference = problem.y - torch.from_numpy(clean.data)
    assert float((difference.square() * problem.noise.weights(problem.y)).mean()) == pytest.approx(
        1, abs=0.05
    )
    again = simulate(ct_volume(), CTSimulation(views=40, photons=2e4, electronic=5.0), seed=3)
    np.testing.assert_array_equal(again.data, scan.data)
    assert (
        np.abs(simulate(ct_volume(), CTSimulation(views=40, photons=2e4), seed=4).data - scan.data).max() > 0
    )


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.1])
def test_the_noise_of_a_sinogram_is_estimated(sigma: float) -> None:
    clean = torch.from_numpy(simulate(ct_volume((128, 128)), CTSimulation(views=60)).data)
    noisy = clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    assert sinogram_noise(noisy) == pytest.approx(sigma, rel=0.15)
    scan = replace(simulate(ct_volume((128, 128)), CTSimulation(views=60)), data=noisy.numpy(), noise=None)
    noise = problem_of(scan).noise
    assert isinstance(noise, Gaussian)
    assert noise.sigma == pytest.approx(sigma, rel=0.15)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (mr_volume(), "got magnitude images, expected CT"),
        (ct_volume(spacing=(5.0, 2.0, 2.2)), "are not square"),
    ],
)
def test_images_that_cannot_be_scanned_by_ct(volume: Volume, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        simulate(volume, CTSimulation())


# --- MRI
@pytest.mark.parametrize("mask", ["equispaced", "random", "gaussian1d", "gaussian2d", "poisson", "radial"])
def test_the_truth_of_an_mri_scan_explains_it_up_to_its_noise(mask: str) -> None:
    settings = MRISimulation(accel=3, coils=4, snr=30.0, mask=mask)
    scan = simulate(mr_volume(2), settings, seed=1)
    assert problems(scan) == []
    np.testing.assert_allclose(np.abs(scan.truth), mr_volume(2).data, atol=1e-4)
    problem = problem_of(scan)
    sampled = torch.from_numpy(scan.mask)
    difference = (problem.operator(truth(scan)) - problem.y)[..., sampled]
    sigma = scan.noise["sigma"]
    assert isinstance(problem.noise, ComplexGaussian) and problem.noise.sigma == pytest.approx(sigma)
    assert float(difference.abs().square().mean().sqrt()) == pytest.approx(sigma, rel=0.1)
    signal = problem.y[..., sampled].abs().square().mean().sqrt()
    assert 20 * math.log10(float(signal) / sigma) == pytest.approx(30.0, abs=0.7)
    weighted = (
        difference.abs().square() * problem.noise.weights(problem.y).expand(problem.y.shape)[..., sampled]
    )
    assert float(weighted.mean()) == pytest.approx(1, rel=0.2)


def test_slices_have_their_own_phases_and_share_their_maps() -> None:
    scan = simulate(mr_volume(2), MRISimulation(coils=3, snr=None))
    assert scan.noise == {"type": "complex_gaussian", "sigma": 0.0} and problem_of(scan).noise is None
    first, second = np.angle(scan.truth)
    assert np.abs(first - second).mean() > 0.1
    np.testing.assert_array_equal(scan.maps[0], scan.maps[1])


def test_maps_that_are_missing_are_estimated() -> None:
    scan = simulate(mr_volume(), MRISimulation(accel=3, coils=4, center=0.25, snr=40.0))
    problem = problem_of(replace(scan, maps=None))
    known = problem_of(scan)
    inside = torch.from_numpy(mr_volume().data[0] > 50)
    agreement = (problem.operator.maps.conj() * known.operator.maps).sum(-3).abs()
    assert float(agreement.reshape(SIDE, SIDE)[inside].min()) > 0.99


def test_calibration_lines_measured_apart_give_the_maps() -> None:
    """A mask without a centre, and calibration lines of another scaling: the maps are those of the object, and the
    calibration is no part of the data."""
    known = simulate(mr_volume(), MRISimulation(accel=1, coils=4, snr=None))
    middle = slice(SIDE // 2 - 12, SIDE // 2 + 12)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[:, ::2] = True
    scan = replace(
        known,
        data=known.data * mask,
        mask=mask,
        maps=None,
        calibration=0.7 * known.data[:, :, middle, middle],
    )
    assert problems(scan) == []
    problem, inside = problem_of(scan), truth(known)[0].abs() > 20
    agreement = (problem.operator.maps.conj() * torch.from_numpy(known.maps[0])).sum(-3).abs()
    assert float(agreement.reshape(SIDE, SIDE)[inside].min()) > 0.99
    torch.testing.assert_close(problem.y, torch.from_numpy(scan.data))
    with pytest.raises(FormatError, match=r"got no coil maps and a fully sampled centre"):
        problem_of(replace(scan, calibration=None))


def test_a_mask_for_each_slice_gives_each_slice_its_own_reconstruction() -> None:
    """Of lines that differ from slice to slice: together as alone, with maps, noise level and method."""
    scan = replace(simulate(mr_volume(2), MRISimulation(accel=1, coils=3)), noise=None)
    masks = np.stack([equispaced((SIDE, SIDE), accel, 0.2).numpy() for accel in (2, 3)])
    scan = replace(scan, data=scan.data * masks[:, None], mask=masks)
    assert problems(scan) == []
    assert "not zero where" in problems(replace(scan, mask=masks[::-1]))[0]
    together = problem_of(scan)
    for method in (ZeroFilled(), CGSense(), L1Wavelet()):
        found = method(together).mean
        for z in range(2):
            alone = replace(
                scan,
                data=scan.data[[z]],
                mask=masks[z],
                maps=scan.maps[[z]],
                noise={"type": "complex_gaussian", "sigma": together.noise.sigma},
            )
            torch.testing.assert_close(found[z], method(problem_of(alone)).mean[0], rtol=1e-3, atol=1e-2)


def test_a_simulated_scan_keeps_the_images_voxels() -> None:
    """Pixels that are not square, slices, and that a size is a guess: through a file."""
    volume = replace(mr_volume(2), spacing=(5.0, 6.4, 4.0), pixel_assumed=True, remarks=("a guess",))
    scan = simulate(volume, MRISimulation(coils=2))
    assert scan.voxel == (5.0, 6.4, 4.0) and scan.pixel_assumed and scan.remarks == ("a guess",)
    assert simulate(ct_volume(), CTSimulation(views=4, matrix=SIDE // 2)).voxel == (5.0, 4.0, 4.0)


def test_too_few_calibration_lines_are_refused() -> None:
    scan = replace(simulate(mr_volume(), MRISimulation(accel=4, coils=4, center=0.04)), maps=None)
    with pytest.raises(FormatError, match=r"head\.h5: got no coil maps and a fully sampled centre of"):
        problem_of(scan)
    single = replace(scan, data=scan.data[:, :1])  # one coil needs none
    assert problem_of(single).operator.range == (1, SIDE, SIDE)


@pytest.mark.parametrize("sampled", ["all", "fourfold"])
@pytest.mark.parametrize("sigma", [0.03, 0.3])
def test_the_noise_of_k_space_is_estimated(sigma: float, sampled: str) -> None:
    shape = (128, 128)
    clean = fft2c(smooth_maps(4, shape)[None] * torch.from_numpy(100 * body(shape, 0.1))[:, None])
    noise = torch.randn(clean.shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(shape, dtype=torch.bool) if sampled == "all" else equispaced(shape, 4)
    y = (clean + sigma * noise) * mask
    assert kspace_noise(y, mask) == pytest.approx(sigma, rel=0.15)
    scan = Scan("mri", y.numpy(), shape, 1.0, mask=mask.numpy(), maps=smooth_maps(4, shape)[None].numpy())
    assert problem_of(scan).noise.sigma == pytest.approx(sigma, rel=0.15)


def test_what_was_not_measured_does_not_count() -> None:
    """Data outside the mask are set to zero, in the problem too."""
    scan = simulate(mr_volume(), MRISimulation(coils=2, snr=None))
    filled = replace(scan, data=scan.data + np.where(scan.mask, 0, 7).astype(np.complex64))
    torch.testing.assert_close(problem_of(filled).y, problem_of(scan).y)


@pytest.mark.parametrize(
    "wrong",
    [{"coils": 0}, {"coils": -2}, {"accel": 0.5}, {"accel": math.nan}, {"snr": math.nan}, {"snr": math.inf}],
)
def test_numbers_that_are_no_scan_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"mri simulation: got {next(iter(wrong))}="):
        simulate_mri(mr_volume(), MRISimulation(**wrong))


def test_an_unknown_mask_and_ct_images_are_refused() -> None:
    with pytest.raises(ValueError, match="mask='spiral', expected one of equispaced"):
        simulate_mri(mr_volume(), MRISimulation(mask="spiral"))
    with pytest.raises(FormatError, match="got HU images, expected MR"):
        simulate_mri(ct_volume(), MRISimulation())


def test_the_geometry_of_measured_fan_beam_data_explains_them(shared_data) -> None:
    """And with the angles the other way round they are refused, for no image fits them all."""
    path = shared_data("ct", "raw", "htc2022_tb_fanbeam.h5")

    def misfit(angle_sign: int) -> float:
        scan = read(path, angle_sign=angle_sign)
        views, detectors = np.arange(0, 549, 8), np.arange(0, 560, 2)
        assert scan.geometry is not None
        geometry = replace(
            scan.geometry.subset(views),
            detectors=len(detectors),
            spacing=2 * scan.geometry.spacing,
            offset=-0.25,  # of every other element
        )
        pixel_mm = scan.pixel_mm * scan.matrix[0] / 128
        data = scan.data[:, views][..., detectors]
        problem = problem_of(
            replace(scan, data=data, geometry=geometry, matrix=(128, 128), pixel_mm=pixel_mm)
        )
        return float((problem.operator(problem.least_squares(12)) - problem.y).norm() / problem.y.norm())

    assert misfit(1) < 0.02
    with pytest.raises(FormatError, match="--angle-sign"):
        misfit(-1)
