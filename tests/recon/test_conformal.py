"""Promises kept over many sets of calibration patients drawn from a known law, and no looser than they need be."""

import numpy as np
import pytest
from scanprior.recon.conformal import (
    Losses,
    TooFewPatientsError,
    coverage_band,
    hoeffding_bentkus,
    risk_control,
    risk_controlling_set,
    split_conformal,
    waudby_smith_ramdas,
)

ALPHA, DELTA = 0.1, 0.1


def patients(n, rng, pixels=100):
    """Patients whose spread is too small by a factor of his own, 1 to 3: |error| / s is half normal times that."""
    factor = rng.uniform(1, 3, n)
    return Losses([np.sort(np.abs(f * rng.standard_normal(pixels))) for f in factor])


def test_losses_count_what_lies_outside():
    losses = Losses([np.array([0.8, 1.2, 2.0, 2.0]), np.array([0.0, 1.0, 30.0])])
    np.testing.assert_allclose(losses(1.0), [0.75, 1 / 3])
    np.testing.assert_allclose(losses(2.0), [0.0, 1 / 3])
    np.testing.assert_allclose(losses.without(0)(2.0), [1 / 3])


def test_risk_control_keeps_the_expected_loss_and_wastes_little():
    rng = np.random.default_rng(0)
    large = patients(4_000, rng)
    found = [float(large(risk_control(patients(30, rng), ALPHA)).mean()) for _ in range(60)]
    assert np.mean(found) == pytest.approx(ALPHA - 0.03, abs=0.03)
    assert np.mean(found) <= ALPHA


@pytest.mark.parametrize("bound", ["wsr", "hb"])
def test_a_risk_controlling_set_fails_at_most_as_often_as_it_says(bound):
    rng = np.random.default_rng(1)
    large = patients(4_000, rng)
    risks = [
        float(large(risk_controlling_set(patients(60, rng), ALPHA, DELTA, bound)).mean()) for _ in range(60)
    ]
    assert np.mean([r > ALPHA for r in risks]) <= DELTA
    assert np.mean(risks) > ALPHA / 4  # and does not stretch without end


def test_few_patients_promise_nothing_and_are_told_how_many_it_takes():
    rng = np.random.default_rng(2)
    with pytest.raises(TooFewPatientsError, match="it takes 22"):  # 0.9^22 < 0.1
        risk_controlling_set(patients(21, rng), 0.1, 0.1, "hb")
    risk_controlling_set(patients(22, rng), 0.1, 0.1, "hb")
    with pytest.raises(TooFewPatientsError, match="it takes 9"):
        risk_control(patients(8, rng), 0.1)
    assert np.isfinite(risk_control(patients(9, rng), 0.1))
    with pytest.raises(TooFewPatientsError, match="it takes 9"):
        split_conformal(np.arange(8.0), 0.1)


@pytest.mark.parametrize("bound", [waudby_smith_ramdas, hoeffding_bentkus])
@pytest.mark.parametrize("mean", [0.02, 0.1, 0.5])
def test_bounds_lie_above_the_mean_as_often_as_they_say(bound, mean):
    rng = np.random.default_rng(3)
    for draw in (
        lambda: (rng.random(50) < mean).astype(float),
        lambda: rng.beta(10 * mean, 10 * (1 - mean), 50),
    ):
        bounds = [bound(draw(), DELTA) for _ in range(300)]
        assert np.mean([b < mean for b in bounds]) <= DELTA + 0.03
        assert np.mean(bounds) < mean + 0.3
    assert bound(np.ones(20), DELTA) == pytest.approx(1, abs=1e-6)


def test_the_bound_for_numbers_of_little_variance_is_the_tighter_one():
    values = np.full(200, 0.1)
    assert 0.1 <= waudby_smith_ramdas(values, DELTA) < hoeffding_bentkus(values, DELTA) < 0.2


def test_bentkus_bound_takes_the_ceiling():
    """n R = 0.5: the theorem has ceil, one failure; the floor, none, would be the bound of no loss at all."""
    values = np.zeros(25)
    values[0] = 0.5
    assert hoeffding_bentkus(values, 0.1) > hoeffding_bentkus(np.zeros(25), 0.1) + 0.01


def test_split_conformal_covers_and_its_band_says_how_far_it_may_be_off():
    rng = np.random.default_rng(4)
    covered = np.array(
        [(rng.random(4000) <= split_conformal(rng.random(19), ALPHA)).mean() for _ in range(800)]
    )
    assert covered.mean() == pytest.approx(0.9, abs=0.012)
    low, high = coverage_band(19, ALPHA)
    assert np.mean((covered >= low) & (covered <= high)) == pytest.approx(0.9, abs=0.04)
    assert coverage_band(5, ALPHA) == (0.0, 1.0)
