"""Mosaics: images that show the slices of a volume beside each other (Siemens, UIH) -> those slices.

Whether an image is a mosaic is decided by its tiles, not by the word: some say MOSAIC and are none. Enhanced objects
never come here: their frames are single slices, whatever they say.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from .dicom_header import number, numbers, value
from .dicom_pixels import DicomSlice
from .scan import FormatError

_SIEMENS_TILES, _UIH_TILES, _CSA_GROUP = 0x0019100A, 0x00651050, 0x0029


def taken_apart(image: DicomSlice) -> list[DicomSlice]:
    """The slices that an image shows. Raises FormatError for a mosaic whose tiles cannot be told."""
    count = _tile_count(image)
    return list(_tiles(image, count)) if count else [image]


def _tile_count(image: DicomSlice) -> int:
    """How many slices an image shows; 0 for a plain one."""
    if not {"MOSAIC", "VFRAME"} & set(image.kind):
        return 0
    header, tag = image.header, _SIEMENS_TILES if "MOSAIC" in image.kind else _UIH_TILES
    found = _count(value(header, tag)) or len(_vframes(header)) or _in_csa(header)
    if found > 1:
        return found
    acquired = numbers(header, "AcquisitionMatrix", 4)
    if found == 1 or (acquired and max(image.size) < 2 * max(acquired)):
        return 0  # no room for two tiles
    raise FormatError(
        f"{image.path.name}: a mosaic of slices that does not say how many; export the series as single slices "
        "(or as enhanced DICOM)"
    )


def _count(found: Any) -> int:
    if isinstance(found, bytes):
        try:
            return int(found) if found.strip().isdigit() else int.from_bytes(found[:2], "little")
        except ValueError:
            return 0
    try:
        return int(found)
    except (TypeError, ValueError):
        return 0


def _csa(header: Any) -> dict[str, Any]:
    """Siemens' own header, {} where there is none."""
    if not any(tag.group == _CSA_GROUP for tag in header.keys()):  # noqa: SIM118  iterating a dataset parses its values
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel says of every import that this is experimental
        from nibabel.nicom import csareader

        try:
            return csareader.get_csa_header(header, "image") or {}
        except Exception:  # many types, on a damaged one
            return {}


def _in_csa(header: Any) -> int:
    items = _csa(header).get("tags", {}).get("NumberOfImagesInMosaic", {}).get("items") or [0]
    return _count(items[0])


def _vframes(header: Any) -> list[Any]:
    """UIH's items of the tiles, each with its own position."""
    for element in header.group_dataset(0x0065):
        if element.VR == "SQ" and element.value and "ImagePositionPatient" in element.value[0]:
            return list(element.value)
    return []


def _tiles(image: DicomSlice, count: int) -> Iterator[DicomSlice]:
    side = math.ceil(math.sqrt(count))
    rows, columns = (n // side for n in image.size)
    if (rows * side, columns * side) != image.size or not rows or not columns:
        raise FormatError(
            f"{image.path.name}: a mosaic of {count} slices in {image.size} pixels, expected tiles of one size; "
            "export the series as single slices"
        )
    places = _tile_positions(image, count, (rows, columns))
    for k, place in enumerate(places):
        top, left = k // side * rows, k % side * columns
        yield replace(
            image,
            position=place,
            size=(rows, columns),
            tile=(slice(top, top + rows), slice(left, left + columns)),
            remarks=(*image.remarks, f"a mosaic, taken apart into {count} slices"),
            order=(image.order or 0) * count + k if place is None else image.order,
        )


def _tile_positions(image: DicomSlice, count: int, size: tuple[int, int]) -> list[np.ndarray | None]:
    """Siemens: the header's position is that of the whole picture around the first tile's middle."""
    header = image.header
    if vframes := _vframes(header):
        found = [numbers(item, "ImagePositionPatient", 3) for item in vframes]
        if len(found) == count and all(found):
            return [np.asarray(p) for p in found]
        return [None] * count
    step = number(header, "SpacingBetweenSlices") or number(header, "SliceThickness")
    if "VFRAME" in image.kind or image.position is None or image.orientation is None or not step:
        return [None] * count
    along_row, along_column = image.orientation[:3], image.orientation[3:]
    normal = np.cross(along_row, along_column)
    stated = _csa(header).get("tags", {}).get("SliceNormalVector", {}).get("items") or []
    if len(stated) == 3 and float(normal @ np.asarray(stated, float)) < 0:
        normal = -normal
    dy, dx = image.spacing or (1.0, 1.0)
    border = (image.size[0] - size[0]) / 2 * dy * along_column + (
        image.size[1] - size[1]
    ) / 2 * dx * along_row
    return [image.position + border + k * step * normal for k in range(count)]
