"""Simple sinograms and DXchange files."""

import h5py
import numpy as np
import pytest
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.scan import FormatError


def sinogram_file(path, data, angles, **attrs):
    with h5py.File(path, "w") as file:
        file["sinogram"], file["angles_deg"] = data, angles
        file.attrs.update({"geometry": "fan beam, flat detector", "detector_pixel_mm": 0.4} | attrs)


FAN = {"source_origin_mm": 400.0, "source_detector_mm": 800.0}


def test_simple_sinogram(tmp_path):
    data = np.random.default_rng(0).random((5, 8), dtype=np.float32)
    sinogram_file(tmp_path / "s.h5", data, np.arange(5) * 10.0, **FAN)
    scan = read(tmp_path / "s.h5")
    assert sniff(tmp_path / "s.h5") == "simple-sinogram" and np.array_equal(scan.data[0], data)
    assert scan.matrix == (8, 8) and scan.pixel_mm == pytest.approx(0.2)  # a detector at the rotation centre
    assert scan.geometry.kind == "fan" and not scan.geometry.curved
    assert np.allclose(scan.geometry.angles, np.deg2rad(np.arange(5) * 10))
    assert np.allclose(read(tmp_path / "s.h5", angle_sign=-1).geometry.angles, -np.deg2rad(np.arange(5) * 10))
    sinogram_file(
        tmp_path / "s.h5", data, np.arange(5.0), angle_direction="clockwise", matrix=[16, 16], **FAN
    )
    scan = read(tmp_path / "s.h5")
    assert scan.geometry.angles[1] < 0 and scan.matrix == (16, 16) and scan.pixel_mm == pytest.approx(0.1)
    assert read(tmp_path / "s.h5", angle_sign=1).geometry.angles[1] > 0


def test_simple_sinogram_holds_what_its_farther_side_sees(tmp_path):
    """An axis 2 of 8 elements off the middle: 6 elements on the farther side."""
    data = np.ones((5, 8), np.float32)
    sinogram_file(tmp_path / "s.h5", data, np.arange(5.0), detector_offset=-2.0, **FAN)
    scan = read(tmp_path / "s.h5")
    assert scan.matrix == (12, 12) and scan.pixel_mm == pytest.approx(0.2)
    sinogram_file(tmp_path / "s.h5", data, np.arange(5.0), detector_offset=2.0, matrix=[24, 24], **FAN)
    scan = read(tmp_path / "s.h5")
    assert scan.matrix == (24, 24) and scan.pixel_mm == pytest.approx(0.1)  # the same square
    for offset in (np.nan, np.inf, 5.0):
        sinogram_file(tmp_path / "s.h5", data, np.arange(5.0), detector_offset=offset, **FAN)
        with pytest.raises(FormatError, match="detector offset"):
            read(tmp_path / "s.h5")


def test_simple_sinogram_states_the_attenuation_of_water(tmp_path):
    data = np.ones((5, 8), np.float32)
    sinogram_file(tmp_path / "s.h5", data, np.arange(5.0), mu_water=0.0205, **FAN)
    assert read(tmp_path / "s.h5").header["mu_water"] == 0.0205
    for water in (0.0, -1.0, np.nan, np.inf):
        sinogram_file(tmp_path / "s.h5", data, np.arange(5.0), mu_water=water, **FAN)
        with pytest.raises(FormatError, match=r"s\.h5: got mu_water = .*1/mm"):
            read(tmp_path / "s.h5")


def test_simple_sinogram_of_many_turns(tmp_path):
    """Golden angles, counted on: 61 turns are 61 turns, not degrees taken for radians."""
    angles = 111.246 * np.arange(200)
    sinogram_file(tmp_path / "s.h5", np.ones((200, 8), np.float32), angles, **FAN)
    found = read(tmp_path / "s.h5").geometry.angles
    assert np.allclose(np.exp(1j * np.array(found)), np.exp(1j * np.deg2rad(angles)))


def test_simple_sinogram_with_gaps(tmp_path):
    data = np.random.default_rng(0).random((5, 8), dtype=np.float32)
    sinogram_file(tmp_path / "s.h5", data, np.arange(5) * 10.0, **FAN)
    with h5py.File(tmp_path / "s.h5", "a") as file:
        file["mask"] = (data > 0.2).astype(np.uint8)
    assert np.array_equal(read(tmp_path / "s.h5").mask, data > 0.2)
    assert "of the rays were lost" in describe(tmp_path / "s.h5")["gaps"]


@pytest.mark.parametrize(
    ("attrs", "words"),
    [
        ({}, "source_origin_mm"),
        (FAN | {"geometry": "helical"}, "parallel"),
        (FAN | {"angle_direction": "left"}, "angle_direction"),
        (FAN | {"source_detector_mm": 100.0}, "swapped"),
    ],
)
def test_simple_sinogram_defects(attrs, words, tmp_path):
    sinogram_file(tmp_path / "s.h5", np.ones((5, 8), np.float32), np.arange(5.0), **attrs)
    with pytest.raises(FormatError, match=rf"s\.h5.*{words}"):
        read(tmp_path / "s.h5")
    sinogram_file(tmp_path / "s.h5", np.ones((5, 8), np.float32), np.arange(7.0), **FAN)
    with pytest.raises(FormatError, match="7 angles for 5 views"):
        read(tmp_path / "s.h5")


