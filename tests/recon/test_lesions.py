"""Inserted lesions have the volume, contrast and place that they are said to have; a pair of scans differs by them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scanprior.formats.scan import Volume
from scanprior.modality import Modality
from scanprior.recon.lesions import APART_MM, EDGE_MM, Kind, Lesion, insert, placed, tissues
from scanprior.recon.simulate import CTSimulation, MRISimulation, simulate, simulate_pair

y, x = np.mgrid[:128, :128] - 63.5
R = np.hypot(x, y)


def chest() -> np.ndarray:
    """Soft tissue with two lungs and grain, HU."""
    image = np.where(R < 58, 40.0, -1000.0)
    image[np.hypot(np.abs(x) - 27, y) < 20] = -850
    return (image + np.random.default_rng(0).normal(0, 8, image.shape)).astype(np.float32)


@pytest.mark.parametrize("pixel", [0.7, 1.5])
@pytest.mark.parametrize("diameter", [2.0, 5.0, 10.0])
@pytest.mark.parametrize("elongation", [1.0, 2.0])
def test_the_mean_contrast_is_that_of_the_volume(pixel: float, diameter: float, elongation: float) -> None:
    kind, r = Kind("lung", diameter, 100.0, elongation), diameter / 2
    for row, column, angle in ((20.0, 20.0, 0.0), (19.7, 20.4, 0.6)):
        lesion = Lesion(kind, row, column, angle)
        for thickness, volume in (
            (1.0, math.pi * (r**2 + EDGE_MM**2 / 12 - 1 / 12)),  # a slab through the middle
            (20.0, 4 / 3 * math.pi * (r**3 + r * EDGE_MM**2 / 4)),  # all of it
        ):
            added = insert(np.full((40, 40), 30.0), [lesion], "HU", pixel, thickness) - 30
            assert added.sum() * pixel**2 * thickness == pytest.approx(100 * volume, rel=0.01)
    assert lesion.fraction((40, 40), pixel).min() >= 0 and lesion.fraction((40, 40), pixel).max() <= 1


def test_a_magnitude_keeps_its_texture_and_a_coarse_grid_its_lesion() -> None:
    image, lesion = (
        np.random.default_rng(1).uniform(50, 100, (64, 64)),
        Lesion(Kind("white matter", 6.0, -0.3), 31, 33),
    )
    ratio = insert(image, [lesion], "magnitude", 1.0) / image
    np.testing.assert_allclose(ratio, 1 - 0.3 * lesion.fraction((64, 64), 1.0), rtol=1e-6)
    assert ratio[31, 33] == pytest.approx(0.7) and ratio[31, 40] == pytest.approx(1)
    fine = lesion.fraction((64, 64), 1.0).reshape(32, 2, 32, 2).mean((1, 3))
    np.testing.assert_allclose(lesion.binned(2).fraction((32, 32), 2.0), fine, atol=0.02)


def test_lesions_lie_in_their_tissue_apart_and_by_seed() -> None:
    image = chest()
    kinds = [Kind("lung", 6.0, 300.0), Kind("soft tissue", 4.0, 60.0), Kind("soft tissue", 150.0, 60.0)]
    found = placed(image, kinds, "HU", 2.0, 8, seed=3)
    assert found == placed(image, kinds, "HU", 2.0, 8, seed=3) != placed(image, kinds, "HU", 2.0, 8, seed=4)
    assert {lesion.kind for lesion in found} == set(kinds[:2]), "one of 150 mm has no room and is left out"
    for i, a in enumerate(found):
        tissue = tissues(image, "HU")[a.kind.site]
        assert tissue[a.fraction(image.shape, 2.0) > 0].all()
        assert all(math.hypot(a.row - b.row, a.column - b.column) * 2 > APART_MM - 3 for b in found[:i])
    assert placed(np.full((64, 64), -1000.0), kinds, "HU", 1.0, 4) == []
    brain = np.where(R < 55, 60.0, 0.0) + np.where(R < 35, 40.0, 0.0)  # the white matter is the bright inside
    lesions = placed(
        brain + np.random.default_rng(0).normal(0, 1, R.shape), [Kind("white matter", 5.0, 0.2)], "", 1.0, 3
    )
    assert len(lesions) >= 2 and all(math.hypot(a.row - 63.5, a.column - 63.5) < 35 for a in lesions)


@pytest.mark.parametrize(
    "wrong", [("liver", 5.0, 30.0), ("lung", 0.4, 30.0), ("lung", 5.0, 0.0), ("lung", 5.0, 1.0, 0.5)]
)
def test_what_is_no_lesion_is_refused(wrong: tuple) -> None:
    with pytest.raises(ValueError, match=r"expected (one of lung|a diameter above 0.5 mm)"):
        Kind(*wrong)


def volume(image: np.ndarray, units: str) -> Volume:
    modality = Modality.CT if units == "HU" else Modality.MR
    return Volume(image[None].astype(np.float32), units, modality, (1.0, 2.0, 2.0), {}, "made")


def test_the_two_scans_of_a_pair_differ_by_the_lesion_alone() -> None:
    before = volume(chest(), "HU")
    lesion = Lesion(Kind("soft tissue", 10.0, 150.0), 63.5, 63.5)
    after = replace(before, data=insert(before.data[0], [lesion], "HU", 2.0)[None])
    settings = CTSimulation(views=12, photons=1e4, metal=1)
    plain, changed = simulate_pair(before, after, settings, seed=5)
    np.testing.assert_array_equal(plain.data, simulate(before, settings, 5).data)
    clean = [simulate(v, CTSimulation(views=12)).data * plain.mask for v in (before, after)]
    np.testing.assert_allclose(changed.data - plain.data, clean[1] - clean[0], atol=1e-5)
    assert changed.noise == plain.noise and (changed.data != plain.data).any()
    added = (changed.truth - plain.truth)[0] * 1000 / 0.0193
    np.testing.assert_allclose(added, 150 * lesion.fraction((128, 128), 2.0), atol=0.01)


def test_a_pair_of_mr_scans_keeps_the_phase() -> None:
    image = np.where(R < 25, 100.0, 1.0)[32:96, 32:96]
    before = volume(image, "magnitude")
    lesion = Lesion(Kind("white matter", 10.0, -0.4, 1.5), 30, 30, 0.3)
    after = replace(before, data=insert(image, [lesion], "magnitude", 2.0)[None])
    settings = MRISimulation(accel=4, coils=2, snr=20)
    plain, changed = simulate_pair(before, after, settings, seed=2)
    np.testing.assert_allclose(np.angle(plain.truth), np.angle(changed.truth), atol=1e-6)
    clean = [simulate(v, MRISimulation(accel=4, coils=2, snr=None), 2).data for v in (before, after)]
    np.testing.assert_allclose(changed.data - plain.data, clean[1] - clean[0], atol=1e-3)
    assert torch.from_numpy(changed.data - plain.data)[..., ~torch.from_numpy(plain.mask)].abs().max() == 0
