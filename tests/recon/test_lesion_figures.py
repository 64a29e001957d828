"""Figures of lesions where they are known: a linear method, an exact Gaussian posterior, drawn blobs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scanprior.formats.scan import Volume
from scanprior.modality import Modality
from scanprior.recon.baselines.fbp import fbp
from scanprior.recon.lesion_figures import LesionFigures, false_lesions, lesion_figures, within
from scanprior.recon.lesions import Kind, Lesion, insert
from scanprior.recon.simulate import CTSimulation, simulate_pair
from scanprior.recon.study import problem_of

y, x = np.mgrid[:96, :96] - 47.5
LESION = Lesion(Kind("soft tissue", 8.0, 60.0), 48.2, 40.7)
FRACTION = LESION.fraction((96, 96), 2.0)
TRUTH = np.where(np.hypot(x, y) < 40, 40.0, -1000.0)


def test_the_recovery_of_a_linear_method_is_its_response() -> None:
    bare = Volume(TRUTH[None].astype(np.float32), "HU", Modality.CT, (1.0, 2.0, 2.0), {}, "made")
    changed = replace(bare, data=insert(TRUTH, [LESION], "HU", 2.0)[None])
    scans = simulate_pair(bare, changed, CTSimulation(views=20, photons=1e4), seed=1)
    problems = [problem_of(scan, "cpu") for scan in scans]
    operator = problems[0].operator
    without, with_ = (1000 / 0.0193 * fbp(p.y, operator.geometry, operator.grid).numpy() for p in problems)
    found = lesion_figures(with_, without, changed.data[0], TRUTH, FRACTION)
    signal = torch.from_numpy(
        scans[1].truth - scans[0].truth
    )  # what FBP makes of the lesion's own projections
    response = fbp(problems[1].y - problems[0].y, operator.geometry, operator.grid)[0].numpy()
    lesion = within(FRACTION)
    assert found.recovery == pytest.approx(
        response[lesion].mean() / signal[0].numpy()[lesion].mean(), rel=1e-3
    )
    assert 0.5 < found.recovery < 1.1 and found.kept
    assert abs(found.plain - found.recovery) > 0.2, "the noise of the background is in what a reader measures"
    assert found.verdict is None and not found.told


def draws(count: int, seed: int, shrink: float = 1.0) -> LesionFigures:
    """A truth and samples from one Gaussian, with errors that neighbours share."""
    part = Lesion(LESION.kind, 10.2, 9.7).fraction((20, 20), 2.0)
    g, bare, added = np.random.default_rng(seed), np.zeros((20, 20)), 60 * part
    centre = g.normal() * 10 + g.normal(size=(20, 20)) * 5  # the posterior's mean about the truth
    z = g.normal(size=(count, 1, 1)) * 10 + g.normal(size=(count, 20, 20)) * 5
    samples = bare + added + centre + shrink * z
    return lesion_figures(samples, samples - 0.8 * added, bare + added, bare, part)


def test_an_exact_posterior_holds_the_truth_as_often_as_it_says() -> None:
    found = [draws(4, seed) for seed in range(300)]
    assert np.mean([one.told for one in found]) == pytest.approx(0.9, abs=0.04)
    assert np.mean([one.pixels for one in found]) == pytest.approx(0.9, abs=0.04)
    many = [draws(40, seed) for seed in range(150)]
    assert np.std([one.z for one in many]) == pytest.approx((1 + 1 / 40) ** 0.5, abs=0.12)
    assert all(one.recovery == pytest.approx(0.8) for one in found)  # the difference has no noise
    assert np.mean([draws(4, seed, 0.3).told for seed in range(200)]) < 0.6


def test_what_the_interval_says_of_truth_and_background() -> None:
    z = np.array([-1.0, -0.3, 0.3, 1.0])[:, None, None] * np.ones((96, 96))

    def verdict(centre: float, spread: float) -> str | None:
        samples = centre * FRACTION / FRACTION[within(FRACTION)].mean() * 60 + spread * z
        return lesion_figures(samples, samples, 60 * FRACTION, 0 * FRACTION, FRACTION).verdict

    added = FRACTION[within(FRACTION)].mean()  # what a lesion adds to its own mean, in parts of its contrast
    assert [verdict(added, 1), verdict(added, 40), verdict(0, 1), verdict(added / 2, 1)] == [
        "found", "open", "denied", "off",
    ]  # fmt: skip


def test_made_up_blobs_are_counted() -> None:
    blobs = {
        place: np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 8)
        for place in ((-20, 0), (0, 20), (15, -15))
    }
    first, second, third = blobs.values()
    tissue, none = np.hypot(x, y) < 35, np.zeros((96, 96), bool)

    def count(made: np.ndarray, true: np.ndarray, lesions: np.ndarray = none) -> int:
        return false_lesions(TRUTH + made, TRUTH + true, tissue, lesions, 40.0, 8.0, 2.0)

    assert count(100 * first - 100 * second, 0 * first) == 2
    assert count(100 * first, 100 * first) == 0, "it is there"
    assert count(100 * first, 30 * first) == 1, "a third of it is there"
    assert count(0 * first, 100 * first) == 0, "it is lost: no false lesion"
    assert count(100 * first + 30 * second, 0 * first) == 1, "below the threshold"
    assert count(100 * first + 100 * third, 0 * first, third > 0.5) == 1, "beside a true one"
    assert count(100 * np.exp(-((x - 42) ** 2 + y**2) / 8), 0 * first) == 0, "outside of the tissue"
