"""Regions of a drawn body and a drawn head, whose places are known; and of real ones, where they are."""

import h5py
import numpy as np
from scanprior.recon.regions import ct_regions, mr_regions

y, x = np.mgrid[:128, :128] - 63.5
R = np.hypot(x, y)


def test_a_body_with_lungs_on_a_table():
    truth = np.full((128, 128), -1000.0)
    truth[R < 50] = 40
    truth[np.hypot(x - 20, y) < 12] = -800
    truth[122:124, 10:118] = 0  # a thin table
    found = ct_regions(truth)
    assert (
        found["inside"][R < 49].all() and not found["inside"][R > 51].any()
    )  # lungs are inside, the table is not
    assert found["lung"][np.hypot(x - 20, y) < 10].all() and not found["lung"][np.hypot(x - 20, y) > 13].any()
    assert found["soft tissue"][(R < 47) & (np.hypot(x - 20, y) > 15)].all()
    assert found["edge"][np.abs(np.hypot(x - 20, y) - 12) < 0.5].all()
    assert not (found["edge"] & (found["lung"] | found["soft tissue"])).any()
    assert (found["background"] == ~found["inside"]).all()
    assert not any(
        mask.any() for name, mask in ct_regions(np.full((16, 16), -1000.0)).items() if name != "background"
    )


def test_a_head_with_a_bright_rim():
    truth = np.where(R < 55, 100.0, 0) + np.where((R > 50) & (R < 55), 80.0, 0)
    truth[np.hypot(x, y + 10) < 8] = 0  # a ventricle: a hole is inside
    found = mr_regions(truth + np.random.default_rng(0).rayleigh(1, truth.shape))
    assert found["inside"][R < 54].all() and not found["inside"][R > 58].any()
    assert found["flat"][(R < 45) & (np.hypot(x, y + 10) > 12)].mean() > 0.99
    assert found["edge"][np.abs(R - 50) < 0.5].all()


def test_real_slices(shared_data):
    with h5py.File(shared_data("ct", "ct256_val.h5")) as file:
        slices = np.asarray(file["images"][::8], np.float64) - 1024
    parts = [ct_regions(one) for one in slices]
    assert all(0.1 < p["inside"].mean() < 0.9 for p in parts)
    assert np.mean([p["soft tissue"].sum() / p["inside"].sum() for p in parts]) > 0.2
    assert max(p["lung"].sum() / p["inside"].sum() for p in parts) > 0.2  # a chest is among them
