"""Damaged and hostile files: the process that reads survives them, says what is wrong in one line, and takes no more
time, memory or files than it may."""

from __future__ import annotations

import gzip
import os
import signal
import sys
import time
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from scanprior.formats import dicom_pixels, isolated, layouts, limits
from scanprior.formats.collect import collect, find_files
from scanprior.formats.image_set import read_images
from scanprior.formats.read import describe, read, sniff
from scanprior.formats.reader import Reader
from scanprior.formats.scan import FormatError, Scan
from scanprior.formats.store import write_scan
from scanprior.workflows.validate import examine

CASES = Path(__file__).parents[2].parent / "shared" / "cases" / "damaged"


def sinogram_file(path: Path) -> Path:
    """A small sinogram of ones in the simple layout."""
    with h5py.File(path, "w") as file:
        file["sinogram"] = np.ones((9, 8), np.float32)
        file["angles_deg"] = np.linspace(0, 180, 9, endpoint=False)
        file.attrs.update({"geometry": "parallel", "detector_pixel_mm": 1.0})
    return path


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch):
    """reader(function): what reads and describes a simple sinogram from now on."""

    def use(function):
        monkeypatch.setitem(
            layouts._READERS, "simple-sinogram", Reader("simple-sinogram", function, function)
        )

    return use


