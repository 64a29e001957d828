"""Intervals and bounds of known posteriors: lambda where it must be, promises kept, and nothing promised elsewhere."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scanprior.geometry import FanBeam, Grid, ParallelBeam
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian, Photon
from scanprior.operators.radon import Radon
from scanprior.operators.sampling import equispaced, gaussian_2d, random_lines
from scanprior.recon import records
from scanprior.recon.calibration import LEVELS, discs
from scanprior.recon.conformal import split_conformal
from scanprior.recon.family import facts_of, family_of, mask_kind, unlike
from scanprior.recon.intervals import KINDS, intervals, kept_ratios, ratios, similarities
from scanprior.recon.problem import Problem
from scanprior.recon.promises import MeasuredSlice, Promises, factor_of, losses_of, overstated, promises
from scanprior.recon.records import Record, own_records, read_record, record_for, remove, write_record
from scanprior.workflows.settings import INTERVALS
from scipy import stats

S, SIDE, PIXEL = 8, 32, 1.0
MEAN, SPREAD = 40.0, 20.0  # HU


def drawn(g: np.random.Generator, shrink: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, samples and truth of a slice whose posterior is N(a, SPREAD²) pixel by pixel; the samples' spread is
    `shrink` times that."""
    a = MEAN + 30 * g.standard_normal((SIDE, SIDE))
    samples = a + shrink * SPREAD * g.standard_normal((S, SIDE, SIDE))
    return samples.mean(0), samples, a + SPREAD * g.standard_normal((SIDE, SIDE))


def patient(number: int, g: np.random.Generator, shrink: float = 1.0, bounds: bool = True) -> MeasuredSlice:
    mean, samples, truth = drawn(g, shrink)
    alike = similarities(mean, np.stack([truth, *samples]), "HU") if bounds else {}
    return MeasuredSlice(
        number,
        ratios(mean, samples, truth, "HU", PIXEL),
        {key: {"truth": [float(v[0])], "samples": v[1:].tolist()} for key, v in alike.items()},
    )


def many(n: int, seed: int, shrink: float = 1.0, bounds: bool = True) -> list[MeasuredSlice]:
    g = np.random.default_rng(seed)
    return [patient(k, g, shrink, bounds) for k in range(n)]


def student(level: float) -> float:
    return float(stats.t.ppf((1 + level) / 2, S - 1)) * math.sqrt(1 + 1 / S)


# --- lambda
@pytest.mark.parametrize("kind", KINDS)
def test_the_factor_of_an_exact_posterior_is_student_s_quantile(kind: str) -> None:
    """With n patients the mean loss may be alpha - (1 - alpha) / n."""
    n = 30
    losses = losses_of(many(n, seed=0, bounds=False), kind)
    for level in (0.5, 0.8, 0.9):
        allowed = 1 - level - level / n
        assert factor_of(losses, 1 - level) == pytest.approx(student(1 - allowed), rel=0.03)


def test_a_shrunk_spread_is_stretched_as_much_and_an_inflated_one_shortened() -> None:
    right, shrunk, inflated = (
        factor_of(losses_of(many(20, 1, shrink, bounds=False), "pixels"), 0.1) for shrink in (1, 0.5, 2)
    )
    # the mean of shrunk samples is nearer to the posterior's than theirs: (1 + shrink² / S) for 1 + 1 / S
    assert shrunk / right == pytest.approx(math.sqrt((1 + 0.25 / S) / (1 + 1 / S)) / 0.5, rel=0.03)
    assert inflated / right == pytest.approx(math.sqrt((1 + 4 / S) / (1 + 1 / S)) / 2, rel=0.03)


