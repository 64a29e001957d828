"""Sets of images for training and tests, an HDF5 file each (docs/formats.md): images (N, H, W) with the attribute
units; px_mm (N,); patient or subject (N,); any further columns. A training pack (formats/pack.py) is several of
them. Pictures in colour: images (N, 3, H, W), units "RGB, 0 to 255", neither pixel sizes nor patients needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..modality import Modality
from .hdf5 import OpenOnce, check_chunks, dataset, open_hdf5, take, text
from .isolated import isolated
from .reader import IN_COLOUR, Slices, choose
from .scan import FormatError, Volume

_GROUP_COLUMNS = ("patient", "subject")


@dataclass(frozen=True, eq=False, repr=False)
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
        boxes: (N, 4) row, column, height, width of what was recorded, of images that are parts of larger ones: beyond
            it lies more of the body, not air. None for whole images.
        split: what a pack says that the images are for: "train", "val", "test", "calib"; "" where nothing is said.
    """

    path: Path
    shape: tuple[int, ...]
    units: str
    groups: np.ndarray
    pixel_mm: np.ndarray
    columns: dict[str, np.ndarray]
    offset: float = 0.0
    boxes: np.ndarray | None = None
    split: str = ""

    def __repr__(self) -> str:
        sizes = " x ".join(map(str, self.shape))
        return f"ImageSet({self.path.name!r}, {sizes} in {self.units}, of {len(set(self.groups))} groups)"

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
            modality=Modality.CT if self.units == "HU" else Modality.MR,
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
            "boxes": _boxes(file, images.shape, path.name) if "box" in file else None,
            "split": text(file.attrs.get("split", "")),
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


def _boxes(file: h5py.File, shape: tuple[int, ...], source: str) -> np.ndarray:
    """The column `box`. Raises FormatError where a box is not inside its image."""
    boxes = np.asarray(dataset(file, "box", source)[()])
    right = boxes.shape == (shape[0], 4) and boxes.dtype.kind in "iu"
    if right:
        boxes = boxes.astype(np.int64)
        corner, size = boxes[:, :2], boxes[:, 2:]
        right = bool(((corner >= 0) & (size > 0) & (corner + size <= shape[-2:])).all())
    if not right:
        raise FormatError(
            f"{source}: got a column box of shape {boxes.shape}, expected whole numbers (images, 4): row, column, "
            f"height and width inside of {shape[-2]} x {shape[-1]} pixels"
        )
    return boxes
