"""`scanprior reconstruct` and `simulate` from end to end, on tiny scans with an untrained prior."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pytest
import torch
from scanprior import __version__
from scanprior.formats.dicom import example_ct
from scanprior.formats.dicom_write import write_dicom
from scanprior.formats.read import read
from scanprior.formats.scan import Scan, Volume
from scanprior.formats.store import read_reconstruction, read_scan, write_scan
from scanprior.recon.methods import BASELINES, METHODS
from written import FILES

SIDE = 32
FAST = ("--method", "dds", "--samples", 2, "--options", "steps=3", "--no-baselines")


@pytest.fixture
def reconstructed(scanprior, tmp_path: Path) -> Callable[..., Path]:
    """reconstructed(file, prior, ...): the complete output folder."""

    def call(file: Path, prior: Path, *more: object, output: str = "out") -> Path:
        done = scanprior("reconstruct", file, "-o", tmp_path / output, "--prior", prior, *FAST, *more)
        assert done.code == 0, done.err
        assert "Traceback" not in done.err
        folder = tmp_path / output
        assert sorted(path.name for path in folder.iterdir()) == FILES
        assert not list(tmp_path.glob(".*"))  # no temporary folder
        return folder

    return call


def saved(scan: Scan, path: Path) -> Path:
    write_scan(path, scan)
    return path


def image_set(volume: Volume, path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["images"] = volume.data
        file["images"].attrs["units"] = volume.units
        file["px_mm"] = np.full(len(volume.data), volume.spacing[1], np.float32)
        file["patient"] = np.array(["a"] * len(volume.data), dtype=h5py.string_dtype())
    return path


def fastmri_file(scan: Scan, path: Path) -> Path:
    """The scan as the fastMRI test files are."""
    with h5py.File(path, "w") as file:
        file["kspace"] = scan.data
        file["mask"] = scan.mask[0].astype(np.float32)
        file["reconstruction_rss"] = np.abs(scan.truth).astype(np.float32)
        file.attrs["acquisition"] = "AXT2"
    return path


# --- CT
def test_a_ct_scan(tmp_path, ct_scan: Scan, ct_prior, reconstructed, scanprior) -> None:
    folder = reconstructed(saved(ct_scan, tmp_path / "scan.h5"), ct_prior, "--seed", 5, "--baselines")
    result = read_reconstruction(folder / "reconstruction.h5")
    assert result.mean.shape == (2, SIDE, SIDE) and result.samples.shape == (2, 2, SIDE, SIDE)
    assert result.units == "HU" and result.pixel_mm[1:] == (4.0, 4.0)
    np.testing.assert_allclose(result.mean, result.samples.mean(0), rtol=0, atol=0.05)
    np.testing.assert_allclose(result.std, result.samples.std(0, ddof=1), rtol=0, atol=0.05)
    assert result.std.mean() > 0.1  # the samples are not one picture
    truth = 1000 * (ct_scan.truth / ct_scan.header["mu_water"] - 1)
    assert np.abs(result.mean - truth).mean() < 200  # an untrained prior; air is 1000 HU away

    images = read(folder / "dicom")
    assert images.data.shape == (2, SIDE, SIDE)
    np.testing.assert_allclose(images.data, np.clip(result.mean, -1024, None), rtol=0, atol=0.51)
    assert str(pydicom.dcmread(sorted((folder / "dicom").iterdir())[0]).SeriesDescription).endswith(
        "NOT FOR DIAGNOSTIC USE"
    )
    nifti = read(folder / "reconstruction.nii.gz", modality="CT")
    np.testing.assert_allclose(nifti.data, np.clip(result.mean, -1024, None), rtol=0, atol=1e-3)
    assert nifti.spacing == pytest.approx(result.pixel_mm)
    assert (folder / "report.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "report.html").read_text()
    assert "FISTA-TV" in page and "tiny-ct" in page and str(tmp_path) not in page
    assert scanprior("info", folder / "reconstruction.h5").code == 0  # and our own tools read it


def test_the_report_says_how_it_came_about(tmp_path, ct_scan: Scan, ct_prior, reconstructed) -> None:
    folder = reconstructed(saved(ct_scan, tmp_path / "scan.h5"), ct_prior, "--seed", 5, "--baselines")
    report = json.loads((folder / "report.json").read_text())
    provenance = report["provenance"]
    assert provenance["scanprior"] == __version__ and provenance["torch"] == torch.__version__
    assert (provenance["method"], provenance["steps"], provenance["nfe"]) == ("DDS", 3, 3)
    assert (provenance["seed"], provenance["samples"]) == (5, 2)
    assert provenance["request"]["options"] == "steps=3"
    digest = sha256((ct_prior / "prior.safetensors").read_bytes()).hexdigest()
    assert provenance["prior_sha256"] == report["prior"]["sha256"] == digest
    assert provenance["seconds"] > 0
    rows = {row["method"]: row for row in report["table"]}
    assert list(rows) == ["FBP", "FISTA-TV", "dds, one sample", "dds, mean of 2"]
    assert all(0 < row["residual"] < 1 and row["seconds"] >= 0 and row["psnr"] > 5 for row in rows.values())
    assert rows["FISTA-TV"]["psnr"] > rows["FBP"]["psnr"]  # 12 views
    stored = read_reconstruction(folder / "reconstruction.h5").attrs
    assert stored == provenance


def test_one_seed_one_result_whatever_the_batch(tmp_path, ct_scan: Scan, ct_prior, reconstructed) -> None:
    file = saved(ct_scan, tmp_path / "scan.h5")

    def samples(name: str, *more: object) -> np.ndarray:
        return read_reconstruction(
            reconstructed(file, ct_prior, *more, output=name) / "reconstruction.h5"
        ).samples

    first = samples("a", "--seed", 1)
    np.testing.assert_array_equal(samples("b", "--seed", 1), first)
    # bfloat16 rounds differently in another batch (0.6 HU on real slices; float32: tests/recon/test_batches.py)
    assert np.abs(samples("c", "--seed", 1, "--batch", 1) - first).mean() < 1.5
    assert np.abs(samples("d", "--seed", 2) - first).mean() > 1
    assert samples("e", "--slices", "1").shape == (2, 1, SIDE, SIDE)


def test_overwrite(tmp_path, ct_scan: Scan, ct_prior, reconstructed, scanprior) -> None:
    file = saved(ct_scan, tmp_path / "scan.h5")
    folder = reconstructed(file, ct_prior, "--seed", 1)
    before = (folder / "reconstruction.h5").read_bytes()
    again = scanprior("reconstruct", file, "-o", folder, "--prior", ct_prior, *FAST)
    assert again.code == 2 and "--overwrite" in again.err
    assert (folder / "reconstruction.h5").read_bytes() == before
    reconstructed(file, ct_prior, "--seed", 2, "--overwrite")
    assert (folder / "reconstruction.h5").read_bytes() != before


def test_a_failure_while_writing_leaves_the_older_results(
    tmp_path, ct_scan: Scan, ct_prior, reconstructed, scanprior, monkeypatch
) -> None:
    file = saved(ct_scan, tmp_path / "scan.h5")
    folder = reconstructed(file, ct_prior)
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", "report.png")

    with monkeypatch.context() as patch:
        patch.setattr("scanprior.workflows.result.save", full)
        for output in (folder, tmp_path / "new"):
            done = scanprior("reconstruct", file, "-o", output, "--prior", ct_prior, *FAST, "--overwrite")
            assert done.code == 2
            assert done.err.strip().splitlines()[-1] == "Error: report.png: No space left on device"
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert not (tmp_path / "new").exists()
    assert [path.name for path in sorted(tmp_path.glob(".*"))] == [".new.unfinished", ".out.unfinished"]
    assert scanprior("reconstruct", file, "-o", tmp_path / "new", "--prior", ct_prior, *FAST).code == 0
    reconstructed(file, ct_prior, "--overwrite")  # and now nothing is left over


def test_water_defines_hu(tmp_path, ct_scan: Scan, ct_prior, reconstructed) -> None:
    """0.7 of the attenuation of water is -300 HU; with twice the attenuation stated for water, -650."""
    header = {key: value for key, value in ct_scan.header.items() if key != "mu_water"}
    file = saved(replace(ct_scan, header=header, truth=None), tmp_path / "scan.h5")

    def body(name: str, *more: object) -> float:
        folder = reconstructed(file, ct_prior, *more, output=name)
        assert "psnr" not in json.loads((folder / "report.json").read_text())["table"][-1]
        return float(read_reconstruction(folder / "reconstruction.h5").mean[0, 14:18, 6:9].mean())

    assert body("a") == pytest.approx(-300, abs=60)
    assert body("b", "--mu-water", 2 * 0.0193) == pytest.approx(-650, abs=60)


@pytest.mark.parametrize(
    ("views", "turns", "offset"), [(60, 1, 0.0), (61, 1, 0.0), (120, 2, 0.0), (60, 1, 9.0)]
)
def test_fbp_is_quantitative_for_full_turns(
    tmp_path, scanprior, views: int, turns: int, offset: float
) -> None:
    """A disc of 0.0193/mm is 0 HU, from opposed views, several turns or a detector displaced by 9 of 31 elements."""
    s = np.arange(31) - 15 - offset
    row = 2 * 0.0193 * np.sqrt(np.maximum(15.0**2 - s**2, 0))
    with h5py.File(tmp_path / "disc.h5", "w") as file:
        file["sinogram"] = np.tile(row, (views, 1)).astype(np.float32)
        file["angles_deg"] = np.linspace(0, 360 * turns, views, endpoint=views % 2 == 1)
        file.attrs.update(geometry="parallel", detector_pixel_mm=1.0, detector_offset=offset, mu_water=0.0193)
    call = ("--method", "fbp", "--no-baselines", "-o", tmp_path / "out")
    done = scanprior("reconstruct", tmp_path / "disc.h5", *call)
    assert done.code == 0, done.err
    image = read_reconstruction(tmp_path / "out" / "reconstruction.h5").mean[0]
    side = 31 + 2 * int(offset)
    assert image.shape == (side, side)  # all that was seen
    y, x = np.indices(image.shape) - (side - 1) / 2
    assert abs(float(image[np.hypot(x, y) < 12].mean())) < 10


def test_the_projection_sampler(tmp_path, ct_scan: Scan, ct_prior, scanprior) -> None:
    done = scanprior(
        *("reconstruct", saved(ct_scan, tmp_path / "scan.h5"), "-o", tmp_path / "out", "--prior", ct_prior),
        *("--method", "projection", "--options", "steps=5,mixing=0.9", "--samples", 1, "--no-baselines"),
    )
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["method"] == "Projection"
    assert (report["settings"]["steps"], report["settings"]["mixing"]) == (5, 0.9)
    assert report["provenance"]["nfe"] == 10
    assert read_reconstruction(tmp_path / "out" / "reconstruction.h5").std is None
    assert report["table"][-1]["residual"] < 0.2


# --- MRI
def test_a_fastmri_file(tmp_path, mri_scan: Scan, mr_prior, reconstructed) -> None:
    """Coil maps and noise level come from the data."""
    folder = reconstructed(fastmri_file(mri_scan, tmp_path / "file.h5"), mr_prior, "--baselines")
    result = read_reconstruction(folder / "reconstruction.h5")
    assert result.units == "magnitude" and result.mean.shape == (2, SIDE, SIDE)
    truth = np.abs(mri_scan.truth)
    assert np.linalg.norm(result.mean - truth) < 0.25 * np.linalg.norm(truth)
    report = json.loads((folder / "report.json").read_text())
    names = [row["method"] for row in report["table"]]
    assert names[:4] == ["zero-filled", "CG-SENSE", "L1-wavelet", "FISTA-TV"]
    assert read(folder / "dicom").modality == "MR"


# --- images, measured in simulation
def test_voxels_that_are_no_cubes_keep_their_sides(tmp_path, mri_scan: Scan, scanprior) -> None:
    """Pixels of 6 x 4 mm in slices 3 mm thick and 5 mm apart: in the HDF5 file and in DICOM."""
    facts = {"pixel_mm": 4.0, "spacing": (5.0, 6.0, 4.0), "header": {"slice_thickness_mm": 3.0}}
    scan = saved(replace(mri_scan, **facts), tmp_path / "scan.h5")
    done = scanprior("reconstruct", scan, "-o", tmp_path / "out", "--method", "zero-filled", "--no-baselines")
    assert done.code == 0, done.err
    assert read_reconstruction(tmp_path / "out" / "reconstruction.h5").pixel_mm == (5.0, 6.0, 4.0)
    image = pydicom.dcmread(next((tmp_path / "out" / "dicom").iterdir()))
    assert image.PixelSpacing == [6, 4] and image.SliceThickness == 3 and image.SpacingBetweenSlices == 5
    assert "pixels of 6 x 4 mm" in scanprior("validate", scan).out


def test_images_with_a_simulation(tmp_path, mr_volume, mr_prior, reconstructed) -> None:
    file = image_set(mr_volume, tmp_path / "set.h5")
    folder = reconstructed(file, mr_prior, "--simulate", "mri:accel=2,coils=3,snr=40", "--slices", "0-1")
    rows = json.loads((folder / "report.json").read_text())["table"]
    assert all(row["psnr"] > 15 and 0 < row["residual"] < 0.3 for row in rows)


def test_a_real_dicom_slice_with_a_simulation(ct_prior, reconstructed) -> None:
    """The results keep the source's patient and study and say what they are."""
    folder = reconstructed(example_ct(), ct_prior, "--simulate", "ct:views=23,photons=1e5,matrix=64")
    source = pydicom.dcmread(example_ct())
    (path,) = (folder / "dicom").iterdir()
    written = pydicom.dcmread(path)
    assert written.StudyInstanceUID == source.StudyInstanceUID
    assert written.SeriesInstanceUID != source.SeriesInstanceUID
    assert (written.Rows, written.ImageType[0]) == (64, "DERIVED")
    texts = (folder / "report.json").read_text() + (folder / "report.html").read_text()
    with h5py.File(folder / "reconstruction.h5") as file:
        texts += file.attrs["provenance"]
    assert str(source.PatientName) not in texts and str(source.PatientID) not in texts


