"""Metal in a simulated scan: the discs lie in the body, the rays through them are lost, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scanprior.formats.scan import Volume, problems
from scanprior.geometry import FanBeam, Geometry, Grid, ParallelBeam
from scanprior.operators.radon import Radon
from scanprior.recon.metal import RADII, Disc, crossed, metal_discs
from scanprior.recon.simulate import CTSimulation, simulate
from scanprior.recon.study import problem_of

SIDE, PIXEL = 64, 3.0
GRID = Grid((SIDE, SIDE), PIXEL)
BEAMS = {
    "parallel": ParallelBeam.covering(GRID, 12),
    "fan": FanBeam.covering(GRID, 12, source_origin=300, source_detector=500),
    "curved": FanBeam.covering(GRID, 12, source_origin=300, source_detector=500, curved=True),
}


def radius(cx: float = 0.0, cy: float = 0.0) -> np.ndarray:
    """Distance of each pixel from a point [mm]."""
    axis = (np.arange(SIDE) - (SIDE - 1) / 2) * PIXEL
    return np.hypot(axis - cx, -axis[:, None] - cy)


def volume(slices: int = 2) -> Volume:
    """A disc of soft tissue with a lung."""
    image = np.where(radius() < 75, 40.0, -1000.0) - 800 * (radius(-30) < 20)
    return Volume(
        np.stack([image] * slices).astype(np.float32), "HU", "CT", (5.0, PIXEL, PIXEL), source="body"
    )


def test_discs_lie_in_the_body() -> None:
    body = volume().data[0] > -200
    discs = metal_discs(body, PIXEL, 200, seed=0)
    assert len(discs) == 200
    for disc in discs:
        assert RADII[0] <= disc.radius <= RADII[1]
        assert not ((radius(disc.x, disc.y) < disc.radius) & ~body).any()
    assert discs[:3] == metal_discs(body, PIXEL, 200, seed=0)[:3] != metal_discs(body, PIXEL, 200, seed=1)[:3]
    assert min(disc.x for disc in discs) < -50 and max(disc.y for disc in discs) > 50  # anywhere


def test_a_body_narrower_than_the_metal_has_it_in_its_middle() -> None:
    body = np.zeros((9, 9), bool)
    body[2, 5] = True
    (disc,) = metal_discs(body, 1.0, 1, seed=0)
    assert (disc.x, disc.y) == (1.0, 2.0)
    with pytest.raises(ValueError, match="without a body"):
        metal_discs(body & False, 1.0, 1, seed=0)


@pytest.mark.parametrize("name", BEAMS)
def test_the_rays_that_cross_a_disc_are_lost(name: str) -> None:
    """Those whose line integral through the disc, as a projector sees it, is not zero."""
    beam: Geometry = BEAMS[name]
    discs = [Disc(20.0, -35.0, 6.0), Disc(-40.0, 5.0, 4.0)]
    lost = crossed(beam, discs)
    assert lost.shape == beam.shape and 0.02 < lost.mean() < 0.3
    fine = Grid((SIDE * 6, SIDE * 6), PIXEL / 6)
    axis = (np.arange(SIDE * 6) - (SIDE * 6 - 1) / 2) * PIXEL / 6

    def seen(grow: float) -> np.ndarray:
        image = sum(
            (np.hypot(axis - d.x, -axis[:, None] - d.y) < d.radius + grow).astype(np.float32) for d in discs
        )
        lines = Radon(beam.refine(6), fine)(torch.from_numpy(image)[None])[0]
        return (lines > 0).reshape(*beam.shape, 6).any(-1).numpy()

    assert not (seen(-0.7) & ~lost).any()  # all that are certainly behind a disc
    assert not (lost & ~seen(0.7)).any()  # and none that certainly is not


@pytest.mark.parametrize(
    "settings", [{}, {"fan": True}, {"fan": True, "curved": True}, {"matrix": SIDE // 2}]
)
def test_a_scan_with_metal_is_the_scan_without_it_but_for_the_lost_rays(settings: dict) -> None:
    common = {"views": 20, "source_origin": 300, "source_detector": 500, **settings}
    scan, plain = (simulate(volume(), CTSimulation(**common, metal=metal), seed=3) for metal in (2, 0))
    assert problems(scan) == [] and plain.mask is None
    assert (
        scan.mask is not None and scan.mask.shape == scan.data.shape[1:] and 0.02 < 1 - scan.mask.mean() < 0.3
    )
    assert (~scan.mask).any(1).all()  # every view sees the metal
    assert not scan.data[:, ~scan.mask].any()
    np.testing.assert_array_equal(scan.data[:, scan.mask], plain.data[:, scan.mask])
    np.testing.assert_array_equal(scan.truth, plain.truth)
    problem = problem_of(scan)
    image = torch.from_numpy(np.array(scan.truth))
    assert float((problem.operator(image) - problem.y).norm() / problem.y.norm()) < 0.02


def test_the_metal_is_seeded_and_the_photons_do_not_notice() -> None:
    settings = CTSimulation(views=20, photons=1e4, metal=3)
    one, again, other = (simulate(volume(), settings, seed=seed) for seed in (1, 1, 2))
    plain = simulate(volume(), CTSimulation(views=20, photons=1e4), seed=1)
    assert one.mask is not None
    np.testing.assert_array_equal(one.mask, again.mask)
    assert (one.mask != other.mask).any()
    np.testing.assert_array_equal(one.data[:, one.mask], plain.data[:, one.mask])


def test_less_than_no_metal_is_refused() -> None:
    with pytest.raises(ValueError, match="metal=-1, expected a number of discs"):
        simulate(volume(), CTSimulation(metal=-1))
