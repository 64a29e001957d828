"""NXtomo (NeXus: Diamond, ESRF, ANSTO; https://manual.nexusformat.org/classes/applications/NXtomo.html): one stack of
frames (frames, rows, columns), and for each its image_key (0 projection, 1 flat, 2 dark, 3 invalid) and angle.

The groups bear any names: an NXtomo is a group whose `definition` says so, its detector the one in an instrument that
has an image_key. ESRF's image_key_control, where there is one, tells alignment frames (-1) from projections. Each
detector row is a slice (`parallel`); from counts to line integrals: `counts`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .counts import line_integrals
from .hdf5 import dataset, open_hdf5, text
from .parallel import Rows, degrees_of, millimetres_of, parallel_scan, range_of
from .reader import Slices, one_of
from .scan import FormatError, Scan

PROJECTION, FLAT, DARK = 0, 1, 2


def is_nxtomo(file: h5py.File) -> bool:
    return bool(_entries(file))


def read_nxtomo(
    path: str | Path,
    slices: Slices = None,
    volume: int | None = None,
    center: float | None = None,
    drop_columns: int = 0,
    pixel_mm: float | None = None,
) -> Scan:
    """Read detector rows as slices of a parallel-beam scan.

    Args:
        slices: the detector rows; all by default.
        volume: which NXtomo, of a file with several.
        center, drop_columns, pixel_mm: as of `read_dxchange`.

    Raises:
        FormatError: no or several NXtomo, half a field of view without `center`, frames without keys or angles, no
            flat field, wrong shapes.
    """
    source = Path(path).name
    with open_hdf5(path) as file:
        entry = _chosen(_entries(file), volume, source)
        detector = _detector(entry, source)
        data, keys = dataset(detector, "data", source), _keys(detector, source)
        rows = Rows.chosen(data, slices, drop_columns, source)
        frames = rows.of(data)
        angles = _angles(entry, len(keys))
        stated = _pixel_size(entry, detector)
        half = _word(detector, "field_of_view").lower() == "half"
    if half and center is None:
        raise FormatError(
            f"{source}: the detector saw one half of the object (field_of_view), so that the rotation axis is "
            "not in its middle; say its column (--center)"
        )
    for key, what in ((PROJECTION, "projections"), (FLAT, "flat fields")):
        if not (keys == key).any():
            raise FormatError(f"{source}: got an image_key without {what} ({key}), expected some; add them")
    return parallel_scan(
        line_integrals(frames[keys == PROJECTION], frames[keys == FLAT], frames[keys == DARK], source),
        degrees=None if angles is None else angles[keys == PROJECTION],
        stated_mm=stated,
        center=center,
        drop_columns=drop_columns,
        pixel_mm=pixel_mm,
        source=source,
    )


def describe_nxtomo(path: Path, volume: int | None = None) -> dict[str, Any]:
    """Shapes, keys and angles of each NXtomo by its number (anybody can name one), or of the one that is chosen; no
    frames are read."""
    with open_hdf5(path) as file:
        entries = _entries(file)
        if volume is not None or len(entries) == 1:
            return {"kind": "ct", **_describe(_chosen(entries, volume, path.name), path.name)}
        found = {str(k): _describe(one, path.name) for k, one in enumerate(entries.values())}
        return {"kind": "ct", "volumes": found}


def _describe(entry: h5py.Group, source: str) -> dict[str, Any]:
    detector = _detector(entry, source)
    data, keys = dataset(detector, "data", source), _keys(detector, source)
    angles = _angles(entry, len(keys))
    return {
        "data": data.shape,
        "axes": "frame, row, column",
        "counts": str(data.dtype),
        "views": int((keys == PROJECTION).sum()),
        "flat_fields": int((keys == FLAT).sum()),
        "dark_fields": int((keys == DARK).sum()),
        "degrees": range_of(None if angles is None else angles[keys == PROJECTION]),
        "pixel_mm": _pixel_size(entry, detector) or "not stored",
    }


def _entries(file: h5py.File) -> dict[str, h5py.Group]:
    """Every NXtomo by its path: an entry, or one below an entry."""
    groups = [("", file), *_groups(file)]
    groups += [(f"{name}/{below}", group) for name, entry in groups[1:] for below, group in _groups(entry)]
    found: dict[str, h5py.Group] = {}
    for name, group in groups:
        if _word(group, "definition") == "NXtomo" and group not in found.values():  # links lead to it again
            found[name] = group
    return found


def _chosen(entries: dict[str, h5py.Group], volume: int | None, source: str) -> h5py.Group:
    names = list(entries)
    return entries[names[one_of(len(names), volume, "volume", source, f"NXtomo ({', '.join(names[:8])})")]]


def _detector(entry: h5py.Group, source: str) -> h5py.Group:
    """The detector of the frames: in the instrument, with an image_key."""
    for _, instrument in _groups(entry):
        for _, detector in _groups(instrument):
            if "data" in detector and ("image_key" in detector or "image_key_control" in detector):
                return detector
    raise FormatError(
        f"{source}: got an NXtomo without frames and their keys, expected instrument/detector with data and image_key"
    )


def _keys(detector: h5py.Group, source: str) -> np.ndarray:
    """The kind of each frame. Raises FormatError for another number of them than of frames."""
    name = "image_key_control" if "image_key_control" in detector else "image_key"
    keys, data = np.ravel(dataset(detector, name, source)[()]), dataset(detector, "data", source)
    if data.ndim != 3 or len(keys) != len(data):
        raise FormatError(
            f"{source}: got {len(keys)} values of {name} for data of shape {data.shape}, expected one a frame of "
            "(frames, rows, columns)"
        )
    return keys


def _angles(entry: h5py.Group, frames: int) -> np.ndarray | None:
    """The angle of each frame [degrees]; None where none are stored."""
    for name in ("sample/rotation_angle", "data/rotation_angle", "sample/transformations/rotation_angle"):
        item = entry.get(name)
        if isinstance(item, h5py.Dataset) and item.size == frames:
            return degrees_of(item)
    return None


def _pixel_size(entry: h5py.Group, detector: h5py.Group) -> float | None:
    """[mm], at the sample where that is known; None where it is not stored, or has no unit."""
    places = (
        (entry, "sample/x_pixel_size"),
        (detector, "x_magnified_pixel_size"),
        (detector, "x_pixel_size"),
    )
    sizes = (millimetres_of(group.get(name)) for group, name in places)
    return next((size for size in sizes if size is not None), None)


def _groups(group: h5py.Group) -> Iterator[tuple[str, h5py.Group]]:
    """The groups right below, through links too; a broken link leads to none."""
    for name in map(str, group):
        try:
            item = group.get(name)
        except (OSError, KeyError):
            continue
        if isinstance(item, h5py.Group):
            yield name, item


def _word(group: h5py.Group, name: str) -> str:
    item = group.get(name)
    return text(item).strip() if isinstance(item, h5py.Dataset) and item.size == 1 else ""
