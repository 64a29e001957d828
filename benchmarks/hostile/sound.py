"""A sound small file of every format, for `changes` to change."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scanprior.formats.nifti import write_nifti
from scanprior.formats.scan import Scan, Volume
from scanprior.formats.store import write_reconstruction, write_scan
from scanprior.geometry import ParallelBeam

KEPT = ("Manufacturer", "ManufacturerModelName", "PatientID", "SeriesDescription")  # words in DICOM
XML = """<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD">
<experimentalConditions><H1resonanceFrequency_Hz>63500000</H1resonanceFrequency_Hz></experimentalConditions>
<encoding><encodedSpace><matrixSize><x>16</x><y>8</y><z>1</z></matrixSize><fieldOfView_mm><x>32</x><y>16</y><z>3</z>
</fieldOfView_mm></encodedSpace><reconSpace><matrixSize><x>8</x><y>8</y><z>1</z></matrixSize><fieldOfView_mm><x>16</x>
<y>16</y><z>3</z></fieldOfView_mm></reconSpace><encodingLimits><kspace_encoding_step_1><minimum>0</minimum>
<maximum>7</maximum><center>4</center></kspace_encoding_step_1></encodingLimits><trajectory>cartesian</trajectory>
</encoding></ismrmrdHeader>"""


def _noise(*shape: int) -> np.ndarray:
    parts = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def _ismrmrd(path: Path) -> None:
    import ismrmrd

    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(XML.encode())
    for number in range(18):
        readout = ismrmrd.Acquisition.from_array(_noise(2, 16))
        readout.idx.slice, readout.idx.kspace_encode_step_1 = number // 8, number % 8
        readout.center_sample, readout.sample_time_us = 8, 5.0
        if number >= 16:
            readout.idx.slice = 0
            readout.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        dataset.append_acquisition(readout)
    dataset.close()


def _fastmri(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "kspace", data=_noise(2, 3, 16, 8) * (np.arange(8) > 0), chunks=(1, 3, 16, 8), compression="gzip"
        )
        file["ismrmrd_header"], file["mask"] = XML, np.minimum(np.arange(8), 1)
        file.attrs.update({"acquisition": "AXT2", "patient_id": "p", "max": 1.0})


def _dxchange(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["exchange/data"] = np.random.default_rng(0).integers(100, 900, (6, 3, 8)).astype(np.uint16)
        file["exchange/data_white"], file["exchange/data_dark"] = (
            np.full((2, 3, 8), 1000),
            np.full((2, 3, 8), 5),
        )
        file["exchange/theta"] = np.arange(0, 180, 30.0)
        file["exchange/theta"].attrs["units"] = "deg"
        file["measurement/instrument/detector/pixel_size"] = 2.0


def _sinogram(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["sinogram"], file["angles_deg"] = np.ones((2, 9, 8), np.float32), np.arange(0, 180, 20.0)
        file["mask"] = np.ones((9, 8), np.uint8)
        file.attrs.update({"geometry": "fan beam, flat", "detector_pixel_mm": 1.0, "source_origin_mm": 50.0})
        file.attrs.update(
            {"source_detector_mm": 90.0, "matrix": (8, 8), "detectors": 8, "detector_offset": 0.5}
        )


def _kspace(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", data=_noise(2, 2, 8, 8), chunks=True, shuffle=True, compression="lzf")
        file["mask"] = np.ones((8, 8), bool)
        file.attrs["pixel_mm"] = 1.0


def _scan(path: Path) -> None:
    geometry = ParallelBeam(np.linspace(0, 3, 6), 8, 1.0)
    noise = {"type": "photon", "photons": 1e5, "electronic": 1.0}
    data = np.ones((2, 6, 8), np.float32)
    header = {"modality": "CT", "mu_water": 0.02}
    mask = np.ones((6, 8), bool)
    truth = np.ones((2, 8, 8), np.float32)
    write_scan(path, Scan("ct", data, (8, 8), 1.0, geometry, mask, noise=noise, truth=truth, header=header))


def _mri_scan(path: Path) -> None:
    noise = {"type": "complex_gaussian", "sigma": 0.1}
    write_scan(path, Scan("mri", _noise(2, 2, 8, 8), (8, 8), 1.0, maps=_noise(2, 2, 8, 8), noise=noise))


def _reconstruction(path: Path) -> None:
    mean = np.ones((2, 8, 8), np.float32)
    write_reconstruction(path, mean, mean, mean[None], "HU", (2.0, 1.0, 1.0), {"method": "fbp"})


def _image_set(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "images", data=np.ones((6, 8, 8), np.uint16), chunks=(1, 8, 8), compression="gzip"
        )
        file["images"].attrs["units"] = "HU + 1024"
        file["px_mm"], file["thick"] = np.ones(6), np.full(6, 2.0)
        file["patient"] = np.array(["a", "a", "b", "b", "c", "c"], h5py.string_dtype())


def _dicom(path: Path) -> None:
    image = _image("CT_small.dcm")
    image.PixelData = np.arange(64, dtype="<i2").tobytes()
    image.save_as(path)


def _image(name: str) -> Any:
    """One of pydicom's, 8 x 8 pixels, without most of the words in it."""
    import pydicom.data

    image = pydicom.dcmread(pydicom.data.get_testdata_file(name, download=False))
    image.remove_private_tags()
    for element in list(image):
        if element.VR in ("DA", "TM", "PN", "LO", "SH", "LT", "AS") and element.keyword not in KEPT:
            del image[element.tag]
    image.pop("DataSetTrailingPadding", None)
    image.Rows = image.Columns = 8
    return image


