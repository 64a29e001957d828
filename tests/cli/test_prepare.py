"""`scanprior prepare` on trees made here: values, pixel sizes, split, reasons, no identifiers, all or nothing."""

from __future__ import annotations

import copy
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from scanprior.formats.image_set import read_images
from scanprior.formats.pack import split_of
from scanprior.workflows import prepare as preparation

SECRETS = (
    "Xylophone",
    "MRN4711",
    "19990203",
    "Holyrood",
    "Zanzibar",
)  # name, ID, date, hospital, description
SIDE = 64

pytestmark = pytest.mark.filterwarnings("ignore:.*invalid.*:UserWarning")  # pydicom, of the broken ones


@pytest.fixture(scope="session")
def template():
    return pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))


def body(seed: int, side: int = SIDE) -> np.ndarray:
    """HU: a noisy ellipse in air."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    noise = np.random.default_rng(seed).integers(-60, 60, (side, side))
    return np.where(x**2 / 0.7 + y**2 / 0.4 < 1, 40 + noise, -1000).astype(np.int16)


class Tree:
    """A folder that grows."""

    def __init__(self, folder: Path, template) -> None:
        self.folder, self.template, self.count = folder, template, 0

    def ct(self, place: str, hu: np.ndarray, patient: str = "1", z: float = 0.0, **changes) -> Path:
        """One CT file. `changes`: tags; None deletes one."""
        self.count += 1
        image = copy.deepcopy(self.template)
        uid = f"1.2.3.{self.count}"
        image.PatientID, image.PatientName, image.PatientBirthDate = patient, SECRETS[0], SECRETS[2]
        image.StudyDate = image.SeriesDate = image.ContentDate = SECRETS[2]
        image.InstitutionName, image.SeriesDescription = SECRETS[3], SECRETS[4]
        image.SOPInstanceUID, image.SeriesInstanceUID = uid, f"1.9.{sum(patient.encode())}"
        image.Rows, image.Columns, image.PixelSpacing = *hu.shape, [0.75, 0.75]
        image.ImagePositionPatient, image.ImageType = [0, 0, z], ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.RescaleSlope, image.RescaleIntercept = 1, -1024
        del image.PixelPaddingValue
        image.PixelData = (hu + 1024).astype(np.int16).tobytes()
        for keyword, value in changes.items():
            if value is None:
                del image[keyword]
            else:
                setattr(image, keyword, value)
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save_as(path)
        return path


@pytest.fixture
def tree(tmp_path: Path, template) -> Tree:
    (tmp_path / "scans").mkdir()
    return Tree(tmp_path / "scans", template)


@pytest.fixture
def drawn() -> None:
    """For the tests that want the picture."""


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch) -> None:
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(preparation, "_draw", lambda *_: None)


def run(scanprior, tree: Tree, *options: object, preset: str = "ct-256", matrix: int = 32):
    output = tree.folder.parent / "pack"
    outcome = scanprior(
        "prepare", tree.folder, "--preset", preset, "--matrix", matrix, "-o", output, *options
    )
    return outcome, output


def left_out(pack: Path) -> dict[str, tuple[str, int]]:
    """File (from the source on, without its name) -> (reason, images)."""
    with (pack / "left_out.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {row["file"].split("/", 1)[1]: (row["reason"], int(row["images"])) for row in rows}


def manifest(pack: Path) -> dict:
    return json.loads((pack / "manifest.json").read_text())


# --- values
def test_hounsfield_units_survive_and_pixels_double(scanprior, tree) -> None:
    for z in (5, 0, 10):
        tree.ct(f"a/{z}.dcm", body(z), z=z)
    tree.ct("b.dcm", np.full((SIDE, SIDE), 5000) * (body(0) > 0), patient="2", PixelSpacing=[0.5, 0.5])
    outcome, pack = run(scanprior, tree, "--val", 0, "--test", 0)
    assert outcome.code == 0, outcome.err
    images = read_images(pack / "train.h5")
    assert images.units == "HU" and images.shape == (4, 32, 32)
    expected = [body(z).reshape(32, 2, 32, 2).mean((1, 3)) for z in (0, 5, 10)]
    one = np.isclose(images.pixel_mm, 1.5)
    np.testing.assert_allclose(images.load()[one], expected, atol=0.5)  # in the order of the slices
    assert images.load()[~one].max() == 3071 and np.allclose(
        images.pixel_mm[~one], 1.0
    )  # the preset's window
    assert set(images.columns["rows"]) == set(images.columns["columns"]) == {32}
    facts = manifest(pack)
    assert facts["window"] == [-1024.0, 3071.0] and facts["preset"] == "ct-256"
    assert (
        sorted(p["images"] for p in facts["patients"]) == [1, 3] and facts["counts"]["train"]["images"] == 4
    )
    assert not left_out(pack) and not (pack / "val.h5").exists()


def test_512_becomes_what_the_bundled_prior_was_trained_on(scanprior, tmp_path, shared_data) -> None:
    series = shared_data("ct", "dicom", "kits-00072")
    outcome = scanprior("prepare", series, "-o", tmp_path / "pack", "--val", 0, "--test", 0)
    assert outcome.code == 0, outcome.err
    images = read_images(tmp_path / "pack" / "train.h5")
    bundled = read_images(shared_data("ct", "ct256_val.h5"))
    same = [k for k, name in enumerate(bundled.columns["collection"]) if "KiTS" in str(name)]
    assert images.shape == (18, 256, 256) and np.allclose(images.pixel_mm, 2 * 0.6640625)
    assert np.allclose(bundled.pixel_mm[same], 2 * 0.6640625, atol=1e-3)
    errors = [min(np.abs(a - b).max() for a in images) for b in bundled.load(same)]
    assert max(errors) <= 1.0, errors  # HU, rounding


def test_a_pixel_size_asked_for(scanprior, tree) -> None:
    tree.ct("a.dcm", body(0))
    tree.ct("b.dcm", body(1), patient="2", PixelSpacing=[2.0, 2.0])
    outcome, pack = run(scanprior, tree, "--pixel-mm", 1.5, "--val", 0, "--test", 0)
    assert outcome.code == 0, outcome.err
    assert np.allclose(read_images(pack / "train.h5").pixel_mm, 1.5)
    assert left_out(pack) == {"b.dcm": ("coarse pixels", 1)}


# --- reasons
def test_everything_left_out_has_its_reason(scanprior, tree) -> None:
    first = tree.ct("ok.dcm", body(0))
    (tree.folder / "copy.dcm").write_bytes(first.read_bytes())
    tree.ct("localizer.dcm", body(1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    tree.ct("screenshot.dcm", body(2), SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    tree.ct("derived.dcm", body(3), ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])
    tree.ct("mip.dcm", body(4), ImageType=["DERIVED", "PRIMARY", "MIP"])
    tree.ct("lossy.dcm", body(5), LossyImageCompression="01")
    tree.ct("nospacing.dcm", body(6), PixelSpacing=None)
    tree.ct("coronal.dcm", body(7), ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    tree.ct("tilted.dcm", body(8), ImageOrientationPatient=[1, 0, 0, 0, 0.9, 0.436])  # 26 degrees: used
    tree.ct("air.dcm", body(9) * 0 - 1000 + np.eye(SIDE, dtype=np.int16))
    tree.ct("constant.dcm", np.full((SIDE, SIDE), 40))
    tree.ct("mr.dcm", body(10), Modality="MR")
    tree.ct("small.dcm", body(0, 12))
    tree.ct("again.dcm", body(0), patient="2")  # another UID, the same pixels
    cut = tree.ct("cut.dcm", body(11))
    cut.write_bytes(cut.read_bytes()[:-3000])
    tree.ct("number.dcm", body(12))
    damaged = (tree.folder / "number.dcm").read_bytes()
    (tree.folder / "number.dcm").write_bytes(damaged.replace(b"0.75\\0.75", b"0.75\\0.x5"))
    (tree.folder / "notes.txt").write_text("hello")
    (tree.folder / ".hidden").write_text("hello")
    with h5py.File(tree.folder / "k.h5", "w") as file:
        file["kspace"] = np.ones((1, 1, 8, 8), np.complex64)
    outcome, pack = run(scanprior, tree, "--val", 0, "--test", 0)
    assert outcome.code == 0, outcome.err
    reasons = {name: reason for name, (reason, _) in left_out(pack).items()}
    assert reasons.pop("ok.dcm") == "duplicate"  # the copy was read first
    twins = [
        reasons.pop(name, None) for name in ("copy.dcm", "again.dcm")
    ]  # whichever patient came first stays
    assert sorted(twins, key=str) == [None, "duplicate"]
    assert reasons == {
        "localizer.dcm": "localizer",
        "screenshot.dcm": "screenshot (secondary capture)",
        "derived.dcm": "derived image",
        "mip.dcm": "derived image",
        "lossy.dcm": "lossy compression",
        "nospacing.dcm": "no pixel size",
        "coronal.dcm": "not axial",
        "air.dcm": "air only",
        "constant.dcm": "constant",
        "mr.dcm": "other modality",
        "small.dcm": "small image",
        "cut.dcm": "cannot be read",
        "number.dcm": "no pixel size",
        "notes.txt": "no scan (other file)",
        "k.h5": "other modality",
    }
    assert manifest(pack)["counts"]["train"]["images"] == 2
    for reason in set(reasons.values()):
        assert reason in outcome.out


def test_nothing_usable_is_one_line_with_the_reasons(scanprior, tree) -> None:
    tree.ct("localizer.dcm", body(1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    (tree.folder / "notes.txt").write_text("hello")
    outcome, pack = run(scanprior, tree)
    assert outcome.code == 2 and not pack.exists()
    assert "nothing to learn from" in outcome.err and "localizer: 1" in outcome.err
    assert outcome.err.count("Error: ") == 1 and "Traceback" not in outcome.err
    assert [p.name for p in tree.folder.parent.iterdir()] == ["scans"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--matrix", 4), "--matrix: got 4"),
        (("--pixel-mm", -1), "--pixel-mm: got -1"),
        (("--val", 0.6, "--test", 0.5), "leave some to train on"),
        (("--val", 0.5, "--test", 0.49), "none of the 1 patients is left to train on"),
        (("--preset", "ct-257"), "did you mean 'ct-256'"),
    ],
)
def test_refusals(scanprior, tree, options, words) -> None:
    tree.ct(
        "a.dcm", body(0), patient=next(p for p in map(str, range(99)) if split_of(p, 0, 0.5, 0.49) != "train")
    )
    outcome, pack = run(scanprior, tree, *options)
    assert outcome.code == 2 and words in outcome.err and not pack.exists()


def test_a_missing_source_is_said(scanprior, tmp_path) -> None:
    outcome = scanprior("prepare", tmp_path / "none", "-o", tmp_path / "pack")
    assert outcome.code == 2 and "none: does not exist" in outcome.err


# --- the split
def patients_of(pack: Path) -> dict[int, str]:
    """Each patient of `cohort`, by the value of their pixels, with the split they are in."""
    found: dict[int, str] = {}
    for split in ("train", "val", "test"):
        path = pack / f"{split}.h5"
        if path.exists():
            images = read_images(path)
            for image, label in zip(images, images.groups, strict=True):
                number = round(float(image.max()))
                assert found.setdefault(number, split) == split, "a patient in two splits"
                entry = next(p for p in manifest(pack)["patients"] if p["patient"] == label)
                assert entry["split"] == split
    return found


def cohort(tree: Tree, numbers: range) -> None:
    """Patients with two series each, in folders that say nothing; the brightest pixel is the patient's number."""
    for k in numbers:
        for z in range(2):
            hu = np.minimum(body(10 * k + z), 99)
            hu[:4, :4] = 100 + k
            tree.ct(f"{z}/{k}.dcm", hu, patient=f"MRN4711-{k}", z=z, SeriesInstanceUID=f"1.8.{z}.{k}")


