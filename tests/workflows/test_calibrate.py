"""An exact posterior passes from the images to the table, and a shrunk one fails: by `benchmark` and by `calibrate`.

The prior of the magnitudes is N(100, 10²), pixel by pixel, and the measurement fully sampled k-space of one coil on the
reconstruction's own grid: the posterior of each pixel, along the true phase, is a Gaussian in closed form.
"""

from __future__ import annotations

import csv
import json
import math
from functools import partial
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scanprior.formats.image_set import read_images
from scanprior.operators import mri
from scanprior.pretrained.load import load
from scanprior.recon.problem import Problem, Reconstruction
from scanprior.recon.sbc import OPEN, SEEN, TARP
from scanprior.recon.weights import inverse_variance
from scanprior.workflows.benchmark import rows as runner
from scanprior.workflows.benchmark.results import Selection, benchmark
from scanprior.workflows.benchmark.suite import read_suite
from scanprior.workflows.calibrate import calibrate, part_of
from scanprior.workflows.progress import SILENT
from scipy import stats

MEAN, SPREAD, SIDE, PATIENTS = 100.0, 10.0, 48, 4


@pytest.fixture
def suite(tmp_path: Path) -> str:
    g = np.random.default_rng(5)
    with h5py.File(tmp_path / "images.h5", "w") as file:
        file["images"] = (MEAN + SPREAD * g.standard_normal((PATIENTS, SIDE, SIDE))).astype(np.float32)
        file["images"].attrs["units"] = "magnitude"
        file["patient"] = np.array(["Miller", "Jones", "Smith", "Brown"], dtype=h5py.string_dtype())
        file["px_mm"] = np.full(PATIENTS, 1.0)
    where = f'mri = "{tmp_path}/images.h5"'
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nmethods = ["zero-filled", "dds:steps=2"]\nsamples = 8\n'
        f'[data]\n{where}\n[calibration]\n{where}\n[tasks]\nfull = "mri:accel=1,snr=26,coils=1"\n'
    )
    return str(tmp_path / "mine.toml")


def posterior(problem: Problem, truth: torch.Tensor, count: int, shrink: float, said: dict) -> Reconstruction:
    """Samples of the exact posterior, or of one shrunk about its mean."""
    sensitivity = problem.operator.normal(torch.ones_like(truth)).real  # AᴴA is diagonal
    phase = truth / truth.abs()
    seen = (problem.operator.adjoint(problem.y) / sensitivity * phase.conj()).real
    weight = float(problem.noise.weights(problem.y).flatten()[0])
    precision = 2 * weight * sensitivity  # of a real part: its variance is half of the complex number's
    variance = 1 / (precision + SPREAD**-2)
    mean = variance * (precision * seen + SPREAD**-2 * MEAN)
    g = torch.Generator().manual_seed(int(1e6 * float(seen.mean())) % 2**31)
    z = torch.randn(1, count, *truth.shape[1:], generator=g)
    samples = (mean[:, None] + shrink * variance.sqrt()[:, None] * z) * phase[:, None]
    return Reconstruction.of(problem, samples, 1, 1.0, said)


@pytest.fixture
def exact(monkeypatch):
    """exact(shrink): from now on, that is what every posterior method gives."""

    call = runner.Job.__call__
    same_grid = partial(mri.simulate_kspace, oversample=1)  # a finer one folds into the matrix
    monkeypatch.setattr(import_module("scanprior.recon.simulate"), "simulate_kspace", same_grid)

    def give(shrink: float = 1.0) -> None:
        def solved(method, problem, prior, samples, seed):
            if prior is None:
                return method(problem)
            return posterior(problem, cases[-1].truth, samples, shrink, method.settings)

        cases: list = []
        monkeypatch.setattr(runner.Job, "__call__", lambda job: cases.append(job.case) or call(job))
        monkeypatch.setattr(runner, "solve", solved)

    return give


