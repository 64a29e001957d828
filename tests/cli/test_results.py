"""A result can be repeated from its report, which says what was assumed, and what speaks against it."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pytest
from scanprior.formats.dicom import example_ct
from scanprior.formats.scan import Scan, Volume
from scanprior.formats.store import read_reconstruction, write_scan
from scanprior.pretrained.load import load
from scanprior.recon import presets
from scanprior.recon.methods import method_of
from scanprior.recon.simulate import CTSimulation, MRISimulation, simulate
from scanprior.recon.study import kspace_noise, problem_of

FAST = ("--method", "dds", "--samples", 2, "--options", "steps=3")
NAME = "Mustermann_Erika_1964.h5"


@pytest.fixture
def images(ct_volume: Volume, tmp_path: Path) -> Path:
    """Four slices in a file that is called by a patient's name."""
    with h5py.File(tmp_path / NAME, "w") as file:
        file["images"] = np.concatenate([ct_volume.data, ct_volume.data[::-1]])
        file["images"].attrs["units"] = "HU"
        file["px_mm"] = np.full(4, 4.0, np.float32)
        file["patient"] = np.array(["a"] * 4, dtype=h5py.string_dtype())
    return tmp_path / NAME


@pytest.fixture
def report(scanprior, tmp_path: Path):
    """report(file, ...) -> (report.json, the page, what was printed)."""

    def call(file: Path, *more: object, output: str = "out") -> tuple[dict, str, object]:
        done = scanprior("reconstruct", file, "-o", tmp_path / output, *more)
        assert done.code == 0, done.err
        folder = tmp_path / output
        return json.loads((folder / "report.json").read_text()), (folder / "report.html").read_text(), done

    return call


# --- repeated
def test_the_command_in_the_report_gives_the_result_again(images, ct_prior, report, tmp_path) -> None:
    """Even where a preset of the user's took part that is not there any more."""
    scan = simulate(Volume(np.zeros((1, 32, 32)), "HU", "CT", (4.0, 4.0, 4.0)), CTSimulation(9, 2e4))
    like = presets.likeness(problem_of(scan))
    settings, sha = {"eta": 0.25}, load(ct_prior)[1].sha256
    given = presets.fixed_settings(method_of("dds", FAST[FAST.index("--options") + 1]), settings)
    found = {"suite": "own", "task": "nine views", "patients": 4}
    presets.keep(presets.user_presets_path(), presets.Preset("dds", sha, like, given, settings, found))
    options = ("--simulate", "ct:views=9,photons=2e4", "--slices", "1,3", "--seed", 7, "--prior", ct_prior)
    first, page, done = report(images, *options, *FAST, "--mu-water", 0.02, "--no-baselines")
    assert "dds: settings tuned on own: nine views (4 patients): eta=0.25; --no-presets" in done.out
    assert first["provenance"]["presets"] == {
        "dds": {
            "said": "settings tuned on own: nine views (4 patients): eta=0.25; --no-presets runs without",
            "tuned_on": "own: nine views",
            "patients": 4,
            "settings": {"eta": 0.25},
            "from": "the user's presets.toml",
        }
    }
    presets.user_presets_path().unlink()

    request = first["provenance"]["request"]
    assert (request["simulate"], request["slices"], request["seed"]) == ("ct:views=9,photons=2e4", "1,3", 7)
    assert (request["samples"], request["mu_water"], request["baselines"]) == (2, 0.02, False)
    assert first["input"]["sha256"] == sha256(images.read_bytes()).hexdigest()
    assert first["input"]["slices"] == [1, 3]
    assert first["input"]["measurement"]["photons"] == 2e4
    assert first["input"]["mu_water"] == {"per_mm": 0.02, "from": "--mu-water"}
    assert request["dtype"] == first["provenance"]["network_dtype"]  # not "auto"
    assert "eta=0.25" in first["command"] and first["command"].replace("&", "") in page

    words = shlex.split(first["command"])
    assert words[:5] == ["scanprior", "reconstruct", "INPUT", "-o", "OUTPUT"]
    place = words.index("--prior") + 1
    assert words[place] == ct_prior.name
    words[place] = str(ct_prior)
    second, _, _ = report(images, *words[5:], output="again")
    assert second["settings"] == first["settings"] and second["table"][0].keys() == first["table"][0].keys()
    one, two = (read_reconstruction(tmp_path / name / "reconstruction.h5") for name in ("out", "again"))
    np.testing.assert_array_equal(one.samples, two.samples)