@pytest.fixture(params=["forked", "spawned"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to a process of its own."""
    if request.param == "spawned":
        monkeypatch.setattr(isolated, "_forked", isolated._spawned)
    elif sys.platform != "linux":
        pytest.skip("forks on Linux only")
    return request.param


# --- a process of its own
def test_what_was_read_comes_back_as_it_is(tmp_path: Path, ct_scan: Scan, way: str) -> None:
    write_scan(tmp_path / "scan.h5", ct_scan)
    got = read(tmp_path / "scan.h5", slices=slice(1, None))
    assert isinstance(got, Scan)
    assert np.array_equal(got.data, ct_scan.data[1:]) and got.data.dtype == np.float32
    assert np.array_equal(got.counts, ct_scan.counts[1:])
    assert np.array_equal(got.geometry.angles, ct_scan.geometry.angles)
    assert got.geometry.curved is True and got.matrix == (7, 5)
    assert (got.noise, got.header, got.remarks) == (ct_scan.noise, ct_scan.header, ())
    got.data[:] = 0  # ours, to be changed
    facts = describe(tmp_path / "scan.h5")
    assert (facts["format"], facts["matrix"]) == ("scanprior-scan", [7, 5])


@pytest.mark.parametrize(
    ("death", "words"),
    [
        (lambda *_: os._exit(3), "the file is damaged .the reader crashed.; copy it again"),
        (lambda *_: os.kill(os.getpid(), signal.SIGSEGV), "the file is damaged .the reader crashed."),
        (lambda *_: os.kill(os.getpid(), signal.SIGKILL), "was killed, most likely for want of memory"),
        (lambda *_: time.sleep(60), "the reader took longer than"),
        (lambda *_: [None for _ in iter(int, 1)], "the reader took longer than"),
        (lambda *_: np.ones(1 << 38), "wants more than the 1 GB that reading may take"),
        (lambda *_: {}["lost"], "scan.h5: cannot be read .KeyError: 'lost'."),
        (lambda *_: {"strange": object()}, "scan.h5: got object in an attribute or a dataset, expected text"),
        (
            lambda *_: {"strange": np.zeros(2, "i4, f8")},
            "got an array of .* in an attribute or a dataset, expected",
        ),
    ],
    ids=["exit", "crash", "killed", "sleep", "loop", "memory", "error", "strange", "compound"],
)
def test_whatever_happens_to_the_reader_is_one_line(
    tmp_path: Path, reader, monkeypatch: pytest.MonkeyPatch, death, words: str
) -> None:
    monkeypatch.setattr(isolated, "_CPU_SECONDS", 1.0)
    monkeypatch.setattr(isolated, "_SECONDS", 1.0)
    path = sinogram_file(tmp_path / "scan.h5")
    reader(death)
    for verb in (read, describe):
        with pytest.raises(FormatError, match=words):
            verb(path, max_memory=1.0)
    assert not examine(path, max_memory=1.0)["usable"]


def test_nothing_is_unpickled_and_a_forged_answer_is_refused() -> None:
    for forged in (b"", b"\x80\x04.", b"{}" + (2).to_bytes(8, "little"), b"[]" + (99).to_bytes(8, "little")):
        with pytest.raises(Exception):  # noqa: B017  (whichever: `guarded` makes it one)
            isolated._decoded(forged)
    with pytest.raises(ValueError, match="an array of object"):
        isolated._decode({"array": [0, "|O", [1]]}, b"\0" * 8)
    with pytest.raises(ValueError, match="buffer is smaller"):
        isolated._decode({"array": [0, "<f8", [1 << 40]]}, b"\0" * 8)


def test_a_damaged_file_of_many_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "good.h5", "w") as file:
        file["kspace"] = np.ones((1, 2, 8, 8), np.complex64)
        file.attrs["patient_id"] = "p"
    sinogram_file(tmp_path / "bad.h5")
    monkeypatch.setattr(layouts.fastmri, "is_fastmri", lambda file: "sinogram" in file and os._exit(3))
    sources, left = collect(find_files([tmp_path]), "MR")
    assert [source.patient for source in sources] == ["p"]
    assert [(out.reason, "crashed" in out.detail) for out in left] == [("cannot be read", True)]


@pytest.mark.parametrize("name", ["ismrmrd-859", "simple-kspace-370"])
def test_files_that_crash_the_library(name: str) -> None:
    path = CASES / f"{name}.h5"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with pytest.raises(FormatError, match="damaged"):
        read(path)
    assert not examine(path)["usable"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ismrmrd-332", "ismrmrd-638"])
def test_files_that_freeze_the_library(name: str) -> None:
    path = CASES / f"{name}.h5"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with pytest.raises(FormatError, match=r"took longer than 4 s of the processor|took longer than 8 s"):
        read(path)


def test_a_decoder_that_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    image = dcmread(get_testdata_file("CT_small.dcm", download=False))
    right = read(image.filename).data
    image.compress("1.2.840.10008.1.2.5", encoding_plugin="pydicom")
    image.save_as(tmp_path / "a.dcm")
    assert np.array_equal(read(tmp_path / "a.dcm").data, right)
    monkeypatch.setattr(dicom_pixels, "_decode", lambda _: os.kill(os.getpid(), signal.SIGSEGV))
    with pytest.raises(FormatError, match=r"a.dcm: the file is damaged .the reader crashed"):
        read(tmp_path / "a.dcm")


# --- the door
def test_what_escaped_once_is_refused() -> None:
    inputs = sorted((CASES / "escapes").glob("*"))
    if not inputs:
        pytest.skip(f"needs {CASES}")
    for path in inputs:
        for verb in (describe, examine):  # which sniffs and reads
            try:
                verb(path)
            except FormatError as error:
                assert path.name in str(error)


def test_the_cause_is_kept_for_whoever_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(nifti_header((2, 3, 4)) + bytes(48))
    monkeypatch.setattr("nibabel.as_closest_canonical", lambda _: {}["lost"])
    with pytest.raises(FormatError, match=r"^a.nii: cannot be read .KeyError: 'lost'.") as caught:
        read(path)
    assert isinstance(caught.value.__cause__, KeyError)


def test_pipes_and_devices_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(FormatError, match="is a pipe, socket or device"):
            sniff(path)


# --- memory
def nifti_header(shape: tuple[int, ...]) -> bytes:
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype("<i2")
    header.set_data_shape(shape)
    header["magic"], header["vox_offset"] = b"n+1\0", 352
    return header.binaryblock + b"\0" * 4


def test_a_gzip_file_is_unpacked_as_far_as_its_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    unpack = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: taken.append(size) or unpack(self, size))
    path = tmp_path / "bomb.nii.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(nifti_header((2, 3, 4)) + np.arange(24, dtype="<i2").tobytes() + b"\0" * 50_000_000)
    assert describe(path)["shape"] == (2, 3, 4)
    assert read(path).data.sum() == np.arange(24).sum()
    assert all(0 <= size < 1000 for size in taken)


@pytest.mark.parametrize("packed", [False, True])
def test_a_nifti_header_asks_for_more_than_there_is(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "large.nii"
    raw = nifti_header((3000, 3000, 3000))
    path.write_bytes(gzip.compress(raw) if packed else raw)
    for verb in (describe, read):
        with pytest.raises(
            FormatError, match=r"\(3000, 3000, 3000\) voxels would take 270 GB, more than the 1 GB"
        ):
            verb(path, max_memory=1.0)


@pytest.mark.parametrize("name", ["pydicom.dcmread", "pydicom.Dataset.pixel_array"])
def test_want_of_memory_is_not_called_damage(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(name, property(none) if name.endswith("array") else none)
    with pytest.raises(MemoryError):
        read(get_testdata_file("CT_small.dcm", download=False))


def test_a_dicom_header_asks_for_more_than_there_is(tmp_path: Path) -> None:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"  # run lengths: a few bytes may stand for all
    image.SOPClassUID, image.SOPInstanceUID, image.Modality = "1.2.840.10008.5.1.4.1.1.2", "1.2.3", "CT"
    image.Rows = image.Columns = 65535
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 0, 1
    image.PixelSpacing, image.PhotometricInterpretation = [1, 1], "MONOCHROME2"
    image.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    image["PixelData"].is_undefined_length = True
    image.save_as(tmp_path / "large.dcm", enforce_file_format=True)
    with pytest.raises(FormatError, match="GB, more than the 1 GB that reading may take"):
        read(tmp_path / "large.dcm", max_memory=1.0)


@pytest.mark.parametrize("folder", [False, True])
def test_a_deflated_dicom_file_is_not_unpacked_beyond_memory(tmp_path: Path, folder: bool) -> None:
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    image = dcmread(get_testdata_file("CT_small.dcm", download=False))
    image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    path = tmp_path / "a.dcm"
    image.save_as(path)
    assert read(path).data.shape == (1, 128, 128)
    image.add_new((0x0009, 0x1010), "OB", bytes(4_000_000))
    image.save_as(path)
    assert path.stat().st_size < 100_000
    for verb in (describe, read):
        with pytest.raises(
            FormatError, match=r"a.dcm: what it unpacks to would take .*, more than the 0.004 GB"
        ):
            verb(tmp_path if folder else path, max_memory=0.004)


def test_an_hdf5_dataset_that_was_never_written(tmp_path: Path) -> None:
    with h5py.File(sinogram_file(tmp_path / "scan.h5"), "a") as file:
        del file["sinogram"]
        file.create_dataset("sinogram", (60_000, 60_000), np.float32, chunks=(100, 100), compression="gzip")
    with pytest.raises(FormatError, match=r"sinogram claims 14.4 GB, but 0 MB of it were written"):
        read(tmp_path / "scan.h5")


def test_an_hdf5_dataset_larger_than_allowed(tmp_path: Path) -> None:
    with h5py.File(sinogram_file(tmp_path / "scan.h5"), "a") as file:
        del file["sinogram"]
        file.create_dataset("sinogram", data=np.zeros((3, 1000, 500), np.float32), compression="gzip")
    with pytest.raises(FormatError, match=r"sinogram would take 0.006 GB, more than the 0.005 GB"):
        read(tmp_path / "scan.h5", max_memory=0.005)


@pytest.mark.parametrize("given", [0.0, -1.0, float("nan"), float("inf")])
def test_an_amount_of_memory_that_is_none(tmp_path: Path, given: float) -> None:
    with pytest.raises(FormatError, match=r"max_memory .*, expected a positive number of GB"):
        read(sinogram_file(tmp_path / "scan.h5"), max_memory=given)


def test_what_is_free_is_the_bound_that_is_not_said() -> None:
    assert 0 < limits.memory() < 1 << 50
    with limits.allowing(2.0):
        assert limits.memory() == 2_000_000_000
        with limits.allowing(allow_external=True):
            assert (limits.memory(), limits.external()) == (2_000_000_000, True)
    assert not limits.external()


# --- image sets, whose rows are read in our process
def test_the_chunks_of_an_image_set_are_looked_over_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", data=np.ones((40, 8, 8), np.float32), chunks=(1, 8, 8))
        images.attrs["units"] = "magnitude"
        file["px_mm"], file["patient"] = np.ones(40), np.arange(40)
    assert read_images(path)[39].sum() == 64
    raw = path.read_bytes()
    assert raw.count(b"TREE") > 1
    path.write_bytes(raw[: raw.rindex(b"TREE")] + b"EERT" + raw[raw.rindex(b"TREE") + 4 :])
    with pytest.raises(FormatError, match=r"set.h5"):
        read_images(path)


def test_what_a_library_says_while_it_lets_a_lock_go_is_no_cause(tmp_path: Path) -> None:
    def locked() -> None:
        try:
            raise KeyError("bad object header")
        except KeyError as error:
            raise SystemError("<lock at 0x7f> returned a result with an exception set") from error

    with (
        pytest.raises(FormatError, match="KeyError: 'bad object header'"),
        isolated.guarded(tmp_path / "a.h5"),
    ):
        locked()


def test_numbers_that_a_damaged_header_makes_are_refused_without_warnings(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    image = nibabel.Nifti1Image(np.ones((5, 7, 3), np.float32), np.eye(4))
    image.header["srow_x"], image.header["sform_code"] = (-1, 0, 0, np.nan), 1
    path = tmp_path / "a.nii"
    path.write_bytes(image.header.binaryblock + bytes(4) + np.ones(105, np.float32).tobytes())
    with pytest.raises(FormatError, match=r"a\.nii"):
        read(path)
    assert not recwarn.list
