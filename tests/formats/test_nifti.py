"""NIfTI: axes, round trip, whatever the name."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scanprior.formats.nifti import write_nifti
from scanprior.formats.read import read, sniff
from scanprior.formats.scan import FormatError, Volume


def test_axes(tmp_path):
    """A LAS array with a bright voxel at the patient's left, front, top."""
    data = np.zeros((4, 5, 6), np.float32)
    data[3, 4, 5] = 100  # x = -6 mm: left; y = 12 mm: anterior; z = 20 mm: superior
    nibabel.save(nibabel.Nifti1Image(data, np.diag([-2.0, 3.0, 4.0, 1.0])), tmp_path / "a.nii.gz")
    volume = read(tmp_path / "a.nii.gz")
    assert volume.data.shape == (6, 5, 4) and volume.spacing == (4.0, 3.0, 2.0)
    assert volume.data[5, 0, 3] == 100  # top slice, first row (anterior), last column (patient's left)


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
def test_round_trip(name, tmp_path):
    rng = np.random.default_rng(0)
    volume = Volume(rng.uniform(-1000, 1500, (3, 4, 5)).astype(np.float32), "HU", "CT", (2.5, 0.5, 0.75))
    write_nifti(tmp_path / name, volume)
    back = read(tmp_path / name)
    assert np.array_equal(back.data, volume.data) and back.spacing == volume.spacing and back.units == "HU"
    assert read(tmp_path / name, modality="MR").units == "magnitude"
    (tmp_path / name).rename(tmp_path / "no_ending")
    assert sniff(tmp_path / "no_ending") == "nifti"
    assert np.array_equal(read(tmp_path / "no_ending").data, volume.data)


def test_refusals(tmp_path):
    volume = Volume(np.zeros((2, 3, 4), np.float32), "magnitude", "MR", (1.0, 1.0, 1.0))
    write_nifti(tmp_path / "v.nii.gz", volume)
    raw = (tmp_path / "v.nii.gz").read_bytes()
    Path(tmp_path / "cut.nii.gz").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(FormatError, match=r"cut\.nii\.gz"):
        read(tmp_path / "cut.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2, 3), np.float32), np.eye(4)), tmp_path / "4d.nii")
    with pytest.raises(FormatError, match="holds 3 volumes.*--volume 0 to 2"):
        read(tmp_path / "4d.nii")
    with pytest.raises(FormatError, match="ends with"):
        write_nifti(tmp_path / "v.dcm", volume)
    with pytest.raises(FormatError, match="series"):
        read(tmp_path / "v.nii.gz", series="1")