def test_reading_options_are_repeated_too(tmp_path, ct_scan: Scan, report) -> None:
    with h5py.File(tmp_path / "simple.h5", "w") as file:
        file["sinogram"] = ct_scan.data
        file["angles_deg"] = -np.degrees(ct_scan.geometry.angles)
        file.attrs["geometry"] = "parallel beam"
        file.attrs["detector_pixel_mm"] = ct_scan.geometry.spacing
    found, _, _ = report(tmp_path / "simple.h5", "--method", "fbp", "--angle-sign", -1, "--no-baselines")
    assert found["provenance"]["request"]["reader"] == {"angle_sign": -1}
    assert "--angle-sign -1" in found["command"] and "reader" not in found["command"]


def test_a_folder_is_known_by_what_is_in_it_whatever_it_is_called(tmp_path, report) -> None:
    options = ("--simulate", "ct:views=9,matrix=64", "--method", "fbp", "--no-baselines")
    digests = []
    for name, file in (("Erika", "1.dcm"), ("x", "Erika.dcm")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_bytes(Path(example_ct()).read_bytes())
        found, page, _ = report(tmp_path / name, *options, output=f"out-{name}")
        digests.append(found["input"]["sha256"])
        assert "Erika" not in page + json.dumps(found)
    assert digests[0] == digests[1]


# --- names
def test_the_name_of_the_input_is_in_no_result_but_where_asked_for(
    images, ct_prior, report, tmp_path
) -> None:
    options = ("--simulate", "ct:views=9", "--slices", 0, "--method", "fbp", "--no-baselines")
    found, page, _ = report(images, *options)
    title = f"CT scan {sha256(images.read_bytes()).hexdigest()[:12]}"
    assert found["title"] == title and f"<h1>{title}</h1>" in page
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"Mustermann" not in path.read_bytes(), path
    found, page, _ = report(images, *options, "--name-in-report", output="named")
    assert found["title"] == NAME and f"reconstruct {NAME} -o" in found["command"]
    assert str(tmp_path) not in page


# --- what was used
def test_what_the_method_was_left_to_choose_is_said(images, ct_prior, report) -> None:
    found, page, _ = report(images, "--simulate", "ct:views=9", "--slices", 0, "--prior", ct_prior, *FAST)
    assert found["settings"]["cg"] == 3  # preconditioned: CT
    measured = 9 * found["input"]["data"][-1]
    assert found["settings"]["gamma"] == pytest.approx(32 * 32 / measured, rel=0.25)
    assert found["compared_with"]["FISTA-TV"]["iterations"] == 200
    assert found["provenance"]["device"] == "cpu"
    assert found["provenance"]["network_dtype"] in ("float32", "bfloat16")
    assert "<td>automatic" not in page


def test_noise_and_coil_maps_say_where_they_come_from(
    mri_scan: Scan, mr_volume: Volume, ct_scan: Scan
) -> None:
    given = problem_of(replace(mri_scan, noise={"type": "complex_gaussian", "sigma": 0.5})).facts
    assert given == {
        "noise": "complex Gaussian, standard deviation 0.5, as the data state",
        "coil_maps": "ESPIRiT, from the fully sampled centre of k-space, 11 x 11",
    }
    found = problem_of(replace(mri_scan, noise=None))
    sigma = kspace_noise(found.y, found.operator.mask)
    words = (
        f"complex Gaussian, standard deviation {sigma:.4g}, estimated from the outermost samples of k-space"
    )
    assert found.facts["noise"] == words
    assert found.items(slice(0, 1)).facts == found.facts
    one = simulate(mr_volume, MRISimulation(coils=1, snr=None))
    assert problem_of(one).facts == {"noise": "none, as the data state", "coil_maps": "given with the data"}
    assert problem_of(replace(one, maps=None)).facts["coil_maps"].startswith("one coil")
    noise = problem_of(ct_scan).facts["noise"]
    assert noise == "100000 photons a ray, readout noise 0, as the data state"
    assert "differences along the detector" in problem_of(replace(ct_scan, noise=None)).facts["noise"]


def test_cg_sense_says_that_its_weight_comes_from_the_noise(mri_scan: Scan, tmp_path, report) -> None:
    write_scan(tmp_path / "k.h5", mri_scan)
    found, _, _ = report(tmp_path / "k.h5", "--method", "cg-sense", "--no-baselines")
    assert found["settings"]["regularisation"] == "automatic, from the noise"
    assert {"samples", "batch", "dtype"} & found["provenance"]["request"].keys() == set()


# --- slices
def test_a_picture_has_its_own_figures(images, report, monkeypatch) -> None:
    from scanprior.workflows import result as results

    shown, original = {}, results.overview

    def overview(pictures, **more):
        shown.update(more)
        return original(pictures, **more)

    options = ("--simulate", "ct:views=9", "--method", "fbp", "--no-baselines")
    alone, _, _ = report(images, *options, "--slices", 1, output="one")
    monkeypatch.setattr(results, "overview", overview)
    found, page, done = report(images, *options, "--slices", "0,1,2")
    by_slice = {entry["slice"]: entry for entry in found["by_slice"]}
    assert list(by_slice) == [0, 1, 2] and found["pictured_slice"] == 1
    for key in ("psnr", "ssim", "residual"):
        assert by_slice[1][key] == pytest.approx(alone["table"][0][key], abs=1e-3)
        mean = np.mean([entry[key] for entry in found["by_slice"]])
        assert found["table"][0][key] == pytest.approx(mean, abs=1e-3)
    assert by_slice[0]["psnr"] != pytest.approx(by_slice[1]["psnr"], abs=0.1)
    assert shown["captions"]["FBP"].startswith(f"{by_slice[1]['psnr']:.2f} dB")
    assert shown["title"].endswith(", slice 1")
    assert "The picture is of slice 1" in page and "means over 3 slices" in page
    assert "mean of 3 slices" in done.out


# --- said
def test_banners_are_of_the_kind_of_method(images, ct_prior, report) -> None:
    options = ("--simulate", "ct:views=9", "--slices", 0, "--no-baselines")
    classical, page, _ = report(images, *options, "--method", "fbp")
    assert classical["kind"] == "classical"
    assert "without a network" in page and "learned prior" not in page
    posterior, page, _ = report(images, *options, "--prior", ct_prior, *FAST, output="b")
    assert posterior["kind"] == "posterior"
    assert "learned prior, not from the measurement" in page and "without a network" not in page


def test_a_distance_of_slices_that_nobody_knows_is_not_written(images, report, tmp_path) -> None:
    """An image set without `thick`: its slices may lie anywhere."""
    options = ("--simulate", "ct:views=9", "--slices", "0,1", "--method", "fbp", "--no-baselines")
    found, _, done = report(images, *options)
    assert "the slices' thickness and distance are not stored" in found["remarks"]
    assert "thickness and distance are not stored" in done.err
    for file in (tmp_path / "out" / "dicom").iterdir():
        header = pydicom.dcmread(file)
        assert header.SliceThickness is None and "SpacingBetweenSlices" not in header
        assert "ImagePositionPatient" not in header and list(header.PixelSpacing) == [4, 4]


def test_another_matrix_is_said(images, report, scanprior, tmp_path) -> None:
    words = "images of 32 x 32 are reconstructed as 16 x 16"
    options = ("--simulate", "ct:views=9,matrix=16", "--slices", 0, "--method", "fbp", "--no-baselines")
    found, page, done = report(images, *options)
    assert [words in text for text in (found["remarks"][-1], page, done.err)] == [True] * 3
    done = scanprior("simulate", images, "--ct", "views=9,matrix=16", "-o", tmp_path / "scan.h5")
    assert f"note: {words}" in done.err


def test_what_readers_assume_is_said(ct_scan: Scan, report, monkeypatch, tmp_path) -> None:
    write_scan(tmp_path / NAME, ct_scan)
    remark = f"{NAME}: 3 dead pixels were filled"
    told = replace(ct_scan, pixel_assumed=True, remarks=(remark,), source=NAME)
    monkeypatch.setattr("scanprior.workflows.simulate.read", lambda *a, **b: told)
    found, page, done = report(tmp_path / NAME, "--method", "fbp", "--no-baselines")
    assert found["remarks"] == ["INPUT: 3 dead pixels were filled", "the file does not say how large a pixel is: "
                                "its size is assumed; --pixel-mm says it"]  # fmt: skip
    assert found["input"]["pixel_size"] == "assumed, the file does not say it"
    assert "3 dead pixels were filled" in page and "its size is assumed" in page
    assert f"note: {remark}" in done.err and "its size is assumed" in done.err


# --- against it
def test_a_bad_prior_is_said_to_be_worse_than_fbp(images, ct_prior, report) -> None:
    """The prior is untrained. Said on stderr and first in the report, also where FBP is not asked for."""
    options = ("--simulate", "ct:views=9", "--slices", "0,1", "--prior", ct_prior, *FAST)
    found, page, done = report(images, *options)
    rows = {row["method"]: row for row in found["table"]}
    better = rows["FBP"]["psnr"] > rows["dds, mean of 2"]["psnr"]
    assert better
    words = f"worse than FBP: PSNR {rows['dds, mean of 2']['psnr']:.2f} dB, FBP has {rows['FBP']['psnr']:.2f}"
    assert any(line.startswith(words) for line in found["warnings"])
    assert f"warning: {words}" in done.err
    assert page.index(words) < page.index("<img")
    without, _, done = report(images, *options, "--no-baselines", output="b")
    assert without["warnings"] == found["warnings"] and len(without["table"]) == 2


def test_a_scan_outside_of_the_prior_is_said(images, ct_prior, report, tmp_path, monkeypatch) -> None:
    from scanprior.workflows import plan as reconstruction

    original = reconstruction.load_any

    def load(name):
        prior, card = original(name)
        return prior, replace(card, pixel_mm=(1.0, 2.0), matrix=(256, 256))

    monkeypatch.setattr(reconstruction, "load_any", load)
    found, page, done = report(
        images, "--simulate", "ct:views=9", "--slices", 0, "--prior", ct_prior, *FAST, "--no-baselines"
    )
    assert found["warnings"][:2] == [
        "outside of the network's training: pixel size: the prior learned from 1 to 2 mm, the scan has 4 mm",
        "outside of the network's training: matrix: the prior learned from 256 x 256, the scan has 32 x 32",
    ]
    assert "warning: outside of the network&#39;s training: pixel size".replace("warning: ", "") in page
    assert done.err.count("warning: ") == len(found["warnings"])


def test_figures_that_are_no_numbers_are_said(ct_scan: Scan, tmp_path, report) -> None:
    """A slice without a measurement has no residual."""
    data = np.stack([ct_scan.data[0], 0 * ct_scan.data[0]])
    write_scan(tmp_path / "scan.h5", replace(ct_scan, data=data, truth=None))
    found, _, done = report(tmp_path / "scan.h5", "--method", "fbp", "--no-baselines")
    assert found["by_slice"][1]["residual"] == "nan"
    assert found["warnings"] == ["FBP: residual is nan in slice 1"]
    assert "warning: FBP: residual is nan in slice 1" in done.err


@pytest.mark.parametrize("water", [0.0, -1.0, float("nan"), float("inf")])
def test_water_attenuates(water: float, ct_scan: Scan, tmp_path, scanprior) -> None:
    write_scan(tmp_path / "scan.h5", ct_scan)
    done = scanprior("reconstruct", tmp_path / "scan.h5", "-o", tmp_path / "out", "--mu-water", water)
    assert done.code == 2 and "--mu-water" in done.err
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        file["header"].attrs["mu_water"] = water
    for verb in ("validate", "reconstruct"):
        options = ("-o", tmp_path / "out") if verb == "reconstruct" else ()
        done = scanprior(verb, tmp_path / "scan.h5", *options)
        assert done.code == 2 and "mu_water" in done.out + done.err
    with pytest.raises(ValueError, match="its attenuation in 1/mm"):
        replace(problem_of(ct_scan), water=water)
