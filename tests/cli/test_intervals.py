"""`calibrate --on calibration`, `reconstruct --interval` and `intervals` from end to end, with an untrained prior."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior import reconstruct
from scanprior.formats.scan import Volume
from scanprior.formats.store import read_reconstruction
from scanprior.recon.records import own_records
from scanprior.workflows.progress import SILENT

SIDE, PATIENTS = 32, 4
FAST = ("--method", "dds", "--samples", 3, "--options", "steps=2", "--no-baselines")


@pytest.fixture
def images(ct_volume: Volume, tmp_path: Path) -> tuple[Path, Path]:
    """Two sets of slices of two patients each."""
    g = np.random.default_rng(0)
    paths = tmp_path / "Miller.h5", tmp_path / "more.h5"
    for path in paths:
        with h5py.File(path, "w") as file:
            file["images"] = ct_volume.data[:1] + 30 * g.standard_normal((2, SIDE, SIDE)).astype(np.float32)
            file["images"].attrs["units"] = "HU"
            file["patient"] = np.array(["a", "b"], dtype=h5py.string_dtype())
            file["px_mm"] = np.full(2, 4.0)
    return paths


@pytest.fixture
def calibrated(images: tuple[Path, Path], ct_prior: Path, scanprior, tmp_path: Path) -> Path:
    """A suite that was calibrated on these patients; its output folder."""
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nmethods = ["dds:steps=2"]\nsamples = 3\n'
        f'[data]\nct = "{images[0]}"\n[calibration]\nct = ["{images[0]}", "{images[1]}"]\n'
        '[tasks]\nfew = "ct:views=8"\n'
    )
    out = tmp_path / "calibration"
    given = ("calibrate", tmp_path / "mine.toml", "--on", "calibration", "--prior", ct_prior, "-o", out)
    done = scanprior(*given)
    assert done.code == 0 and "kept for `scanprior reconstruct`" in done.out, done.err
    assert "each left out" in done.out and "takes 10 patients" in done.out
    return out


def test_intervals_of_a_lab_s_own_calibration(
    calibrated: Path, images, ct_prior: Path, scanprior, tmp_path: Path
) -> None:
    name = "tiny-ct-few-dds-3-samples"
    for folder in (calibrated / "intervals", own_records()):
        (kept,) = folder.glob("*.json")
        assert "Miller" not in kept.read_text() and str(tmp_path) not in kept.read_text()
    assert json.loads(kept.read_text())["patients"] == PATIENTS
    assert "Intervals with a promise" in (calibrated / "report.html").read_text()

    def run(views: int, *more: object) -> tuple[Path, object]:
        out = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        spec = f"ct:views={views}"
        done = scanprior(
            "reconstruct", images[0], "-o", out, "--prior", ct_prior, "--simulate", spec, *FAST, *more
        )
        return out, done

    out, done = run(8, "--interval", 50)
    assert done.code == 0 and "at least 50 %" in done.out and "From 4 patients" in done.out, done.err
    stored = read_reconstruction(out / "reconstruction.h5")
    low, high = stored.intervals["pixels"]
    assert low.shape == stored.mean.shape and (low <= stored.mean).all() and (stored.mean <= high).all()
    assert set(stored.intervals) == {"pixels", "5 mm"}
    page, facts = (out / "report.html").read_text(), json.loads((out / "report.json").read_text())
    assert "50 % intervals" in page and "SSIM at least" in page and (out / "intervals.png").is_file()
    assert facts["spread"]["patients"] == PATIENTS and 0 < facts["spread"]["by_slice"][0]["held pixels"] <= 1
    assert "interval = 50" in (out / "run.toml").read_text()

    out, done = run(8)
    assert done.code == 0 and stored.mean.shape == read_reconstruction(out / "reconstruction.h5").mean.shape
    page = (out / "report.html").read_text()
    assert "calibrated for such scans on 4 patients" in page and "% intervals" not in page
    assert read_reconstruction(out / "reconstruction.h5").intervals == {}

    for views, level, said in (
        (12, 50, "not calibrated for such scans: views: calibrated for 8, the scan has 12"),
        (8, 90, "90 % takes 10 patients, the calibration has 4"),
    ):
        out, done = run(views, "--interval", level)
        assert done.code == 0 and done.err.count(said) == 1, done.err
        assert said in (out / "report.html").read_text() and not (out / "intervals.png").exists()

    assert name in scanprior("intervals", "list").out
    assert scanprior("intervals", "remove", name).code == 0
    assert scanprior("intervals", "remove", name).code == 2
    out, done = run(8, "--interval", 50)
    assert done.code == 0 and "no calibration of this prior" in done.err


def test_other_patients_are_counted(calibrated: Path, ct_prior: Path, scanprior, tmp_path: Path) -> None:
    given = ("calibrate", tmp_path / "mine.toml", "--prior", ct_prior, "-o", tmp_path / "test", "--json")
    held = json.loads(scanprior(*given).out)["held"]
    pixels = next(line for line in held if (line["kind"], line["level"]) == ("pixels", "50"))
    assert pixels["patients"] == 2 and pixels["calibrated_on"] == PATIENTS
    assert (
        0.5 < pixels["least"] <= pixels["mean"] <= pixels["most"] <= 1
    )  # they are among those of the calibration


def test_what_cannot_be_is_refused_before_any_work(images, ct_prior: Path, scanprior, tmp_path: Path) -> None:
    own_records().mkdir(parents=True)
    for more, said in (
        ((*FAST, "--interval", 77), "--interval: got 77, expected one of 50, 80, 90, 95"),
        ((*FAST, "--samples", 1, "--interval", 90), "has no spread"),
        (("--method", "fbp", "--interval", 90), "fbp gives one image"),
        (FAST, "intervals remove bad"),
    ):
        if more is FAST:
            (own_records() / "bad.json").write_text("{")
        given = ("reconstruct", images[0], "-o", tmp_path / "out", "--simulate", "ct:views=8", *more)
        done = scanprior(*given, "--prior", ct_prior)
        assert done.code == 2 and said in done.err and done.err.count("\n") <= 2, done.err
        assert not (tmp_path / "out").exists()


def test_from_python(calibrated: Path, images, ct_prior: Path) -> None:
    given = {"simulate": "ct:views=8", "prior": ct_prior, "options": {"steps": 2}, "baselines": False}
    found = reconstruct(images[1], "dds", 3, interval=80, progress=SILENT, **given)
    assert found.intervals is None and "80 % takes 5 patients" in found.spread.line
    found = reconstruct(images[1], "dds", 3, interval=50, progress=SILENT, **given)
    low, high = found.intervals.maps["pixels"]
    assert low.shape == found.mean.shape and (low <= high).all()
    assert found.intervals.bounds["ssim"].shape == (2,) and "4" in found.spread.sentences[0]
