"""What looks like a scanner's slices and is something else: refused or said by `read`, left out by `prepare`."""

import gzip
import itertools
import warnings
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_files import CT, SIDE, enhanced, image, save, series
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from scanprior.formats import dicom_pixels
from scanprior.formats.collect import collect, find_files
from scanprior.formats.dicom_kind import findings
from scanprior.formats.read import describe, read
from scanprior.formats.scan import FormatError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nibabel says of every import that this is experimental
    from nibabel.nicom import dicomwrappers


def left_out(path, modality):
    """The reasons why `prepare` leaves the files out."""
    return [left.reason for left in collect(find_files([path]), modality)[1]]


def ge(component):
    out = image(Manufacturer="GE MEDICAL SYSTEMS")
    out.add_new(0x00430010, "LO", "GEMS_PARM_01")
    out.add_new(0x0043102F, "SS", component)
    return out


def projections():
    out = image(modality="CT", PixelSpacing=None, SliceThickness=None)
    for tag, value in ((0x70291002, 1.2858), (0x70291006, 1.0948), (0x70311003, 595.0)):
        out.add_new(tag, "FL", value)
    return out


KINDS = {
    "phase": (image(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"]), "phase image", "no magnitude (phase)"),
    "philips": (
        image(ImageType=["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]), "phase image", "no magnitude (phase)",
    ),
    "real": (image(ImageType=["ORIGINAL", "PRIMARY", "R", "ND"]), "real part", "no magnitude (real part)"),
    "imaginary": (
        image(ImageType=["ORIGINAL", "PRIMARY", "I"]), "imaginary part", "no magnitude (imaginary part)",
    ),
    "component": (image(ComplexImageComponent="PHASE"), "phase image", "no magnitude (phase)"),
    "ge phase": (ge(1), "phase image", "no magnitude (phase)"),
    "velocity": (image(ImageType=["DERIVED", "PRIMARY", "VELOCITY"]), "velocity", "no magnitude (velocity)"),
    "rcbf": (image(ImageType=["DERIVED", "PRIMARY", "ASL", "RCBF"]), "RCBF", "derived image"),
    "adc": (image(ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]), "ADC", "derived image"),
    "ct perfusion": (image(modality="CT", ImageType=["DERIVED", "PRIMARY", "MTT"]), "MTT", "derived image"),
    "rendering": (image(modality="CT", ImageType=["DERIVED", "SECONDARY", "VRT"]), "rendered", "derived image"),
    "scout": (image(modality="CT", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]), "localizer", "localizer"),
    "projections": (projections(), "raw projections.*DICOM-CT-PD", "raw CT data (reconstruct them first)"),
    "colour": (
        image(np.zeros((3, SIDE, SIDE)), SamplesPerPixel=3, PlanarConfiguration=1, PhotometricInterpretation="RGB"),
        "colour image .RGB.", "colour image",
    ),
    "screenshot": (
        image(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), "secondary capture", "screenshot (secondary capture)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_refused_with_the_reason_and_left_out(kind, tmp_path):
    made, words, reason = KINDS[kind]
    path = save(tmp_path / "a.dcm", made)
    for function in (read, describe):
        with pytest.raises(FormatError, match=f"a.dcm: .*{words}"):
            function(path)
    assert left_out(path, made.Modality) == [reason]


@pytest.mark.parametrize(
    ("kind", "modality", "words"),
    [
        (["ORIGINAL", "PRIMARY", "LOCALIZER"], "MR", "a localizer"),
        (["DERIVED", "SECONDARY", "MPR"], "CT", "a derived image"),
        (["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"], "MR", "a derived image"),
    ],
)
def test_what_is_read_with_a_remark_is_left_out_too(kind, modality, words, tmp_path):
    path = save(tmp_path / "a.dcm", image(modality=modality, ImageType=kind))
    assert any(words in remark for remark in read(path).remarks)
    assert describe(path)["remarks"] == list(read(path).remarks)
    assert len(left_out(path, modality)) == 1


@pytest.mark.parametrize(
    "kind", [["M", "ND"], ["M_FFE", "M", "FFE"], ["M", "NORM", "DIS2D"], ["OTHER"], ["M_SE", "M", "SE"]]
)
def test_magnitude_images_have_nothing_to_note(kind, tmp_path):
    path = save(tmp_path / "a.dcm", image(ImageType=["ORIGINAL", "PRIMARY", *kind]))
    assert read(path).remarks == () and not left_out(path, "MR")


def test_negative_magnitudes_are_said(tmp_path):
    """A map that does not say what it is."""
    path = save(tmp_path / "a.dcm", image(np.arange(64).reshape(8, 8), RescaleSlope=2, RescaleIntercept=-60))
    assert any("values go down to -60: no magnitudes" in remark for remark in read(path).remarks)


def test_a_ct_without_its_rescaling_is_said(tmp_path):
    path = save(tmp_path / "a.dcm", image(40, "CT", RescaleIntercept=None, RescaleSlope=None))
    assert (read(path).data == 40).all() and "taken as HU as they are" in read(path).remarks[0]


def test_ge_says_magnitude(tmp_path):
    assert read(save(tmp_path / "a.dcm", ge(0))).remarks == ()


def test_what_does_not_belong_is_dropped_from_a_series(tmp_path):
    phase = ["ORIGINAL", "PRIMARY", "P"]
    made = [image(z=z, ImageType=kind) for z in (0, 5) for kind in (["ORIGINAL", "PRIMARY", "M"], phase)]
    volume = read(series(tmp_path / "both", made))
    assert (
        volume.data.shape == (2, SIDE, SIDE) and "2 images left out: no magnitude (phase)" in volume.remarks
    )
    frames = [{"z": z, "kind": ["ORIGINAL", "PRIMARY", kind, "NONE"]} for z in (0, 5) for kind in ("M", "P")]
    volume = read(save(tmp_path / "e.dcm", enhanced(frames)))
    assert (
        list(volume.data[:, 0, 0]) == [0, 20] and "2 images left out: no magnitude (phase)" in volume.remarks
    )


def test_a_screenshot_beside_the_series_is_left_aside(tmp_path):
    folder = series(tmp_path / "s", [image(z=z) for z in (0, 5)])
    save(
        folder / "z.dcm",
        image(SOPClassUID="1.2.840.10008.5.1.4.1.1.7", SeriesInstanceUID="1.2.9", SeriesNumber=9),
    )
    volume = read(folder)
    assert len(volume.data) == 2 and any("series 9" in remark for remark in volume.remarks)
    with pytest.raises(FormatError, match="secondary capture"):
        read(folder, series=9)


# --- mosaics
TILES = np.zeros((3 * SIDE, 3 * SIDE), int)
for k in range(7):
    TILES[k // 3 * SIDE : k // 3 * SIDE + SIDE, k % 3 * SIDE : k % 3 * SIDE + SIDE] = 100 * (k + 1)


def siemens(count=7, **changes):
    out = image(
        TILES, ImageType=["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], Manufacturer="SIEMENS", **changes
    )
    if count:
        out.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
        out.add_new(0x0019100A, "US", count)
    return out


def test_a_mosaic_is_taken_apart(tmp_path):
    path = save(tmp_path / "a.dcm", siemens(SpacingBetweenSlices=6))
    volume = read(path)
    assert describe(path)["frames"] == 7 and describe(path)["matrix"] == (SIDE, SIDE)
    assert volume.data.shape == (7, SIDE, SIDE) and volume.spacing == (6, 0.8, 0.8)
    for k, (data, header) in enumerate(zip(volume.data, volume.dicom, strict=True)):
        assert (data == 100 * (k + 1)).all() and (header.Rows, header.Columns) == (SIDE, SIDE)
        # the middle of the tile is the middle of the picture
        assert list(header.ImagePositionPatient) == pytest.approx([-50 + 8 * 0.8, -50 + 8 * 0.8, 6 * k])
    assert "a mosaic, taken apart into 7 slices" in volume.remarks


def test_mosaics_of_several_times(tmp_path):
    folder = series(tmp_path / "s", [siemens(AcquisitionNumber=n) for n in (1, 2)])
    with pytest.raises(FormatError, match=r"2 volumes.*7 slices of 8 x 8.*--volume 0 to 1"):
        read(folder)
    assert read(folder, time=1).data.shape == (7, SIDE, SIDE)


def test_a_real_mosaic_lies_where_nibabel_puts_it():
    path = Path(nibabel.__file__).parent / "nicom/tests/data/siemens_dwi_0.dcm.gz"
    if not path.exists():
        pytest.skip("this nibabel comes without its test data")
    volume = read(path)
    with gzip.open(path) as file:
        affine = dicomwrappers.wrapper_from_data(pydicom.dcmread(file)).affine
    assert volume.data.shape == (48, 128, 128)
    for k, header in enumerate(volume.dicom):
        assert list(header.ImagePositionPatient) == pytest.approx((affine @ [0, 0, k, 1])[:3], abs=1e-5)


def uih():
    out = image(TILES, ImageType=["ORIGINAL", "PRIMARY", "M", "VFRAME"], Manufacturer="UIH")
    out.add_new(0x00650010, "LO", "Image Private Header")
    items = []
    for n in range(7):
        item = Dataset()
        item.ImagePositionPatient = [1, 2, 3 + 4.0 * n]
        items.append(item)
    out.add_new(0x00651051, "SQ", items)
    return out


def test_a_mosaic_of_uih(tmp_path):
    volume = read(save(tmp_path / "a.dcm", uih()))
    assert list(volume.data[:, 3, 3]) == [100 * (n + 1) for n in range(7)] and volume.spacing[0] == 4
    assert list(volume.dicom[2].ImagePositionPatient) == [1, 2, 11]


def test_the_tiles_decide_not_the_word(tmp_path):
    with pytest.raises(FormatError, match=r"a\.dcm: a mosaic of slices that does not say how many"):
        read(save(tmp_path / "a.dcm", siemens(count=0)))
    plain = save(tmp_path / "b.dcm", siemens(count=0, AcquisitionMatrix=[0, 24, 24, 0]))
    assert read(plain).data.shape == (1, 24, 24)  # no room for two tiles
    with pytest.raises(FormatError, match="expected tiles of one size"):
        read(save(tmp_path / "c.dcm", siemens(count=20)))
    kind = ["ORIGINAL", "PRIMARY", "FMRI", "NONE", "MOSAIC"]  # XA30
    frames = [{"z": z, "kind": kind} for z in (0, 5, 10)]
    assert read(save(tmp_path / "d.dcm", enhanced(frames, ImageType=kind))).data.shape == (3, SIDE, SIDE)


# --- gzip and pydicom's own files
def test_a_gzipped_file_is_read(tmp_path):
    plain = Path(str(get_testdata_file("CT_small.dcm", download=False)))
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / "a.dcm.gz").write_bytes(gzip.compress(plain.read_bytes()))
    for path in (folder, folder / "a.dcm.gz"):
        assert np.array_equal(read(path).data, read(plain).data)
        assert describe(path)["format"] == "dicom"


def test_a_gzipped_file_is_unpacked_up_to_a_limit(tmp_path):
    for size, words in ((1000, "without pixel data"), (100000, "what it unpacks to would take")):
        (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(bytes(128) + b"DICM" + bytes(size)))
        with pytest.raises(FormatError, match=rf"a\.dcm\.gz: .*{words}"):
            read(tmp_path / "a.dcm.gz", max_memory=4e-5)
    (tmp_path / "a.dcm.gz").write_bytes(gzip.compress(bytes(128) + b"DICM" + bytes(100000))[:-20])
    with pytest.raises(FormatError, match=r"a\.dcm\.gz: "):
        read(tmp_path / "a.dcm.gz")


def test_a_header_is_not_read_for_ever(tmp_path, monkeypatch):
    """Empty items of a sequence in place of pixels, as damaged files have them: pydicom takes a second for 25000."""
    path = save(tmp_path / "a.dcm", image())
    raw = path.read_bytes().replace(b"\xe0\x7f\x10\x00OW", b"\xe0\x5f\x10\x00OW")  # no pixels to stop at
    path.write_bytes(raw + b"\x00\x70\x01\x00SQ\0\0\xff\xff\xff\xff" + bytes(8 * 200000))
    clock = itertools.count(0, 0.01)  # 10 ms a look at it: 6000 reads, on any machine
    monkeypatch.setattr(dicom_pixels, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    words = "No tag to read at file position|its header was not read within 60 s"  # as pydicom takes it
    with pytest.raises(FormatError, match=rf"a\.dcm: damaged DICOM \(({words})"):
        read(path)
    assert 60 < next(clock) < 61


@pytest.mark.filterwarnings("ignore")
def test_every_file_that_pydicom_ships_is_read_or_refused():
    read_of, refused = 0, 0
    for path in sorted((Path(pydicom.__file__).parent / "data/test_files").rglob("*")):
        if path.is_file():
            for function in (read, describe):
                try:
                    function(path)
                    read_of += 1
                except FormatError:
                    refused += 1
    assert read_of >= 60 and refused >= 200  # of 352 with pydicom 3.0: 64 and 288


def test_findings_of_a_plain_image():
    assert list(findings(image(modality="CT"))) == [] and image(modality="CT").SOPClassUID == CT
