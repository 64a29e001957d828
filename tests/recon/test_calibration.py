"""Calibration figures on posteriors whose truth is known: exact ones pass, shrunk, inflated and biased ones fail, each
figure by itself; scoringrules has the same scores."""

import math

import numpy as np
import pytest
import scoringrules
from scanprior.recon.calibration import (
    BANDS,
    Calibration,
    average,
    bands,
    calibration,
    discs,
    interval,
)

S = 8
rng = np.random.default_rng(0)


def posterior(shape, *, shrink=1.0, bias=0.0, count=S, seed=1):
    """x ~ N(0, 4), measured with noise 1: posteriors N(0.8 y, 0.8). Samples of it, shrunk about its mean or biased."""
    g = np.random.default_rng(seed)
    truth = 2 * g.standard_normal(shape)
    mean = 0.8 * (truth + g.standard_normal(shape))
    samples = mean + bias + shrink * math.sqrt(0.8) * g.standard_normal((count, *shape))
    return samples, truth


@pytest.mark.parametrize("count", [2, 4, 8, 30])
def test_an_exact_posterior_passes_whatever_the_number_of_samples(count):
    found = calibration(*posterior((200, 200), count=count))
    for level, covered in found.coverage.items():
        assert covered == pytest.approx(level, abs=0.01)
    assert found.spread_skill == pytest.approx(1, abs=0.015)
    assert found.limit_spread_skill == pytest.approx(1, abs=0.02)
    assert found.limit_error == pytest.approx(0.8, rel=0.02)  # of the posterior's mean
    assert found.variance == pytest.approx(0.8, rel=0.02)
    np.testing.assert_allclose(found.ranks, 1 / (count + 1), atol=0.01)
    assert found.crps == pytest.approx(math.sqrt(0.8 / math.pi), rel=0.02)  # E|x - x'| / 2 of N(m, 0.8)


def test_a_shrunk_an_inflated_and_a_biased_posterior_fail_each_figure():
    exact = calibration(*posterior((200, 200)))
    for shrink in (0.5, 1.6):
        found = calibration(*posterior((200, 200), shrink=shrink))
        assert found.limit_spread_skill == pytest.approx(shrink, rel=0.03)
        assert (found.coverage[0.9] < 0.7) == (shrink < 1) and (found.coverage[0.9] > 0.97) == (shrink > 1)
        assert found.crps > exact.crps * 1.04
        assert found.energy > exact.energy * 1.02
        outermost = found.ranks[0] + found.ranks[-1]
        assert (outermost > 0.4) == (shrink < 1) and (outermost < 0.1) == (shrink > 1)
    biased = calibration(*posterior((200, 200), bias=1.0))
    assert biased.coverage[0.9] < 0.82
    assert biased.spread_skill < 0.75
    assert biased.ranks[0] > 2.5 * biased.ranks[-1]
    assert biased.limit_error == pytest.approx(1.8, rel=0.02)


def test_scores_are_scoringrules():
    samples, truth = posterior((5, 7), count=6)
    found = calibration(samples, truth)
    crps = scoringrules.crps_ensemble(truth.ravel(), samples.reshape(6, -1).T, estimator="fair")
    assert found.crps == pytest.approx(float(np.mean(crps)), rel=1e-9)
    flat = samples.reshape(6, -1)
    plain = float(scoringrules.es_ensemble(truth.ravel(), flat))  # not fair: pairs over S²
    pairs = np.mean([np.linalg.norm(a - b) for a in flat for b in flat])
    assert found.energy * math.sqrt(35) == pytest.approx(plain - pairs / 2 / 5, rel=1e-9)


def test_only_the_region_counts():
    samples, truth = posterior((50, 50))
    where = np.zeros((50, 50), bool)
    where[:10] = True
    worse = samples.copy()
    worse[:, 10:] += 100
    assert calibration(worse, truth, where).error == calibration(samples[:, :10], truth[:10]).error


