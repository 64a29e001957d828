"""Bad input through the real command line: exit code 2, one line that says which file or option, what was got and what
to do, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.formats.scan import Scan
from scanprior.formats.store import write_scan

Call = Callable[..., object]


@pytest.fixture
def refused(scanprior, tmp_path: Path):
    """refused(*arguments, names=..., got=..., advice=...): `scanprior reconstruct` ... -o out/ ends as it should."""

    def check(*arguments: object, names: str, got: str, advice: str, output: Path | None = None) -> None:
        before = sorted(tmp_path.rglob("*"))
        done = scanprior("reconstruct", *arguments, "-o", output or tmp_path / "out")
        assert done.code == 2, done
        assert done.out == ""
        lines = done.err.strip().splitlines()
        assert len(lines) == 1, done.err
        assert lines[0].startswith("Error: ")
        for words in (names, got, advice):
            assert words in lines[0], (words, lines[0])
        assert sorted(tmp_path.rglob("*")) == before  # no output, no temporary folder

    return check


@pytest.fixture
def scan_file(tmp_path: Path, ct_scan: Scan) -> Path:
    write_scan(tmp_path / "scan.h5", ct_scan)
    return tmp_path / "scan.h5"


def sinogram_file(path: Path, shape: tuple[int, int], **attributes: object) -> Path:
    """(views, detectors), of 12 parallel views."""
    with h5py.File(path, "w") as file:
        file["sinogram"] = np.ones(shape, np.float32)
        file["angles_deg"] = np.linspace(0, 180, 12, endpoint=False)
        file.attrs.update({"geometry": "parallel", "detector_pixel_mm": 1.0, **attributes})
    return path


# --- files
def test_a_truncated_hdf5(tmp_path, scan_file, refused) -> None:
    cut = tmp_path / "cut.h5"
    cut.write_bytes(scan_file.read_bytes()[:-2000])
    refused(cut, names="cut.h5", got="truncated", advice="copy it again")


def test_a_text_file_named_h5(tmp_path, refused) -> None:
    (tmp_path / "notes.h5").write_text("views: 23\n")
    refused(
        tmp_path / "notes.h5", names="notes.h5", got="is a text file", advice="expected DICOM, NIfTI, HDF5"
    )


def test_a_file_that_is_not_there(tmp_path, refused) -> None:
    refused(tmp_path / "scan.h5", names="scan.h5", got="does not exist", advice="check the spelling")


def test_a_dicom_without_pixel_data(tmp_path, refused) -> None:
    import pydicom
    from scanprior.formats.dicom import example_ct

    dataset = pydicom.dcmread(example_ct())
    del dataset.PixelData
    dataset.save_as(tmp_path / "headers.dcm")
    for more in ((), ("--simulate", "ct:views=23")):
        refused(
            tmp_path / "headers.dcm",
            *more,
            names="headers.dcm",
            got="without pixel data",
            advice="export the images",
        )


def test_images_without_a_simulation(refused) -> None:
    from scanprior.formats.dicom import example_ct

    refused(example_ct(), names="CT_small.dcm", got="holds images", advice="add --simulate ct:views=23")


def test_measured_data_with_a_simulation(scan_file, refused) -> None:
    refused(
        scan_file,
        "--simulate",
        "ct:",
        names="scan.h5",
        got="holds measured data",
        advice="without --simulate",
    )


def test_kspace_of_nan(tmp_path, refused) -> None:
    with h5py.File(tmp_path / "nan.h5", "w") as file:
        file["kspace"] = np.full((1, 2, 16, 16), np.nan, np.complex64)
    refused(tmp_path / "nan.h5", names="nan.h5", got="got NaN", advice="mask or interpolate")


def test_a_detector_count_that_contradicts_the_geometry(tmp_path, refused) -> None:
    path = sinogram_file(tmp_path / "sinogram.h5", shape=(12, 40), detectors=48)
    refused(
        path, names="sinogram.h5", got="got 40 detector elements a view, expected the 48", advice="correct"
    )


@pytest.mark.parametrize("water", [0.0, -1.0, np.nan, np.inf])
def test_water_that_attenuates_nothing(tmp_path, scan_file, refused, water: float) -> None:
    with h5py.File(scan_file, "r+") as file:
        file["header"].attrs["mu_water"] = water
    simple = sinogram_file(tmp_path / "sinogram.h5", shape=(12, 40), mu_water=water)
    for path in (scan_file, simple):
        refused(path, names=path.name, got=f"got mu_water = {water}", advice="1/mm, about 0.02")


def test_a_transposed_sinogram(tmp_path, refused) -> None:
    path = sinogram_file(tmp_path / "sinogram.h5", shape=(40, 12))
    refused(path, names="sinogram.h5", got="got 12 angles for 40 views", advice="axes may be swapped")


def test_a_mask_of_the_wrong_length(tmp_path, refused) -> None:
    with h5py.File(tmp_path / "file.h5", "w") as file:
        file["kspace"] = np.ones((1, 2, 16, 20), np.complex64)
        file["mask"] = np.ones(18, np.float32)
        file["reconstruction_rss"] = np.ones((1, 16, 16), np.float32)
    refused(
        tmp_path / "file.h5", names="file.h5", got="mask of length 18, expected the width 20", advice="repair"
    )


def test_no_calibration_lines(tmp_path, mri_scan, mr_prior, refused) -> None:
    mask = np.zeros_like(mri_scan.mask)
    mask[:, ::3] = True
    write_scan(tmp_path / "k.h5", replace(mri_scan, mask=mask, data=mri_scan.data * 0 + mask))
    refused(
        tmp_path / "k.h5",
        "--prior",
        mr_prior,
        names="k.h5",
        got="fully sampled centre of 0 x 0",
        advice="add `maps` or calibration lines",
    )


# --- priors
def test_a_missing_prior(scan_file, refused) -> None:
    refused(
        scan_file,
        "--prior",
        "ct-9000",
        names="'ct-9000'",
        got="neither a file nor a bundled",
        advice="priors",
    )


def test_a_prior_of_the_wrong_modality(scan_file, mr_prior, refused) -> None:
    refused(
        scan_file,
        "--prior",
        mr_prior,
        names="'tiny-mr'",
        got="of MR images, the scan is CT",
        advice="another --prior",
    )


def test_a_damaged_prior(tmp_path, scan_file, ct_prior, refused) -> None:
    (tmp_path / "cut.safetensors").write_bytes((ct_prior / "prior.safetensors").read_bytes()[:-100])
    refused(
        scan_file,
        "--prior",
        tmp_path / "cut.safetensors",
        names="cut.safetensors",
        got="cut off",
        advice="again",
    )


# --- the output folder
def test_an_output_folder_that_is_a_file(tmp_path, scan_file, refused) -> None:
    (tmp_path / "results").write_text("mine")
    refused(
        scan_file, output=tmp_path / "results", names="results", got="is a file", advice="choose another name"
    )
    assert (tmp_path / "results").read_text() == "mine"


@pytest.mark.parametrize(
    ("more", "got", "advice"),
    [
        ((), "exists and is not empty", "add --overwrite"),
        (("--overwrite",), "'thesis.tex', which scanprior did not write", "choose another folder"),
    ],
)
def test_an_output_folder_that_is_in_use(tmp_path, scan_file, refused, more, got: str, advice: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    refused(scan_file, *more, names="out", got=got, advice=advice)
    assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"


def test_an_output_folder_nowhere(tmp_path, scan_file, refused) -> None:
    refused(
        scan_file,
        output=tmp_path / "a" / "b",
        names="b",
        got="parent folder does not exist",
        advice="create it",
    )


def test_an_existing_scan_is_not_overwritten(tmp_path, scan_file, scanprior) -> None:
    before = scan_file.read_bytes()
    done = scanprior("simulate", tmp_path / "any.dcm", "--ct", "views=4", "-o", scan_file)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"Error: {scan_file} exists; choose another name or add --overwrite\n"
    assert scan_file.read_bytes() == before


# --- options
OPTIONS = [
    (("--method", "magic"), "--method", "'magic'", "expected one of draws, "),
    (("--options", "stepps=5"), "--options", "'stepps'", "did you mean 'steps'?"),
    (("--options", "steps=many"), "--options", "steps='many'", "expected a whole number, such as steps="),
    (("--options", "steps=inf"), "--options", "steps='inf'", "expected a whole number, such as steps="),
    (
        ("--method", "dds", "--options", "sde=EDM"),
        "--options",
        "sde='EDM'",
        "expected ve, vp, sub-vp or auto",
    ),
    (("--slices", "1-b"), "--slices", "'1-b'", "expected indices from 0, like"),
    (("--method", "sirt:iterations=3"), "--method", "'sirt:iterations=3'", "are --options iterations=3"),
    (("--slices", "0,1,0"), "--slices", "'0,1,0'", "expected each slice once"),
    (("--slices", "0-99999999999"), "--slices", "'0-99999999999'", "expected indices from 0"),
    (("--views", "0,0"), "--views", "'0,0'", "expected each view once"),
    (("--arc", "0:inf"), "--arc", "'0:inf'", "expected two finite angles"),
    (("--arc", "nan:90"), "--arc", "'nan:90'", "expected two finite angles"),
    (("--prior", ""), "--prior", "got an empty text", "expected one of ct-256"),
    (
        ("--method", "dds", "--options", "steps=3,gamma=1,steps=4"),
        "--options",
        "steps twice",
        "expected each setting once",
    ),
    (("--slices", "7"), "scan.h5", "slices [7]", "expected 0 to 1"),
    *(
        (("--mu-water", water), "--mu-water", f"got {float(water)}", "expected an attenuation in 1/mm")
        for water in ("-0.02", "0", "nan", "inf")
    ),
    (("--center", "3"), "scan.h5", "no option center", "leave out"),
]


@pytest.mark.parametrize(("more", "names", "got", "advice"), OPTIONS, ids=lambda v: str(v)[:24])
def test_a_wrong_option(scan_file, refused, more, names: str, got: str, advice: str) -> None:
    refused(scan_file, *more, names=names, got=got, advice=advice)


def test_a_device_that_is_not_there(scan_file, ct_prior, refused) -> None:
    for device in ("tpu", "cuda:99"):
        refused(
            scan_file,
            "--prior",
            ct_prior,
            "--device",
            device,
            names="--device",
            got=repr(device),
            advice="cpu",
        )


SIMULATIONS = [
    ("pet:views=3", "--simulate", "'pet:views=3'", "expected ct:views=23"),
    ("ct:wievs=3", "ct simulation", "'wievs'", "expected some of views"),
    ("ct:views=0", "views", "got 0 views", "expected at least 1"),
    ("ct:views=1e9", "CT_small.dcm", "1e+09 views would take", "GB that reading may take"),
    ("mri:coils=1e9", "CT_small.dcm", "1e+09 coils would take", "GB that reading may take"),
    ("ct:photons=-5", "photons", "photons=-5", "expected a positive"),
    ("ct:fan,source_origin=30", "source_origin=30", "inside the grid", "move the source out"),
    ("mri:accel=4", "CT_small.dcm", "got HU images", "use a ct simulation"),
]


@pytest.mark.parametrize(("spec", "names", "got", "advice"), SIMULATIONS, ids=lambda v: str(v)[:24])
def test_a_wrong_simulation(refused, spec: str, names: str, got: str, advice: str) -> None:
    from scanprior.formats.dicom import example_ct

    refused(example_ct(), "--simulate", spec, names=names, got=got, advice=advice)
