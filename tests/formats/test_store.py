"""Our own layouts: round trips, refusals, and nothing left behind when writing fails."""

from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
from scanprior.formats.image_set import read_images
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError, problems
from scanprior.formats.store import read_reconstruction, read_scan, write_reconstruction, write_scan
from scanprior.formats.write import atomic


def same(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return a == b and type(a) is type(b)


@pytest.mark.parametrize("kind", ["ct_scan", "mri_scan"])
def test_scan_round_trip(kind, request, tmp_path):
    scan = replace(request.getfixturevalue(kind), source="a.h5")
    write_scan(tmp_path / "a.h5", scan)
    back = read_scan(tmp_path / "a.h5")
    for field in fields(scan):
        assert same(getattr(scan, field.name), getattr(back, field.name)), field.name


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ({"type": "cone"}, ["got geometry type 'cone', expected 'parallel' or 'fan'"]),
        (
            {"angles": np.arange(0, 360, 60.0)},
            ["got 6 angles over 300 rad, expected at most 8 pi, or steps of"],
        ),
        ({"angles": np.full(6, np.nan)}, ["got 6 angles that are not finite; repair or drop"]),
        ({"angles": np.zeros((6, 2))}, ["got angles of shape (6, 2)"]),
        ({"angles": np.arange(4.0)}, ["got 4 angles for 6 views"]),
        ({"detector_spacing": 0.0}, ["got detector spacing = 0.0, expected a positive length in mm"]),
        ({"detector_spacing": None}, ["got detector spacing = None, expected a positive length"]),
        ({"source_origin": "far"}, ["got source_origin = 'far', expected a positive length in mm"]),
        (
            {"source_detector": 400.0},
            ["source_detector 400 mm <= source_origin 500 mm, expected the detector behind"],
        ),
        ({"detector_offset": 4.0}, ["got detector offset 4, expected less than half of the 8 elements"]),
        ({"curved": None}, ["got a fan beam without 'curved', expected True for an arc-shaped"]),
        ({"detectors": 9}, ["got 8 detector elements a view, expected the 9 that the geometry states"]),
        (
            {
                "angles": np.zeros(0),
                "detector_spacing": -1.0,
                "detector_offset": np.nan,
                "source_origin": np.inf,
            },
            ["got 0 angles", "detector spacing = -1.0", "detector offset nan", "source_origin = inf"],
        ),
    ],
)
def test_every_fault_of_a_stored_geometry_is_a_problem(ct_scan, tmp_path, stored, words):
    write_scan(tmp_path / "a.h5", ct_scan)
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        group = file["geometry"]
        for name in stored:
            del (group if name == "angles" else group.attrs)[name]
        for name, value in stored.items():
            if name == "angles":
                group["angles"] = value
            elif value is not None:
                group.attrs[name] = value
    found = problems(read(tmp_path / "a.h5", check_data=False))
    assert len(found) == len(words), found
    assert all(word in problem for word, problem in zip(words, found, strict=True)), found
    with pytest.raises(FormatError, match=r"^a\.h5: got"):
        read(tmp_path / "a.h5")


def test_a_sinogram_with_gaps(ct_scan, tmp_path):
    mask = np.arange(48).reshape(6, 8) % 6 > 0
    write_scan(tmp_path / "a.h5", replace(ct_scan, mask=mask))
    assert same(read_scan(tmp_path / "a.h5", slices=[1]).mask, mask)
    assert describe(tmp_path / "a.h5")["gaps"] == "16.7% of the rays were lost"
    write_scan(tmp_path / "b.h5", ct_scan)
    assert read_scan(tmp_path / "b.h5").mask is None and "gaps" not in describe(tmp_path / "b.h5")
    with pytest.raises(FormatError, match=r"mask of shape \(8, 6\)"):
        write_scan(tmp_path / "c.h5", replace(ct_scan, mask=mask.T))


def test_chosen_slices(ct_scan, tmp_path):
    write_scan(tmp_path / "a.h5", ct_scan)
    part = read(tmp_path / "a.h5", slices=[2, 0])
    assert np.array_equal(part.data, ct_scan.data[[2, 0]]) and np.array_equal(
        part.truth, ct_scan.truth[[2, 0]]
    )
    assert np.array_equal(read(tmp_path / "a.h5", slices=slice(-1, None)).data, ct_scan.data[-1:])
    for wrong in ([3], [], slice(5, 6)):
        with pytest.raises(FormatError, match=r"a\.h5.*0 to 2"):
            read(tmp_path / "a.h5", slices=wrong)


def test_defective_scan_is_not_written(ct_scan, tmp_path):
    with pytest.raises(FormatError, match="NaN"):
        write_scan(tmp_path / "a.h5", replace(ct_scan, data=ct_scan.data * np.nan))
    assert list(tmp_path.iterdir()) == []