def test_kept_ratios_never_understate_a_loss() -> None:
    g = np.random.default_rng(2)
    for count in (7, 100, 1999, 2000, 5431):
        values = np.abs(g.standard_normal(count))
        kept = kept_ratios(values, 100)
        assert (np.diff(kept) >= 0).all() and kept[-1] >= values.max() and kept.dtype == np.float32
        for factor in np.quantile(values, [0, 0.1, 0.5, 0.9, 0.99, 1]):
            assert 0 <= (kept > factor).mean() - (values > factor).mean() <= 0.01 + 1 / count


# --- the promise, over many choices of the patients
@pytest.mark.parametrize("shrink", [1.0, 0.4])
def test_promises_are_kept_over_many_draws_of_patients(shrink: float) -> None:
    """Patients differ: each one's spread is too small by a factor of his own, so that few of them say little."""
    g = np.random.default_rng(3)
    pool = [patient(k, g, shrink * factor) for k, factor in enumerate(g.uniform(0.5, 1.5, 60))]
    inside, true = [], []
    for _ in range(60):
        *chosen, new = (pool[k] for k in g.choice(60, 13, replace=False))
        factors = {kind: factor_of(losses_of(chosen, kind), 0.1) for kind in KINDS}
        inside.append([float((new.ratios[kind] <= factor).mean()) for kind, factor in factors.items()])
    assert (np.mean(inside, 0) >= 0.9).all() and (np.mean(inside, 0) < 0.99).all()
    scores = np.array(list(overstated(pool, "ssim", 0.2).values()))
    for _ in range(2000):
        *chosen, new = g.choice(scores, 13, replace=False)
        true.append(new <= split_conformal(np.array(chosen), 0.2))
    assert np.mean(true) == pytest.approx(11 / 13, abs=0.03)  # the eleventh of thirteen places, for .8


def test_each_patient_counts_once_however_many_slices_he_has() -> None:
    few = many(12, seed=4, bounds=False)
    crowd = [
        replace(patient(12 + k, np.random.default_rng(k), 0.3, bounds=False), patient=0) for k in range(40)
    ]
    alone, one, all_ = (factor_of(losses_of(x, "pixels"), 0.1) for x in (few, few + crowd[:1], few + crowd))
    assert alone < one < all_ < 3 * alone  # however many, a patient's loss is one of twelve


def test_few_patients_promise_little_and_the_record_says_how_many_it_takes() -> None:
    found = promises(many(10, seed=5))
    assert "factor" in found["pixels"]["90"] and found["pixels"]["95"] == {"needed": 20}
    assert found["certain"]["90"] == {"needed": 22} and found["certain"]["50"]["factor"] > 0
    assert len(found["pixels"]["80"]["left_out"]) == 10 and "left_out" not in found["pixels"]["90"]
    assert found["ssim"]["95"] == {"needed": 19} and "shift" in found["ssim"]["90"]
    assert promises(many(9, seed=5))["pixels"]["90"] == {
        "needed": 10
    }  # not one pixel of any patient may be missed


# --- what is shown
@pytest.fixture(scope="module")
def found() -> Promises:
    """Of twelve patients."""
    return promises(many(12, seed=6))


def test_intervals_are_the_nested_sets_of_the_promise(found: Promises) -> None:
    g = np.random.default_rng(7)
    means, samples, truths = (np.stack(x) for x in zip(*(drawn(g) for _ in range(2)), strict=True))
    samples = samples.swapaxes(0, 1)
    shown = intervals(found, 90, means, samples, truths, "HU", PIXEL)
    low, high = shown.maps["pixels"]
    factor = found["pixels"]["90"]["factor"]
    np.testing.assert_allclose(high - low, 2 * factor * np.maximum(samples.std(0, ddof=1), 1), rtol=1e-4)
    np.testing.assert_allclose((high + low) / 2, means, atol=1e-3)
    wide = discs(samples, 5.0, PIXEL).std(0, ddof=1) * 2 * found["5 mm"]["90"]["factor"]
    np.testing.assert_allclose(np.subtract(*shown.maps["5 mm"][::-1]), np.maximum(wide, 2), rtol=0.4)
    assert shown.maps["5 mm"][0].shape == means.shape and (shown.held["pixels"] > 0.9).all()
    for bound in ("ssim", "psnr"):
        alike = [similarities(m, x, "HU")[bound] for m, x in zip(means, samples.swapaxes(0, 1), strict=True)]
        lowest = np.quantile(alike, 0.1, axis=1) - found[bound]["90"]["shift"]
        np.testing.assert_allclose(shown.bounds[bound], lowest)
    magnitudes = intervals(found, 90, abs(means), abs(samples), None, "magnitude", PIXEL)
    assert magnitudes.maps["pixels"][0].min() == 0 and magnitudes.held == {}
    assert set(intervals(found, 95, means, samples, None, "HU", PIXEL).maps) == set()  # of 12 patients


