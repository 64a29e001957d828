"""Lengths: whatever way they are stored; what was assumed is said and never written as if measured."""

from dataclasses import replace

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_files import image, save, series
from pydicom.dataelem import DataElement
from scanprior.formats.dicom_write import write_dicom
from scanprior.formats.nifti import evenly_spaced, write_nifti
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError, Volume
from scanprior.formats.store import write_reconstruction


def stored(vr: str, text: str):
    """An image whose PixelSpacing has this VR and this text."""
    out = image(PixelSpacing=None)
    element = DataElement("PixelSpacing", vr if vr != "DS" else "UT", text)
    out[element.tag] = element
    return out, vr


@pytest.mark.parametrize(
    ("vr", "text", "spacing"),
    [
        ("UT", "0.7\\0.9", (0.7, 0.9)),
        ("LO", "0.7\\0.9", (0.7, 0.9)),
        ("DS", "0,7\\0,9", (0.7, 0.9)),
        ("DS", "0.7,0.9 ", (0.7, 0.9)),
        ("DS", "0.7 ", (0.7, 0.7)),
        ("DS", "0,7 ", (0.7, 0.7)),
    ],
)
def test_pixel_spacing_however_it_is_written(vr, text, spacing, tmp_path):
    made, _ = stored(vr, text)
    path = save(tmp_path / "a.dcm", made)
    if vr == "DS":  # pydicom writes no DS like these
        raw = path.read_bytes()
        at = raw.index(b"\x28\x00\x30\x00UT")
        length = int.from_bytes(raw[at + 8 : at + 12], "little")
        value = raw[at + 12 : at + 12 + length]
        path.write_bytes(
            raw[: at + 4] + b"DS" + length.to_bytes(2, "little") + value + raw[at + 12 + length :]
        )
    volume = read(path)
    assert volume.spacing == (5, *spacing) and not volume.pixel_assumed
    assert any("PixelSpacing" in remark for remark in volume.remarks)
    assert describe(path)["pixel_mm"] == spacing
    written = write_dicom(volume.data, volume, tmp_path / "out", "x", {})
    again = pydicom.dcmread(written.paths[0])
    assert list(again.PixelSpacing) == list(spacing) and again["PixelSpacing"].VR == "DS"


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "NominalScannedPixelSpacing", ""])
def test_a_pixel_size_that_was_not_measured_in_the_patient(keyword, tmp_path):
    changes = {keyword: [0.6, 0.6]} if keyword else {}
    path = save(tmp_path / "a.dcm", image(PixelSpacing=None, **changes))
    volume = read(path)
    assert volume.pixel_assumed and volume.spacing[1:] == ((0.6, 0.6) if keyword else (1, 1))
    assert "the pixel size is not stored" in volume.remarks[0] and (keyword or "assumed") in volume.remarks[0]
    written = pydicom.dcmread(write_dicom(volume.data, volume, tmp_path / "out", "x", {}).paths[0])
    assert not any("Spacing" in element.keyword for element in written)
    assert "pixel size=not known" in written.DerivationDescription
    told = read(path, pixel_mm=0.4)
    assert told.spacing == (5, 0.4, 0.4) and not told.pixel_assumed and told.remarks == ()
    written = pydicom.dcmread(write_dicom(told.data, told, tmp_path / "told", "x", {}).paths[0])
    assert list(written.PixelSpacing) == [0.4, 0.4]
    assert describe(path, pixel_mm=0.4)["pixel_mm"] == (0.4, 0.4)


def test_a_stated_pixel_size_is_not_overruled(tmp_path):
    path = save(tmp_path / "a.dcm", image())
    assert read(path, pixel_mm=0.8).spacing == (5, 0.8, 0.8)
    for function in (read, describe):
        with pytest.raises(FormatError, match=r"states pixels of 0.8 x 0.8 mm, got --pixel-mm 0.4"):
            function(path, pixel_mm=0.4)
        with pytest.raises(FormatError, match="expected a positive length"):
            function(path, pixel_mm=-1.0)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_nothing_that_was_assumed_is_written(modality, tmp_path):
    """Without a DICOM source: no lengths, no places; what is read back says so."""
    data = np.arange(3 * 4 * 4, dtype=np.float32).reshape(3, 4, 4)
    volume = Volume(data, "HU" if modality == "CT" else "magnitude", modality, (1, 1, 1), pixel_assumed=True)
    for name, source in (("a", volume), ("b", replace(volume, slice_assumed=True))):
        written = write_dicom(data, source, tmp_path / name, "x", {})
        first = pydicom.dcmread(written.paths[0])
        assert not {"PixelSpacing", "ImagePositionPatient", "SpacingBetweenSlices"} & {
            e.keyword for e in first
        }
        assert not first.SliceThickness
        back = read(tmp_path / name)
        assert back.pixel_assumed and np.abs(back.data - data).max() < 1
    write_nifti(tmp_path / "v.nii", volume)
    assert nibabel.load(tmp_path / "v.nii").header.get_xyzt_units()[0] == "unknown"
    write_reconstruction(tmp_path / "r.h5", data, None, None, "HU", (1, 1, 1), {"pixel_assumed": True})
    assert read(tmp_path / "r.h5").pixel_assumed and "assumed" in read(tmp_path / "r.h5").remarks[0]
    assert read(tmp_path / "r.h5", pixel_mm=0.4).spacing == (1, 0.4, 0.4)


