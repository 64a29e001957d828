"""The images that come with the package, and larger sets fetched: whole and checked, or nothing."""

from __future__ import annotations

import hashlib
import importlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest
import scanprior
from scanprior.formats.image_set import read_images
from scanprior.modality import Modality
from scanprior.recon.simulate import simulation_of
from scanprior.workflows.benchmark.cases import cases
from scanprior.workflows.benchmark.rows import jobs, run
from scanprior.workflows.benchmark.suite import PACKAGED, find_data, read_suite, shipped
from scanprior.workflows.data import SLICE, example_images, fetch_data

PATIENTS = {  # file -> patients, images
    "ct/ct256_test.h5": (13, 13),
    "ct/ct256_calib.h5": (7, 7),
    "mri/t1_test.h5": (7, 7),
    "mri/ms_test.h5": (1, 2),  # two contrasts
    "mri/heads_calib.h5": (4, 4),
}


# --- the images of the package
@pytest.fixture(autouse=True)
def no_full_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCANPRIOR_DATA", raising=False)


@pytest.mark.parametrize("name", PATIENTS)
def test_a_file_of_the_package(name: str) -> None:
    images = read_images(PACKAGED / name)
    assert (len(set(images.groups)), len(images)) == PATIENTS[name]
    assert images.units == ("HU" if name.startswith("ct/") else "magnitude")
    assert images.shape[1:] == (256, 256)
    for k in range(len(images)):
        image = images[k]
        if images.units == "HU":  # air at the least, and a body of soft tissue
            assert image.min() < -900
            assert 0.05 < np.mean((image > -100) & (image < 200)) < 0.9
        else:
            assert image.min() >= 0 and 300 < image.max() <= 1023
        assert images.columns["attribution"][k] and images.columns["licence"][k].startswith(
            ("CC", "PDDL", "Apache", "BSD")
        )
    assert np.all((images.pixel_mm > 0.7) & (images.pixel_mm < 2.2))


def test_the_files_say_what_they_are_for_and_whose_they_are_not() -> None:
    """No label of a patient of the sources, and none of their columns."""
    assert {str(path.relative_to(PACKAGED)) for path in PACKAGED.rglob("*.h5")} == set(PATIENTS)
    for name in PATIENTS:
        with h5py.File(PACKAGED / name) as file:
            assert "never train or tune" in file.attrs["use"]
            assert file.attrs["split"] == ("calib" if "calib" in name else "test")
            assert set(file) <= {"images", "px_mm", "patient", "attribution", "licence", "contrast"}
            short = Path(name).stem.split("_")[0]
            assert {label[: len(short) + 1] for label in file["patient"].asstr()[()]} == {f"{short}-"}
    assert sum(path.stat().st_size for path in PACKAGED.rglob("*.h5")) <= 2_000_000


def test_they_are_slices_of_the_full_sets_as_a_suite_takes_them(shared_data) -> None:
    small = [
        case.volume.data for case in cases(PACKAGED / "ct/ct256_test.h5", simulation_of("ct:views=5", ""))
    ]
    full = shared_data("ct", "ct256_test.h5")
    for ours, theirs in zip(small, cases(full, simulation_of("ct:views=5", "")), strict=True):
        np.testing.assert_array_equal(ours, theirs.volume.data)


@pytest.mark.slow
def test_the_script_makes_these_files(shared_data, tmp_path: Path) -> None:
    made = importlib.import_module("make_small_set")
    for name, source in made.SETS.items():
        made.make(shared_data(*name.split("/")), tmp_path / name, source)
        ours, again = read_images(PACKAGED / name), read_images(tmp_path / name)
        np.testing.assert_array_equal(ours.load(), again.load())
        assert all((ours.columns[key] == again.columns[key]).all() for key in ours.columns)