def test_no_patient_is_in_two_splits_and_added_ones_move_nobody(scanprior, tree) -> None:
    cohort(tree, range(16))
    options = ("--val", 0.25, "--test", 0.25)
    outcome, pack = run(scanprior, tree, *options)
    assert outcome.code == 0, outcome.err
    first, labels = patients_of(pack), {p["patient"] for p in manifest(pack)["patients"]}
    assert len(first) == len(labels) == 16 and set(first.values()) == {"train", "val", "test"}
    assert first == {100 + k: split_of(f"MRN4711-{k}", 0, 0.25, 0.25) for k in range(16)}
    assert run(scanprior, tree, *options)[0].code == 2  # exists
    cohort(tree, range(16, 20))
    outcome, pack = run(scanprior, tree, *options, "--overwrite")
    assert outcome.code == 0, outcome.err
    again = patients_of(pack)
    assert len(again) == 20 and first == {k: again[k] for k in first}
    assert not labels & {p["patient"] for p in manifest(pack)["patients"]}  # of all the files together
    outcome, pack = run(scanprior, tree, *options, "--overwrite", "--seed", 1)
    assert {k: v for k, v in patients_of(pack).items() if k in first} != first


def test_patients_kept_for_calibration_are_learned_from_by_nobody(scanprior, tree) -> None:
    cohort(tree, range(8))
    options = ("--val", 0, "--test", 0, "--calib", 0.4)
    planned, pack = run(scanprior, tree, *options, "--dry-run", "--json")
    assert planned.code == 0 and not pack.exists()
    outcome, pack = run(scanprior, tree, *options)
    assert outcome.code == 0, outcome.err
    kept = [100 + k for k in range(8) if split_of(f"MRN4711-{k}", 0, 0, 0, 0.4) == "calib"]
    found = read_images(pack / "calib.h5")
    assert found.split == "calib" and sorted({round(float(image.max())) for image in found}) == kept
    plan = json.loads(planned.out)
    assert (plan["patients"], plan["files"], plan["split"]["calib"]) == (8, 16, len(kept))
    assert 0 < len(kept) < 8 and manifest(pack)["counts"]["calib"]["patients"] == len(kept)
    outcome = scanprior("train", "--data", pack / "calib.h5", "-o", pack.parent / "run")
    assert outcome.code == 2 and "is for calibration only (its attribute split says so)" in outcome.err
    again = scanprior("prepare", pack, "-o", pack.parent / "again", *options[:4], "--matrix", 32)
    assert again.code == 0, again.err
    assert left_out(pack.parent / "again")["calib.h5"][0] == "for calibration only"
    assert manifest(pack.parent / "again")["counts"]["train"]["patients"] == 8 - len(kept)