# --- NIfTI
def nifti(path, unit, zooms=(0.5, 0.75, 2.0)):
    out = nibabel.Nifti1Image(np.ones((3, 4, 5), np.float32), np.diag([*zooms, 1.0]))
    out.header.set_xyzt_units(unit)
    nibabel.save(out, path)
    return path


@pytest.mark.parametrize(("unit", "scale"), [("mm", 1), ("micron", 1e-3), ("meter", 1e3)])
def test_nifti_units(unit, scale, tmp_path):
    path = nifti(tmp_path / "a.nii", unit)
    volume = read(path, modality="MR")
    assert volume.spacing == pytest.approx((2 * scale, 0.75 * scale, 0.5 * scale)) and volume.remarks == ()
    assert describe(path)["voxel_mm"] == pytest.approx((0.5 * scale, 0.75 * scale, 2 * scale))


def test_nifti_without_a_unit(tmp_path):
    path = nifti(tmp_path / "a.nii", "unknown", (0.5, 0.5, 2.0))
    volume = read(path, modality="MR")
    assert volume.spacing == (2, 0.5, 0.5) and "the unit of the voxel size is not stored" in volume.remarks[0]
    told = read(path, modality="MR", pixel_mm=0.05)
    assert told.spacing == pytest.approx((0.2, 0.05, 0.05)) and told.remarks == ()
    with pytest.raises(FormatError, match="states pixels"):
        read(nifti(tmp_path / "b.nii", "mm"), modality="MR", pixel_mm=3)


@pytest.mark.filterwarnings("ignore")
def test_nifti_without_a_size(tmp_path):
    path = nifti(tmp_path / "a.nii", "mm")
    raw = bytearray(path.read_bytes())
    raw[80:92] = np.zeros(3, "<f4").tobytes()  # pixdim 1 to 3
    path.write_bytes(raw)
    volume = read(path, modality="MR")
    assert volume.pixel_assumed and "pixel size is not stored" in volume.remarks[0]
    assert read(path, modality="MR", pixel_mm=0.3).spacing[1:] == (0.3, 0.3)


def test_a_tilted_gantry_in_nifti(tmp_path):
    t = np.deg2rad(20)
    direction = [1, 0, 0, 0, np.cos(t), -np.sin(t)]
    made = [
        image(p, "CT", z=5.0 * p, ImageOrientationPatient=[f"{v:.10f}" for v in direction]) for p in range(4)
    ]
    volume = read(series(tmp_path / "s", made))
    write_nifti(tmp_path / "v.nii.gz", volume)
    affine = np.diag([-1, -1, 1, 1]) @ nibabel.load(tmp_path / "v.nii.gz").affine
    for k, header in enumerate(volume.dicom):
        assert (affine @ [0, 0, k, 1])[:3] == pytest.approx(list(header.ImagePositionPatient), abs=0.01)
    halved = Volume(volume.data[:, ::2, ::2], "HU", "CT", volume.spacing, dicom=volume.dicom)
    write_nifti(tmp_path / "h.nii.gz", halved)
    coarse = np.diag([-1, -1, 1, 1]) @ nibabel.load(tmp_path / "h.nii.gz").affine
    middle = (affine @ [3.5, 3.5, 2, 1])[:3]  # of the field of view
    assert (coarse @ [1.5, 1.5, 2, 1])[:3] == pytest.approx(middle, abs=1e-3)


def test_slices_that_no_affine_places_are_not_written_to_nifti(tmp_path):
    made = [image(k, "CT", z=z) for k, z in enumerate((0.0, 5.0, 12.0, 15.0))]
    volume = read(series(tmp_path / "s", made))
    assert not evenly_spaced(volume)
    with pytest.raises(FormatError, match="not evenly spaced"):
        write_nifti(tmp_path / "v.nii.gz", volume)
    assert not (tmp_path / "v.nii.gz").exists()
    assert evenly_spaced(read(series(tmp_path / "e", [image(k, "CT", z=5.001 * k) for k in range(4)])))
