"""k-space from MATLAB: axes and complex numbers as version 7.3 writes them."""

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


def test_axes_are_reversed(tmp_path):
    new(tmp_path / "k.mat", KSPACE)
    scan = read(tmp_path / "k.mat")
    assert sniff(tmp_path / "k.mat") == "matlab" and np.array_equal(scan.data, RIGHT)
    assert scan.data.dtype == np.complex64 and scan.matrix == (8, 6) and scan.mask is None
    assert scan.pixel_assumed and not read(tmp_path / "k.mat", pixel_mm=0.9).pixel_assumed
    assert np.array_equal(read(tmp_path / "k.mat", slices=[1]).data, RIGHT[1:])
    assert describe(tmp_path / "k.mat")["kspace"] == (8, 6, 3, 2)


def test_fewer_axes_and_what_goes_with_them(tmp_path):
    mask = np.zeros((8, 6))
    mask[::2] = 1
    new(tmp_path / "k.mat", KSPACE[..., 0] * mask[..., None], "kspace_sub", mask=mask, pixel_mm=[[0.5]])
    scan = read(tmp_path / "k.mat")
    assert np.array_equal(scan.data, RIGHT[:1] * mask) and np.array_equal(scan.mask, mask == 1)
    assert scan.pixel_mm == 0.5 and "coils of one slice" in scan.remarks[0]
    new(tmp_path / "k.mat", KSPACE[..., 0, 0])
    assert np.array_equal(read(tmp_path / "k.mat").data, RIGHT[:1, :1])


def test_more_than_memory_is_refused_before_it_is_read(tmp_path):
    new(tmp_path / "k.mat", np.tile(KSPACE[..., 0], (100, 100, 1)))
    with pytest.raises(FormatError, match=r"k\.mat: /kspace would take 0.023 GB, more than the 0.02 GB"):
        read(tmp_path / "k.mat", max_memory=0.02)


def test_refusals(tmp_path):
    for kspace, words in (
        (KSPACE.real, "float32"),
        (np.stack([KSPACE] * 2, -1), r"\(8, 6, 3, 2, 2\).*averages"),
    ):
        new(tmp_path / "k.mat", kspace)
        with pytest.raises(FormatError, match=rf"k\.mat: .*{words}"):
            read(tmp_path / "k.mat")
    new(tmp_path / "k.mat", KSPACE, "kspace_a", kspace_b=KSPACE)
    with pytest.raises(FormatError, match="kspace_a, kspace_b"):
        read(tmp_path / "k.mat")


def test_a_folder_of_them_is_a_source(tmp_path):
    new(tmp_path / "k.mat", KSPACE)
    sources, left = collect(find_files([tmp_path]), "MR")
    assert [source.format for source in sources] == ["matlab"] and not left
    assert collect(find_files([tmp_path]), "CT")[1][0].reason == "other modality"


def test_parts_that_are_no_numbers(tmp_path):
    new(tmp_path / "k.mat", KSPACE, mask=np.bytes_("all"))
    with pytest.raises(FormatError, match=r"k\.mat: got mask of type"):
        read(tmp_path / "k.mat")
    new(tmp_path / "k.mat", KSPACE, pixel_mm=[[1.0, 2.0]])
    with pytest.raises(FormatError, match=r"k\.mat: got 2 values of pixel_mm"):
        read(tmp_path / "k.mat")


def test_older_versions_are_refused_with_the_way_out(tmp_path):
    savemat(tmp_path / "k.mat", {"kspace": KSPACE})
    for function in (read, describe):
        with pytest.raises(FormatError, match=r"k\.mat: is a MATLAB file older than 7\.3.*-v7\.3.*\.npy"):
            function(tmp_path / "k.mat")