def test_a_dry_run_sees_that_nobody_is_left_to_train_on(scanprior, tree) -> None:
    cohort(tree, range(2))
    for more in ((), ("--dry-run",)):
        outcome, pack = run(scanprior, tree, "--val", 0.99, "--test", 0, *more)
        assert outcome.code == 2 and not pack.exists()
        assert "none of the 2 patients is left to train on" in outcome.err


# --- anonymity
def test_no_identifier_reaches_any_file(scanprior, tree, drawn) -> None:
    for k in range(12):
        tree.ct(f"{k}.dcm", body(k), patient=f"{SECRETS[1]}-{k}")
    tree.ct("cut.dcm", body(20), patient=SECRETS[1], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    outcome, pack = run(scanprior, tree, "--val", 0.3, "--test", 0.3)
    assert outcome.code == 0, outcome.err
    names = {path.name for path in pack.iterdir()}
    assert names >= {"train.h5", "manifest.json", "left_out.csv", "pack.png"}
    for path in pack.iterdir():
        content = path.read_bytes()
        found = [s for s in SECRETS if s.encode() in content]
        assert not found, (path.name, found)
        if path.name != "left_out.csv":
            assert str(tree.folder).encode() not in content
    assert not [s for s in SECRETS if s in outcome.out]
    with h5py.File(pack / "train.h5") as file:
        assert set(file) == {"images", "patient", "px_mm", "rows", "columns", "series", "slice"}


# --- all or nothing
def test_an_interrupted_run_leaves_nothing(scanprior, tree, monkeypatch) -> None:
    for k in range(4):
        tree.ct(f"{k}.dcm", body(k), patient=str(k))
    original, calls = preparation.PackWriter.add, []

    def stops(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        original(self, *arguments)

    monkeypatch.setattr(preparation.PackWriter, "add", stops)
    outcome, pack = run(scanprior, tree, "--val", 0, "--test", 0)
    assert outcome.code == 130 and not pack.exists()
    assert [p.name for p in tree.folder.parent.iterdir()] == ["scans"]


def test_a_killed_run_leaves_no_pack_and_the_next_one_its_own(scanprior, tree) -> None:
    for k in range(4):
        tree.ct(f"{k}.dcm", body(k), patient=str(k))
    pack = tree.folder.parent / "pack"
    code = """
import sys, time
from scanprior.cli import main
from scanprior.workflows import prepare as preparation
original = preparation.PackWriter.add
def slow(self, *arguments):
    original(self, *arguments)
    print("added", flush=True)
    time.sleep(60)
preparation.PackWriter.add = slow
main.main(sys.argv[1:])
"""
    arguments = ["prepare", tree.folder, "--matrix", 32, "-o", pack, "--val", 0, "--test", 0]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout is not None
        deadline = time.monotonic() + 120
        while "added" not in victim.stdout.readline():
            assert victim.poll() is None and time.monotonic() < deadline
        victim.send_signal(signal.SIGKILL)
    assert not pack.exists()
    outcome, pack = run(scanprior, tree, "--val", 0, "--test", 0)
    assert outcome.code == 0 and manifest(pack)["counts"]["train"]["images"] == 4
    assert {p.name for p in tree.folder.parent.iterdir()} == {"scans", "pack"}


def test_a_folder_with_other_files_is_not_overwritten(scanprior, tree) -> None:
    tree.ct("a.dcm", body(0))
    outcome, pack = run(scanprior, tree, "--val", 0, "--test", 0)
    (pack / "thesis.txt").write_text("mine")
    outcome, pack = run(scanprior, tree, "--overwrite", "--val", 0, "--test", 0)
    assert outcome.code == 2 and "thesis.txt" in outcome.err and (pack / "thesis.txt").exists()
