"""Samples against the truth place by place: each place sees its own error, and no other."""

from __future__ import annotations

import numpy as np
import pytest
from scanprior.recon.calibration import BANDS, Calibration
from scanprior.recon.places import WHOLE, by_place

y, x = np.mgrid[:96, :96] - 47.5
R = np.hypot(x, y)
SAMPLES = 6


def body() -> np.ndarray:
    truth = np.full((96, 96), -1000.0)
    truth[R < 40] = 40
    truth[np.hypot(x - 15, y) < 12] = -800
    return truth


def around(truth: np.ndarray, error: np.ndarray | float, spread: float = 10.0) -> np.ndarray:
    g = np.random.default_rng(0)
    return truth + error + spread * g.standard_normal((SAMPLES, *truth.shape))


def exact(spread: float = 10.0, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Samples about a mean that the truth is about too."""
    truth = body()
    mean = truth + spread * np.random.default_rng(seed).standard_normal(truth.shape)
    return around(mean, 0.0, spread), truth


def test_an_exact_posterior_is_right_in_every_place() -> None:
    found = by_place(*exact(), "HU", 1.0)
    assert [*found] == [
        WHOLE, "edge", "lung", "soft tissue", "background", "discs of 3 mm", "discs of 5 mm", "discs of 10 mm",
        "below 0.05", "0.05 to 0.1", "0.1 to 0.2", "0.2 to 0.35", "above 0.35",
    ]  # fmt: skip
    for place, one in found.items():
        loose = (
            0.35 if place in ("discs of 10 mm", "below 0.05", "edge") else 0.15
        )  # of few independent values
        assert one.limit_spread_skill == pytest.approx(1, abs=loose), place
        assert one.coverage[0.9] == pytest.approx(0.9, abs=0.12), place


def test_an_error_is_seen_where_it_is() -> None:
    samples, truth = exact()
    right = by_place(samples, truth, "HU", 1.0)
    lung = np.hypot(x - 15, y) < 11
    found = by_place(samples + 60 * lung, truth, "HU", 1.0)
    assert found["lung"].limit_spread_skill < 0.3 and found[WHOLE].limit_spread_skill < 0.8
    assert (
        found["soft tissue"].limit_spread_skill > 0.9
        and found["background"].error == right["background"].error
    )
    fine = 30 * np.cos(2 * np.pi * 14 / 96 * x)  # a grating of one band
    grating = by_place(samples + fine, truth, "HU", 1.0)
    ratios = {place: one.error / right[place].error for place, one in grating.items()}
    assert (
        ratios["0.1 to 0.2"] > 5 and max(ratios[k] for k in ("below 0.05", "0.2 to 0.35", "above 0.35")) < 1.1
    )


def test_errors_that_go_together_are_seen_by_discs_and_not_by_pixels() -> None:
    """An offset of a tenth of the spread."""
    samples, truth = exact()
    found = by_place(samples + 4, truth, "HU", 1.0)
    assert found[WHOLE].coverage[0.9] > 0.85 and found["discs of 10 mm"].coverage[0.9] < 0.75


def test_discs_are_in_millimetres() -> None:
    samples, truth = exact()
    one, two = by_place(samples, truth, "HU", 1.0), by_place(samples, truth, "HU", 0.5)
    assert one["discs of 10 mm"].error == two["discs of 5 mm"].error != two["discs of 10 mm"].error


def test_without_an_inside_all_counts() -> None:
    truth = np.full((16, 16), -1000.0)
    found = by_place(around(truth, 0), truth, "HU", 1.0)
    assert WHOLE in found and "background" not in found and len(found) == 1 + 3 + len(BANDS)


def test_figures_go_through_json() -> None:
    one = by_place(*exact(), "HU", 1.0)[WHOLE]
    again = Calibration.from_dict(one.to_dict())
    assert again.coverage == one.coverage and again.spread_skill == one.spread_skill
    np.testing.assert_array_equal(again.ranks, one.ranks)
