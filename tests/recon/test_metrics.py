import math

import numpy as np
import pytest
import torch
from scanprior.operators.linear import Identity
from scanprior.recon.metrics import (
    bootstrap_interval,
    ct_metrics,
    data_residual,
    mri_metrics,
    nrmse,
    psnr,
    rmse,
    ssim,
)


def images(shape=(2, 32, 40)):
    rng = np.random.default_rng(0)
    truth = rng.random(shape)
    return truth + 0.1 * rng.standard_normal(shape), truth


def test_psnr_of_a_constant_error():
    truth = np.zeros((2, 8, 8))
    image = truth + np.array([0.1, 0.01])[:, None, None]
    np.testing.assert_allclose(psnr(image, truth, data_range=1.0), [20, 40])
    np.testing.assert_allclose(psnr(torch.from_numpy(image), truth, data_range=10.0), [40, 60])
    assert psnr(truth[0], truth[0], data_range=1.0)[0] == math.inf


def test_nrmse_and_rmse_by_hand():
    truth, image = np.full((1, 4, 4), 2.0), np.full((1, 4, 4), 3.0)
    assert nrmse(image, truth)[0] == pytest.approx(0.5)
    assert rmse(image, truth)[0] == pytest.approx(1.0)


def ssim_uniform(x, t, L, size=7):
    """Wang et al. 2004, eq. 13, with uniform windows and the sample covariance, window by window."""
    C1, C2 = (0.01 * L) ** 2, (0.03 * L) ** 2
    values = []
    for i in range(x.shape[0] - size + 1):
        for j in range(x.shape[1] - size + 1):
            a, b = (image[i : i + size, j : j + size].ravel() for image in (x, t))
            covariance = np.cov(a, b)
            luminance = (2 * a.mean() * b.mean() + C1) / (a.mean() ** 2 + b.mean() ** 2 + C1)
            structure = (2 * covariance[0, 1] + C2) / (covariance[0, 0] + covariance[1, 1] + C2)
            values.append(luminance * structure)
    return np.mean(values)


def test_ssim_is_the_definition():
    image, truth = images((1, 20, 24))
    expected = ssim_uniform(image[0], truth[0], 1.0)
    assert ssim(image, truth, data_range=1.0, variant="uniform7")[0] == pytest.approx(expected, abs=1e-9)
    gaussian = ssim(image, truth, data_range=1.0, variant="gaussian")[0]
    assert gaussian != pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(ssim(truth, truth, data_range=1.0, variant="gaussian"), 1)


def test_a_slice_does_not_depend_on_the_others():
    image, truth = images()
    for metric, options in (
        (psnr, {"data_range": 1.0}),
        (nrmse, {}),
        (ssim, {"data_range": 1.0, "variant": "uniform7"}),
    ):
        both = metric(image, truth, **options)
        np.testing.assert_allclose(both, [metric(image[i], truth[i], **options)[0] for i in range(2)])


def test_nothing_is_assumed():
    image, truth = images()
    with pytest.raises(TypeError):
        psnr(image, truth)
    with pytest.raises(TypeError):
        ssim(image, truth, data_range=1.0)
    with pytest.raises(ValueError, match="variant='wang'"):
        ssim(image, truth, data_range=1.0, variant="wang")
    with pytest.raises(ValueError, match="data_range=0"):
        psnr(image, truth, data_range=0)
    with pytest.raises(ValueError, match="crop or resample"):
        psnr(image[:, 1:], truth, data_range=1.0)
    with pytest.raises(ValueError, match="magnitudes"):
        psnr(image + 0j, truth, data_range=1.0)


def test_ct_metrics_clip_to_the_window():
    truth = np.zeros((2, 16, 16))
    image = truth.copy()
    image[:, 0, 0] = 3000.0  # counts as 1000
    got = ct_metrics(image, truth)
    assert got["rmse_hu"] == pytest.approx(1000 / 16)
    assert got["psnr"] == pytest.approx(20 * math.log10(2000 * 16 / 1000))
    soft = ct_metrics(image, truth, window=(-160, 240))
    assert soft["rmse_hu"] == pytest.approx(240 / 16) and 0 < soft["ssim"] < 1
    with pytest.raises(ValueError, match="lowest, highest"):
        ct_metrics(image, truth, window=(100, -100))


def test_mri_metrics_take_magnitudes_and_the_peak_of_the_volume():
    _, truth = images()
    truth[1] *= 3
    phase = np.exp(2j * np.pi * images()[1])
    got = mri_metrics(torch.from_numpy((truth + 0.1) * phase), torch.from_numpy(truth * phase.conj()))
    assert got["psnr"] == pytest.approx(20 * math.log10(truth.max() / 0.1))
    expected = ssim(truth + 0.1, truth, data_range=truth.max(), variant="uniform7").mean()
    assert got["ssim"] == pytest.approx(expected)
    assert set(got) == {"psnr", "ssim", "nrmse"} and all(isinstance(value, float) for value in got.values())


def test_data_residual_by_hand():
    y = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    x = torch.tensor([[0.0, 4.0], [1.0, 0.0]])
    np.testing.assert_allclose(data_residual(Identity((2,)), x, y), [0.6, 0.0])
    weights = torch.tensor([0.0, 1.0])
    np.testing.assert_allclose(data_residual(Identity((2,)), x, y + 1, weights)[0], 0.2)
    with pytest.raises(ValueError, match="one for each"):
        data_residual(Identity((2,)), x[:1], y)


def test_bootstrap_is_over_patients():
    """Ten slices of a patient that are all alike are one observation, not ten."""
    rng = np.random.default_rng(0)
    patients = rng.normal(30, 2, size=40)
    values, groups = np.repeat(patients, 10), np.repeat(np.arange(40), 10)
    got = bootstrap_interval(values, groups)
    expected = 1.96 * patients.std() / math.sqrt(40)  # the standard error over patients
    assert got["mean"] == pytest.approx(patients.mean())
    assert (got["high"] - got["low"]) / 2 == pytest.approx(expected, rel=0.1)
    assert got == bootstrap_interval(values, groups, seed=0) != bootstrap_interval(values, groups, seed=1)
    assert got["high"] - got["low"] > 1.5 * np.subtract(
        *reversed(list(bootstrap_interval(values, range(400)).values())[1:])
    )
    narrower = bootstrap_interval(values, groups, level=0.5)
    assert narrower["high"] - narrower["low"] < 0.5 * (got["high"] - got["low"])


def test_bootstrap_of_one_patient_has_no_interval():
    got = bootstrap_interval([1.0, 3.0], ["a", "a"])
    assert got["mean"] == 2 and math.isnan(got["low"]) and math.isnan(got["high"])
    with pytest.raises(ValueError, match="one group for each value"):
        bootstrap_interval([1.0], ["a", "b"])