def test_suites_find_them_for_everybody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for suite in map(read_suite, shipped()):
        for path in suite.data.values():
            assert find_data(path) == PACKAGED / path
    with pytest.raises(
        FileNotFoundError, match=r"ct256_val\.h5 is not among the images of the package; set SCANPRIOR_DATA"
    ):
        find_data("ct/ct256_val.h5")
    monkeypatch.setenv("SCANPRIOR_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="is not there, nor below"):
        find_data("ct/ct256_test.h5")


@pytest.mark.slow
def test_the_quick_suite_measures_them(tmp_path: Path) -> None:
    """docs/lab/2026-11-27-suites.md has 19.57 and 26.12 dB for the same slices of the full sets."""
    suite = read_suite("quick").but(methods=("fbp", "zero-filled"))
    rows = {row["label"]: row["one"]["psnr"] for row in run(list(jobs(suite, {})), tmp_path)}
    assert rows == {"fbp": pytest.approx(19.57, abs=0.5), "zero-filled": pytest.approx(26.12, abs=0.5)}


# --- fetched sets
@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """(folder, address): what lies in the folder is served."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def archive(path: Path, **files: bytes) -> str:
    """Write a .tar.gz or .zip; returns its hash."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as out:
            for name, content in files.items():
                out.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as out:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                out.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("ending", ["tar.gz", "zip"])
def test_an_archive_is_fetched_once_and_unpacked(server, ending: str) -> None:
    www, url = server
    sha = archive(www / f"scans.{ending}", **{"full/ct/a.h5": b"a", "full/mri/b.h5": b"b"})
    folder = fetch_data(f"{url}/scans.{ending}", sha)
    assert folder.name == "full"
    assert (folder / "ct" / "a.h5").read_bytes() == b"a"
    (www / f"scans.{ending}").unlink()
    assert fetch_data(f"{url}/scans.{ending}", sha.upper()) == folder
    assert fetch_data(f"{url}/scans.{ending}") == folder
    with pytest.raises(FileExistsError, match="another set"):
        fetch_data(f"{url}/scans.{ending}", "0" * 64)


def test_one_file_is_kept_as_it_is(server) -> None:
    www, url = server
    (www / "images.h5").write_bytes(b"images")
    assert (fetch_data(f"{url}/images.h5?signature=secret") / "images.h5").read_bytes() == b"images"


def test_what_cannot_be_trusted_leaves_nothing(server, monkeypatch: pytest.MonkeyPatch) -> None:
    from scanprior.pretrained.cache import home

    www, url = server
    archive(www / "good.tar.gz", a=b"a")
    archive(www / "escape.tar.gz", **{"../../out.h5": b"x"})
    (www / "broken.tar.gz").write_bytes((www / "good.tar.gz").read_bytes()[:40])
    (www / "broken.zip").write_bytes(b"PK no archive")
    for name, sha, said in (
        ("good.tar.gz", "0" * 64, "sha256 is .*, expected 0000000000000000"),
        ("good.tar.gz", "12", "64 hexadecimal digits"),
        ("escape.tar.gz", None, "cannot be unpacked"),
        ("broken.tar.gz", None, "cannot be unpacked"),
        ("broken.zip", None, "cannot be unpacked"),
        ("", None, "ends with a file's name"),
    ):
        with pytest.raises(ValueError, match=said):
            fetch_data(f"{url}/{name}", sha)
    with pytest.raises(OSError, match="the server answers 404"):
        fetch_data(f"{url}/missing.zip")
    with pytest.raises(ValueError, match="no http"):
        fetch_data("scans.zip")
    assert list(home().rglob("*.h5")) == [] and list((home() / "data").iterdir()) == []


def test_an_example_is_the_scan_of_one_slice_of_the_package() -> None:
    """The same each time, and that which `simulate` makes of the image."""
    scan = scanprior.example("mri:accel=4,coils=2", seed=3)
    again = scanprior.simulate(example_images("mri"), "mri:accel=4,coils=2", [SLICE[Modality.MR]], seed=3)
    np.testing.assert_array_equal(scan.data, again.data)
    assert scan.slices == 1 and scan.truth is not None
    assert scanprior.example("ct:views=3,matrix=32").kind == "ct"
    with pytest.raises(ValueError, match="example: got 'pet:dose=1'"):
        scanprior.example("pet:dose=1")
    with pytest.raises(ValueError, match="got 'RGB', expected 'ct' or 'mri'"):
        example_images("RGB")
