"""By content, not by name; one clear error for every bad input; `describe` is fast and light."""

import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from scanprior.formats.nifti import write_nifti
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.scan import FormatError, Volume, problems
from scanprior.formats.store import write_scan


def text_file(path):
    path.write_text("kspace, but in words\n" * 50)


def truncated(path):
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones((2, 3, 64, 64), np.complex64)
    path.write_bytes(path.read_bytes()[:20000])


def header_only(path):
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(30))


def unknown_layout(path):
    with h5py.File(path, "w") as file:
        file["spectra/peaks"] = np.ones((2, 3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (text_file, "text file"),
        (truncated, "truncated"),
        (header_only, "truncated"),
        (unknown_layout, r"spectra/peaks \(2, 3\).*fastMRI"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_bytes(bytes(range(256)) * 9), "ISMRMRD"),
        (lambda p: p.write_bytes(b"\x1f\x8b" + bytes(50)), "gzip"),
        (lambda p: p.mkdir(), "empty folder"),
        (lambda p: (p.mkdir(), (p / "sub").mkdir()), "without files of its own.*sub-folders: sub"),
        (lambda p: (p.mkdir(), text_file(p / "a.txt")), "none of them DICOM, NIfTI or HDF5"),
        (lambda p: None, "does not exist"),
    ],
)
def test_bad_inputs(make, words, tmp_path):
    path = tmp_path / "scan.h5"
    make(path)
    before = sorted(tmp_path.rglob("*"))
    for function in (read, describe, sniff):
        with pytest.raises(FormatError, match=rf"scan\.h5.*{words}"):
            function(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_content_decides(ct_scan, tmp_path):
    write_scan(tmp_path / "scan.dcm", ct_scan)
    assert sniff(tmp_path / "scan.dcm") == sniff(tmp_path) == "scanprior-scan"
    assert np.array_equal(read(tmp_path).data, ct_scan.data)
    image = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    image.save_as(tmp_path / "image.h5")
    assert sniff(tmp_path / "image.h5") == "dicom" and read(tmp_path / "image.h5").units == "HU"


@pytest.mark.parametrize("block", [512, 1024, 4096])
def test_hdf5_behind_a_user_block(block, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=block) as file:
        file["kspace"] = np.ones((2, 3, 4, 4), np.complex64)
    assert sniff(tmp_path / "a.h5") == sniff(tmp_path) == "simple-kspace"


def test_a_dicom_file_is_described_without_h5py():
    code = (
        "import sys; from scanprior.formats import describe\n"
        f"assert describe({get_testdata_file('CT_small.dcm', download=False)!r})['format'] == 'dicom'\n"
        "assert 'h5py' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_defects_are_raised_or_listed(ct_scan, tmp_path):
    write_scan(tmp_path / "a.h5", ct_scan)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["data"][0, 0, 0] = np.nan
        del file["geometry/angles"]
        file["geometry/angles"] = np.arange(4.0)
    with pytest.raises(FormatError, match=r"a\.h5: .*NaN"):
        read(tmp_path / "a.h5")
    assert len(problems(read(tmp_path / "a.h5", check_data=False))) == 2


def test_unknown_options(ct_scan, tmp_path):
    write_scan(tmp_path / "a.h5", ct_scan)
    with pytest.raises(FormatError, match="center"):
        read(tmp_path / "a.h5", center=3.0)
    assert read(tmp_path / "a.h5", center=None).data.shape == ct_scan.data.shape


@pytest.mark.parametrize(
    ("slices", "dz", "said"),
    [
        (None, 2.5, False),
        ([2], 2.5, False),
        ([0, 1, 2], 2.5, False),
        ([5, 4], 2.5, False),
        ([1, 4], 7.5, False),
        (slice(0, 6, 2), 5.0, False),
        ([0, 1, 4], 5.0, True),  # in steps of 1 and 3
    ],
)
def test_chosen_slices_lie_as_far_apart_as_in_the_file(slices, dz, said, ct_scan, tmp_path):
    data = np.repeat(ct_scan.data[:1], 6, axis=0)
    scan = replace(ct_scan, data=data, truth=None, counts=None, spacing=(2.5, 1.0, 1.0))
    write_scan(tmp_path / "s.h5", scan)
    write_nifti(
        tmp_path / "v.nii", Volume(np.zeros((6, 8, 8), np.float32), "magnitude", "MR", (2.5, 1.0, 1.0))
    )
    for name in ("s.h5", "v.nii"):
        item = read(tmp_path / name, slices=slices)
        assert item.spacing == (dz, 1.0, 1.0)
        assert any("unevenly" in line for line in item.remarks) == said


def test_the_folder_one_works_in_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match=rf"^{tmp_path.name}: is an empty folder"):
        read(".")


def test_describe_own_scan(ct_scan, tmp_path):
    write_scan(tmp_path / "a.h5", ct_scan)
    facts = describe(tmp_path / "a.h5")
    assert facts["format"] == "scanprior-scan" and facts["kind"] == "ct" and facts["pixel_mm"] == 1.5
    assert facts["datasets"]["data"] == "(3, 6, 8) float32" and facts["geometry"]["type"] == "fan"


def test_info_is_fast_and_without_torch(shared):
    code = (
        "import sys, scanprior.formats.store; from scanprior.formats import describe\n"
        f"describe({str(shared / 'ct/ct256_train.h5')!r}); "
        f"describe({str(shared / 'ct/dicom/kits-00072')!r})\n"
        "heavy = {'torch', 'scipy', 'astra', 'sigpy', 'ismrmrd', 'nibabel', 'matplotlib', 'requests'} & "
        "set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "import requests; requests.Session"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    describe(shared / "ct/dicom/kits-00072")  # imports pydicom
    for name in (
        "ct/ct256_train.h5",
        "ct/raw/savu24737_dxchange.h5",
        "ct/dicom/kits-00072",
        "mri/t1_train.h5",
    ):
        start = time.perf_counter()
        describe(shared / name)
        assert time.perf_counter() - start < 0.5, name
