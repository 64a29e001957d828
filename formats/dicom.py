"""DICOM images in: single files, classic series, enhanced multi-frame objects -> Volume.

Slices are sorted by their position along the slice normal, n = row x column direction (PS3.3 C.7.6.2.1.1), z
= n . IPP; where positions are missing, by InstanceNumber. Stored values become HU (CT) or magnitude (MR) by
each slice's own RescaleSlope and RescaleIntercept. Patients' data never reach `Volume.header`; the source
datasets stay in `Volume.dicom`, for the writer only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .dicom_pixels import DicomSlice, pixels, pydicom_quietly
from .reader import Slices, choose
from .scan import FormatError, Header, Volume

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_ENOUGH = 40  # headers for `describe`: at 5 ms each
_DIRECTORY = "1.2.840.10008.1.3.10"
_NO_PREAMBLE = tuple(
    bytes((group, 0, element, 0)) for group, element in ((2, 0), (8, 0), (8, 1), (8, 5), (8, 8), (8, 22))
)
_HEADER = {  # what may leave the file: nothing typed in by hand
    "Modality": "modality",
    "Manufacturer": "manufacturer",
    "ManufacturerModelName": "model",
    "BodyPartExamined": "body_part",
    "ConvolutionKernel": "kernel",
    "KVP": "kvp",
    "XRayTubeCurrent": "tube_current_ma",
    "Exposure": "exposure_mas",
    "SliceThickness": "slice_thickness_mm",
    "MagneticFieldStrength": "field_tesla",
    "ScanningSequence": "scanning_sequence",
    "RepetitionTime": "repetition_time_ms",
    "EchoTime": "echo_time_ms",
    "FlipAngle": "flip_angle_deg",
}


def looks_like_dicom(start: bytes) -> bool:
    """Whether a file that begins so is DICOM (with its preamble, or with the first tags of one that lost
    it)."""
    return start[128:132] == b"DICM" or start[:4] in _NO_PREAMBLE


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return looks_like_dicom(file.read(132))


def read_dicom(path: str | Path, slices: Slices = None, series: str | int | None = None) -> Volume:
    """Read a DICOM file or a folder with one series.

    Args:
        slices: of the sorted volume.
        series: which one, where the folder holds several: SeriesInstanceUID, SeriesNumber or a part of
            SeriesDescription.

    Raises:
        FormatError: no pixel data, no CT or MR, colour, several series, differing sizes or directions,
            several images at one position, or a compression nobody here can decode.
    """
    path = Path(path)
    files = _one_series(path, _headers(path), series)
    images = [image for file, header in files for image in _images(file, header)]
    for image in images:
        _refuse(image)
    images, facts, dz = _sorted(images, path.name)
    images = [images[i] for i in choose(len(images), slices, path.name)]
    first = images[0].header
    modality = str(first.Modality)
    header: Header = facts | {
        name: _plain(first[keyword].value)
        for keyword, name in _HEADER.items()
        if first.get(keyword) not in (None, "")
    }
    if str(first.get("LossyImageCompression", "")) == "01":
        header["lossy_compressed"] = "yes"
    if images[0].spacing is None:
        header["pixel_size"] = "not stored; 1 mm assumed"
    dy, dx = images[0].spacing or (1.0, 1.0)
    return Volume(
        data=pixels(images, modality),
        units="HU" if modality == "CT" else "magnitude",
        modality="CT" if modality == "CT" else "MR",
        spacing=(dz, dy, dx),
        header=header,
        source=path.name if path.is_file() else f"DICOM series, {len(images)} slices",
        dicom=tuple(image.header for image in images),
    )


def describe_dicom(path: Path) -> dict[str, Any]:
    """Headers only; for a folder also its series. Of a large folder only every n-th header is read, which the
    answer says."""
    count = 1 if path.is_file() else sum(1 for p in path.iterdir() if p.is_file() and is_dicom(p))
    step = -(-count // _ENOUGH)
    files = _headers(path, step)
    groups = _series(files)
    first = files[0][1]
    facts: dict[str, Any] = {"kind": "images", "modality": str(first.get("Modality", ""))}
    facts["frames"] = sum(int(header.get("NumberOfFrames", 1) or 1) for _, header in files)
    if step > 1:
        facts["frames"] = count
        facts["headers_read"] = f"{len(files)} of {count}"
    facts["matrix"] = (int(first.get("Rows", 0)), int(first.get("Columns", 0)))
    if len(groups) > 1:
        facts["series"] = _table(groups)
        return facts
    image = next(_images(*files[0]))
    _refuse(image)
    facts["pixel_mm"] = image.spacing and tuple(round(s, 5) for s in image.spacing)
    return facts | {
        name: _plain(first[keyword].value)
        for keyword, name in _HEADER.items()
        if first.get(keyword) not in (None, "")
    }


def example_ct() -> Path:
    """The CT slice that pydicom ships (128 x 128, a body), for the demonstration: no download."""
    with pydicom_quietly() as pydicom:
        path = pydicom.data.get_testdata_file("CT_small.dcm", download=False)
    if not isinstance(path, str):
        raise FormatError(
            "CT_small.dcm: this pydicom ships no example CT slice; pip install --force-reinstall pydicom"
        )
    return Path(path)


# --- files and series
def _headers(path: Path, step: int = 1) -> list[tuple[Path, Any]]:
    """(file, dataset without pixels) of the DICOM files with images; DICOMDIR and other files of a folder are
    passed over, as is all but every `step`-th file."""
    with pydicom_quietly() as pydicom:
        found: list[tuple[Path, Any]] = []
        names = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file() and is_dicom(p))
        for name in names[::step]:
            try:
                header = pydicom.dcmread(name, stop_before_pixels=True, force=True)
            except Exception as error:  # pydicom raises a dozen types on damaged files
                raise FormatError(f"{name.name}: damaged DICOM ({error}); copy it again") from error
            kind = header.file_meta.get("MediaStorageSOPClassUID", "") if hasattr(header, "file_meta") else ""
            if path.is_file() or (kind != _DIRECTORY and "Rows" in header):
                found.append((name, header))
    if not found:
        raise FormatError(
            f"{path.name}: no DICOM image in this folder, only other DICOM objects; pass a folder of images"
        )
    return found


def _series(files: list[tuple[Path, Any]]) -> dict[str, list[tuple[Path, Any]]]:
    groups: dict[str, list[tuple[Path, Any]]] = {}
    for file, header in files:
        groups.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((file, header))
    return groups


def _table(groups: dict[str, list[tuple[Path, Any]]]) -> list[str]:
    rows = []
    for files in groups.values():
        header = files[0][1]
        number, words = (
            header.get("SeriesNumber", "?"),
            header.get("SeriesDescription", "") or "no description",
        )
        rows.append(f"{number}: {words} ({header.get('Modality', '?')}, {len(files)} files)")
    return rows


def _one_series(
    path: Path, files: list[tuple[Path, Any]], series: str | int | None
) -> list[tuple[Path, Any]]:
    groups = _series(files)
    if series is not None:
        wanted = str(series)
        exact = {u: g for u, g in groups.items() if wanted in (u, str(g[0][1].get("SeriesNumber", "")))}
        groups = exact or {
            u: g
            for u, g in groups.items()
            if wanted.lower() in str(g[0][1].get("SeriesDescription", "")).lower()
        }
        if not groups:
            raise FormatError(
                f"{path.name}: got series {wanted!r}, which is none of {'; '.join(_table(_series(files)))}; "
                "choose one of them"
            )
    if len(groups) > 1:
        raise FormatError(
            f"{path.name}: holds {len(groups)} series: {'; '.join(_table(groups))}. Pass a sub-folder with "
            "one of them, or "
            "choose with --series and its number or a part of its description"
        )
    return next(iter(groups.values()))


def _refuse(image: DicomSlice) -> None:
    header, name = image.header, image.path.name
    kind = str(header.get("SOPClassUID", ""))
    with pydicom_quietly() as pydicom:
        words = pydicom.uid.UID(kind).name or "no SOP class"
    if "Rows" not in header or "Columns" not in header:
        raise FormatError(
            f"{name}: DICOM without pixel data ({words}), expected CT or MR images; export the images themselves"
        )
    if kind.startswith(_SECONDARY_CAPTURE):
        raise FormatError(
            f"{name}: a secondary capture ({words}), not a scanner's image; pass the original series"
        )
    if int(header.get("SamplesPerPixel", 1)) != 1:
        raise FormatError(
            f"{name}: a colour image ({header.get('PhotometricInterpretation', 'RGB')}), expected grey values"
        )
    if header.get("Modality", "") not in ("CT", "MR"):
        raise FormatError(f"{name}: modality {header.get('Modality', '')!r} ({words}), expected CT or MR")


# --- frames
def _images(path: Path, header: Any) -> Iterator[DicomSlice]:
    if "PerFrameFunctionalGroupsSequence" not in header:
        yield DicomSlice(
            path,
            None,
            header,
            _vector(header, "ImagePositionPatient", 3),
            _vector(header, "ImageOrientationPatient", 6),
            _pair(header),
        )
        return
    shared = header.get("SharedFunctionalGroupsSequence") or [None]
    for i, frame in enumerate(header.PerFrameFunctionalGroupsSequence):
        groups = [group for group in (frame, shared[0], header) if group is not None]
        classic = _classic(header, groups, i + 1)
        yield DicomSlice(
            path,
            i,
            classic,
            _vector(classic, "ImagePositionPatient", 3),
            _vector(classic, "ImageOrientationPatient", 6),
            _pair(classic),
        )


_FUNCTIONAL = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness", "SpacingBetweenSlices"),
    "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth"),
}
_MULTIFRAME = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence", "NumberOfFrames")


def _classic(header: Any, groups: list[Any], number: int) -> Any:
    """One frame's header in the classic form; ReferencedFrameNumber says which frame it was."""
    with pydicom_quietly() as pydicom:
        plain = pydicom.Dataset()
        for element in header:
            if element.keyword not in _MULTIFRAME and not element.keyword.startswith("Dimension"):
                plain[element.tag] = copy.copy(element)
        for sequence, keywords in _FUNCTIONAL.items():
            for group in groups:
                if group.get(sequence):
                    for keyword in keywords:
                        if keyword in group[sequence][0]:
                            plain[keyword] = copy.copy(group[sequence][0][keyword])
                    break
        plain.ReferencedFrameNumber = number
    return plain


