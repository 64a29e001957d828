"""NIfTI: axes, round trip, whatever the name."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from scanprior.formats.nifti import write_nifti
from scanprior.formats.read import describe, read, sniff
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
    with pytest.raises(FormatError, match=r"holds 3 volumes.*--volume 0 to 2"):
        read(tmp_path / "4d.nii")
    with pytest.raises(FormatError, match="ends with"):
        write_nifti(tmp_path / "v.dcm", volume)
    with pytest.raises(FormatError, match="series"):
        read(tmp_path / "v.nii.gz", series="1")


# --- several volumes, and what NIfTI holds besides intensities
def save(path, data, **header):
    out = nibabel.Nifti1Image(data, np.eye(4))
    out.header.set_xyzt_units("mm")
    for key, value in header.items():
        out.header[key] = value
    nibabel.save(out, path)
    return path


def test_one_of_several_volumes(tmp_path):
    data = np.zeros((3, 4, 5, 6), np.float32) + np.arange(6, dtype=np.float32)
    path = save(tmp_path / "a.nii.gz", data)
    assert describe(path)["volumes"] == 6 and describe(path, volume=2)["shape"] == (3, 4, 5)
    with pytest.raises(FormatError, match=r"a\.nii\.gz: holds 6 volumes.*--volume 0 to 5"):
        read(path)
    for option in ("volume", "time"):
        volume = read(path, **{option: 4})
        assert volume.data.shape == (5, 4, 3) and (volume.data == 4).all()
        with pytest.raises(FormatError, match=f"got --{option} 6, expected 0 to 5"):
            read(path, **{option: 6})
    assert read(save(tmp_path / "one.nii", data[..., :1])).data.shape == (5, 4, 3)
    with pytest.raises(FormatError, match=r"got 5 axes"):
        read(save(tmp_path / "five.nii", np.zeros((2, 2, 2, 1, 3), np.float32)))


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 1), (3, 4, 1, 1, 1)])
def test_one_slice(shape, tmp_path):
    data = np.arange(12, dtype=np.float32).reshape(shape)
    volume = read(save(tmp_path / "a.nii", data))
    assert volume.data.shape == (1, 4, 3)
    assert np.array_equal(volume.data[0], data.reshape(3, 4)[::-1, ::-1].T)  # eye(4) runs right to left


def test_complex_numbers_become_their_magnitude(tmp_path):
    data = np.full((3, 4, 5), 3 - 4j, np.complex64)
    volume = read(save(tmp_path / "a.nii", data))
    assert (volume.data == 5).all() and "complex numbers: their magnitude" in volume.remarks[0]


def test_a_guessed_modality_is_said_and_can_be_told(tmp_path):
    path = save(tmp_path / "a.nii", np.linspace(-900, 900, 60, dtype=np.float32).reshape(3, 4, 5))
    assert read(path).modality == "CT" and "CT assumed" in read(path).remarks[0]
    told = read(path, modality="MR")
    assert told.modality == "MR" and len(told.remarks) == 1 and "values go down to -900" in told.remarks[0]
    path = save(tmp_path / "b.nii", np.ones((3, 4, 5), np.float32))
    assert read(path).modality == "MR" and "MR assumed" in read(path).remarks[0]
    assert read(path, modality="CT").units == "HU" and describe(path, modality="CT")["modality"] == "CT"


def test_a_folder(tmp_path):
    save(tmp_path / "a.nii.gz", np.full((3, 4, 5), 7, np.float32))
    (tmp_path / "a.json").write_text("{}")
    assert (read(tmp_path).data == 7).all()
    save(tmp_path / "b.nii", np.ones((3, 4, 5), np.float32))
    with pytest.raises(
        FormatError, match=r"a folder of 2 scans, a file each \(a\.nii\.gz, b\.nii\); pass one"
    ):
        read(tmp_path)


def test_a_pair_of_files(tmp_path):
    nibabel.save(nibabel.Nifti1Pair(np.full((3, 4, 5), 7, np.float32), np.eye(4)), tmp_path / "a.img")
    assert (read(tmp_path / "a.hdr").data == 7).all()
    (tmp_path / "a.img").unlink()
    with pytest.raises(FormatError, match=r"a\.hdr: holds no voxels, only a header; copy a\.img beside it"):
        read(tmp_path / "a.hdr")


def cifti(path):
    axes = (
        nibabel.cifti2.ScalarAxis(["a"]),
        nibabel.cifti2.BrainModelAxis.from_mask(np.ones(5, bool), name="cortex_left"),
    )
    nibabel.save(nibabel.Cifti2Image(np.ones((1, 5), np.float32), axes), path)
    return path


def colours(path):
    return save(path, np.zeros((3, 4, 5), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])))


def gifti(path):
    array = nibabel.gifti.GiftiDataArray(np.ones(5, np.float32))
    path.write_bytes(nibabel.gifti.GiftiImage(darrays=[array]).to_xml())
    return path


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (cifti, "a.dscalar.nii", "CIFTI"),
        (colours, "a.nii", r"colours \(RGB\)"),
        (gifti, "a.gii", "GIFTI"),
        (lambda path: save(path, np.ones((3, 4, 5), np.int16), intent_code=1002), "a.nii", "labels"),
        (lambda path: save(path, np.ones((3, 4, 5), np.float32), intent_code=5), "a.nii", "statistics"),
        (lambda path: save(path, np.ones((3, 4, 5, 1, 3), np.float32), intent_code=1007), "a.nii", "vectors"),
    ],
)
def test_what_is_no_image_of_intensities(make, name, words, tmp_path):
    path = make(tmp_path / name)
    for function in (read, describe):
        with pytest.raises(FormatError, match=rf"{name}: .*{words}"):
            function(path)