def dxchange_file(path, line, *, theta=True):
    """Counts 1000 exp(-p) + 50 dark; frames averaged."""
    with h5py.File(path, "w") as file:
        counts = 50 + 1000 * np.exp(-line)
        file["exchange/data"] = counts
        file["exchange/data_white"] = (
            np.full((2, *line.shape[1:]), 1050.0) + np.array([-10, 10])[:, None, None]
        )
        file["exchange/data_dark"] = np.full((3, *line.shape[1:]), 50.0)
        if theta:
            file["exchange/theta"] = np.linspace(0, 90, len(line))


def test_dxchange(tmp_path):
    line = np.random.default_rng(0).uniform(0, 3, (4, 5, 7))
    dxchange_file(tmp_path / "d.h5", line)
    scan = read(tmp_path / "d.h5")
    assert np.allclose(scan.data, line.transpose(1, 0, 2), atol=1e-5) and scan.geometry.kind == "parallel"
    assert np.allclose(scan.geometry.angles, np.deg2rad([0, 30, 60, 90]))
    part = read(tmp_path / "d.h5", slices=[3, 1], center=4.0, drop_columns=2, pixel_mm=0.01)
    assert (
        np.array_equal(part.data, scan.data[[3, 1], :, 2:])
        and part.pixel_mm == 0.01
        and part.matrix == (5, 5)
    )
    assert part.geometry.offset == 0.0  # column 4 is the middle of columns 2..6
    displaced = read(tmp_path / "d.h5", center=4.0)
    assert displaced.geometry.offset == 1.0 and displaced.matrix == (
        9,
        9,
    )  # 4.5 on the farther side
    with pytest.raises(FormatError, match="center"):
        read(tmp_path / "d.h5", center=90.0)


def test_dxchange_missing_parts(tmp_path):
    dxchange_file(tmp_path / "d.h5", np.ones((3, 2, 4)), theta=False)
    scan = read(tmp_path / "d.h5")
    assert np.allclose(scan.geometry.angles, np.deg2rad([0, 90, 180]))
    assert scan.pixel_assumed and scan.pixel_mm == 1.0
    said = " ".join(scan.remarks)
    assert "angles are not stored" in said and "pixel size is not stored" in said and "rotation axis" in said
    with h5py.File(tmp_path / "d.h5", "a") as file:
        file["measurement/instrument/detector/pixel_size"] = 1.5
        file["measurement/instrument/detector/pixel_size"].attrs["units"] = b"mm"
        dark = file["exchange/data_dark"][()]
        del file["exchange/data_dark"]
        file["exchange/data_dark"] = dark[:0]
    scan = read(tmp_path / "d.h5", center=1.5)
    assert scan.pixel_mm == 1.5 and not scan.pixel_assumed
    without_dark = np.log(1050 / (50 + 1000 * np.exp(-1)))
    assert np.allclose(scan.data, without_dark, atol=1e-5)
    assert [r for r in scan.remarks if "angles" not in r] == []
    with h5py.File(tmp_path / "d.h5", "a") as file:
        del file["exchange/data_white"]
    with pytest.raises(FormatError, match="data_white"):
        read(tmp_path / "d.h5")


@pytest.mark.parametrize("turn", [np.pi, 2 * np.pi])
def test_dxchange_radians_are_not_taken_for_degrees(turn, tmp_path):
    dxchange_file(tmp_path / "d.h5", np.ones((40, 1, 4)), theta=False)
    with h5py.File(tmp_path / "d.h5", "a") as file:
        file["exchange/theta"] = np.linspace(0, turn, 40, endpoint=False)
    with pytest.raises(FormatError, match=r"d\.h5: got 40 views over .*units = 'rad'"):
        read(tmp_path / "d.h5")
    with h5py.File(tmp_path / "d.h5", "a") as file:
        file["exchange/theta"].attrs["units"] = "rad"
    assert np.ptp(read(tmp_path / "d.h5").geometry.angles) == pytest.approx(turn * 39 / 40)


@pytest.mark.filterwarnings("error")
def test_angles_that_are_no_numbers_are_refused(tmp_path):
    dxchange_file(tmp_path / "d.h5", np.ones((40, 1, 4)), theta=False)
    with h5py.File(tmp_path / "d.h5", "a") as file:
        file["exchange/theta"] = np.full(40, np.inf)
    with pytest.raises(FormatError, match=r"d\.h5: got 40 angles that are not finite"):
        read(tmp_path / "d.h5")


def test_real_sinograms(shared):
    scan = read(shared / "ct/raw/htc2022_tb_fanbeam.h5")
    assert (
        scan.data.shape == (1, 549, 560)
        and scan.matrix == (512, 512)
        and scan.pixel_mm == pytest.approx(0.1483)
    )
    assert min(scan.geometry.angles) > 0
    scan = read(shared / "ct/raw/savu24737_dxchange.h5", slices=slice(60, 62), center=86.0, drop_columns=1)
    assert scan.data.shape == (2, 91, 159) and scan.geometry.offset == 6.0
    assert describe(shared / "ct/raw/savu24737_dxchange.h5")["flat_fields"] == 1
    # opposite views of a parallel beam are mirror images about the right centre of rotation
    first, last = scan.data[0, 0], scan.data[0, -1][::-1]
    errors = {
        c: np.abs(first[max(0, s) : 159 + min(0, s)] - last[max(0, -s) : 159 - max(0, s)]).mean()
        for c, s in ((c, 2 * (c - 1) - 158) for c in range(76, 97))
    }
    assert abs(min(errors, key=errors.__getitem__) - 86) <= 1