def _dicom_gz(path: Path) -> None:
    _dicom(path)
    path.write_bytes(gzip.compress(path.read_bytes(), 1, mtime=0))


def _dicom_rle(path: Path) -> None:
    import pydicom.data

    shutil.copy(pydicom.data.get_testdata_file("MR_small_RLE.dcm", download=False), path)


def _dicom_enhanced(path: Path) -> None:
    """Several frames in one file, with what differs between them in functional groups."""
    import pydicom

    image = _image("MR_small.dcm")
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedMRImageStorage
    image.NumberOfFrames, image.PixelData = 3, np.arange(3 * 64, dtype="<u2").tobytes()
    frames = []
    for k in range(3):
        frame = pydicom.Dataset()
        for sequence, keyword, value in (
            ("PlanePositionSequence", "ImagePositionPatient", [0, 0, 2 * k]),
            ("PlaneOrientationSequence", "ImageOrientationPatient", [1, 0, 0, 0, 1, 0]),
            ("PixelMeasuresSequence", "PixelSpacing", [0.5, 0.5]),
        ):
            item = pydicom.Dataset()
            setattr(item, keyword, value)
            setattr(frame, sequence, [item])
        frames.append(frame)
    image.PerFrameFunctionalGroupsSequence = frames
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        delattr(image, keyword)
    image.save_as(path)


def _nifti(path: Path, packed: bool = False, second: bool = False) -> None:
    if second:
        import nibabel

        nibabel.save(nibabel.Nifti2Image(np.ones((4, 5, 6), np.int16), np.diag([1.0, 1, 2, 1])), path)
        return
    name = path.with_name("seed.nii.gz" if packed else "seed.nii")
    write_nifti(name, Volume(np.ones((3, 5, 4), np.float32), "magnitude", "MR", (2.0, 1.0, 1.0)))
    if name != path:
        name.replace(path)


def _nxtomo(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/definition"] = "NXtomo"
        detector = file.create_group("entry/instrument/detector")
        frames = np.random.default_rng(0).integers(100, 900, (9, 3, 8)).astype(np.uint16)
        frames[[0, 8]], frames[1] = 1000, 5
        detector["data"] = frames
        detector["image_key"] = np.array([1, 2, 0, 0, 0, 0, 0, 0, 1])
        file["entry/sample/rotation_angle"] = np.r_[0, 0, np.arange(0, 180, 30.0), 180]
        for name, kind in (
            ("entry", "NXentry"),
            ("entry/instrument", "NXinstrument"),
            ("entry/sample", "NXsample"),
        ):
            file[name].attrs["NX_class"] = kind
        detector.attrs["NX_class"] = "NXdetector"


def _matlab(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        values = np.zeros((2, 8, 8), [("real", "f8"), ("imag", "f8")])
        values["real"] = 1
        file["kspace"] = values
        file["kspace"].attrs["MATLAB_class"] = np.bytes_(b"double")


def _npy(path: Path) -> None:
    np.save(path, _noise(1, 2, 8, 8))


def _npy_sinogram(path: Path) -> None:
    np.save(path, np.ones((2, 9, 8), np.float32))
    beside = {"geometry": "parallel", "detector_pixel_mm": 1.0, "matrix": [8, 8], "detectors": 8}
    beside |= {"angles_deg": list(range(0, 180, 20)), "mask": [[1] * 8] * 9}
    path.with_suffix(".json").write_text(json.dumps(beside))


def _cfl(path: Path) -> None:
    """READ, PHS1, PHS2, COIL, and two slices."""
    sizes = [8, 8, 1, 2] + [1] * 9 + [2, 1, 1]
    path.write_bytes(_noise(*sizes).tobytes(order="F"))
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, sizes))}\n# Command\nphantom\n")


def _cifar(path: Path) -> None:
    records = np.random.default_rng(0).integers(0, 256, (4, 3073)).astype(np.uint8)
    records[:, 0] %= 10
    records.tofile(path)


FORMATS: dict[str, tuple[str, Callable[[Path], None]]] = {  # name -> ending, what writes a sound one
    "npy": (".npy", _npy),
    "npy-sinogram": (".npy", _npy_sinogram),
    "bart-cfl": (".cfl", _cfl),
    "cifar-10": (".bin", _cifar),
    "nifti-1": (".nii", _nifti),
    "nifti-1-gz": (".nii.gz", lambda path: _nifti(path, packed=True)),
    "nifti-2": (".nii", lambda path: _nifti(path, second=True)),
    "matlab": (".h5", _matlab),
    "dicom": (".dcm", _dicom),
    "dicom-gz": (".dcm.gz", _dicom_gz),
    "dicom-rle": (".dcm", _dicom_rle),
    "dicom-enhanced": (".dcm", _dicom_enhanced),
    "scanprior-reconstruction": (".h5", _reconstruction),
    "simple-kspace": (".h5", _kspace),
    "fastmri": (".h5", _fastmri),
    "scanprior-scan-mri": (".h5", _mri_scan),
    "dxchange": (".h5", _dxchange),
    "simple-sinogram": (".h5", _sinogram),
    "nxtomo": (".h5", _nxtomo),
    "scanprior-scan": (".h5", _scan),
    "image-set": (".h5", _image_set),
    "ismrmrd": (".h5", _ismrmrd),
}


def sound(name: str, folder: Path) -> Path:
    """A sound file of a format."""
    ending, write = FORMATS[name]
    path = folder / f"{name}{ending}"
    if not path.exists():
        write(path)
    return path