def test_the_benchmark_has_an_exact_posterior_right(suite, mr_prior, exact, tmp_path: Path) -> None:
    exact()
    found = benchmark(suite, tmp_path / "out", Selection(prior=str(mr_prior)), device="cpu", progress=SILENT)
    floor, one, mean = found.lines
    assert "coverage_90" not in floor and "coverage_90" not in one and mean["patients"] == PATIENTS
    assert mean["coverage_90"] == pytest.approx(0.9, abs=0.015)
    assert mean["spread_skill"] == pytest.approx(1.0, abs=0.03)
    assert mean["spread_skill_low"] < mean["spread_skill"] < mean["spread_skill_high"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"{mean['coverage_90']:.0%} (" in page and "spread/skill" in page
    rows = list(csv.DictReader((tmp_path / "out" / "results.csv").read_text().splitlines()))
    own = [float(row["crps"]) for row in rows if row["picture"] == "mean"]
    assert np.mean(own) == pytest.approx(mean["crps"]) and len(own) == PATIENTS
    assert json.loads((tmp_path / "out" / "results.json").read_text())["table"][2]["crps"] == mean["crps"]


def test_calibrate_tells_the_exact_posterior_from_a_shrunk_one_in_every_place(
    suite, mr_prior, exact, tmp_path: Path
) -> None:
    own = Selection(prior=str(mr_prior))
    exact()
    right = calibrate(suite, tmp_path / "right", own, "calibration", device="cpu", progress=SILENT)
    exact(0.6)
    shrunk = calibrate(suite, tmp_path / "shrunk", own, device="cpu", progress=SILENT)
    assert {line["label"] for line in right.lines} == {"dds:steps=2"}  # zero-filling has no samples
    assert {"inside", "discs of 3 mm", "discs of 5 mm", "discs of 10 mm", "below 0.05"} <= {
        line["place"] for line in right.lines
    }
    for good, bad in zip(right.lines, shrunk.lines, strict=True):
        place = good["place"]
        if place in ("edge", "flat", "background"):
            continue  # chosen by the truth, which of noise is a choice of its errors
        loose = (
            0.25 if place in ("discs of 10 mm", "below 0.05", "0.05 to 0.1") else 0.1
        )  # of few independent values
        assert good["spread_skill"] == pytest.approx(1.0, abs=loose), place
        assert bad["spread_skill"] == pytest.approx(0.6, abs=loose * 0.6), place
        for level in (50, 80, 90, 95):
            assert good[f"coverage_{level}"] == pytest.approx(level / 100, abs=0.08), place
        assert bad["coverage_90"] < 0.8 and bad["crps"] > good["crps"], place
    inside = right.lines[0]
    np.testing.assert_allclose(inside["ranks"], 1 / 9, atol=0.015)
    assert {path.name for path in (tmp_path / "right").iterdir()} == {
        "rows", "calibration.json", "calibration.csv", "ranks", "spectra", "intervals", "report.html",
    }  # fmt: skip
    record, held = right.records[0], {(line["kind"], line["level"]): line for line in shrunk.held}
    allowed = 0.5 - 0.5 / PATIENTS  # of a loss of a half
    exact_factor = stats.t.ppf(1 - allowed / 2, 7) * math.sqrt(1 + 1 / 8)
    assert record.promises["pixels"]["50"]["factor"] == pytest.approx(exact_factor, rel=0.05)
    assert record.patients == PATIENTS and "needed" in record.promises["pixels"]["90"]
    assert (
        held["pixels", "50"]["mean"] < 0.5 and held["ssim", "50"]["patients"] == PATIENTS
    )  # breaks the promise
    facts = json.loads((tmp_path / "right" / "calibration.json").read_text())
    assert facts["on"] == "calibration" and facts["lines"][0]["crps"] == inside["crps"]
    page = (tmp_path / "right" / "report.html").read_text()
    assert "discs of 10 mm" in page and "--on=calibration" in page and page.count("data:image/png") == 2
    assert "Miller" not in page + json.dumps(facts) and str(tmp_path) not in page + json.dumps(facts)


def test_what_has_no_samples_is_refused(suite) -> None:
    whole = read_suite(suite)
    for selection, said in (
        (Selection(methods=("zero-filled",)), "zero-filled gives one image"),
        (Selection(samples=1), "at least 2"),
    ):
        with pytest.raises(ValueError, match=said):
            part_of(whole, selection, "test")
    with pytest.raises(ValueError, match="no posterior method"):
        part_of(whole.but(methods=("zero-filled",)), Selection(), "test")


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """`scanprior sample` draws complex images of independent N(0, 1): [0] how often it was asked."""
    module, count = import_module("scanprior.workflows.on_prior"), [0]

    def sample(prior, folder, settings, overwrite, progress):
        count[0] += 1
        g = np.random.default_rng(settings.seed)
        shape = (settings.images, SIDE, SIDE)
        folder.mkdir(exist_ok=overwrite)
        with h5py.File(folder / "samples.h5", "w") as file:
            values = g.standard_normal(shape) + 1j * g.standard_normal(shape)
            file["images"] = values.astype(np.complex64)
            file["images"].attrs["units"] = "complex, network units"
            file["patient"] = np.array(["synthetic"] * settings.images, dtype=h5py.string_dtype())
            file["px_mm"] = np.full(settings.images, 1.0)
        said = {key: getattr(settings, key) for key in ("images", "seed", "size", "steps", "sampler")}
        said["prior_sha256"] = load(prior)[1].sha256
        (folder / "samples.json").write_text(json.dumps(said))
        return type("Drawn", (), {"images": read_images(folder / "samples.h5")})

    monkeypatch.setattr(module, "sample", sample)
    return count


def of_complex_images(problem: Problem, count: int, shrink: float, seed: int) -> Reconstruction:
    """Samples of the exact posterior of independent complex numbers of unit variance of each part, or shrunk ones."""
    sensitivity = problem.operator.normal(torch.ones_like(problem.operator.adjoint(problem.y))).real
    precision = 2 * float(inverse_variance(problem).flatten()[0]) * sensitivity  # of a part
    variance = 1 / (precision + 1)
    mean = variance * precision * problem.operator.adjoint(problem.y) / sensitivity
    g = torch.Generator().manual_seed(seed)
    z = torch.view_as_complex(torch.randn(1, count, *mean.shape[1:], 2, generator=g))
    return Reconstruction.of(problem, mean[:, None] + shrink * variance.sqrt()[:, None] * z, 1, 1.0, {})


def test_on_images_of_the_prior_the_exact_posterior_passes_and_a_shrunk_one_fails(
    suite, mr_prior, drawn, monkeypatch, tmp_path: Path
) -> None:
    asked, seeds = [], []

    def give(shrink: float) -> None:
        def solved(method, problem, prior, samples, seed):
            asked.append(prior)
            seeds.append(seed)
            return of_complex_images(problem, samples, shrink, seed)

        monkeypatch.setattr(runner, "solve", solved)

    def run(name: str):
        own = Selection(prior=str(mr_prior), patients=24, methods=("dds:steps=2",))
        return calibrate(suite, tmp_path / name, own, "prior", device="cpu", progress=SILENT)

    give(1.0)
    right = {line["place"]: line for line in run("right").lines}
    assert all(prior.intensity is None for prior in asked)  # the scale of the images is known
    assert len(set(seeds)) == 24  # with one noise for all images their ranks would go together
    assert {"patches (TARP)", "patch means", "their measured part", "their open part", "inside"} <= set(right)
    assert right[SEEN]["coverage_90"] == pytest.approx(0.9, abs=0.05) and right["inside"]["patients"] == 24
    assert min(right[place]["uniformity"] for place in (SEEN, OPEN, TARP, "patch means")) > 0.01
    give(0.6)
    shrunk = {line["place"]: line for line in run("shrunk").lines}
    assert max(shrunk[place]["uniformity"] for place in (SEEN, OPEN, TARP, "patch means")) < 0.002
    assert drawn == [2]

    count = len(asked)
    again = {line["place"]: line for line in run("right").lines}  # nothing is drawn or solved twice
    assert again == right and drawn == [2] and len(asked) == count
    page = (tmp_path / "right" / "report.html").read_text()
    assert "images drawn from the prior" in page and "--on=prior" in page and "p of ranks" in page
    rows = list(csv.DictReader((tmp_path / "right" / "calibration.csv").read_text().splitlines()))
    assert {row["place"] for row in rows if row["uniformity"]} == {SEEN, OPEN, TARP, "patch means"}
    with pytest.raises(ValueError, match="got 1 image"):
        calibrate(
            suite, tmp_path / "one", Selection(prior=str(mr_prior), patients=1), "prior", progress=SILENT
        )
    assert not (tmp_path / "one").exists()
    with pytest.raises(ValueError, match="draws its own images"):
        part_of(read_suite(suite), Selection(data=tmp_path), "prior")


def test_calibrate_shows_the_grain_of_exact_and_of_shrunk_samples(
    suite, mr_prior, exact, tmp_path: Path
) -> None:
    """Pixel noise: prior variance 100; the posterior's shrunk samples lack (1 - 0.6²) of the posterior's own."""
    own = Selection(prior=str(mr_prior))
    exact()
    right = calibrate(suite, tmp_path / "right", own, device="cpu", progress=SILENT)
    exact(0.6)
    shrunk = calibrate(suite, tmp_path / "shrunk", own, device="cpu", progress=SILENT)
    place = "above 0.35"
    (good,), (bad,) = ([x for x in found.lines if x["place"] == place] for found in (right, shrunk))
    assert good["grain"] == pytest.approx(1.0, abs=0.04) and good["grain_of_mean"] < 0.97
    assert bad["grain"] < good["grain"] - 0.02 and bad["grain_of_mean"] == pytest.approx(
        good["grain_of_mean"], abs=0.03
    )
    assert (tmp_path / "right" / "spectra" / "1.png").stat().st_size > 5000
    assert all(line["grain"] is None for line in right.lines if line["place"] == "inside")
