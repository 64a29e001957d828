"""NIfTI volumes in and out.

Read into DICOM's patient axes (LPS+): slices from the feet up, rows from front to back, columns from right to
left of the patient, so that axial slices look as in DICOM. What NIfTI does not say (CT or MR) is guessed from
the values unless given.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from . import limits
from .isolated import guarded
from .reader import Slices, choose
from .scan import FormatError, Volume
from .write import atomic

_LARGEST_HEADER = 540  # bytes, NIfTI-2's; NIfTI-1's has 348
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def looks_like_nifti(start: bytes) -> bool:
    """Whether a (decompressed) file that begins so is NIfTI-1 or -2."""
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def read_nifti(
    path: str | Path, slices: Slices = None, modality: Literal["CT", "MR"] | None = None
) -> Volume:
    """Read a 3-D NIfTI file.

    Args:
        modality: "CT" (HU) or "MR" (magnitude); by default CT where the values go below -500.

    Raises:
        FormatError: not three-dimensional, damaged, or not of numbers.
    """
    import nibabel

    path = Path(path)
    with guarded(path):
        image = nibabel.as_closest_canonical(_load(path))
        data = np.asarray(image.dataobj, dtype=np.float32)
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim != 3:
        raise FormatError(
            f"{path.name}: got {data.ndim} axes {data.shape}, expected a single volume; split it first"
        )
    dx, dy, dz = (float(s) for s in image.header.get_zooms()[:3])
    data = np.ascontiguousarray(data[::-1, ::-1].transpose(2, 1, 0))
    data = data[choose(len(data), slices, path.name)]
    header: dict[str, str | float | int] = {}
    if modality is None:
        modality = "CT" if data.min() < -500 else "MR"
        header["modality_guessed"] = f"{modality}, from the values"
    if modality not in ("CT", "MR"):
        raise FormatError(f"{path.name}: got modality {modality!r}, expected 'CT' or 'MR'")
    return Volume(
        data=np.maximum(data, -1024) if modality == "CT" else data,
        units="HU" if modality == "CT" else "magnitude",
        modality=modality,
        spacing=(dz, dy, dx),
        header=header,
        source=path.name,
    )


def describe_nifti(path: Path) -> dict[str, Any]:
    """The header's shape and voxel size."""
    header = _header(path)
    return {
        "kind": "images",
        "shape": tuple(int(n) for n in header.get_data_shape()),
        "voxel_mm": tuple(round(float(s), 5) for s in header.get_zooms()[:3]),
        "type": str(header.get_data_dtype()),
    }


def write_nifti(path: str | Path, volume: Volume) -> None:
    """Write a volume as .nii or .nii.gz (chosen by the name). The affine is the DICOM source's where there is
    one, else the volume's middle is the origin.

    Raises:
        FormatError: a name that ends otherwise, or NaN or Inf.
    """
    import nibabel

    name = Path(path).name
    if not name.endswith((".nii", ".nii.gz")):
        raise FormatError(f"{name}: expected a name that ends with .nii or .nii.gz")
    if not np.isfinite(volume.data).all():
        raise FormatError(f"{name}: got NaN or Inf in the volume, expected finite numbers")
    image = nibabel.Nifti1Image(volume.data.transpose(2, 1, 0).astype(np.float32), _LPS @ _affine(volume))
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"scanprior, not for diagnostic use"
    with atomic(path) as temporary:
        nibabel.save(image, temporary)


@contextmanager
def _quietly() -> Iterator[None]:
    """What nibabel repairs in other people's headers is not our user's business."""
    from nibabel.imageglobals import logger

    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _header(path: Path) -> Any:
    """nibabel's header, of the first bytes and whatever the name. Raises FormatError where the array is larger than
    memory."""
    import nibabel

    with _unpacked(path) as file:
        start = file.read(_LARGEST_HEADER)
    kind = nibabel.Nifti2Header if start[4:6] in (b"n+", b"ni") else nibabel.Nifti1Header
    with _quietly():
        header = kind(start[: kind.template_dtype.itemsize])
    limits.check_size(_length(header) + 8 * _voxels(header), path.name, f"{header.get_data_shape()} voxels")
    return header


def _load(path: Path) -> Any:
    """The image whatever its name: nibabel would go by the ending. A gzip file is unpacked as far as its header says
    and no further."""
    import nibabel

    header = _header(path)
    with _quietly():
        if not _is_gzip(path) and path.name.endswith((".nii", ".hdr", ".img")):
            return nibabel.load(path)
        kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        with _unpacked(path) as file:
            return kind.from_bytes(file.read(_length(header)))


def _voxels(header: Any) -> int:
    return math.prod(int(n) for n in header.get_data_shape())


def _length(header: Any) -> int:
    """Bytes of the file, unpacked, up to the end of the array."""
    return int(header["vox_offset"]) + _voxels(header) * header.get_data_dtype().itemsize


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _unpacked(path: Path) -> Any:
    return gzip.open(path) if _is_gzip(path) else path.open("rb")


def _affine(volume: Volume) -> np.ndarray:
    """(column, row, slice) -> LPS [mm], (4, 4)."""
    dz, dy, dx = volume.spacing
    affine = np.diag([dx, dy, dz, 1.0])
    depth, rows, columns = volume.data.shape
    affine[:3, 3] = [-(columns - 1) * dx / 2, -(rows - 1) * dy / 2, -(depth - 1) * dz / 2]
    headers = volume.dicom or ()
    if headers and all(
        k in headers[0] for k in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    ):
        first = headers[0]
        scale_y, scale_x = (int(first.Rows) / rows, int(first.Columns) / columns)
        dy, dx = (
            float(s) * f for s, f in zip(cast(Any, first.PixelSpacing), (scale_y, scale_x), strict=True)
        )
        direction = np.asarray([float(v) for v in first.ImageOrientationPatient])
        along_row, along_column = direction[:3], direction[3:]
        shift = along_row * dx * (1 - 1 / scale_x) / 2 + along_column * dy * (1 - 1 / scale_y) / 2
        affine[:3, 0], affine[:3, 1] = along_row * dx, along_column * dy
        affine[:3, 2] = np.cross(along_row, along_column) * dz
        affine[:3, 3] = np.asarray([float(v) for v in first.ImagePositionPatient]) + shift
    return affine