def test_slices_that_lie_unevenly_have_no_nifti(tmp_path, scanprior) -> None:
    body = Volume(np.full((4, SIDE, SIDE), 40, np.float32), "HU", "CT", (1.0, 1.0, 1.0))
    write_dicom(body.data, body, tmp_path / "series", "ct", {})
    for chosen, nifti in (("0,1,3", False), ("1,3", True)):
        out = tmp_path / chosen
        few = ("--simulate", "ct:views=9", "--method", "fbp", "--no-baselines", "--slices", chosen)
        done = scanprior("reconstruct", tmp_path / "series", "-o", out, *few)
        assert done.code == 0, done.err
        assert (".nii.gz" in done.out, (out / "reconstruction.nii.gz").exists()) == (nifti, nifti)
    assert read(out / "reconstruction.h5").spacing[0] == read(out / "dicom").spacing[0] == 2.0


def test_simulated_metal(tmp_path, ct_volume, ct_prior, reconstructed, scanprior) -> None:
    """The two steps give what the one gives, and our tools say what is missing."""
    images = image_set(ct_volume, tmp_path / "set.h5")
    done = scanprior("simulate", images, "--ct", "views=18,metal=2", "--seed", 3, "-o", tmp_path / "scan.h5")
    assert done.code == 0, done.err
    scan = read_scan(tmp_path / "scan.h5")
    lost = f"{1 - scan.mask.mean():.1%} of the rays"
    assert not scan.mask.all() and f"{lost} lost" in done.out
    assert f"{lost} were lost" in scanprior("info", tmp_path / "scan.h5").out
    checked = scanprior("validate", tmp_path / "scan.h5")
    assert checked.code == 0 and f"gaps: {lost} were lost" in checked.out
    two = reconstructed(tmp_path / "scan.h5", ct_prior, "--seed", 3, "--baselines", output="two")
    one = reconstructed(images, ct_prior, "--seed", 3, "--simulate", "ct:views=18,metal=2", output="one")
    means = [read_reconstruction(folder / "reconstruction.h5").mean for folder in (one, two)]
    np.testing.assert_allclose(*means, rtol=0, atol=0.1)
    rows = json.loads((two / "report.json").read_text())["table"]
    assert all(row["psnr"] > 15 and row["residual"] < 0.3 for row in rows), rows


