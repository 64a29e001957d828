"""NIfTI volumes in and out.

Read into DICOM's patient axes (LPS+): slices from the feet up, rows from front to back, columns from right to
left of the patient, so that axial slices look as in DICOM. What NIfTI does not say (CT or MR) is guessed from
the values unless given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from .reader import Slices, choose
from .scan import FormatError, Volume
from .write import atomic

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
    try:
        image = nibabel.as_closest_canonical(_load(path))
        data = np.asarray(image.dataobj, dtype=np.float32)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise FormatError(f"{path.name}: the NIfTI file cannot be read ({error}); copy it again") from error
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
    image = _load(path)
    return {
        "kind": "images",
        "shape": tuple(int(n) for n in image.shape),
        "voxel_mm": tuple(round(float(s), 5) for s in image.header.get_zooms()[:3]),
        "type": str(image.get_data_dtype()),
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


def _load(path: Path) -> Any:
    """The image whatever its name: nibabel would go by the ending."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    with path.open("rb") as file:
        start = file.read(2)
    try:
        if path.name.endswith((".nii", ".nii.gz", ".hdr", ".img")) and (
            start == b"\x1f\x8b"
        ) == path.name.endswith(".gz"):
            return nibabel.load(path)
        import gzip

        raw = path.read_bytes()
        raw = gzip.decompress(raw) if start == b"\x1f\x8b" else raw
        kind = nibabel.Nifti2Image if raw[4:6] == b"n+" else nibabel.Nifti1Image
        return kind.from_bytes(raw)
    except (ImageFileError, OSError, EOFError) as error:
        raise FormatError(f"{path.name}: the NIfTI file cannot be read ({error}); copy it again") from error


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