def test_a_pixel_on_which_all_samples_agree_has_an_interval_all_the_same() -> None:
    flat = np.full((S, SIDE, SIDE), 40.0)
    assert ratios(flat[0], flat, flat[0] + 3, "HU", PIXEL)["pixels"][0] == pytest.approx(3)  # a floor of 1 HU


# --- families
def ct(views: int = 23, photons: float | None = 1e5, arc: float = math.pi, fan: bool = False) -> Problem:
    grid = Grid((32, 32), 2.0)
    geometry = ParallelBeam.covering(grid, views, arc=arc)
    if fan:
        geometry = FanBeam.covering(
            grid, views, source_origin=500.0, source_detector=900.0, curved=False, arc=arc
        )
    operator = Radon(geometry, grid)
    y = operator(torch.full((1, 32, 32), 0.002))
    return Problem(y, operator, Photon(photons) if photons else None)


def mri(
    mask: torch.Tensor, sigma: float = 0.01, coils: int = 4, origin: str = "given with the data"
) -> Problem:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(1, coils, 32, 32, dtype=torch.complex64, generator=generator) * mask
    maps = torch.ones(coils, 32, 32, dtype=torch.complex64)
    return Problem(y, cartesian_mri(mask, maps), ComplexGaussian(sigma), facts={"coil_maps": origin})


SQUARE = (2.0, 2.0)
LINES = equispaced((32, 32), 4, 0.1)


@pytest.mark.parametrize(
    ("problem", "pixel", "said"),
    [
        (ct(), SQUARE, ""),
        (ct(photons=1.1e5), (2.1, 2.1), ""),
        (ct(views=30), SQUARE, "views: calibrated for 23, the scan has 30"),
        (ct(photons=1e4), SQUARE, "photons: calibrated for 1e+05, the scan has 1e+04"),
        (ct(photons=None), SQUARE, "photons: calibrated for 1e+05, the scan has none"),
        (ct(arc=math.pi / 2), SQUARE, "arc: calibrated for"),
        (ct(fan=True), SQUARE, "beam: calibrated for parallel, the scan has fan"),
        (ct(), (3.0, 3.0), "pixel mm: calibrated for 1.8 to 2, the scan has 3"),
        (ct(), (2.0, 1.9), "square pixels: calibrated for yes, the scan has no"),
        (ct(), None, "pixel mm: calibrated for 1.8 to 2, the scan has unknown"),
        (mri(LINES), SQUARE, "modality: calibrated for ct, the scan has mri"),
    ],
)
def test_a_ct_scan_of_another_kind_is_told(problem: Problem, pixel: tuple[float, float], said: str) -> None:
    family = family_of([facts_of(ct(), SQUARE), facts_of(ct(), (1.8, 1.8))])
    found = unlike(json.loads(json.dumps(family)), facts_of(problem, pixel))
    assert said in "; ".join(found) if said else found == []


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (mri(LINES), ""),
        (mri(equispaced((32, 32), 4, 0.1, seed=1)), ""),
        (mri(equispaced((32, 32), 8, 0.1)), "acceleration: calibrated for"),
        (mri(random_lines((32, 32), 2.9, 0.1)), "mask: calibrated for every n-th line"),
        (mri(LINES, sigma=0.1), "snr: calibrated for"),
        (mri(LINES, coils=5), "coils: calibrated for 4, the scan has 5"),
        (mri(LINES, origin="ESPIRiT, from the centre"), "coil maps: calibrated for given with the data"),
    ],
)
def test_an_mr_scan_of_another_kind_is_told(problem: Problem, said: str) -> None:
    found = unlike(family_of([facts_of(mri(LINES), SQUARE)]), facts_of(problem, SQUARE))
    assert said in "; ".join(found) if said else found == []


