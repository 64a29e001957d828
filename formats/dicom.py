"""DICOM images in: single files, classic series, enhanced multi-frame objects, mosaics -> Volume.

`dicom_series` finds the files of one series, `dicom_frames` the slices of a file, `dicom_kind` says which of them
are images of intensities, `dicom_volumes` which make a volume. Slices are sorted by their position along the slice
normal, n = row x column direction (PS3.3 C.7.6.2.1.1), z = n . IPP; where positions are missing, by
InstanceNumber. Stored values become HU (CT) or magnitude (MR) by each slice's own RescaleSlope and
RescaleIntercept. Patients' data never reach `Volume.header`; the source datasets stay in `Volume.dicom`, for the
writer only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..modality import Modality
from .dicom_frames import classic, stated_mm
from .dicom_header import ASSUMED_MM, number, put, value, whole
from .dicom_pixels import DicomSlice, pixels, pydicom_quietly
from .dicom_series import (
    Files,
    headers_of,
    images_of,
    is_dicom,
    looks_like_dicom,
    series_of,
    series_table,
    usable_series,
)
from .dicom_volumes import Stack, choose_stack, places_of, stacks, table
from .reader import Slices, choose, negative, told_pixel
from .scan import FormatError, Header, Volume

__all__ = ["describe_dicom", "example_ct", "is_dicom", "looks_like_dicom", "read_dicom", "read_volumes"]

_ENOUGH = 40  # headers for `describe`: at 5 ms each
_PRIME = 11  # no folder has so many echoes in turn
_EVEN = 0.02  # relative difference of slice distances that rounding makes
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
    images, remarks = images_of(path, headers_of(path), series)
    stack = choose_stack(stacks(images), path.name, echo=echo, time=time, volume=volume)
    return _volume(stack, path, remarks, slices, pixel_mm)


def read_volumes(path: Path) -> Iterator[tuple[Stack, Callable[[], Volume]]]:
    """Every volume of a file, and what reads it."""
    images, remarks = images_of(path, headers_of(path), None)
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
    """Headers only; of several series or volumes a table, unless one is chosen."""
    is_chosen = any(option is not None for option in (series, echo, time, volume))
    count = 1 if path.is_file() else sum(1 for p in path.iterdir() if p.is_file() and is_dicom(p))
    files = headers_of(path) if is_chosen else _some_headers(path, count)
    first, frames = files[0][1], sum(whole(header, "NumberOfFrames", 1) for _, header in files)
    facts: dict[str, Any] = {
        "kind": "images",
        "modality": str(value(first, "Modality") or ""),
        "frames": frames,
    }
    if len(files) < count and not is_chosen:
        facts |= {"frames": count, "headers_read": f"{len(files)} of {count}"}
    groups, _ = series_of(files)
    if series is None and len(groups) > 1 and len(usable_series(groups)) != 1:
        facts["matrix"] = (whole(first, "Rows"), whole(first, "Columns"))
        return facts | {"series": series_table(groups)}
    images, remarks = images_of(path, files, series)
    found = stacks(images)
    stack = found[0]
    if "headers_read" not in facts:
        facts["frames"] = len(images)
    if is_chosen:
        stack = choose_stack(found, path.name, echo=echo, time=time, volume=volume)
        facts["frames"] = len(stack.images)
    elif len(found) > 1:
        facts["volumes"] = table(found)
    image = stack.images[0]
    spacing, _, more = _pixel_size(image, path.name, pixel_mm)
    facts |= {"matrix": image.size, "pixel_mm": spacing and tuple(round(s, 5) for s in spacing)}
    facts |= _facts(classic(image))
    if remarks := _once((*remarks, *image.remarks, *more)):
        facts["remarks"] = list(remarks)
    return facts


def _some_headers(path: Path, count: int) -> Files:
    """The headers of a folder; of a large one every n-th, unless these show several series, echoes or times."""
    step = 1 if count <= _ENOUGH else max(_PRIME, count // _ENOUGH)
    while any(step % n == 0 for n in range(2, step)):  # no prime: echoes that take turns would hide behind it
        step += 1
    files = headers_of(path, step)
    groups, _ = series_of(files)
    if step == 1 or (len(groups) == 1 and len(_variants(files)) == 1):
        return files
    return headers_of(path)


def _variants(files: Files) -> set[Any]:
    return {(number(header, "EchoTime"), number(header, "TemporalPositionIdentifier")) for _, header in files}


def example_ct() -> Path:
    """The CT slice that pydicom ships (128 x 128, a body), for the demonstration: no download."""
    with pydicom_quietly() as pydicom:
        path = pydicom.data.get_testdata_file("CT_small.dcm", download=False)
    if not isinstance(path, str):
        raise FormatError(
            "CT_small.dcm: this pydicom ships no example CT slice; pip install --force-reinstall pydicom"
        )
    return Path(path)


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
            put(header, "PixelSpacing", (pixel_mm, pixel_mm))
    dy, dx = spacing or (ASSUMED_MM, ASSUMED_MM)
    header = _facts(headers[0])
    if any(str(value(h, "LossyImageCompression") or "") == "01" for h in headers):
        header["lossy_compressed"] = "yes"
    data = pixels(images, headers, modality)
    told = [*remarks, *(words for image in stack.images for words in image.remarks), *more, *spaced]
    if modality == "MR" and (odd := negative(data)):
        told.append(odd)
    if modality == "CT" and not any(key in headers[0] for key in ("RescaleIntercept", "ModalityLUTSequence")):
        told.append("how values become HU is not stored (RescaleIntercept); taken as HU as they are")
    return Volume(
        data=data,
        units="HU" if modality == "CT" else "magnitude",
        modality=Modality(modality),
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
