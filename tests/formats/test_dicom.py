"""DICOM in and out, on pydicom's own files, on synthetic series and on real ones."""

import copy

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from scanprior.formats.dicom import example_ct
from scanprior.formats.dicom_write import WARNING, write_dicom
from scanprior.formats.image_set import read_images
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError, Volume, problems
from scanprior.formats.store import read_reconstruction, write_reconstruction

IDENTITY = ("PatientName", "PatientID", "StudyInstanceUID", "FrameOfReferenceUID")


@pytest.fixture
def ct_small():
    return pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))


def series_of(folder, template, positions, **changes):
    """A series with the slice number in the first pixel; files named in a shuffled order."""
    folder.mkdir(exist_ok=True)
    for i, z in enumerate(positions):
        image = copy.deepcopy(template)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{i + 1}"
        image.ImagePositionPatient, image.InstanceNumber = [0, 0, float(z)], i + 1
        pixels = image.pixel_array.copy()
        pixels[0, 0] = 100 + i
        image.PixelData = pixels.tobytes()
        for keyword, value in changes.items():
            setattr(image, keyword, value)
        image.save_as(folder / f"{(7 * i) % 11:02d}-{i}{changes.get('SeriesNumber', '')}.dcm")


def test_ct_small(ct_small):
    volume = read(get_testdata_file("CT_small.dcm", download=False))
    expected = ct_small.pixel_array * 1.0 - 1024
    expected[ct_small.pixel_array == ct_small.PixelPaddingValue] = -1024
    assert np.array_equal(volume.data[0], np.maximum(expected, -1024)) and volume.units == "HU"
    assert volume.spacing == (5.0, 0.661468, 0.661468) and problems(volume) == []
    assert "CompressedSamples" not in str(volume.header) and "JFK" not in str(volume.header)
    assert len(volume.dicom) == 1 and "PixelData" not in volume.dicom[0]


def test_example_ct():
    assert read(example_ct()).data.shape == (1, 128, 128)


def test_mr_small():
    path = get_testdata_file("MR_small.dcm", download=False)
    volume = read(path)
    assert volume.units == "magnitude" and volume.modality == "MR"
    assert np.array_equal(volume.data[0], pydicom.dcmread(path).pixel_array.astype(np.float32))


def test_series_is_sorted_and_rescaled_slice_by_slice(ct_small, tmp_path):
    series_of(tmp_path / "s", ct_small, [5, 0, 2.5, 7.5])
    for file in (tmp_path / "s").iterdir():
        image = pydicom.dcmread(file)
        image.RescaleSlope = image.InstanceNumber
        image.save_as(file)
    (tmp_path / "s" / "notes.txt").write_text("not an image")
    volume = read(tmp_path / "s")
    assert volume.spacing[0] == 2.5 and volume.data.shape == (4, 128, 128)
    assert list(volume.data[:, 0, 0]) == [101 * 2 - 1024, 102 * 3 - 1024, 100 - 1024, 103 * 4 - 1024]
    assert [h.InstanceNumber for h in volume.dicom] == [2, 3, 1, 4] and volume.remarks == ()
    part = read(tmp_path / "s", slices=[3])
    assert np.array_equal(part.data, volume.data[3:]) and part.dicom[0].InstanceNumber == 4
    assert part.spacing == volume.spacing


def test_gap_is_reported(ct_small, tmp_path):
    series_of(tmp_path / "s", ct_small, [0, 1, 2, 5])
    assert "1 to 3 mm" in read(tmp_path / "s").remarks[0]


def test_padding_and_low_values_are_air(ct_small, tmp_path):
    pixels = ct_small.pixel_array.copy()
    pixels[0, :3] = [-2000, -500, 10]
    ct_small.PixelData = pixels.tobytes()
    ct_small.save_as(tmp_path / "a.dcm")
    assert list(read(tmp_path / "a.dcm").data[0, 0, :3]) == [-1024, -1024, -1014]


def test_several_series(ct_small, tmp_path):
    series_of(tmp_path / "s", ct_small, [0, 1], SeriesNumber=1, SeriesDescription="soft tissue")
    series_of(
        tmp_path / "s",
        ct_small,
        [0, 1, 2],
        SeriesNumber=2,
        SeriesDescription="Lung",
        SeriesInstanceUID="1.9.2",
    )
    with pytest.raises(FormatError, match=r"2 series.*soft tissue.*Lung.*--series"):
        read(tmp_path / "s")
    assert len(describe(tmp_path / "s")["series"]) == 2
    for series in ("lung", 2, "2", "1.9.2"):
        assert len(read(tmp_path / "s", series=series).data) == 3
    with pytest.raises(FormatError, match="bone"):
        read(tmp_path / "s", series="bone")