def _vector(header: Any, keyword: str, count: int) -> np.ndarray | None:
    value = header.get(keyword)
    if value is None or isinstance(value, str) or len(value) != count:
        return None
    return np.asarray([float(v) for v in value])


def _pair(header: Any) -> tuple[float, float] | None:
    spacing = _vector(header, "PixelSpacing", 2)
    return None if spacing is None else (float(spacing[0]), float(spacing[1]))


def _sorted(images: list[DicomSlice], name: str) -> tuple[list[DicomSlice], Header, float]:
    """Images along the slice normal, remarks for the header, and the slice spacing [mm]."""
    sizes = sorted({(int(image.header.Rows), int(image.header.Columns)) for image in images})
    if len(sizes) > 1:
        raise FormatError(
            f"{name}: slices of the sizes {sizes}, expected one size; remove localisers and other images"
        )
    thickness = float(
        images[0].header.get("SpacingBetweenSlices") or images[0].header.get("SliceThickness") or 0
    )
    thickness = abs(thickness) or 1.0
    if len(images) == 1:
        return images, {}, thickness
    if len({image.spacing for image in images}) > 1:
        raise FormatError(
            f"{name}: slices of different pixel spacing, expected one; remove what is not of the volume"
        )
    directions = [image.orientation for image in images]
    if any(image.position is None for image in images) or any(d is None for d in directions):
        ordered = sorted(images, key=lambda image: int(image.header.get("InstanceNumber") or 0))
        return ordered, {"sorted_by": "instance number (no positions stored)"}, thickness
    first = np.asarray(directions[0])
    if max(float(np.abs(np.asarray(d) - first).max()) for d in directions) > 1e-3:
        raise FormatError(
            f"{name}: slices of different directions, expected parallel ones; remove localisers"
        )
    normal = np.cross(first[:3], first[3:])
    places = np.asarray([float(normal @ np.asarray(image.position)) for image in images])
    order = np.argsort(places, kind="stable")
    steps = np.diff(places[order])
    if steps.min() < 1e-3:
        distinct = 1 + int((steps >= 1e-3).sum())
        raise FormatError(
            f"{name}: {len(images)} images at {distinct} positions (echoes, phases, or doubled files), "
            "expected one image "
            "at each; put one set into a folder of its own"
        )
    dz = float(np.median(steps))
    facts: Header = {}
    if np.ptp(steps) > max(0.01 * dz, 0.02):
        facts["slice_gap"] = f"slices {steps.min():.4g} to {steps.max():.4g} mm apart; slices may be missing"
    return [images[i] for i in order], facts, dz


def _plain(value: Any) -> str | float | int:
    if isinstance(value, (int, float)):
        return float(value) if isinstance(value, float) else int(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value) if isinstance(value, str) else "\\".join(str(v) for v in value)
