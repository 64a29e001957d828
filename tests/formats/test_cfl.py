"""BART's cfl/hdr: axes, what is refused, and sizes that are checked before anything is read."""

import numpy as np
import pytest
from scanprior.formats.kspace import to_image, to_kspace
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.scan import FormatError

RNG = np.random.default_rng(0)
KSPACE = (RNG.normal(size=(2, 3, 8, 6)) + 1j * RNG.normal(size=(2, 3, 8, 6))).astype(np.complex64)
READ, PHS1, PHS2, COIL, MAPS, TE, TIME, SLICE, AVG = 0, 1, 2, 3, 4, 5, 10, 13, 14


def write(base, array, axes):
    """The array with BART's axes."""
    sizes = [1] * 16
    for axis, n in zip(axes, array.shape, strict=True):
        sizes[axis] = n
    order = np.argsort(axes)
    base.with_suffix(".hdr").write_text(
        "# Dimensions\n" + " ".join(map(str, sizes)) + " \n# Command\nbart x\n"
    )
    array.transpose(order).astype(np.complex64).ravel(order="F").tofile(base.with_suffix(".cfl"))


@pytest.mark.parametrize("name", ["k", "k.cfl", "k.hdr"])
def test_either_file_or_their_name(name, tmp_path):
    write(tmp_path / "k", KSPACE, (SLICE, COIL, PHS1, READ))
    scan = read(tmp_path / name, slices=[1])
    assert sniff(tmp_path / name) == "bart-cfl" and np.array_equal(scan.data, KSPACE[1:])
    assert scan.pixel_assumed and read(tmp_path / name, pixel_mm=2.0).pixel_mm == 2.0 and scan.mask is None
    assert any("taken for Cartesian k-space" in remark for remark in scan.remarks)
    facts = describe(tmp_path / name)
    assert facts["file"] == "k.cfl" == scan.source
    assert facts["data"] == (6, 8, 3, 2) and facts["axes"] == "READ, PHS1, COIL, SLICE"


def test_two_phase_axes_and_a_mask(tmp_path):
    sampled = RNG.random((8, 6)) > 0.5
    write(tmp_path / "k", KSPACE[0] * sampled, (COIL, PHS2, PHS1))
    scan = read(tmp_path / "k")
    assert np.array_equal(scan.data, KSPACE[:1] * sampled) and np.array_equal(scan.mask, sampled)


def test_three_dimensions_are_transformed_along_the_readout(tmp_path):
    sampled = RNG.random((8, 6)) > 0.5
    images = (RNG.normal(size=(3, 8, 6, 5)) + 1j * RNG.normal(size=(3, 8, 6, 5))).astype(np.complex64)
    kspace = to_kspace(images, (1, 2, 3)) * sampled[None, ..., None]
    write(tmp_path / "k", kspace, (COIL, PHS2, PHS1, READ))
    scan = read(tmp_path / "k")
    assert scan.data.shape == (5, 3, 8, 6) and np.array_equal(scan.mask, sampled)
    assert np.allclose(scan.data, to_kspace(np.moveaxis(images, -1, 0)) * sampled, atol=1e-5)
    assert np.array_equal(read(tmp_path / "k", slices=[4]).data, scan.data[4:])
    kspace[:, 3, 2, 0] = 0 if sampled[3, 2] else 1
    write(tmp_path / "k", kspace, (COIL, PHS2, PHS1, READ))
    with pytest.raises(FormatError, match="not all sampled alike"):
        read(tmp_path / "k")


@pytest.mark.parametrize(("axes", "words"), [((SLICE, PHS1, READ), "k-space"), ((PHS2, PHS1, READ), "3-D")])
def test_more_than_memory_is_refused_before_it_is_read(axes, words, tmp_path):
    write(tmp_path / "k", np.zeros((3, 2, 2)), axes)
    header = (tmp_path / "k.hdr").read_text().replace("3", "3000").replace("2", "200")
    (tmp_path / "k.hdr").write_text(header)
    with (tmp_path / "k.cfl").open("wb") as file:
        file.truncate(8 * 3000 * 200 * 200)  # a hole: nothing is on the disk
    with pytest.raises(FormatError, match=rf"k\.cfl: .*{words}.* would take .*, more than the 0.5 GB"):
        read(tmp_path / "k", max_memory=0.5)


def test_averages_share_lines(tmp_path):
    """The mean of each sample over the averages that measured it."""
    averages = np.stack([KSPACE * 0.5, KSPACE * 1.5, KSPACE])
    averages[0, :, :, ::2] = averages[1, :, :, ::2] = 0
    write(tmp_path / "k", averages, (AVG, SLICE, COIL, PHS1, READ))
    scan = read(tmp_path / "k")
    assert np.allclose(scan.data, KSPACE, atol=1e-6) and "the mean of 3 averages" in scan.remarks
    assert np.allclose(to_image(scan.data), to_image(KSPACE), atol=1e-6)


def test_one_of_several_echoes_and_times(tmp_path):
    several = np.stack([np.stack([KSPACE * (1 + e + 10 * t) for e in range(2)]) for t in range(3)])
    write(tmp_path / "k", several, (TIME, TE, SLICE, COIL, PHS1, READ))
    assert np.allclose(read(tmp_path / "k", echo=1, time=2).data, KSPACE * 22)
    with pytest.raises(FormatError, match=r"k\.cfl: holds 2 echoes, expected one; choose with --echo 0 to 1"):
        read(tmp_path / "k", time=0)
    with pytest.raises(FormatError, match="time 3"):
        read(tmp_path / "k", echo=0, time=3)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("# Dimensions\n6 8 1 3 1\n", "got 2304 bytes, expected 1152"),
        ("# Dimensions\n6 8 1 3 1 1 1 1 1 1 1 1 1 4\n", "truncated"),
        ("# Dimensions\n99999999 99999999 1 3\n", "truncated"),
        ("# Dimensions\n6 8 -1 3\n", "sizes of the axes"),
        ("# Dimensions\n6 8 1 0 1\n", "sizes of the axes"),
        ("# Dimensions\n", "sizes of the axes"),
        ("# Dimensions\n6 8 1 3 2\n", "without MAPS"),
        ("# Dimensions\n288\n", "along two of READ"),
        ("# Dimensions\n6 4 2 3 1 1 1 1 1 1 1 1 1 2\n", "three without SLICE"),
        (f"# Dimensions\n6 8 1 3 {'1 ' * 12} 2\n", "more than 16 axes"),
    ],
)
def test_headers_that_do_not_fit(header, words, tmp_path):
    write(tmp_path / "k", KSPACE, (SLICE, COIL, PHS1, READ))
    (tmp_path / "k.hdr").write_text(header)
    with pytest.raises(FormatError, match=rf"k\.(cfl|hdr).*{words}"):
        read(tmp_path / "k.cfl")


def test_half_a_pair(tmp_path):
    write(tmp_path / "k", KSPACE, (SLICE, COIL, PHS1, READ))
    (tmp_path / "k.cfl").rename(tmp_path / "other.cfl")
    with pytest.raises(FormatError, match=r"has no k\.cfl beside it"):
        read(tmp_path / "k.hdr")
    with pytest.raises(FormatError, match=r"other\.cfl: is an unknown binary file.*hdr"):
        read(tmp_path / "other.cfl")
