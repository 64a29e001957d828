"""Every defect is found, named and explained; a healthy scan has none."""

import math
import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scanprior.formats import shown
from scanprior.formats.dicom import _HEADER
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError, Scan, Volume, check, problems
from scanprior.formats.store import write_scan
from scanprior.geometry import ParallelBeam
from scanprior.modality import Modality


def broken(array, value):
    array = array.copy()
    array[1, 2, 1] = value
    return array


def test_a_scan_is_shown_on_one_line(ct_scan, mri_scan):
    full = replace(ct_scan, geometry=replace(ct_scan.geometry, angles=np.linspace(0, 6.28, 549)))
    assert repr(full) == (
        "Scan('scan.h5', CT, 3 x 6 x 8 float32; FanBeam(549 views over 359.8°, 8 elements of 1.2 mm, offset 0.25, "
        "source 500 mm before the axis, 900 before the detector, curved); with counts, truth; noise photon; to 7 x 5 "
        "of 1.5 mm)"
    )
    assert repr(mri_scan) == (
        "Scan('brain.h5', MR, 2 x 3 x 6 x 4 complex64; with mask, maps, truth; noise complex_gaussian; to 6 x 4 of "
        "0.9 mm)"
    )


def test_healthy(ct_scan, mri_scan):
    assert problems(ct_scan) == problems(mri_scan) == []
    lost = np.arange(48).reshape(6, 8) % 5 > 0  # what the data hold there does not matter
    assert problems(replace(ct_scan, mask=lost)) == []


def test_ten_turns_are_no_degrees(ct_scan):
    views = 1500
    data = np.ones((1, views, 8), np.float32)
    geometry = replace(ct_scan.geometry, angles=np.linspace(0, 20 * np.pi, views))
    turned = replace(ct_scan, data=data, geometry=geometry, counts=None, truth=None)
    assert problems(turned) == []
    degrees = replace(geometry, angles=np.linspace(0, 360, views))
    assert "degrees" in problems(replace(turned, geometry=degrees))[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {"data": broken(s.data, np.nan)}, "NaN or Inf in 1 of 3 slices of the sinogram"),
        (lambda s: {"data": broken(s.data, np.inf)}, "NaN or Inf"),
        (lambda s: {"data": s.data[0]}, "expected 3 axes"),
        (lambda s: {"data": s.data[:0], "counts": None, "truth": None}, "empty"),
        (lambda s: {"data": s.data * 0}, "zero everywhere"),
        (lambda s: {"data": s.data + 5000}, "detector counts"),
        (lambda s: {"data": s.data[:, :4], "counts": None}, "6 angles for 4 views"),
        (lambda s: {"geometry": None}, "no geometry"),
        (lambda s: {"geometry": replace(s.geometry, angles=np.rad2deg(s.geometry.angles))}, "degrees"),
        (lambda s: {"geometry": replace(s.geometry, source_detector=400.0)}, "swapped"),
        (lambda s: {"geometry": replace(s.geometry, offset=4.0)}, "half of the 8 elements"),
        (
            lambda s: {"geometry": replace(s.geometry, detectors=9)},
            "8 detector elements a view, expected the 9",
        ),
        (lambda s: {"geometry": None, "faults": ("got a broken geometry",)}, "got a broken geometry"),
        (lambda s: {"counts": s.counts[:, :2]}, "counts of shape"),
        (lambda s: {"counts": -s.counts - 1}, "negative"),
        (
            lambda s: {"mask": np.ones((8, 6), bool)},
            "mask of shape (8, 6), expected the sinogram's (6, 8) (views",
        ),
        (lambda s: {"mask": np.zeros((6, 8), bool)}, "samples nothing"),
        (lambda s: {"maps": s.truth}, "belong to MRI"),
        (lambda s: {"truth": s.truth[:, :2]}, "truth of shape"),
        (lambda s: {"pixel_mm": float("nan")}, "pixel_mm"),
        (lambda s: {"matrix": (0, 5), "truth": None}, "matrix"),
        (lambda s: {"modality": "RGB"}, "modality RGB, expected CT or MR"),
        (lambda s: {"header": {"PatientName": "Doe"}}, "identify a person"),
        *(
            (lambda s, water=water: {"header": {"mu_water": water}}, f"mu_water = {water!r}, expected the")
            for water in (0, -1.0, float("nan"), float("inf"), "0.02")
        ),
    ],
)
def test_ct_defects(ct_scan, change, words):
    scan = replace(ct_scan, **change(ct_scan))
    assert any(words in problem for problem in problems(scan)), problems(scan)
    with pytest.raises(FormatError, match=r"^scan\.h5: "):
        check(scan)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: {"data": s.data.real}, "real numbers in k-space"),
        (lambda s: {"data": s.data[0]}, "expected 4 axes"),
        (lambda s: {"data": broken(s.data, np.nan), "mask": None}, "NaN or Inf in 1 of 2 slices of k-space"),
        (lambda s: {"mask": s.mask[:, :3]}, "mask of shape (6, 3)"),
        (lambda s: {"mask": s.mask[0]}, "mask of shape (4,)"),
        (lambda s: {"mask": s.mask & False}, "samples nothing"),
        (lambda s: {"mask": ~s.mask}, "not measured"),
        (lambda s: {"maps": s.maps[:, :2]}, "maps of shape"),
        (lambda s: {"matrix": (12, 12), "maps": None, "truth": None}, "zero-fill"),
        (lambda s: {"geometry": ParallelBeam((0.0,), 4, 1.0)}, "belongs to CT"),
    ],
)
def test_mri_defects(mri_scan, change, words):
    assert any(words in problem for problem in problems(replace(mri_scan, **change(mri_scan))))


