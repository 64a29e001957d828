"""Folders of anything -> what can be learnt from: one `Source` per series of a patient, and for everything else
the reason why it is left out. By content, never by the name; headers only, no pixels.

What counts as one patient (`Source.patient`, a key that is kept in memory and never written): DICOM's PatientID,
without one the study; BIDS' `sub-XX` folder; fastMRI's patient_id; the patient in an ISMRMRD header; an image
set's own labels; otherwise the file, by its path from the folder that was given on. Equal keys count as one
patient wherever they come from: rather two patients together than one in two parts of a split.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from .dicom_pixels import pydicom_quietly
from .hdf5 import open_hdf5, text
from .isolated import isolated
from .read import sniff
from .scan import FormatError
from .store import read_images

KSPACE = ("fastmri", "ismrmrd", "simple-kspace")
_UPRIGHT = 0.82  # cosine of 35 degrees: a gantry may tilt by 30
_DERIVED = {  # words of ImageType that name no scanner image
    "MIP", "MINIP", "MPR", "REFORMATTED", "PROJECTION IMAGE", "SCREEN SAVE", "VRT", "3D RENDERING",
    "SUBTRACTION", "ADC", "FA", "PHASE", "PHASE MAP", "P", "REAL", "R", "IMAGINARY", "I",
}  # fmt: skip
_TAGS = [
    "ImageOrientationPatient", "ImagePositionPatient", "ImageType", "InstanceNumber", "LossyImageCompression",
    "Modality", "NumberOfFrames", "PatientBirthDate", "PatientID", "PatientName", "PixelSpacing", "Rows",
    "SOPClassUID", "SOPInstanceUID", "SamplesPerPixel", "SeriesInstanceUID", "StudyInstanceUID",
]  # fmt: skip
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


@dataclass(frozen=True)
class LeftOut:
    """What is not used: its file from the folder that was given on, how many images (1 for a file of unknown
    content), the reason in a few words, and more of it."""

    file: str
    reason: str
    detail: str = ""
    images: int = 1


@dataclass(frozen=True)
class Source:
    """What belongs together and is read in one go.

    Attributes:
        format: as `sniff` says.
        patient: identifying key; never to be written.
        files: of a DICOM series in the order of its slices, otherwise one file (of an image set, the images
            of this patient).
        names: the files from the folder that was given on, for the list of what is left out.
    """

    format: str
    patient: str
    files: tuple[Path, ...]
    names: tuple[str, ...]


def find_files(sources: list[Path], skip: Path | None = None) -> list[tuple[Path, str]]:
    """(file, its name from its source on) of every file in the sources, once, sorted; hidden ones and the folder
    `skip` are passed over. Raises FormatError for a source that does not exist."""
    found: dict[Path, str] = {}
    for source in sources:
        if not source.exists():
            raise FormatError(f"{source}: does not exist; check the spelling")
        if source.is_file():
            found.setdefault(source.resolve(), source.name)
        for folder, below, files in os.walk(source):
            place = Path(folder)
            below[:] = sorted(
                d for d in below if not d.startswith(".") and (skip is None or (place / d).resolve() != skip)
            )
            for name in sorted(files):
                path = (place / name).resolve()
                if not name.startswith(".") and path.is_file():
                    below_source = (place / name).relative_to(source).as_posix()
                    found.setdefault(path, f"{source.resolve().name}/{below_source}")
    return list(found.items())


def collect(
    files: list[tuple[Path, str]], modality: str, advance: Callable[[], None] = lambda: None
) -> tuple[list[Source], list[LeftOut]]:
    """What the files hold for a prior of `modality` ("CT" or "MR"), and what is left out.

    Args:
        files: of `find_files`.
        advance: called after each file.
    """
    found = _Collection(modality)
    for path, name in files:
        try:
            found.add(path, name)
        except Exception as error:  # other people's headers make pydicom raise a dozen types
            words = one_line(error, path)
            unknown = words.startswith(("is a text file", "is an unknown binary file"))
            reason = "no scan (other file)" if unknown else "cannot be read"
            found.left.append(LeftOut(name, reason, "" if unknown else words))
        advance()
    for (patient, _), images in found.series.items():
        ordered = sorted(images, key=lambda image: image[0])
        paths, names = tuple(image[1] for image in ordered), tuple(image[2] for image in ordered)
        found.sources.append(Source("dicom", patient, paths, names))
    return found.sources, found.left


def refuse_image(header: Any, modality: str) -> str:
    """Why a DICOM image is not to be learnt from, "" for none. `header`: a classic one, without pixels."""
    kind = [str(word).upper() for word in header.get("ImageType") or []]
    orientation = _floats(header, "ImageOrientationPatient", 6)
    if "Rows" not in header:
        return "no image (other DICOM object)"
    if str(header.get("Modality", "")) != modality:
        return "other modality"
    if str(header.get("SOPClassUID", "")).startswith(_SECONDARY_CAPTURE):
        return "screenshot (secondary capture)"
    if int(header.get("SamplesPerPixel", 1) or 1) != 1:
        return "colour image"
    if "LOCALIZER" in kind:
        return "localizer"
    if kind[1:2] == ["SECONDARY"] or _DERIVED & set(kind[2:]):
        return "derived image"
    if str(header.get("LossyImageCompression", "")) == "01":
        return "lossy compression"
    if "NumberOfFrames" not in header and _floats(header, "PixelSpacing", 2) is None:
        return "no pixel size"
    if modality == "CT" and orientation is not None:
        normal = np.cross(orientation[:3], orientation[3:])
        if abs(normal[2]) < _UPRIGHT * np.linalg.norm(normal):
            return "not axial"
    return ""


def one_line(error: Exception, path: Path) -> str:
    """An error's text without the file's name, in one line."""
    words = " ".join(str(error).split())
    if not isinstance(error, FormatError | OSError):
        words = f"{type(error).__name__}: {words}"
    return words.removeprefix(f"{path.name}: ").removeprefix(f"{path}: ")[:200]


class _Collection:
    """What was found so far."""

    def __init__(self, modality: str) -> None:
        self.modality = modality
        self.sources: list[Source] = []
        self.left: list[LeftOut] = []
        self.series: dict[tuple[str, str], list[tuple[float, Path, str]]] = {}  # patient, series -> images
        self.seen: set[str] = set()  # SOPInstanceUIDs

    def add(self, path: Path, name: str) -> None:
        """Sort in a file. Raises FormatError, and whatever pydicom raises, for one that cannot be read."""
        kind = sniff(path)
        if kind == "dicom":
            with pydicom_quietly() as pydicom:
                header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=_TAGS)
                self._add_dicom(header, path, name)
        elif kind == "image-set":
            images = read_images(path)
            if (images.units == "HU") != (self.modality == "CT"):
                self.left.append(LeftOut(name, "other modality", images=len(images)))
            else:
                self.sources += [Source(kind, str(g), (path,), (name,)) for g in np.unique(images.groups)]
        elif reason := _unusable(kind, path, self.modality):
            self.left.append(LeftOut(name, reason))
        else:
            self.sources.append(Source(kind, _patient(kind, path, name), (path,), (name,)))

    def _add_dicom(self, header: Any, path: Path, name: str) -> None:
        uid = str(header.get("SOPInstanceUID", ""))
        reason = refuse_image(header, self.modality) or ("duplicate" if uid and uid in self.seen else "")
        if reason:
            self.left.append(LeftOut(name, reason, images=int(header.get("NumberOfFrames", 1) or 1)))
            return
        self.seen.add(uid)
        patient = str(header.get("PatientID", "") or "").strip()
        if not patient and (named := str(header.get("PatientName", "") or "").strip()):
            patient = f"{named} {header.get('PatientBirthDate', '')}"
        folder = path.parent.as_posix()
        patient = patient or str(header.get("StudyInstanceUID", "")) or folder
        key = (patient, str(header.get("SeriesInstanceUID", "")) or folder)
        self.series.setdefault(key, []).append((_place(header), path, name))


def _place(header: Any) -> float:
    """Where along its series an image stands."""
    position = _floats(header, "ImagePositionPatient", 3)
    orientation = _floats(header, "ImageOrientationPatient", 6)
    if position is None or orientation is None:
        return float(header.get("InstanceNumber") or 0)
    return float(np.cross(orientation[:3], orientation[3:]) @ position)


def _floats(header: Any, keyword: str, count: int) -> np.ndarray | None:
    value = header.get(keyword)
    if value is None or isinstance(value, str) or len(value) != count:
        return None
    return np.asarray([float(v) for v in value])


# --- other files
def _unusable(kind: str, path: Path, modality: str) -> str:
    if kind in KSPACE or (kind == "scanprior-scan" and isolated(_is_mri, path)):
        return "" if modality == "MR" else "other modality"
    if kind in ("simple-sinogram", "dxchange", "scanprior-scan"):
        return "raw CT data (reconstruct them first)"
    if kind == "scanprior-reconstruction":
        return "made with a prior"
    return ""


def _is_mri(path: Path) -> bool:
    with open_hdf5(path) as file:
        return text(file.attrs.get("kind", "")) == "mri"


def _patient(kind: str, path: Path, name: str) -> str:
    """The key of a file that is neither DICOM nor an image set."""
    if kind == "nifti":
        return next((p for p in path.parts[:-1] if re.fullmatch(r"sub-[A-Za-z0-9]+", p)), name)
    return isolated(_patient_in, path, name)


def _patient_in(path: Path, name: str) -> str:
    """The key that an HDF5 file states, else `name`."""
    with open_hdf5(path) as file:
        for key in ("patient_id", "patient"):
            if key in file.attrs:
                return text(file.attrs[key])
        headers = [str(key) for key in ("ismrmrd_header", "dataset/xml") if key in file]
        return next(iter(_in_header(text(file[headers[0]]))), name) if headers else name


def _in_header(xml: str) -> Iterator[str]:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return
    for key in ("patientID", "patientName"):
        if found := (root.findtext(f".//{{*}}{key}") or "").strip():
            yield found
