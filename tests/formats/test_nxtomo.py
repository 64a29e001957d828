"""NXtomo files, made here small, under the names that facilities give."""

import h5py
import numpy as np
import pytest
from scanprior.formats.collect import collect, find_files
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.scan import FormatError

LINE = 2 * 0.02 * np.sqrt(np.maximum(20.0**2 - (np.arange(64) - 31.5) ** 2, 0))
VIEWS = 30
DEGREES = np.linspace(0, 180, VIEWS, endpoint=False)


def nxtomo(file, entry, *, instrument="instrument", detector="detector", keys=None, angles=None):
    """Two darks, three flats, 30 views of a disc of radius 20, 2 rows, darks of 40, a beam of 10000."""
    group = file.create_group(entry)
    group["definition"] = "NXtomo"
    flats, frames = np.full((3, 2, 64), 10040), 40 + np.tile(np.exp(-LINE) * 1e4, (VIEWS, 2, 1))
    place = group.create_group(f"{instrument}/{detector}")
    place["data"] = np.concatenate([np.full((2, 2, 64), 40), flats, frames]).astype("u2")
    place["image_key"] = np.r_[[2] * 2, [1] * 3, [0] * VIEWS] if keys is None else keys
    group["sample/rotation_angle"] = np.r_[np.zeros(5), DEGREES] if angles is None else angles
    return group, place


@pytest.mark.parametrize(
    ("entry", "instrument", "detector"),
    [("entry1/tomo_entry", "instrument", "detector"), ("entry0000", "esrf", "pcoedge"), ("ansto", "n", "d1")],
)
def test_by_its_definition(entry, instrument, detector, tmp_path):
    with h5py.File(tmp_path / "t.nxs", "w") as file:
        nxtomo(file, entry, instrument=instrument, detector=detector)
        file["default"] = h5py.SoftLink(f"/{entry}")  # the same again is not another one
        file["gone"] = h5py.SoftLink("/nowhere")
    scan = read(tmp_path / "t.nxs")
    assert sniff(tmp_path / "t.nxs") == "nxtomo" and scan.data.shape == (2, VIEWS, 64)
    assert np.abs(scan.data - LINE).max() < 1e-3 and scan.mask is None
    assert np.allclose(scan.geometry.angles, np.deg2rad(DEGREES)) and scan.geometry.kind == "parallel"
    assert scan.pixel_assumed and any("pixel size is not stored" in r for r in scan.remarks)
    facts = describe(tmp_path / "t.nxs")
    assert (facts["views"], facts["flat_fields"], facts["dark_fields"]) == (VIEWS, 3, 2)


@pytest.mark.parametrize(
    ("place", "value", "units", "mm"),
    [
        ("instrument/detector/x_pixel_size", 6.5e-6, "m", 0.0065),
        ("instrument/detector/x_pixel_size", 0.0065, b"mm", 0.0065),
        ("instrument/detector/x_pixel_size", [6.5], "um", 0.0065),
        ("sample/x_pixel_size", 1.3e-6, "m", 0.0013),
        ("instrument/detector/x_pixel_size", 0.0065, None, None),
        ("instrument/detector/x_pixel_size", -1.0, "mm", None),
    ],
)
def test_pixel_sizes_have_units(place, value, units, mm, tmp_path):
    with h5py.File(tmp_path / "t.nxs", "w") as file:
        group, _ = nxtomo(file, "entry")
        if place.startswith("sample"):  # its pixel counts, not the sensor's
            group["instrument/detector/x_pixel_size"] = 1.0
            group["instrument/detector/x_pixel_size"].attrs["units"] = "mm"
        group[place] = value
        if units:
            group[place].attrs["units"] = units
    scan = read(tmp_path / "t.nxs")
    assert scan.pixel_mm == pytest.approx(mm or 1.0) and scan.pixel_assumed == (mm is None)
    assert scan.geometry.spacing == scan.pixel_mm
    if mm is None:
        assert read(tmp_path / "t.nxs", pixel_mm=0.5).pixel_mm == 0.5
    else:
        with pytest.raises(FormatError, match=r"t\.nxs: states pixels of .* got --pixel-mm 0\.5"):
            read(tmp_path / "t.nxs", pixel_mm=0.5)


def test_keys_and_angles(tmp_path):
    """Radians, invalid frames, and ESRF's alignment frames, which are projections by image_key alone."""
    keys = np.r_[[2] * 2, [1] * 3, [0] * VIEWS]
    keys[7] = 3
    with h5py.File(tmp_path / "t.nxs", "w") as file:
        group, place = nxtomo(file, "entry", keys=keys, angles=np.deg2rad(np.r_[np.zeros(5), DEGREES]))
        group["sample/rotation_angle"].attrs["units"] = "rad"
        control = keys.copy()
        control[-1] = -1
        place["image_key_control"] = control
    scan = read(tmp_path / "t.nxs", slices=[1], center=30.0, drop_columns=2)
    assert scan.data.shape == (1, VIEWS - 2, 62) and scan.geometry.offset == 30 - 2 - 30.5
    assert np.allclose(scan.geometry.angles, np.deg2rad(np.delete(DEGREES, [2, VIEWS - 1])))


def test_half_a_field_of_view_needs_its_axis(tmp_path):
    with h5py.File(tmp_path / "t.nxs", "w") as file:
        nxtomo(file, "entry")[1]["field_of_view"] = "Half"
    with pytest.raises(FormatError, match=r"t\.nxs: .*--center"):
        read(tmp_path / "t.nxs")
    assert read(tmp_path / "t.nxs", center=5.0).geometry.offset == 5 - 31.5


def test_one_of_several(tmp_path):
    with h5py.File(tmp_path / "t.nxs", "w") as file:
        nxtomo(file, "entry0000")
        nxtomo(file, "entry0001", angles=np.r_[np.zeros(5), DEGREES / 2])
    with pytest.raises(FormatError, match=r"t\.nxs: holds 2 NXtomo \(entry0000, entry0001\).*--volume"):
        read(tmp_path / "t.nxs")
    assert max(read(tmp_path / "t.nxs", volume=1).geometry.angles) < np.pi / 2
    assert list(describe(tmp_path / "t.nxs")["volumes"]) == ["0", "1"]  # what --volume takes
    assert describe(tmp_path / "t.nxs", volume=1)["degrees"][1] < 90
    for verb in (read, describe):
        with pytest.raises(FormatError, match="got --volume 2, expected 0 to 1"):
            verb(tmp_path / "t.nxs", volume=2)


def test_prepare_leaves_them_out(tmp_path):
    with h5py.File(tmp_path / "t.nxs", "w") as file:
        nxtomo(file, "entry")
    assert [left.reason for left in collect(find_files([tmp_path]), "CT")[1]] == [
        "raw CT data (reconstruct them first)"
    ]


def no_flats(place):
    place["image_key"][2:5] = 3


def too_few_keys(place):
    del place["image_key"]
    place["image_key"] = np.zeros(4)


def no_frames(place):
    del place["data"]


def broken_link(place):
    del place["data"]
    place["data"] = h5py.SoftLink("/nowhere")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (no_flats, "without flat fields"),
        (too_few_keys, "4 values of image_key for data of shape"),
        (no_frames, "without frames"),
        (broken_link, "no dataset 'data'"),
    ],
)
def test_defects(damage, words, tmp_path):
    with h5py.File(tmp_path / "t.nxs", "w") as file:
        damage(nxtomo(file, "entry")[1])
    with pytest.raises(FormatError, match=rf"t\.nxs.*{words}"):
        read(tmp_path / "t.nxs")