def test_large_folder_is_described_quickly(ct_small, tmp_path):
    del ct_small.PixelData
    (tmp_path / "s").mkdir()
    for i in range(81):
        ct_small.save_as(tmp_path / "s" / f"{i:03d}.dcm")
    facts = describe(tmp_path / "s")
    assert facts["frames"] == 81 and facts["headers_read"] == "8 of 81" and "series" not in facts
    ct_small.SeriesInstanceUID, ct_small.SeriesNumber = "1.9.2", 7
    for i in range(81, 95):
        ct_small.save_as(tmp_path / "s" / f"{i:03d}.dcm")
    assert [row.split(",")[1] for row in describe(tmp_path / "s")["series"]] == [" 81 files)", " 14 files)"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.__delitem__("PixelData"), "without pixel data"),
        (lambda d: (d.__delitem__("PixelData"), d.__delitem__("Rows")), "without pixel data"),
        (lambda d: setattr(d, "SamplesPerPixel", 3), "colour"),
        (lambda d: setattr(d, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.7"), "secondary capture"),
        (lambda d: setattr(d, "Modality", "PT"), "'PT'"),
        (lambda d: setattr(d, "RescaleType", "MGML"), "MGML"),
        (lambda d: setattr(d, "PixelData", d.PixelData[:1000]), "damaged"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # pydicom warns when it writes the broken files
def test_refusals(ct_small, change, words, tmp_path):
    change(ct_small)
    ct_small.save_as(tmp_path / "a.dcm")
    with pytest.raises(FormatError, match=rf"a\.dcm: .*{words}"):
        read(tmp_path / "a.dcm")


def test_images_of_other_sizes_and_directions_are_volumes_of_their_own(ct_small, tmp_path):
    series_of(tmp_path / "size", ct_small, [0, 1])
    image = pydicom.dcmread(next((tmp_path / "size").iterdir()))
    image.SOPInstanceUID = "1.2.3.9"
    image.Rows, image.PixelData = 64, image.PixelData[: len(image.PixelData) // 2]
    image.save_as(tmp_path / "size" / "zz.dcm")
    with pytest.raises(FormatError, match=r"2 volumes.*2 slices of 128.*1 slice of 64.*--volume 0 to 1"):
        read(tmp_path / "size")
    assert read(tmp_path / "size", volume=1).data.shape == (1, 64, 128)
    series_of(tmp_path / "turned", ct_small, [0, 1])
    image.Rows, image.ImageOrientationPatient = 128, [1, 0, 0, 0, 0, -1]
    image.PixelData = image.PixelData * 2
    image.save_as(tmp_path / "turned" / "zz.dcm")
    with pytest.raises(FormatError, match=r"axial.*coronal.*--volume 0 to 1"):
        read(tmp_path / "turned")
    assert len(read(tmp_path / "turned", volume=0).data) == 2


def test_missing_decoder(shared, monkeypatch):
    def missing(self):
        raise RuntimeError("no plugin")

    monkeypatch.setattr(Dataset, "pixel_array", property(missing))
    path = shared / "ct/dicom/formats/data_store__data__explicit_VR-UN.dcm"
    with pytest.raises(FormatError, match=r"JPEG 2000.*pip install scanprior\[dicom\]"):
        read(path)


def test_enhanced_frames(ct_small, tmp_path):
    """Frames out of order, with their own positions and rescaling."""
    image = copy.deepcopy(ct_small)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        del image[keyword]
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    image.NumberOfFrames = 3
    image.PixelData = np.stack([np.full((128, 128), v, np.int16) for v in (10, 20, 30)]).tobytes()
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.75], 2
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for z, slope in ((4, 1), (0, 2), (2, 3)):
        frame, place, values = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, z]
        values.RescaleSlope, values.RescaleIntercept, values.RescaleType = slope, -1000, "HU"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [place], [values]
        frames.append(frame)
    image.PerFrameFunctionalGroupsSequence = frames
    image.save_as(tmp_path / "e.dcm")
    volume = read(tmp_path / "e.dcm")
    assert list(volume.data[:, 5, 5]) == [2 * 20 - 1000, 3 * 30 - 1000, 10 - 1000]
    assert volume.spacing == (2.0, 0.5, 0.75) and [h.ReferencedFrameNumber for h in volume.dicom] == [2, 3, 1]
    written = write_dicom(volume.data, volume, tmp_path / "out", "recon", {})
    first = pydicom.dcmread(written.paths[0])
    assert (
        first.SourceImageSequence[0].ReferencedFrameNumber == 2
        and first.SOPClassUID.name == "CT Image Storage"
    )
    assert not any("FunctionalGroups" in e.keyword or e.keyword == "NumberOfFrames" for e in first)
    assert np.array_equal(read(tmp_path / "out").data, volume.data)


# --- writing
def test_written_series_is_a_proper_derivation(ct_small, tmp_path):
    ct_small.add_new("SmallestImagePixelValue", "SS", 0)
    ct_small.add_new("LargestImagePixelValue", "SS", 100)
    series_of(tmp_path / "s", ct_small, [0, 2, 4])
    volume = read(tmp_path / "s")
    data = volume.data + np.random.default_rng(0).uniform(0, 0.9, volume.data.shape).astype(np.float32)
    data[0, 0, 0] = -3000
    series = write_dicom(
        data, volume, tmp_path / "out", "Diffusion recon", {"method": "dds", "note": "x" * 2000}
    )
    assert series.clipped == 1 and all(path.exists() for path in series.paths) and len(series.paths) == 3
    back = read(tmp_path / "out")
    assert np.abs(back.data - np.maximum(data, -1024)).max() <= 0.5 and back.spacing == volume.spacing
    images = [pydicom.dcmread(path) for path in series.paths]
    assert len({i.SOPInstanceUID for i in images}) == 3 and {i.SeriesInstanceUID for i in images} == {
        series.series_uid
    }
    for image, header in zip(images, volume.dicom, strict=True):
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID != header.SOPInstanceUID
        assert image.SeriesInstanceUID != header.SeriesInstanceUID
        assert all(image[keyword].value == header[keyword].value for keyword in IDENTITY)
        assert image.ImagePositionPatient == header.ImagePositionPatient
        assert list(image.ImageType)[:2] == ["DERIVED", "SECONDARY"] and image.SeriesDescription.endswith(
            WARNING
        )
        assert len(image.DerivationDescription) == 1024 and image.DerivationDescription.startswith(
            "method=dds"
        )
        assert image.SourceImageSequence[0].ReferencedSOPInstanceUID == header.SOPInstanceUID
        assert image.ContributingEquipmentSequence[-1].PurposeOfReferenceCodeSequence[0].CodeValue == "109103"
        assert (image.BitsStored, image.RescaleIntercept, image.RescaleSlope, image.RescaleType) == (
            16,
            -1024,
            1,
            "HU",
        )
        assert not any(element.tag.is_private for element in image.iterall())
        for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue"):
            assert keyword not in image
        assert image.BurnedInAnnotation == "NO" and image.LossyImageCompression == "00"


def test_other_matrix_keeps_the_field_of_view(ct_small, tmp_path):
    ct_small.save_as(tmp_path / "a.dcm")
    volume = read(tmp_path / "a.dcm")
    halved = volume.data.reshape(1, 64, 2, 64, 2).mean((2, 4))
    image = pydicom.dcmread(write_dicom(halved, volume, tmp_path / "out", "x", {}).paths[0])
    old, new = (np.asarray(i.ImagePositionPatient, float) for i in (ct_small, image))
    assert np.allclose(image.PixelSpacing, 2 * 0.661468)
    assert np.allclose(new - old, [0.661468 / 2, 0.661468 / 2, 0])  # the middle of the first 2 x 2 pixels


def test_raw_data_become_an_anonymous_study(tmp_path):
    data = np.random.default_rng(0).random((3, 8, 9)).astype(np.float32) * 7
    raw = Volume(data, "magnitude", "MR", (2.0, 1.1, 1.3))
    series = write_dicom(data, raw, tmp_path / "o", "x", {})
    back = read(tmp_path / "o")
    assert back.spacing == (2.0, 1.1, 1.3) and back.modality == "MR" and series.clipped == 0
    assert np.abs(back.data - data).max() <= 7 / 65000
    assert str(pydicom.dcmread(series.paths[0]).PatientName) == "Anonymous"
    write_dicom(data, Volume(data, "HU", "CT", (3.0, 1.0, 1.0)), tmp_path / "c", "x", {})
    assert read(tmp_path / "c").spacing == (3.0, 1.0, 1.0)
    half = Volume(data, "HU", "CT", (3.0, 1.0, 1.5))  # of NIfTI; the same field of view in 4 x 3 pixels
    write_dicom(data[:, ::2, ::3], half, tmp_path / "h", "x", {})
    assert read(tmp_path / "h").spacing == (3.0, 2.0, 4.5)


def test_seed_makes_uids_repeatable(tmp_path):
    data = np.zeros((2, 4, 4), np.float32)
    raw = Volume(data, "HU", "CT", (1.0, 1.0, 1.0))
    uids = [
        [
            pydicom.dcmread(p).SOPInstanceUID
            for p in write_dicom(data, raw, tmp_path / n, "x", {}, uid_seed=s).paths
        ]
        for n, s in (("a", "1"), ("b", "1"), ("c", "2"), ("d", None))
    ]
    assert uids[0] == uids[1] and len({uid for run in uids for uid in run}) == 6


def test_failed_writing_leaves_nothing(ct_small, tmp_path):
    volume = Volume(np.zeros((2, 4, 4), np.float32), "HU", "CT", (1.0, 1.0, 1.0), dicom=(ct_small,))
    raw = Volume(volume.data, "HU", "CT", (1.0, 1.0, 1.0))
    for data, source in ((np.full((2, 4, 4), np.nan), raw), (np.zeros((4, 4)), raw), (volume.data, volume)):
        with pytest.raises(FormatError, match="out"):
            write_dicom(data, source, tmp_path / "out", "x", {})
    with pytest.raises(AttributeError):  # in the middle: a template that is no dataset
        write_dicom(
            np.zeros((1, 128, 128)),
            Volume(volume.data, "HU", "CT", (1, 1, 1), dicom=(object(),)),
            tmp_path / "out",
            "x",
            {},
        )
    assert list(tmp_path.iterdir()) == []


def test_implicit_vr_source(ct_small, tmp_path):
    """Tags whose VR depends on the pixels are ambiguous in such files."""
    ct_small.add_new("SmallestImagePixelValue", "SS", 0)
    ct_small.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    del ct_small[0xFFFCFFFC]
    pydicom.dcmwrite(tmp_path / "a.dcm", ct_small, implicit_vr=True, little_endian=True)
    volume = read(tmp_path / "a.dcm")
    write_dicom(volume.data, volume, tmp_path / "out", "x", {})
    assert np.array_equal(read(tmp_path / "out").data, volume.data)


# --- real data
def test_real_series(shared, tmp_path):
    volume = read(shared / "ct/dicom/kits-00072")
    places = [float(h.ImagePositionPatient[2]) for h in volume.dicom]
    assert (
        volume.data.shape == (18, 512, 512)
        and places == sorted(places)
        and volume.spacing == (2.5, 0.6640625, 0.6640625)
    )
    corner = volume.data[:, 40:60, 40:60]
    assert (
        corner.min() >= -1024
        and -1024 <= corner.mean() < -950
        and 20 < np.median(volume.data[:, 200:300, 150:350]) < 150
    )
    assert "KiTS" not in str(volume.header) and "00072" not in volume.source
    write_reconstruction(tmp_path / "r.h5", volume.data, None, None, "HU", volume.spacing, volume.header)
    assert (
        "KiTS" not in str(read_reconstruction(tmp_path / "r.h5"))
        and b"KiTS" not in (tmp_path / "r.h5").read_bytes()
    )
    images = read_images(shared / "ct/ct256_val.h5")
    same = [i for i, c in enumerate(images.columns["collection"]) if "KiTS" in str(c)]
    halved = np.clip(volume.data, -1024, 3071).reshape(18, 256, 2, 256, 2).mean((2, 4))
    stored = images.load(same)
    best = min(np.abs(a - b).mean() for a in halved[:, ::4, ::4] for b in stored[:, ::4, ::4])
    assert best <= 0.5, best


def test_a_real_map_of_blood_flow_is_no_ct_image(shared):
    """Enhanced CT, 0 to 4095 ml/100ml/s."""
    with pytest.raises(FormatError, match="a map computed from images \\(RCBF\\)"):
        read(shared / "ct/dicom/formats/data_store__data__eCT_Supplemental.dcm")


@pytest.mark.parametrize("name", ["data_store__data__explicit_VR-UN", "data__test_files__ct_image"])
def test_other_real_files(shared, name, tmp_path):
    volume = read(shared / f"ct/dicom/formats/{name}.dcm")
    assert volume.units == "HU" and problems(volume) == []
    write_dicom(volume.data, volume, tmp_path / "o", "x", {})
    assert np.abs(read(tmp_path / "o").data - volume.data).max() <= 0.5
