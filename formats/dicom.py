"""DICOM images in: single files, classic series, enhanced multi-frame objects, mosaics -> Volume.

Files are grouped into series here, a file's slices come from `dicom_frames`, `dicom_kind` says which of them are
images of intensities, `dicom_volumes` which make a volume. Slices are sorted by their position along the slice
normal, n = row x column direction (PS3.3 C.7.6.2.1.1), z = n . IPP; where positions are missing, by
InstanceNumber. Stored values become HU (CT) or magnitude (MR) by each slice's own RescaleSlope and
RescaleIntercept. Patients' data never reach `Volume.header`; the source datasets stay in `Volume.dicom`, for the
writer only.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .dicom_frames import classic, slices_of, stated_mm
from .dicom_header import ASSUMED_MM, numbers, value, whole
from .dicom_kind import Finding, findings
from .dicom_pixels import DicomSlice, opened, pixels, pydicom_quietly
from .dicom_volumes import Stack, choose_stack, places_of, stacks, table, without_copies
from .reader import Slices, choose, told_pixel
from .scan import FormatError, Header, Volume

_ENOUGH = 40  # headers for `describe`: at 5 ms each
_EVEN = 0.02  # relative difference of slice distances that rounding makes
_SAME_SERIES = ("StudyInstanceUID", "SeriesNumber", "SeriesDescription", "Modality", "Rows", "Columns")
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
    """Whether a file holds DICOM, gzipped or not."""
    try:
        with opened(path) as file:
            return looks_like_dicom(file.read(132))
    except (OSError, EOFError, zlib.error):  # a damaged gzip file is none
        return False


def read_dicom(
    path: str | Path,
    slices: Slices = None,
    series: str | int | None = None,
    echo: int | None = None,
    time: int | None = None,
    volume: int | None = None,
    pixel_mm: float | None = None,
) -> Volume:
    """Read one volume of a DICOM file or folder.

    Args:
        slices: of the sorted volume.
        series: which one, where there are several: SeriesInstanceUID or its end, SeriesNumber or a part of
            SeriesDescription.
        echo, time, volume: which one (from 0), where several images lie at one place.
        pixel_mm: side of the pixels, where the file does not say it.

    Raises:
        FormatError: no pixel data, no CT or MR, no images of intensities (`dicom_kind`), several series or
            volumes, or a compression nobody here can decode.
    """
    path = Path(path)
    images, remarks = _chosen(path, _headers(path), series)
    stack = choose_stack(stacks(images), path.name, echo=echo, time=time, volume=volume)
    return _volume(stack, path, remarks, slices, pixel_mm)


def read_volumes(path: Path) -> Iterator[tuple[Stack, Callable[[], Volume]]]:
    """Every volume of a file, and what reads it."""
    images, remarks = _chosen(path, _headers(path), None)
    for stack in stacks(images):
        yield stack, partial(_volume, stack, path, remarks)


def describe_dicom(
    path: Path,
    series: str | int | None = None,
    echo: int | None = None,
    time: int | None = None,
    volume: int | None = None,
    pixel_mm: float | None = None,
) -> dict[str, Any]:
    """Headers only; of several series or volumes a table, unless one is chosen. Of a large folder from which nothing is
    chosen only every n-th header is read, which the answer says."""
    is_chosen = any(option is not None for option in (series, echo, time, volume))
    count = 1 if path.is_file() else sum(1 for p in path.iterdir() if p.is_file() and is_dicom(p))
    step = 1 if is_chosen else -(-count // _ENOUGH)
    files = _headers(path, step)
    first = files[0][1]
    facts: dict[str, Any] = {"kind": "images", "modality": str(value(first, "Modality") or "")}
    facts["frames"] = sum(whole(header, "NumberOfFrames", 1) for _, header in files)
    if step > 1:
        facts["frames"] = count
        facts["headers_read"] = f"{len(files)} of {count}"
    facts["matrix"] = (whole(first, "Rows"), whole(first, "Columns"))
    groups, _ = series_of(files)
    if series is None and len(groups) > 1 and len(_usable(groups)) != 1:
        return facts | {"series": _table(groups)}
    images, remarks = _chosen(path, files, series)
    found = stacks(images)
    if len(found) > 1 and step == 1 and not is_chosen:
        facts["volumes"] = table(found)
    stack = choose_stack(found, path.name, echo=echo, time=time, volume=volume) if is_chosen else found[0]
    image = stack.images[0]
    spacing, _, more = _pixel_size(image, path.name, pixel_mm)
    facts |= {"matrix": image.size, "pixel_mm": spacing and tuple(round(s, 5) for s in spacing)}
    if is_chosen:
        facts["frames"] = len(stack.images)
    facts |= _facts(classic(image))
    if remarks := _once((*remarks, *image.remarks, *more)):
        facts["remarks"] = list(remarks)
    return facts


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
                with opened(name) as file:
                    header = pydicom.dcmread(file, stop_before_pixels=True, force=True)
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


Files = list[tuple[Path, Any]]


def series_of(files: Files) -> tuple[dict[str, Files], str]:
    """The files by series, and what was repaired: slices with a series UID each are one series."""
    groups: dict[str, Files] = {}
    for file, header in files:
        groups.setdefault(str(value(header, "SeriesInstanceUID") or ""), []).append((file, header))
    if len(groups) > 1 and all(len(group) == 1 for group in groups.values()):
        alike = {tuple(str(value(header, key)) for key in _SAME_SERIES) for _, header in files}
        places = {numbers(header, "ImagePositionPatient", 3) for _, header in files}
        if len(alike) == 1 and None not in places and len(places) == len(files):
            uid = next(iter(groups))
            return {uid: files}, "every slice has a series UID of its own; taken together as one series"
    return groups, ""


def _usable(groups: dict[str, Files]) -> dict[str, Files]:
    """The series that hold an image to read."""
    return {uid: group for uid, group in groups.items() if not all(_refusal(header) for _, header in group)}


def _refusal(header: Any, kind: list[str] | None = None) -> Finding | None:
    return next((finding for finding in findings(header, kind) if finding.refused), None)


def _table(groups: dict[str, Files]) -> list[str]:
    names = [
        (
            str(value(files[0][1], "SeriesNumber") or "?"),
            str(value(files[0][1], "SeriesDescription") or "no description"),
        )
        for files in groups.values()
    ]
    rows = []
    for (uid, files), (number, words) in zip(groups.items(), names, strict=True):
        number = number if [n for n, _ in names].count(number) == 1 and number != "?" else f"…{uid[-12:]}"
        odd = _refusal(files[0][1])
        rows.append(
            f"{number}: {words} ({value(files[0][1], 'Modality') or '?'}, {len(files)} files"
            f"{f', {odd.reason}' if odd else ''})"
        )
    return rows


def _one_series(path: Path, files: Files, series: str | int | None) -> tuple[Files, list[str]]:
    groups, joined = series_of(files)
    if series is not None:
        wanted = str(series)
        exact = {u: g for u, g in groups.items() if wanted in (u, str(value(g[0][1], "SeriesNumber")))}
        ending = {u: g for u, g in groups.items() if wanted.startswith("…") and u.endswith(wanted[1:])}
        chosen = (
            exact
            or ending
            or {
                u: g
                for u, g in groups.items()
                if wanted.lower() in str(value(g[0][1], "SeriesDescription") or "").lower()
            }
        )
        if not chosen:
            raise FormatError(
                f"{path.name}: got series {wanted!r}, which is none of {'; '.join(_table(groups))}; choose one "
                "of them"
            )
        groups = chosen
    remarks = [joined] if joined else []
    usable = _usable(groups)
    if len(groups) > 1 and len(usable) == 1:
        others = {uid: group for uid, group in groups.items() if uid not in usable}
        remarks.append(f"left out, no images of the scan: series {'; '.join(_table(others))}")
        groups = usable
    if len(groups) > 1:
        raise FormatError(
            f"{path.name}: holds {len(groups)} series, expected one: {'; '.join(_table(groups))}; choose with "
            "--series and its number or a part of its description"
        )
    return next(iter(groups.values())), remarks


def _chosen(path: Path, files: Files, series: str | int | None) -> tuple[list[DicomSlice], list[str]]:
    """The images of the one series that are to be read, and what was left out, or is to be known of them."""
    files, remarks = _one_series(path, files, series)
    if len(files) == 1 and (
        finding := _refusal(files[0][1], [])
    ):  # before a damaged header is looked at closely
        raise FormatError(f"{files[0][0].name}: {finding.sentence}")
    images, copies = without_copies([image for file, header in files for image in slices_of(file, header)])
    if copies:
        remarks.append(
            f"{copies} {'copies' if copies > 1 else 'copy'} of images counted once (same SOPInstanceUID)"
        )
    kept, left, noted = [], Counter[str](), Counter[str]()
    for image in images:
        odd = list(findings(image.header, image.kind))
        if refused := [finding for finding in odd if finding.refused]:
            left[refused[0].reason] += 1
            continue
        kept.append(image)
        noted.update(finding.sentence for finding in odd)
    if not kept:
        finding = _refusal(images[0].header, images[0].kind)
        raise FormatError(f"{images[0].path.name}: {finding.sentence if finding else 'no image'}")
    remarks += [f"{n} image{'s' * (n > 1)} left out: {reason}" for reason, n in left.items()]
    remarks += [text if n == len(kept) else f"{n} of {len(kept)} images: {text}" for text, n in noted.items()]
    return kept, remarks


# --- one volume
def _volume(
    stack: Stack, path: Path, remarks: list[str], slices: Slices = None, pixel_mm: float | None = None
) -> Volume:
    dz, spaced = _slice_distance(stack.images)
    images = [stack.images[i] for i in choose(len(stack.images), slices, path.name)]
    headers = [classic(image) for image in images]
    modality = str(headers[0].Modality)
    spacing, assumed, more = _pixel_size(images[0], path.name, pixel_mm)
    if pixel_mm is not None:
        for header in headers:
            header.PixelSpacing = [pixel_mm, pixel_mm]
    dy, dx = spacing or (ASSUMED_MM, ASSUMED_MM)
    header = _facts(headers[0])
    if any(str(value(h, "LossyImageCompression") or "") == "01" for h in headers):
        header["lossy_compressed"] = "yes"
    told = [*remarks, *(words for image in stack.images for words in image.remarks), *more, *spaced]
    return Volume(
        data=pixels(images, headers, modality),
        units="HU" if modality == "CT" else "magnitude",
        modality="CT" if modality == "CT" else "MR",
        spacing=(dz, dy, dx),
        header=header,
        source=path.name if path.is_file() else f"DICOM series, {len(images)} slices",
        dicom=tuple(headers),
        pixel_assumed=assumed,
        remarks=_once(told),
    )


def _once(remarks: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(remarks))


def _pixel_size(
    image: DicomSlice, name: str, pixel_mm: float | None
) -> tuple[tuple[float, float] | None, bool, list[str]]:
    """(dy, dx), whether it is a guess, and the words for it."""
    if pixel_mm is not None:
        stated = None if image.assumed else image.spacing
        side = told_pixel(name, pixel_mm, stated)
        return (side, side), False, []
    if image.spacing is None:
        return None, True, [f"the pixel size is not stored; {ASSUMED_MM:g} mm assumed (--pixel-mm says it)"]
    return image.spacing, image.assumed, [image.pixel_remark] if image.pixel_remark else []


def _slice_distance(images: list[DicomSlice]) -> tuple[float, list[str]]:
    """The distance of the slices [mm], and what is odd about it."""
    header = images[0]
    stated = next(
        (abs(mm) for key in ("SpacingBetweenSlices", "SliceThickness") if (mm := stated_mm(header, key))), 0.0
    )
    unknown = [] if stated else [f"the slice thickness is not stored; {ASSUMED_MM:g} mm assumed"]
    places = places_of(images)
    if len(images) == 1:
        return stated or ASSUMED_MM, unknown
    if places is None:
        order = "no slice positions are stored; sorted by instance number"
        return stated or ASSUMED_MM, [*unknown, order]
    steps = np.diff(places)
    dz = float(np.median(steps))
    if np.ptp(steps) > _EVEN * dz:
        return dz, [f"slices {steps.min():.4g} to {steps.max():.4g} mm apart; slices may be missing"]
    return dz, []


def _facts(header: Any) -> Header:
    """What may leave the file."""
    found = {name: value(header, keyword) for keyword, name in _HEADER.items()}
    return {name: _plain(v) for name, v in found.items() if v not in (None, "")}


def _plain(value: Any) -> str | float | int:
    if isinstance(value, (int, float)):
        return float(value) if isinstance(value, float) else int(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value) if isinstance(value, str) else "\\".join(str(v) for v in value)