def test_radial_lines_of_k_space(tmp_path, mr_volume, mr_prior, reconstructed) -> None:
    file = image_set(mr_volume, tmp_path / "set.h5")
    settings = "mri:accel=2,coils=3,snr=40,mask=radial"
    folder = reconstructed(file, mr_prior, "--simulate", settings, "--slices", "0")
    rows = json.loads((folder / "report.json").read_text())["table"]
    assert all(row["psnr"] > 12 and row["residual"] < 0.3 for row in rows), rows


def test_simulate_then_reconstruct(tmp_path, ct_volume, ct_prior, reconstructed, scanprior) -> None:
    """The two steps give what the one gives."""
    images = image_set(ct_volume, tmp_path / "set.h5")
    settings = "views=9,photons=1e5,fan,curved,source_origin=300,source_detector=500"
    done = scanprior("simulate", images, "--ct", settings, "--seed", 3, "-o", tmp_path / "scan.h5")
    assert done.code == 0, done.err
    scan = read_scan(tmp_path / "scan.h5")
    assert scan.data.shape[:2] == (2, 9) and scan.geometry.curved
    assert scanprior("validate", tmp_path / "scan.h5").code == 0
    two = reconstructed(tmp_path / "scan.h5", ct_prior, "--seed", 3, output="two")
    one = reconstructed(images, ct_prior, "--seed", 3, "--simulate", f"ct:{settings}", output="one")
    means = [read_reconstruction(folder / "reconstruction.h5").mean for folder in (one, two)]
    np.testing.assert_allclose(*means, rtol=0, atol=0.1)


def test_help_names_every_method(scanprior) -> None:
    words = scanprior("reconstruct", "--help").out.replace(",", " ").replace(".", " ").split()
    assert [name for name in (*METHODS, *BASELINES) if name not in words] == []
