"""Every posterior method against the exact posterior of a Gaussian prior: mean and covariance of 1,000 samples, held to
the figures of `HELD` in `benchmarks/known_answer.py`, which measures them (docs/lab/2026-11-27-known-answers.md); and
under another law of noise."""

from __future__ import annotations

import dataclasses

import known_answer as known
import pytest
import torch
from scanprior.priors.sde import VE, VP
from scanprior.recon.methods import METHODS, PUBLISHED
from toys import OneGenerator

OURS = [name for name in METHODS if not name.endswith(PUBLISHED)]  # published settings: test_papers.py


@pytest.mark.parametrize("name", OURS)
def test_mean_and_covariance_are_as_documented(name: str) -> None:
    assert name in known.HELD, (
        f"measure {name} (benchmarks/known_answer.py, at the top) and write it into its HELD"
    )
    held = known.HELD[name]
    got = known.measure(known.METHODS[name], known.cases()["uneven"])
    assert got.bias < 1.15 * held.bias + 0.1  # the sampling error of the mean: at most about 0.15
    assert got.ratio == pytest.approx(held.ratio, abs=0.05)
    assert got.covariance < held.covariance + 0.08
    assert (got.vjps > 0) == (known.METHODS[name].vjps > 0) and got.vjps <= known.METHODS[name].vjps


def test_moment_matching_is_exact_for_a_gaussian_prior() -> None:
    """The one method that knows the covariance: within the error of 1,000 samples."""
    got = known.measure(known.METHODS["mmps"], known.cases()["uneven"], seed=7)
    assert got.bias < 0.2
    assert got.ratio == pytest.approx(1.0, abs=0.04)
    assert got.covariance < 0.15


@pytest.mark.parametrize("case", ["even", "complex"])
def test_draws_keep_the_posteriors_spread(case: str) -> None:
    """gamma = width = 1: C is nearly the covariance of x_0 given x, where the levels are below the prior's spread."""
    got = known.measure(known.METHODS["draws"], known.cases()[case], seed=7)
    assert got.bias < 0.4
    assert got.ratio == pytest.approx(1.0, abs=0.05)
    assert got.covariance < 0.2


def test_the_width_is_the_spread_and_gamma_is_not() -> None:
    """Four times the drawn variance widens the samples; four times the mean's does not."""
    case, draws = known.cases()["uneven"], known.METHODS["draws"]
    wide, fitted = (
        known.measure(dataclasses.replace(draws, steps=30, **{key: 4.0}), case).ratio
        for key in ("width", "gamma")
    )
    assert wide > 1.5 > 1.3 > fitted


@pytest.mark.parametrize("name", ["CT", "MRI, 3 coils"])
def test_a_draw_of_few_steps_keeps_no_noise_of_the_draw_before(name: str) -> None:
    """Few conjugate gradients do not undo a carried noise of another level; they used to begin from it."""
    posed, noise = known.operators()[name].posed(50), OneGenerator(0)
    x = torch.zeros_like(posed.initial)
    with torch.no_grad():
        posed.draw(x, 5.0**2, 2, noise)
        drawn = known.real_parts(posed.draw(x, 0.05**2, 1, noise)).unflatten(0, (2, 50))
    assert float(drawn.std(1).max()) < 1.5 * 0.05  # the sampling error of 50: 1.25


LAWS = ("mmps", "pigdm", "diffpir", "dds", "daps", "dps", "ddrm")


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_the_law_of_noise_does_not_matter(name: str) -> None:
    """Levels of VE and of VP: the same within the statistics and the bias of the method's steps."""
    case = known.cases()["uneven"]
    ve, vp = (
        known.measure(dataclasses.replace(known.METHODS[name], sde=sde), case)
        for sde in (VE(0.01, 20.0), VP(0.1, 20.0))
    )
    assert ve.bias == pytest.approx(vp.bias, abs=0.5 * max(ve.bias, vp.bias) + 0.15)
    assert ve.ratio == pytest.approx(vp.ratio, abs=0.1)