def test_newer_layout_is_refused(ct_scan, tmp_path):
    write_scan(tmp_path / "a.h5", ct_scan)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["version"] = 99
    with pytest.raises(FormatError, match="upgrade"):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_reconstruction_round_trip(dtype, tmp_path):
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((4, 2, 5, 6)).astype(dtype)
    mean, std = samples.mean(0), np.abs(samples).std(0)
    attrs = {"method": "dds", "seed": 3, "sizes": [1, 2.5], "prior": {"id": "x"}}
    write_reconstruction(tmp_path / "r.h5", mean, std, samples, "HU", (2.5, 0.7, 0.7), attrs)
    back = read_reconstruction(tmp_path / "r.h5")
    assert all(
        same(a, b) for a, b in zip((mean, std, samples), (back.mean, back.std, back.samples), strict=True)
    )
    assert back.attrs == attrs and back.units == "HU" and back.pixel_mm == (2.5, 0.7, 0.7)
    volume = read(tmp_path / "r.h5")
    assert volume.units == "HU" and np.allclose(volume.data, np.abs(mean) if dtype is np.complex64 else mean)


@pytest.mark.parametrize("wrong", ["shape", "nan", "json"])
def test_bad_reconstruction_is_not_written(wrong, tmp_path):
    mean = np.full((2, 4, 4), np.nan if wrong == "nan" else 0.0, np.float32)
    std = np.zeros((2, 4, 5 if wrong == "shape" else 4), np.float32)
    with pytest.raises(FormatError, match=r"r\.h5"):
        write_reconstruction(
            tmp_path / "r.h5", mean, std, None, "HU", 1.0, {"x": object() if wrong == "json" else 1}
        )
    assert list(tmp_path.iterdir()) == []


def test_atomic(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError), atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert (tmp_path / "a.txt").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with atomic(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new" and len(list(tmp_path.iterdir())) == 1
    with pytest.raises(RuntimeError), atomic(tmp_path / "d", directory=True) as folder:
        (folder / "x").write_text("half")
        raise RuntimeError
    assert not (tmp_path / "d").exists()
    with atomic(tmp_path / "d", directory=True) as folder:
        (folder / "x").write_text("whole")
    with pytest.raises(FormatError, match="not empty"), atomic(tmp_path / "d", directory=True):
        pass
    with pytest.raises(FormatError, match="does not exist"), atomic(tmp_path / "no" / "a"):
        pass


def image_file(path, *, units="HU + 1024", patient=("a", "a", "b"), px=(0.5, 0.5, 0.8)):
    with h5py.File(path, "w") as file:
        file["images"] = np.arange(3 * 4 * 5, dtype=np.uint16).reshape(3, 4, 5)
        file["images"].attrs["units"] = units
        if patient:
            file["patient"] = list(patient)
        file["px_mm"] = np.asarray(px, dtype=np.float32)
        file["kernel"] = ["k1", "k2", "k3"]
        file["thick"] = np.full(3, 2.5, np.float32)


def test_image_set(tmp_path):
    image_file(tmp_path / "i.h5")
    images = read_images(tmp_path / "i.h5")
    assert images.shape == (3, 4, 5) and len(images) == 3 and images.units == "HU"
    assert list(images.groups) == ["a", "a", "b"] and list(images.columns["kernel"]) == ["k1", "k2", "k3"]
    assert images[-1].dtype == np.float32 and images[2][3, 4] == 59 - 1024
    assert np.array_equal(images.load([2, 0, 2])[:, 0, 0], np.float32([40, 0, 40]) - 1024)
    assert len(list(images)) == 3
    assert read(tmp_path / "i.h5", slices=[0, 1]).spacing == (2.5, 0.5, 0.5)
    with pytest.raises(FormatError, match="one patient"):
        read(tmp_path / "i.h5")


def test_bad_image_sets(tmp_path):
    image_file(tmp_path / "i.h5", units="furlongs")
    with pytest.raises(FormatError, match="furlongs"):
        read_images(tmp_path / "i.h5")
    image_file(tmp_path / "i.h5", patient=None)
    with pytest.raises(FormatError, match="patient or subject"):
        read_images(tmp_path / "i.h5")


def test_real_image_sets(shared):
    ct, mr = read_images(shared / "ct/ct256_val.h5"), read_images(shared / "mri/t1_val.h5")
    assert ct.shape == (58, 256, 256) and len(set(ct.groups)) == 12 and ct.load([0]).min() >= -1024
    assert mr.units == "magnitude" and len(set(mr.groups)) == 7 and mr.load([0]).max() <= 1023
