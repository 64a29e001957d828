"""k-space from MATLAB: axes and complex numbers as MATLAB 7.3 and older versions write them."""

import h5py
import numpy as np
import pytest
from scanprior.formats.collect import collect, find_files
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.scan import FormatError
from scipy.io import savemat

RNG = np.random.default_rng(0)
KSPACE = (RNG.normal(size=(8, 6, 3, 2)) + 1j * RNG.normal(size=(8, 6, 3, 2))).astype(np.complex64)
RIGHT = KSPACE.transpose(3, 2, 0, 1)  # (slice, coil, ky, kx)


def new(path, kspace, name="kspace", **more):
    """MATLAB 7.3: HDF5 behind 512 bytes, axes reversed, complex numbers as a compound."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in {name: kspace, **more}.items():
            value = np.asarray(value).T
            if np.iscomplexobj(value):
                pairs = np.zeros(value.shape, [("real", "<f8"), ("imag", "<f8")])
                pairs["real"], pairs["imag"] = value.real, value.imag
                value = pairs
            file[key] = value
            file[key].attrs["MATLAB_class"] = np.bytes_("double")


def old(path, kspace, name="kspace", **more):
    savemat(path, {name: kspace, **more}, do_compression=True)


@pytest.mark.parametrize("write", [new, old])
def test_axes_are_reversed(write, tmp_path):
    write(tmp_path / "k.mat", KSPACE)
    scan = read(tmp_path / "k.mat")
    assert sniff(tmp_path / "k.mat") == "matlab" and np.array_equal(scan.data, RIGHT)
    assert scan.data.dtype == np.complex64 and scan.matrix == (8, 6) and scan.mask is None
    assert scan.pixel_assumed and not read(tmp_path / "k.mat", pixel_mm=0.9).pixel_assumed
    assert np.array_equal(read(tmp_path / "k.mat", slices=[1]).data, RIGHT[1:])
    assert describe(tmp_path / "k.mat")["kspace"] == (8, 6, 3, 2)


@pytest.mark.parametrize("write", [new, old])
def test_fewer_axes_and_what_goes_with_them(write, tmp_path):
    mask = np.zeros((8, 6))
    mask[::2] = 1
    write(tmp_path / "k.mat", KSPACE[..., 0] * mask[..., None], "kspace_sub", mask=mask, pixel_mm=[[0.5]])
    scan = read(tmp_path / "k.mat")
    assert np.array_equal(scan.data, RIGHT[:1] * mask) and np.array_equal(scan.mask, mask == 1)
    assert scan.pixel_mm == 0.5 and "coils of one slice" in scan.remarks[0]
    write(tmp_path / "k.mat", KSPACE[..., 0, 0])
    assert np.array_equal(read(tmp_path / "k.mat").data, RIGHT[:1, :1])


@pytest.mark.parametrize("write", [new, old])
def test_refusals(write, tmp_path):
    for kspace, words in (
        (KSPACE.real, "real"),
        (np.stack([KSPACE] * 2, -1), r"\(8, 6, 3, 2, 2\).*averages"),
    ):
        write(tmp_path / "k.mat", kspace)
        with pytest.raises(FormatError, match=rf"k\.mat: .*{words}"):
            read(tmp_path / "k.mat")
    write(tmp_path / "k.mat", KSPACE, "kspace_a", kspace_b=KSPACE)
    with pytest.raises(FormatError, match="kspace_a, kspace_b"):
        read(tmp_path / "k.mat")


@pytest.mark.parametrize("write", [new, old])
def test_a_folder_of_them_is_a_source(write, tmp_path):
    write(tmp_path / "k.mat", KSPACE)
    sources, left = collect(find_files([tmp_path]), "MR")
    assert [source.format for source in sources] == ["matlab"] and not left
    assert collect(find_files([tmp_path]), "CT")[1][0].reason == "other modality"


def test_a_truncated_old_file(tmp_path):
    old(tmp_path / "k.mat", KSPACE)
    whole = (tmp_path / "k.mat").read_bytes()
    for length in (130, 200, len(whole) // 2):
        (tmp_path / "k.mat").write_bytes(whole[:length])
        with pytest.raises(FormatError, match=r"k\.mat: "):
            read(tmp_path / "k.mat")
