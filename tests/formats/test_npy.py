"""NumPy arrays with a sidecar: the simple layouts in two files."""

import json

import numpy as np
import pytest
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.scan import FormatError

RNG = np.random.default_rng(0)
SINOGRAM = RNG.random((2, 5, 8), dtype=np.float32)
KSPACE = (RNG.normal(size=(2, 3, 8, 6)) + 1j * RNG.normal(size=(2, 3, 8, 6))).astype(np.complex128)
FAN = {
    "geometry": "fan beam, curved",
    "angles_deg": [0, 10, 20, 30, 40],
    "detector_pixel_mm": 0.4,
    "source_origin_mm": 400,
    "source_detector_mm": 800,
    "angle_direction": "clockwise",
    "matrix": [16, 16],
}


def beside(tmp_path, array, **said):
    np.save(tmp_path / "s.npy", array)
    (tmp_path / "s.json").write_text(json.dumps(said))
    return tmp_path / "s.npy"


def test_a_sinogram(tmp_path):
    path = beside(tmp_path, SINOGRAM, **FAN)
    scan = read(path)
    assert sniff(path) == "npy" and np.array_equal(scan.data, SINOGRAM)
    assert scan.geometry.kind == "fan" and scan.geometry.curved and scan.matrix == (16, 16)
    assert scan.pixel_mm == pytest.approx(0.1)
    assert np.allclose(scan.geometry.angles, -np.deg2rad([0, 10, 20, 30, 40]))
    assert np.array_equal(read(path, slices=[1], angle_sign=1).data, SINOGRAM[1:])
    facts = describe(path)
    assert facts["kind"] == "ct" and facts["shape"] == (2, 5, 8) and facts["detector_pixel_mm"] == 0.4


def test_info_shows_no_words_that_anybody_can_plant(tmp_path):
    path = beside(tmp_path, SINOGRAM, **FAN | {"geometry": "fan of Jane Roe", "mu_water": "Jane Roe"})
    assert "Jane" not in str(describe(path)) and describe(path)["other_attributes"] == "2, not shown"
    assert describe(path)["source_origin_mm"] == 400


def test_arrays_in_files_of_their_own_and_toml(tmp_path):
    np.save(tmp_path / "s.npy", np.asfortranarray(SINOGRAM[0]))
    np.save(tmp_path / "angles.npy", np.arange(5.0))
    mask = SINOGRAM[0] > 0.3
    np.save(tmp_path / "mask.npy", mask)
    (tmp_path / "s.toml").write_text(
        'geometry = "parallel"\nangles_deg = "angles.npy"\nmask = "mask.npy"\ndetector_pixel_mm = 0.5\n'
    )
    scan = read(tmp_path / "s.npy")
    assert np.array_equal(scan.data, SINOGRAM[:1]) and np.array_equal(scan.mask, mask)
    assert np.allclose(scan.geometry.angles, np.deg2rad(np.arange(5.0)))
    (tmp_path / "s.toml").write_text('angles_deg = "../angles.npy"\n')
    with pytest.raises(FormatError, match=r"s\.toml: got angles_deg = '../angles\.npy'"):
        read(tmp_path / "s.npy")


def test_kspace(tmp_path):
    scan = read(beside(tmp_path, KSPACE, pixel_mm=0.9))
    assert np.array_equal(scan.data, KSPACE.astype(np.complex64)) and scan.pixel_mm == 0.9
    (tmp_path / "s.json").unlink()
    scan = read(tmp_path / "s.npy")
    assert scan.pixel_assumed and any("1 mm is assumed" in remark for remark in scan.remarks)
    assert read(tmp_path / "s.npy", pixel_mm=2.0).pixel_mm == 2.0


@pytest.mark.parametrize(
    ("array", "said", "words"),
    [
        (SINOGRAM, {}, r"s\.npy: got a real array without angles.*s\.json"),
        (SINOGRAM, FAN | {"angles": 3}, r"s\.json: got angles, expected some of"),
        (SINOGRAM, FAN | {"angles_deg": [[0, 1], 2]}, r"s\.json: got angles_deg that is no list"),
        (SINOGRAM, FAN | {"angles_deg": [0, 1]}, "2 angles for 5 views"),
        (SINOGRAM, FAN | {"detector_pixel_mm": "wide"}, "detector_pixel_mm = 'wide'"),
        (np.stack([KSPACE] * 3), {}, r"\(3, 2, 3, 8, 6\).*averages"),
        (np.array([{}, None]), {}, r"s\.npy: the \.npy file cannot be read"),
        (np.array(["a"]), {}, "expected numbers"),
    ],
)
def test_refusals(array, said, words, tmp_path):
    with pytest.raises(FormatError, match=words):
        read(beside(tmp_path, array, **said))


def test_damage(tmp_path):
    path = beside(tmp_path, SINOGRAM, **FAN)
    whole = path.read_bytes()
    for length in (8, 60, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"s\.npy: the \.npy file cannot be read"):
            read(path)
    path.write_bytes(whole.replace(b"(2, 5, 8)", b"(2e9,5,8)".ljust(9)))
    with pytest.raises(FormatError, match=r"s\.npy: the \.npy file cannot be read"):
        read(path)
    path.write_bytes(whole)
    (tmp_path / "s.json").write_text("{")
    with pytest.raises(FormatError, match=r"s\.json: is no JSON"):
        read(path)


def test_more_than_memory_is_refused_before_it_is_read(tmp_path):
    path = beside(tmp_path, SINOGRAM, **FAN)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": (500, 5, 1 << 20)}
        )
        file.truncate(file.tell() + 4 * 500 * 5 * (1 << 20))  # a hole: nothing is on the disk
    with pytest.raises(FormatError, match=r"s\.npy: the array would take 10.5 GB, more than the 1 GB"):
        read(path, max_memory=1)
    assert read(path, max_memory=1, slices=[1], check_data=False).data.shape == (1, 5, 1 << 20)