def test_kinds_of_masks() -> None:
    assert mask_kind(torch.ones(32, 32, dtype=torch.bool)) == "all"
    assert mask_kind(LINES) == mask_kind(LINES.T) == mask_kind(LINES[None]) == "every n-th line"
    assert mask_kind(random_lines((64, 64), 4, 0.08)) == "irregular lines"
    assert mask_kind(gaussian_2d((64, 64), 4, 0.08)) == "points"


# --- records
@pytest.fixture
def record(found: Promises) -> Record:
    method = {"method": "Draws", "steps": 50, "width": 1.1, "cg": 3}
    family = family_of([facts_of(ct(), SQUARE)])
    made = {"prior": "mine", "task": "23 views, 1e5", "spec": "ct:views=23"}
    return Record("a" * 64, method, 8, family, 12, 12, found, made)


def test_a_record_comes_back_from_its_file_and_is_found(record: Record, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(records, "SHIPPED", tmp_path / "shipped")
    facts = facts_of(ct(), SQUARE)
    assert record_for("a" * 64, record.method, 8, facts) == (None, ["no calibration of this prior"])
    assert record.name == "mine-23-views-1e5-draws-8-samples"
    write_record(own_records() / f"{record.name}.json", record)
    found, why = record_for("a" * 64, record.method, 8, facts)
    assert why == [] and found == record
    low, high = record.band(90)
    assert low < 0.9 < high
    assert record_for("a" * 64, {**record.method, "width": None}, 8, facts)[0] == record  # not known yet
    for prior, method, samples, said in (
        ("b" * 64, record.method, 8, "no calibration of this prior"),
        ("a" * 64, {"method": "DDS"}, 8, "no calibration of DDS with this prior"),
        ("a" * 64, record.method, 4, "samples: calibrated with 8, used with 4"),
        ("a" * 64, {**record.method, "steps": 20}, 8, "steps: calibrated with 50, used with 20"),
        ("a" * 64, {**record.method, "width": 1.3}, 8, "width: calibrated with 1.1, used with 1.3"),
    ):
        assert record_for(prior, method, samples, facts) == (None, [said])
    remove(record.name)
    assert record_for("a" * 64, record.method, 8, facts)[0] is None
    with pytest.raises(ValueError, match="expected one of"):
        remove(record.name)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:200],
        lambda text: "[]",
        lambda text: text.replace("scanprior intervals 1", "scanprior intervals 9"),
        lambda text: text.replace('"factor"', '"fact"'),
        lambda text: text.replace('"patients": 12', '"patients": 0'),
        lambda text: text.replace('"5 mm"', '"6 mm"'),
        lambda text: text.replace('"prior"', '"priors"', 1),
        lambda text: text.replace('"rows": [', '"rows": 3, "lines": ['),
    ],
)
def test_a_damaged_record_is_one_line(record: Record, damage, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    write_record(path, record)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ValueError, match="is no calibration record, or damaged") as error:
        read_record(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_records_of_the_package_are_whole() -> None:
    for path in records.SHIPPED.glob("*.json"):
        assert read_record(path).name == path.stem


def test_the_levels_that_may_be_asked_for_are_those_that_are_calibrated() -> None:
    """The settings are read before anything heavy is, so that they say the levels themselves."""
    assert [level / 100 for level in INTERVALS] == list(LEVELS)