def test_one_vocabulary_of_modality(ct_scan, mri_scan, tmp_path):
    assert (ct_scan.modality, mri_scan.modality) == (Modality.CT, Modality.MR)
    assert (ct_scan.kind, mri_scan.kind) == ("ct", "mri")  # as simulations and files say it
    assert [Modality(word) for word in ("CT", "ct", "MR", "mri", "RGB")] == ["CT", "CT", "MR", "MR", "RGB"]
    with pytest.raises(ValueError, match="'pet' is not a valid Modality"):
        replace(ct_scan, modality="pet")
    write_scan(tmp_path / "scan.h5", ct_scan)
    with h5py.File(tmp_path / "scan.h5", "r+") as file:
        assert file.attrs["kind"] == "ct"
        file.attrs["kind"] = "pet"
    with pytest.raises(FormatError, match=r"scan\.h5: got kind 'pet', expected 'ct' or 'mri'"):
        read(tmp_path / "scan.h5")


def test_all_defects_are_listed(ct_scan):
    scan = replace(ct_scan, data=broken(ct_scan.data, np.nan), pixel_mm=-1, geometry=None)
    assert len(problems(scan)) == 3


def test_volume():
    volume = Volume(np.zeros((2, 3, 3), np.float32), "HU", "CT", (1.0, 1.0, 1.0), source="v")
    assert problems(volume) == []
    assert repr(volume) == "Volume('v', CT, 2 x 3 x 3 float32 in HU, voxels of 1 x 1 x 1 mm)"
    assert len(problems(replace(volume, spacing=(1.0, 0.0, 1.0), dicom=(None,)))) == 2


def test_info_of_a_foreign_file_shows_no_patient(tmp_path: Path) -> None:
    path = tmp_path / "raw.h5"
    with h5py.File(path, "w") as file:
        file["kspace"] = np.ones((1, 1, 8, 8), np.complex64)
        file["Jane_Doe"] = np.ones(3)
        file.attrs.update(
            {"patient_id": "Jane Doe 1970", "about": "head of Jane", "phone": 5551234, "pixel_mm": 0.5}
        )
        file.attrs["geometry"] = "fan beam of Jane"
        file.create_group("header").attrs.update(
            {"comment": "Jane again", "manufacturer": "ACME", "number": 5551234}
        )
    facts = describe(path)
    assert facts["pixel_mm"] == 0.5
    assert facts["header"]["manufacturer"] == "ACME"
    assert "Jane" not in str(facts)
    assert "5551234" not in str(facts)
    assert facts["other_attributes"] == "4, not shown"


@pytest.mark.parametrize(
    ("kind", "noise", "words"),
    [
        ("ct", {}, "noise of type None, expected 'gaussian' or 'photon' in CT"),
        ("ct", {"type": "complex_gaussian", "sigma": 1.0}, "noise of type 'complex_gaussian'"),
        ("ct", {"type": "photons"}, "noise of type 'photons'"),
        ("ct", {"type": np.ones(2)}, "noise of type array"),
        ("ct", {"type": "photon"}, "photons = None, expected a number > 0"),
        ("ct", {"type": "photon", "photons": 0.0}, "photons = 0.0"),
        (
            "ct",
            {"type": "photon", "photons": 1e5, "electronic": -1.0},
            "electronic = -1.0, expected a number >= 0",
        ),
        ("ct", {"type": "gaussian", "sigma": math.nan}, "sigma = nan"),
        (
            "mri",
            {"type": "photon", "photons": 1e5},
            "noise of type 'photon', expected 'complex_gaussian' in MRI",
        ),
        ("mri", {"type": "complex_gaussian", "sigma": "low"}, "sigma = 'low'"),
        ("mri", {"type": "complex_gaussian", "sigma": True}, "sigma = True"),
    ],
)
def test_noise_of_no_law(ct_scan: Scan, mri_scan: Scan, kind: str, noise: dict, words: str) -> None:
    scan = replace(ct_scan if kind == "ct" else mri_scan, noise=noise)
    found = problems(scan)
    assert len(found) == 1 and words in found[0]


@pytest.mark.parametrize(
    "noise", [None, {"type": "gaussian", "sigma": 0.0}, {"type": "photon", "photons": 1e5}]
)
def test_noise_of_a_law(ct_scan: Scan, noise: dict | None) -> None:
    assert problems(replace(ct_scan, noise=noise)) == []


def test_what_readers_put_into_a_header_may_be_shown() -> None:
    written = set()
    for path in Path(shown.__file__).parent.glob("*.py"):
        written |= set(re.findall(r'(?<!\.)header\["([a-z_]+)"\] =', path.read_text(encoding="utf-8")))
    assert {"noise", "readout"} <= written
    assert written | set(_HEADER.values()) <= shown.HEADER
