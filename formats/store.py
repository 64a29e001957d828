"""Our own HDF5 layouts (docs/formats.md): a scan in, a reconstruction with its samples out, and sets of
images for training.

scan             attributes format="scanprior", content="scan"; datasets data, mask, maps, calibration, counts,
                 truth; groups geometry, noise, header
reconstruction   format="scanprior", content="reconstruction"; mean, std, samples (n, Z, H, W); attribute
                 provenance (JSON)
image set        images (N, H, W) with the attribute units; px_mm (N,); patient or subject (N,); any further
                 columns. A training pack (formats/pack.py) is several of them. Pictures in colour: images
                 (N, 3, H, W), units "RGB, 0 to 255", neither pixel sizes nor patients needed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .hdf5 import OpenOnce, check_chunks, dataset, number, numbers, open_hdf5, take, text
from .isolated import isolated
from .reader import IN_COLOUR, Slices, choose
from .scan import FormatError, Scan, Volume, check
from .write import atomic

VERSION = 1
_GROUP_COLUMNS = ("patient", "subject")
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
        file["data"].attrs["units"] = "line integral, dimensionless" if scan.kind == "ct" else "arbitrary"
        if scan.mask is not None:
            file.create_dataset("mask", data=np.asarray(scan.mask, dtype=bool), compression="gzip")
        for name in ("geometry", "noise", "header"):
            _write_group(file, name, getattr(scan, name))


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
        header = _read_group(file, "header")
        mask = dataset(file, "mask", source)[()] if "mask" in file else None
        spacing = numbers(file, "spacing_mm", source, 3) if "spacing_mm" in file.attrs else None
        kind = text(file.attrs["kind"])
        return Scan(
            kind=kind,  # pyright: ignore[reportArgumentType]  (check() refuses another kind)
            data=take(data, index),
            matrix=(rows, columns),
            pixel_mm=number(file, "pixel_mm", source),
            geometry=_read_group(file, "geometry"),
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
@dataclass(frozen=True, eq=False)
class StoredReconstruction:
    """What `write_reconstruction` wrote: mean (Z, H, W), std (Z, H, W) or None, samples (n, Z, H, W) or
    None."""

    mean: np.ndarray
    std: np.ndarray | None
    samples: np.ndarray | None
    units: str
    pixel_mm: tuple[float, float, float]
    attrs: dict[str, Any]
    source: str


def write_reconstruction(
    path: str | Path,
    mean: np.ndarray,
    std: np.ndarray | None,
    samples: np.ndarray | None,
    units: str,
    pixel_mm: float | tuple[float, float, float],
    attrs: dict[str, Any],
) -> None:
    """Write a reconstruction.

    Args:
        mean: (Z, H, W), real or complex.
        std: (Z, H, W) real, or None for a method that gives one picture.
        samples: (n, Z, H, W), or None.
        units: "HU", "1/mm", "magnitude", …
        pixel_mm: (dz, dy, dx) [mm], or the side of a cube.
        attrs: provenance, anything JSON can hold.

    Raises:
        FormatError: shapes that do not fit, NaN or Inf, provenance that JSON cannot hold.
    """
    name = Path(path).name
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


def read_reconstruction(path: str | Path) -> StoredReconstruction:
    """Read what `write_reconstruction` wrote. Raises FormatError for another layout."""
    source = Path(path).name
    with open_hdf5(path) as file:
        _expect(file, "reconstruction", source)
        dz, dy, dx = numbers(file, "spacing_mm", source, 3)
        arrays = {
            name: dataset(file, name, source)[()] if name in file else None for name in ("std", "samples")
        }
        return StoredReconstruction(
            mean=dataset(file, "mean", source)[()],
            **arrays,
            units=text(file.attrs["units"]),
            pixel_mm=(dz, dy, dx),
            attrs=json.loads(text(file.attrs["provenance"])),
            source=source,
        )


# --- image sets
@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images for training and tests, read when asked for: the file is opened once in each process and holds one
    image in memory at a time, so that a set may be larger than the memory.

    Attributes:
        path: the HDF5 file.
        shape: (N, H, W), or (N, 3, H, W).
        units: "HU", "magnitude", "complex" or "RGB".
        groups: (N,) str, the patient (an anonymous label) an image is of: split and sample by it.
        pixel_mm: (N,) float32 [mm]; 1 where a set of pictures in colour has none.
        columns: all other columns of length N (collection, kernel, contrast, z, …); rows and columns say how much
            of a padded image is image.
    """

    path: Path
    shape: tuple[int, ...]
    units: str
    groups: np.ndarray
    pixel_mm: np.ndarray
    columns: dict[str, np.ndarray]
    offset: float = 0.0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        """One image, (H, W) float32 (complex64), or (3, H, W) float32, in `units`."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._values(self._file.rows("images", np.asarray([index % len(self)])))[0]

    def load(self, slices: Slices = None) -> np.ndarray:
        """Images, (n, H, W) float32 (complex64), or (n, 3, H, W) float32, in `units`; all by default."""
        return self._values(isolated(_rows, self.path, choose(len(self), slices, self.path.name).tolist()))

    def extent(self, index: int) -> tuple[int, int]:
        """Rows and columns of an image, centred, without the padding to the set's shape."""
        sides = (self.columns.get(name) for name in ("rows", "columns"))
        rows, columns = (
            n if c is None else int(c[index]) for c, n in zip(sides, self.shape[-2:], strict=True)
        )
        return rows, columns

    @cached_property
    def _file(self) -> OpenOnce:
        return OpenOnce(self.path)

    def _values(self, stored: np.ndarray) -> np.ndarray:
        values = stored.astype(np.complex64 if self.units == "complex" else np.float32, copy=False)
        if self.offset:
            values -= np.float32(self.offset)
        return values

    def volume(self, slices: Slices = None) -> Volume:
        """Chosen images as a Volume, complex ones by magnitude. Raises FormatError where their pixel sizes differ by
        more than 1 %, and for pictures in colour."""
        if self.units == "RGB":
            raise FormatError(f"{self.path.name}: {IN_COLOUR}")
        index = choose(len(self), slices, self.path.name)
        sizes = self.pixel_mm[index]
        if np.ptp(sizes) > 0.01 * sizes.mean():
            raise FormatError(
                f"{self.path.name}: got images with pixels of {sizes.min():.3g} to {sizes.max():.3g} mm, expected one "
                "size for a volume; choose slices of one patient"
            )
        side = float(sizes.mean())
        dz = float(self.columns.get("thick", np.full(len(self), np.nan))[index[0]])
        known = bool(np.isfinite(dz) and dz > 0)
        data = self.load([int(i) for i in index])
        return Volume(
            data=np.abs(data) if self.units == "complex" else data,
            units="HU" if self.units == "HU" else "magnitude",
            modality="CT" if self.units == "HU" else "MR",
            spacing=(dz if known else side, side, side),
            header={"images": len(index), "groups": len(set(self.groups[index]))},
            source=self.path.name,
            slice_assumed=not known,
            remarks=() if known else ("the slices' thickness and distance are not stored",),
        )


