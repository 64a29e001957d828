"""The options of reading, by the command line: one of several images, and what a file does not say."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_files import image, save, series
from scanprior.formats.image_set import read_images
from scanprior.formats.read import read
from scanprior.formats.store import read_reconstruction, write_scan

SIDE = 32


def disc(value: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return np.where(np.hypot(x, y) < 0.7, value, 0) + np.arange(SIDE)


def echoes(folder: Path) -> Path:
    """2 echoes of 2 slices: 1000, 1001 and 2000, 2001."""
    made = [image(disc(1000 * e + p), z=5 * p, EchoTime=2.5 * e) for e in (1, 2) for p in range(2)]
    return series(folder, made)


def test_one_of_two_echoes(scanprior, tmp_path) -> None:
    folder, scan = echoes(tmp_path / "s"), tmp_path / "scan.h5"
    for verb, more in (("validate", ()), ("simulate", ("--mri", "accel=2,coils=2", "-o", scan))):
        outcome = scanprior(verb, folder, *more)
        assert outcome.code == 2 and "holds 2 volumes" in outcome.out + outcome.err
        assert "choose with --volume 0 to 1 or --echo 0 to 1" in outcome.out + outcome.err
        assert scanprior(verb, folder, *more, "--echo", 1).code == 0
    assert np.abs(read(scan).truth).max() == pytest.approx(2001 + SIDE, rel=0.05)
    outcome = scanprior("info", folder)
    assert outcome.code == 0 and "\n  1: 2 slices of 32 x 32 pixels of 0.8 mm, echo 5.0 ms\n" in outcome.out
    assert json.loads(scanprior("info", folder, "--json", "--echo", 1).out)["echo_time_ms"] == 5
    outcome = scanprior("info", folder, "--echo", 2)
    assert outcome.code == 2 and "got --echo 2, expected 0 to 1" in outcome.err
    assert len((outcome.out + outcome.err).strip().splitlines()) == 1


def test_an_option_that_a_format_does_not_have_is_refused_by_every_verb(scanprior, tmp_path) -> None:
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), path)
    for verb in ("info", "validate"):
        outcome = scanprior(verb, path, "--series", "3")
        assert outcome.code == 2 and "which has no option series" in outcome.out + outcome.err


def test_phase_images_are_refused_by_every_verb(scanprior, tmp_path) -> None:
    path = save(tmp_path / "a.dcm", image(disc(500), ImageType=["ORIGINAL", "PRIMARY", "P"]))
    for verb, *more in (
        ["info"],
        ["validate"],
        ["simulate", "--mri", "accel=2", "-o", tmp_path / "x.h5"],
        ["reconstruct", "--simulate", "mri:accel=2", "-o", tmp_path / "out"],
    ):
        outcome = scanprior(verb, path, *more)
        assert outcome.code == 2 and "a phase image, expected magnitudes" in outcome.out + outcome.err, verb
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.dcm"]


def test_the_modality_of_nifti_is_said_and_told(scanprior, tmp_path) -> None:
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.tile(disc(60).astype(np.float32)[..., None], 3), np.eye(4)), path)
    outcome = scanprior("validate", path)
    assert outcome.code == 0 and "whether CT or MR is not stored; MR assumed" in outcome.out
    assert "CT images" in scanprior("validate", path, "--modality", "CT").out
    refused = scanprior("simulate", path, "--ct", "views=8", "-o", tmp_path / "x.h5")
    assert refused.code == 2
    assert (
        scanprior("simulate", path, "--ct", "views=8", "-o", tmp_path / "x.h5", "--modality", "CT").code == 0
    )


def test_a_reconstruction_says_no_pixel_size_that_nobody_knows(scanprior, mri_scan, tmp_path) -> None:
    for name, assumed in (("a", True), ("b", False)):
        write_scan(tmp_path / f"{name}.h5", replace(mri_scan, pixel_assumed=assumed))
        outcome = scanprior(
            "reconstruct",
            tmp_path / f"{name}.h5",
            "--method",
            "zero-filled",
            "-o",
            tmp_path / name,
            "--no-baselines",
        )
        assert outcome.code == 0, outcome.err
        image = read(tmp_path / name / "dicom")
        assert image.pixel_assumed == assumed and ("PixelSpacing" in image.dicom[0]) != assumed


# --- prepare
def prepared(scanprior, folder: Path, *options: object) -> tuple[Path, dict[str, str]]:
    pack = folder.parent / "pack"
    outcome = scanprior(
        "prepare", folder, "--preset", "mri-256", "--matrix", SIDE, "--val", 0, "--test", 0, "-o", pack, "--overwrite",
        *options,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    with (pack / "left_out.csv").open() as file:
        return pack, {Path(row["file"]).name: row["reason"] for row in csv.DictReader(file)}


def test_each_volume_is_a_series_of_its_own(scanprior, tmp_path) -> None:
    pack, left = prepared(scanprior, echoes(tmp_path / "s"))
    images = read_images(pack / "train.h5")
    assert not left and len(images) == 4
    tops = images.load().max(axis=(1, 2)).round(-3)
    by_series = {s: set(tops[images.columns["series"] == s]) for s in set(images.columns["series"])}
    assert sorted(by_series.values(), key=min) == [{1000}, {2000}]


def test_what_read_refuses_is_left_out(scanprior, tmp_path) -> None:
    folder = echoes(tmp_path / "s")
    save(folder / "phase.dcm", image(disc(500), ImageType=["ORIGINAL", "PRIMARY", "P"]))
    save(folder / "unsized.dcm", image(disc(600), PixelSpacing=None, ImagerPixelSpacing=[1, 1]))
    data = np.tile(disc(300).astype(np.float32)[..., None, None], (1, 1, 2, 3))
    data += np.random.default_rng(0).random(data.shape, np.float32)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), folder / "4d.nii.gz")
    save(folder / "map.dcm", image(disc(800), RescaleSlope=2, RescaleIntercept=-900))
    pack, left = prepared(scanprior, folder)
    assert left == {
        "map.dcm": "no magnitude (negative values)",
        "phase.dcm": "no magnitude (phase)",
        "unsized.dcm": "no pixel size",
        "4d.nii.gz": "further volumes of one place",
    }
    assert len(read_images(pack / "train.h5")) == 4 + 2
    _, left = prepared(scanprior, folder, "--modality", "CT")
    assert left["4d.nii.gz"] == "other modality"


# --- views
def test_some_views_of_a_measured_scan(scanprior, ct_scan, tmp_path) -> None:
    """They are what a scan of these views alone is."""
    write_scan(tmp_path / "whole.h5", ct_scan)  # 12 views of 15 degrees
    kept = np.array([2, 4])
    few = replace(ct_scan, data=ct_scan.data[:, kept], geometry=ct_scan.geometry.subset(kept))
    write_scan(tmp_path / "few.h5", few)
    means = []
    for name, more in (("whole", ("--views", "0::2", "--arc", "30:75")), ("few", ())):
        command = ("reconstruct", tmp_path / f"{name}.h5", "-o", tmp_path / name, "--method", "fbp", *more)
        outcome = scanprior(*command, "--no-baselines")
        assert outcome.code == 0, outcome.err
        means.append(read_reconstruction(tmp_path / name / "reconstruction.h5").mean)
    np.testing.assert_array_equal(*means)
    assert "2 of 12 views were taken" in (tmp_path / "whole" / "report.html").read_text()
    assert "6 views" in scanprior("validate", tmp_path / "whole.h5", "--views", "1::2").out
    for more, words in (
        (("--views", "0,12"), "expected numbers from 0 to 11"),
        (("--views", "a"), "expected 0::9"),
        (("--views", "0,0"), "expected each view once"),
        (("--arc", "0:inf"), "expected two finite angles"),
        (("--arc", "90"), "expected degrees like 0:120"),
        (("--arc", "200:210"), "none of the 12 views is left"),
    ):
        outcome = scanprior("reconstruct", tmp_path / "whole.h5", "-o", tmp_path / "x", *more)
        assert outcome.code == 2 and words in outcome.err, outcome.err
        checked = scanprior("validate", tmp_path / "whole.h5", *more)
        assert checked.code == 2 and words in checked.err and "damaged" not in checked.err
