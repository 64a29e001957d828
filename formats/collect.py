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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np

from .dicom_frames import TAGS, one_slice
from .dicom_header import numbers, pixel_size, value, whole
from .dicom_kind import GE_COMPONENT, PROJECTION_TAGS, findings
from .dicom_pixels import DicomSlice, opened, pydicom_quietly
from .dicom_volumes import stacks
from .hdf5 import open_hdf5, text
from .image_set import read_images
from .isolated import isolated
from .read import sniff
from .scan import FormatError

KSPACE = ("fastmri", "ismrmrd", "matlab", "simple-kspace")
_UPRIGHT = 0.82  # cosine of 35 degrees: a gantry may tilt by 30
_TAGS = [
    "ComplexImageComponent", "LossyImageCompression", "Manufacturer", "Modality", "PatientBirthDate", "PatientID",
    "PatientName", "PhotometricInterpretation", "SOPClassUID", "SamplesPerPixel", "SeriesInstanceUID",
    "StudyInstanceUID",
    *TAGS, *PROJECTION_TAGS, GE_COMPONENT,
]  # fmt: skip


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
        modality: what was told of files that do not say it.
    """

    format: str
    patient: str
    files: tuple[Path, ...]
    names: tuple[str, ...]
    modality: str | None = None


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
    files: list[tuple[Path, str]],
    modality: str,
    advance: Callable[[], None] = lambda: None,
    told: str | None = None,
) -> tuple[list[Source], list[LeftOut]]:
    """What the files hold for a prior of `modality` ("CT" or "MR"), and what is left out. Where a series has several
    images at one place (echoes, times), each of its volumes is a source.

    Args:
        files: of `find_files`.
        advance: called after each file.
        told: the modality of files that do not say it (NIfTI).
    """
    found = _Collection(modality, told)
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
        for stack in stacks(list(images)):
            paths, names = tuple(i.path for i in stack.images), tuple(images[i] for i in stack.images)
            found.sources.append(Source("dicom", patient, paths, names))
    return found.sources, found.left


def refuse_image(header: Any, modality: str, kind: list[str] | None = None) -> str:
    """Why a DICOM image is not to be learnt from, "" for none: what `read` refuses or remarks on, and what only matters
    to a prior.

    Args:
        header: a classic one, without pixels.
        kind: the frame's own words, in place of ImageType.
    """
    odd = next(findings(header, kind), None)
    if "Rows" in header and str(value(header, "Modality") or "") != modality:
        return "other modality"
    if odd is not None:
        return odd.reason
    if "NumberOfFrames" not in header and pixel_size(header).assumed:
        return "no pixel size"
    orientation = numbers(header, "ImageOrientationPatient", 6)
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

    def __init__(self, modality: str, told: str | None) -> None:
        self.modality, self.told = modality, told
        self.sources: list[Source] = []
        self.left: list[LeftOut] = []
        self.series: dict[
            tuple[str, str], dict[DicomSlice, str]
        ] = {}  # patient, series -> images and their names
        self.seen: set[str] = set()  # SOPInstanceUIDs

    def add(self, path: Path, name: str) -> None:
        """Sort in a file. Raises FormatError, and whatever pydicom raises, for one that cannot be read."""
        kind = sniff(path)
        if kind == "dicom":
            with pydicom_quietly() as pydicom:
                with opened(path) as file:
                    header = pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
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
            told = self.told if kind == "nifti" else None
            self.sources.append(Source(kind, _patient(kind, path, name), (path,), (name,), told))

    def _add_dicom(self, header: Any, path: Path, name: str) -> None:
        uid, frames = str(header.get("SOPInstanceUID", "")), whole(header, "NumberOfFrames", 1)
        reason = refuse_image(header, self.modality) or ("duplicate" if uid and uid in self.seen else "")
        if reason:
            self.left.append(LeftOut(name, reason, images=frames))
            return
        self.seen.add(uid)
        patient = str(header.get("PatientID", "") or "").strip()
        if not patient and (named := str(header.get("PatientName", "") or "").strip()):
            patient = f"{named} {header.get('PatientBirthDate', '')}"
        folder = path.parent.as_posix()
        patient = patient or str(header.get("StudyInstanceUID", "")) or folder
        key = (patient, str(header.get("SeriesInstanceUID", "")) or folder)
        if frames > 1:  # whose volumes are told when it is read
            self.sources.append(Source("dicom", patient, (path,), (name,)))
        else:
            self.series.setdefault(key, {})[replace(one_slice(path, header), header=None)] = name


# --- other files
def _unusable(kind: str, path: Path, modality: str) -> str:
    if kind in KSPACE or (kind == "scanprior-scan" and isolated(_is_mri, path)):
        return "" if modality == "MR" else "other modality"
    if kind in ("simple-sinogram", "dxchange", "nxtomo", "scanprior-scan"):
        return "raw CT data (reconstruct them first)"
    if kind in ("npy", "bart-cfl"):
        return "bare array (write it as simple k-space)"
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
    if not h5py.is_hdf5(path):
        return name
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