def test_figures_pool_within_a_patient_and_intervals_are_over_patients():
    patients = [calibration(*posterior((40, 40), shrink=0.9 + 0.05 * k, seed=k)) for k in range(5)]
    whole = average(patients)
    assert whole.variance == pytest.approx(np.mean([p.variance for p in patients]))
    assert whole.coverage[0.9] == pytest.approx(np.mean([p.coverage[0.9] for p in patients]))
    low, high = interval(patients, lambda c: c.spread_skill)
    assert low < whole.spread_skill < high
    assert high - low > 0.05  # what patients differ by, not what 8,000 pixels would say
    assert all(math.isnan(edge) for edge in interval(patients[:1], lambda c: c.crps))
    truth = posterior((4, 4))[1]
    around = (
        truth + np.array([1.0, -1.0])[:, None, None]
    )  # a mean without an error, which s² / S is more than
    far = [calibration(around, truth)] * 3
    assert math.isnan(average(far).limit_spread_skill)
    assert all(math.isnan(edge) for edge in interval(far, lambda c: c.limit_spread_skill))


def test_what_cannot_be_judged_is_refused():
    samples, truth = posterior((4, 4))
    with pytest.raises(ValueError, match="S >= 2"):
        calibration(samples[:1], truth)
    with pytest.raises(ValueError, match=r"\(8, 4, 4\) for a truth of \(3, 4\)"):
        calibration(samples, truth[:3])
    with pytest.raises(ValueError, match="complex"):
        calibration(samples * 1j, truth)
    with pytest.raises(ValueError, match="no element"):
        calibration(samples, truth, np.zeros((4, 4), bool))
    with pytest.raises(ValueError, match="one number"):
        average([calibration(samples, truth), calibration(samples[:4], truth)])


def test_means_over_discs_see_errors_that_go_together():
    """Each pixel has the right spread, but the samples' errors are independent where the truth's go together."""
    shape = (96, 96)
    g = np.random.default_rng(3)
    smooth = discs(g.standard_normal((2, *shape)), 7, 1)
    smooth /= smooth.std()
    truth, samples = smooth[0], g.standard_normal((S, *shape))
    pixels = calibration(samples, truth)
    regions = calibration(discs(samples, 5, 1), discs(truth, 5, 1))
    assert pixels.spread_skill == pytest.approx(1, abs=0.1)
    assert regions.spread_skill < 0.5
    assert discs(np.eye(5), 0.5, 1) == pytest.approx(np.eye(5))
    disc = discs(np.pad([[1.0]], 4), 6, 2)  # 6 mm of 2 mm pixels: a radius of 1.5 pixels, 9 of them
    assert (disc > 0).sum() == 9 and disc.max() == pytest.approx(1 / 9)


def test_bands_add_up_and_know_their_frequencies():
    images = rng.standard_normal((2, 32, 40))
    np.testing.assert_allclose(sum(bands(images)), images, atol=1e-12)
    x = np.cos(2 * np.pi * 0.15 * np.arange(40))[None] * np.ones((40, 1))  # 0.15 cycles a pixel
    power = np.array([(band**2).mean() for band in bands(x)])
    assert power[
        [low < 0.15 < high for low, high in zip(BANDS, [*BANDS[1:], 1], strict=True)]
    ] == pytest.approx(0.5)
    assert power.sum() == pytest.approx(0.5)


def test_grain_is_that_of_the_truth_in_exact_samples_and_less_in_smooth_ones():
    """Var y = 4; of the exact mean 3.2, whatever S; the samples of a posterior shrunk to half have 3.2 + 0.25 * 0.8."""
    for count in (2, 8):
        exact = calibration(*posterior((300, 300), count=count), power=True)
        assert exact.grain == pytest.approx(1, abs=0.01)
        assert exact.grain_of_mean == pytest.approx(math.sqrt(3.2 / 4), abs=0.01)
        shrunk = calibration(*posterior((300, 300), shrink=0.5, count=count), power=True)
        assert shrunk.grain == pytest.approx(math.sqrt(3.4 / 4), abs=0.01)
        assert shrunk.grain_of_mean == pytest.approx(math.sqrt(3.2 / 4), abs=0.01)
    again = Calibration.from_dict(exact.to_dict())
    assert again.grain == exact.grain and average([exact, exact]).grain == pytest.approx(exact.grain)
    plain = calibration(*posterior((9, 9)))
    assert math.isnan(plain.grain) and "power" not in plain.to_dict()


def test_grain_is_lost_in_the_bands_that_a_filter_takes_out():
    samples, truth = posterior((128, 128))
    smooth = sum(bands(samples)[:3])
    found = [calibration(a, b, power=True) for a, b in zip(bands(smooth), bands(truth), strict=True)]
    np.testing.assert_allclose([one.grain for one in found[:3]], 1, atol=0.06)
    np.testing.assert_allclose([one.grain for one in found[3:]], 0, atol=1e-6)