def read_images(path: str | Path) -> ImageSet:
    """Open an image set; the images are read later. Raises FormatError for missing columns or unknown
    units."""
    return ImageSet(path=Path(path), **isolated(_image_set, Path(path)))


def _rows(path: Path, index: list[int]) -> np.ndarray:
    """Images as they are stored."""
    with open_hdf5(path) as file:
        return take(dataset(file, "images", path.name), np.asarray(index))


def _image_set(path: Path) -> dict[str, Any]:
    """The fields of an `ImageSet`, but for its path; the file is looked over, so that its rows can be read later."""
    with open_hdf5(path) as file:
        images = dataset(file, "images", path.name)
        check_chunks(images)
        stated = text(images.attrs.get("units", file.attrs.get("units", "none")))
        colour = stated.startswith("RGB")
        fits = images.ndim == 4 and images.shape[1] == 3 if colour else images.ndim == 3
        if not fits or not images.size:
            raise FormatError(
                f"{path.name}: got images of shape {images.shape}, expected (images, rows, columns), or (images, 3, "
                "rows, columns) with units 'RGB, 0 to 255'"
            )
        known = {"HU + 1024": ("HU", 1024.0), "HU": ("HU", 0.0)}
        units, offset = known.get(stated, ("RGB" if colour else "magnitude", 0.0))
        if stated not in known and not stated.startswith(("magnitude", "complex", "RGB")):
            raise FormatError(
                f"{path.name}: got images with units {stated!r}, expected 'HU', 'HU + 1024', 'magnitude…', "
                "'complex…' or 'RGB, 0 to 255'; set the attribute"
            )
        if stated.startswith("complex"):
            units = "complex"
        if (units == "complex") != (images.dtype.kind == "c"):
            raise FormatError(
                f"{path.name}: got images of {images.dtype} with units {stated!r}, expected complex numbers for "
                "'complex…' and real ones otherwise; set the attribute"
            )
        columns = {
            name: np.asarray(item.asstr()[()] if h5py.check_string_dtype(item.dtype) else item[()])
            for name, item in file.items()
            if isinstance(item, h5py.Dataset) and name != "images" and item.shape == images.shape[:1]
        }
        groups = next((columns.pop(name) for name in _GROUP_COLUMNS if name in columns), None)
        pixels = columns.pop("px_mm", None)
        if colour:
            groups = np.arange(len(images)) if groups is None else groups
            pixels = np.ones(len(images)) if pixels is None else pixels
        if groups is None or pixels is None:
            raise FormatError(
                f"{path.name}: got the columns {sorted(columns)}, expected px_mm and patient or subject, "
                "one entry an "
                "image; add them (docs/formats.md)"
            )
        return {
            "shape": images.shape,
            "units": units,
            "groups": np.asarray(groups, dtype=str),
            "pixel_mm": np.asarray(pixels, dtype=np.float32),
            "columns": {
                name: column if column.dtype != object else column.astype(str)
                for name, column in columns.items()
            },
            "offset": offset,
        }
