"""Our own HDF5 layouts (docs/formats.md): a scan in, a reconstruction with its samples out.

scan             attributes format="scanprior", content="scan"; datasets data, mask, maps, calibration, counts,
                 truth; groups geometry, noise, header
reconstruction   format="scanprior", content="reconstruction"; mean, std, samples (n, Z, H, W), intervals/KIND (2, Z,
                 H, W): lower and upper ends; attribute provenance (JSON)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np

from ..geometry import FanBeam, Geometry, GeometryError, ParallelBeam
from ..modality import Modality
from .hdf5 import dataset, number, numbers, open_hdf5, take, text
from .reader import Slices, choose, geometry_or_faults
from .scan import FormatError, Scan, check
from .write import atomic

VERSION = 1
_AXES = {"ct": "slice, view, detector", "mri": "slice, coil, ky, kx"}


# --- scans
def write_scan(path: str | Path, scan: Scan) -> None:
    """Write a scan. Raises FormatError for a defective scan (nothing is written then)."""
    check(scan)
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            {
                "format": "scanprior",
                "version": VERSION,
                "content": "scan",
                "kind": scan.kind,
                "source": Path(scan.source).name,
            }
        )
        file.attrs["matrix"] = np.asarray(scan.matrix, dtype=np.int64)
        file.attrs["pixel_mm"] = float(scan.pixel_mm)
        if scan.spacing is not None:
            file.attrs["spacing_mm"] = scan.spacing
        file.attrs["pixel_assumed"] = scan.pixel_assumed
        file.attrs["remarks"] = json.dumps(scan.remarks)
        for name in ("data", "maps", "calibration", "counts", "truth"):
            array = getattr(scan, name)
            if array is not None:
                _images(file, name, array)
        file["data"].attrs["axes"] = _AXES[scan.kind]
        file["data"].attrs["units"] = (
            "line integral, dimensionless" if scan.modality is Modality.CT else "arbitrary"
        )
        if scan.mask is not None:
            file.create_dataset("mask", data=np.asarray(scan.mask, dtype=bool), compression="gzip")
        groups = {"geometry": _table(scan.geometry), "noise": scan.noise, "header": scan.header}
        for name, values in groups.items():
            _write_group(file, name, values)


def read_scan(path: str | Path, slices: Slices = None) -> Scan:
    """Read what `write_scan` wrote, `slices` of it. Raises FormatError for another or a newer layout."""
    source = Path(path).name
    with open_hdf5(path) as file:
        _expect(file, "scan", source)
        data = dataset(file, "data", source)
        index = choose(len(data), slices, source)

        def part(name: str) -> np.ndarray | None:
            return take(dataset(file, name, source), index) if name in file else None

        rows, columns = (int(n) for n in numbers(file, "matrix", source, 2))
        header, table = _read_group(file, "header"), _read_group(file, "geometry")
        mask = dataset(file, "mask", source)[()] if "mask" in file else None
        spacing = numbers(file, "spacing_mm", source, 3) if "spacing_mm" in file.attrs else None
        kind = text(file.attrs["kind"])
        if kind not in _AXES:
            raise FormatError(f"{source}: got kind {kind!r}, expected 'ct' or 'mri'")
        return Scan(
            modality=Modality(kind),
            data=take(data, index),
            matrix=(rows, columns),
            pixel_mm=number(file, "pixel_mm", source),
            **({} if table is None else geometry_or_faults(lambda: _geometry(table, data.shape[-1]))),
            mask=mask[index] if mask is not None and mask.ndim == 3 else mask,
            maps=part("maps"),
            calibration=part("calibration"),
            noise=_read_group(file, "noise"),
            counts=part("counts"),
            truth=part("truth"),
            header=header or {},
            source=source,
            spacing=None if spacing is None else (spacing[0], spacing[1], spacing[2]),
            pixel_assumed=bool(file.attrs.get("pixel_assumed", False)),
            remarks=_remarks(file, source),
        )


def _table(geometry: Geometry | None) -> dict[str, Any] | None:
    """The group that stores a geometry (docs/formats.md)."""
    if geometry is None:
        return None
    table: dict[str, Any] = {"type": geometry.kind, "angles": np.asarray(geometry.angles)}
    table |= {"detector_spacing": geometry.spacing, "detector_offset": geometry.offset}
    table |= {"detectors": geometry.detectors}
    if isinstance(geometry, FanBeam):
        table |= {name: getattr(geometry, name) for name in ("source_origin", "source_detector", "curved")}
    return table


def _geometry(table: dict[str, Any], detectors: int) -> Geometry:
    """The geometry that a group describes; `detectors`, of the data, where it does not say their number. Raises
    GeometryError."""
    kind, offset = table.get("type"), table.get("detector_offset", 0.0)
    view: Any = (table.get("angles", ()), table.get("detectors", detectors), table.get("detector_spacing"))
    if kind == "parallel":
        return ParallelBeam(*view, offset=offset)
    if kind != "fan":
        raise GeometryError("geometry", [f"got geometry type {kind!r}, expected 'parallel' or 'fan'"])
    if "curved" not in table:
        fault = (
            "got a fan beam without 'curved', expected True for an arc-shaped detector, False for a flat one"
        )
        raise GeometryError("geometry", [fault])
    source: Any = [table.get(name) for name in ("source_origin", "source_detector", "curved")]
    return FanBeam(*view, *source, offset=offset)


def _remarks(file: h5py.File, source: str) -> tuple[str, ...]:
    try:
        found = json.loads(text(file.attrs.get("remarks", "[]")))
    except ValueError as error:
        raise FormatError(
            f"{source}: got remarks that are no JSON ({error}), expected a list of texts"
        ) from error
    return tuple(str(remark) for remark in found) if isinstance(found, list) else ()


def _write_group(file: h5py.File, name: str, values: dict[str, Any] | None) -> None:
    if values is None:
        return
    group = file.create_group(name)
    for key, value in values.items():
        if isinstance(value, np.ndarray):
            group.create_dataset(key, data=value)
        else:
            group.attrs[key] = value


def _read_group(file: h5py.File, name: str) -> dict[str, Any] | None:
    group = file.get(name)
    if not isinstance(group, h5py.Group):
        return None
    values: dict[str, Any] = {key: _plain(value) for key, value in group.attrs.items()}
    return values | {key: item[()] for key, item in group.items() if isinstance(item, h5py.Dataset)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _images(file: h5py.File, name: str, array: np.ndarray) -> None:
    """A dataset chunked by slices (at most 4 MB a chunk, the limit of a sensible cache)."""
    lead = tuple(1 for _ in array.shape[:-2])
    file.create_dataset(
        name,
        data=array,
        chunks=(*lead, *array.shape[-2:]),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )


def _expect(file: h5py.File, content: str, source: str) -> None:
    got = (text(file.attrs.get("format", "")), text(file.attrs.get("content", "")))
    if got != ("scanprior", content):
        raise FormatError(
            f"{source}: got the layout {got}, expected ('scanprior', {content!r}); see docs/formats.md"
        )
    if number(file, "version", source) > VERSION:
        raise FormatError(
            f"{source}: written by a newer scanprior (layout {file.attrs['version']}); upgrade scanprior"
        )


# --- reconstructions
@dataclass(frozen=True, eq=False, repr=False)
class StoredReconstruction:
    """What `write_reconstruction` wrote: mean (Z, H, W), std (Z, H, W) or None, samples (n, Z, H, W) or
    None, intervals: kind -> (2, Z, H, W), lower and upper ends."""

    mean: np.ndarray
    std: np.ndarray | None
    samples: np.ndarray | None
    units: str
    pixel_mm: tuple[float, float, float]
    attrs: dict[str, Any]
    source: str
    intervals: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        held = [name for name in ("mean", "std", "samples") if getattr(self, name) is not None]
        sizes = " x ".join(map(str, self.mean.shape))
        return f"StoredReconstruction({self.source!r}, {sizes} in {self.units}, {', '.join(held)})"


def write_reconstruction(
    path: str | Path,
    mean: np.ndarray,
    std: np.ndarray | None,
    samples: np.ndarray | None,
    units: str,
    pixel_mm: float | tuple[float, float, float],
    attrs: dict[str, Any],
    maps: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> None:
    """Write a reconstruction.

    Args:
        mean: (Z, H, W), real or complex.
        std: (Z, H, W) real, or None for a method that gives one picture.
        samples: (n, Z, H, W), or None.
        units: "HU", "1/mm", "magnitude", …
        pixel_mm: (dz, dy, dx) [mm], or the side of a cube.
        attrs: provenance, anything JSON can hold.
        maps: name -> what lies beside them: `intervals/KIND` lower and upper ends, (2, Z, H, W); others (Z, H, W),
            without a unit.

    Raises:
        FormatError: shapes that do not fit, NaN or Inf, provenance that JSON cannot hold.
    """
    name = Path(path).name
    _check_images(name, mean, std, samples)
    try:
        provenance = json.dumps(attrs, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"{name}: the provenance is not JSON ({error}); pass text, numbers, lists and dicts"
        ) from error
    spacing = (
        (float(pixel_mm),) * 3 if isinstance(pixel_mm, (int, float)) else tuple(float(s) for s in pixel_mm)
    )
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(
            {"format": "scanprior", "version": VERSION, "content": "reconstruction", "units": units}
        )
        file.attrs["spacing_mm"] = spacing
        file.attrs["provenance"] = provenance
        file.attrs["note"] = "research use only, not for diagnosis"
        for what, array in (("mean", mean), ("std", std), ("samples", samples)):
            if array is not None:
                _images(file, what, array)
                file[what].attrs["units"] = units
        for what, array in maps.items():
            _images(file, what, array)
            file[what].attrs["units"] = units if what.startswith("intervals/") else "1"


def _check_images(name: str, mean: np.ndarray, std: np.ndarray | None, samples: np.ndarray | None) -> None:
    """Refuse images that do not fit each other, or are not finite: FormatError."""
    if mean.ndim != 3 or not mean.size:
        raise FormatError(f"{name}: got a mean of shape {mean.shape}, expected (slices, rows, columns)")
    for what, array, shape in (("std", std, mean.shape), ("samples", samples, mean.shape)):
        if array is not None and (array.shape if what == "std" else array.shape[1:]) != shape:
            raise FormatError(
                f"{name}: got {what} of shape {array.shape} for a mean of shape {shape}; they must agree"
            )
    for what, array in (("mean", mean), ("std", std), ("samples", samples)):
        if array is not None and not np.isfinite(array).all():
            raise FormatError(
                f"{name}: got NaN or Inf in {what}, expected finite numbers; the reconstruction diverged"
            )


def read_reconstruction(path: str | Path) -> StoredReconstruction:
    """Read what `write_reconstruction` wrote. Raises FormatError for another layout."""
    source = Path(path).name
    with open_hdf5(path) as file:
        _expect(file, "reconstruction", source)
        dz, dy, dx = numbers(file, "spacing_mm", source, 3)
        arrays = {
            name: dataset(file, name, source)[()] if name in file else None for name in ("std", "samples")
        }
        ends = file.get("intervals")
        kinds = list(ends) if isinstance(ends, h5py.Group) else []
        return StoredReconstruction(
            mean=dataset(file, "mean", source)[()],
            **arrays,
            units=text(file.attrs["units"]),
            pixel_mm=(dz, dy, dx),
            attrs=json.loads(text(file.attrs["provenance"])),
            source=source,
            intervals={kind: dataset(file, f"intervals/{kind}", source)[()] for kind in kinds},
        )
