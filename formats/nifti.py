"""NIfTI volumes in and out.

Read into DICOM's patient axes (LPS+): slices from the feet up, rows from front to back, columns from right to
left of the patient, so that axial slices look as in DICOM. What NIfTI does not say (CT or MR, and sometimes the
unit of lengths) is guessed unless given, and said.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..modality import Modality
from . import limits
from .dicom_header import numbers
from .gzipped import beginning, is_gzip, unpacked
from .isolated import guarded
from .nifti_header import (
    chosen_volume,
    header_of,
    length,
    quietly,
    refuse,
    spacing_of,
    volumes_in,
)
from .reader import Slices, choose, negative
from .scan import FormatError, Volume
from .write import atomic

_CT_BELOW = -500
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def looks_like_nifti(start: bytes) -> bool:
    """Whether a (decompressed) file that begins so is NIfTI-1 or -2."""
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def is_nifti(path: Path) -> bool:
    """Whether a file is NIfTI, gzipped or not."""
    return looks_like_nifti(beginning(path, 348))


def read_nifti(
    path: str | Path,
    slices: Slices = None,
    modality: Modality | str | None = None,
    volume: int | None = None,
    time: int | None = None,
    pixel_mm: float | None = None,
) -> Volume:
    """Read one volume of a NIfTI file.

    Args:
        modality: "CT" (HU) or "MR" (magnitude); by default CT where the values go below -500.
        volume, time: which one (from 0), where a fourth axis holds several; two names for it.
        pixel_mm: side of the pixels within a slice, where the file does not state the unit of its lengths; the other
            sides keep their proportion.

    Raises:
        FormatError: several volumes, damaged, or not images of intensities (colour, labels, surfaces, vectors).
    """
    import nibabel

    path = Path(path)
    header, is_sized = header_of(path)
    refuse(header, path.name)
    k = chosen_volume(header, path.name, volume, time)
    remarks: list[str] = []
    with guarded(path):
        image = nibabel.as_closest_canonical(_one_volume(_load(path), k))
        data = np.asanyarray(image.dataobj)
    if np.iscomplexobj(data):
        data = np.abs(data)
        remarks.append("complex numbers: their magnitude is taken, the phase is left out")
    data = np.ascontiguousarray(data[::-1, ::-1].transpose(2, 1, 0), np.float32)
    data = data[choose(len(data), slices, path.name)]
    spacing, assumed, more = spacing_of(image.header, is_sized, path.name, pixel_mm)
    if modality is None:
        modality = Modality.CT if data.min() < _CT_BELOW else Modality.MR
        sign = "go" if modality == "CT" else "do not go"
        remarks.append(
            f"whether CT or MR is not stored; {modality} assumed, as the values {sign} below {_CT_BELOW} (--modality "
            "says it)"
        )
    if modality not in ("CT", "MR"):
        raise FormatError(f"{path.name}: got modality {modality!r}, expected 'CT' or 'MR'")
    odd = [words] if modality == "MR" and (words := negative(data)) else []
    return Volume(
        data=np.maximum(data, -1024) if modality == "CT" else data,
        units="HU" if modality == "CT" else "magnitude",
        modality=Modality(modality),
        spacing=spacing,
        source=path.name,
        pixel_assumed=assumed,
        remarks=(*remarks, *more, *odd),
    )


def describe_nifti(
    path: Path,
    modality: str | None = None,
    volume: int | None = None,
    time: int | None = None,
    pixel_mm: float | None = None,
) -> dict[str, Any]:
    """The header's shape and voxel size."""
    header, is_sized = header_of(path)
    refuse(header, path.name)
    facts: dict[str, Any] = {"kind": "images"} | ({"modality": modality} if modality else {})
    facts["shape"] = tuple(int(n) for n in header.get_data_shape())
    if volume is not None or time is not None:
        chosen_volume(header, path.name, volume, time)
        facts["shape"] = facts["shape"][:3]
    elif volumes_in(header) > 1:
        facts["volumes"] = volumes_in(header)
    (dz, dy, dx), _, remarks = spacing_of(header, is_sized, path.name, pixel_mm)
    facts |= {"voxel_mm": tuple(round(s, 5) for s in (dx, dy, dz)), "type": str(header.get_data_dtype())}
    return facts | ({"remarks": remarks} if remarks else {})


def write_nifti(path: str | Path, volume: Volume) -> None:
    """Write a volume as .nii or .nii.gz (chosen by the name). The affine is the DICOM source's where there is
    one, else the volume's middle is the origin. Lengths that were assumed have no unit.

    Raises:
        FormatError: a name that ends otherwise, NaN or Inf, or slices that no one affine places.
    """
    import nibabel

    name = Path(path).name
    if not evenly_spaced(volume):
        raise FormatError(
            f"{name}: got slices that are not evenly spaced, which NIfTI cannot say; write DICOM"
        )
    if not name.endswith((".nii", ".nii.gz")):
        raise FormatError(f"{name}: expected a name that ends with .nii or .nii.gz")
    if not np.isfinite(volume.data).all():
        raise FormatError(f"{name}: got NaN or Inf in the volume, expected finite numbers")
    image = nibabel.Nifti1Image(volume.data.transpose(2, 1, 0).astype(np.float32), _LPS @ _affine(volume))
    image.header.set_xyzt_units("unknown" if volume.pixel_assumed else "mm")
    image.header["descrip"] = b"scanprior, not for diagnostic use"
    with atomic(path) as temporary:
        nibabel.save(image, temporary)


def evenly_spaced(volume: Volume) -> bool:
    """Whether the slices of a DICOM source lie in equal steps, to 0.01 mm; a volume from elsewhere says one step."""
    places = [numbers(header, "ImagePositionPatient", 3) for header in volume.dicom or ()]
    if len(places) < 3 or any(place is None for place in places):
        return True
    steps = np.diff(np.asarray(places, float), axis=0)
    return bool(np.abs(steps - steps.mean(0)).max() < 0.01)


def _load(path: Path) -> Any:
    """The image whatever its name: nibabel would go by the ending."""
    import nibabel

    with unpacked(path) as file:
        start = file.read(348)
    with quietly():
        if start[344:347] == b"ni1" or start[4:7] == b"ni2":  # the voxels lie in a second file
            if not any(path.with_suffix(f".img{more}").exists() for more in ("", ".gz")):
                raise FormatError(
                    f"{path.name}: holds no voxels, only a header; copy {path.stem}.img beside it"
                )
            return nibabel.load(path)
        kind = nibabel.Nifti2Image if start[4:6] == b"n+" else nibabel.Nifti1Image
        if path.name.endswith(".nii.gz" if is_gzip(path) else ".nii"):
            return kind.from_filename(path)
        needed = length(header_of(path)[0])
        limits.check_size(needed, path.name, "the file")
        with unpacked(path) as file:
            return kind.from_bytes(file.read(needed))


def _one_volume(image: Any, k: int) -> Any:
    """The image of three axes; of several volumes only the k-th is read."""
    if image.ndim == 3:
        return image
    data = image.dataobj[(..., k, *(0,) * (image.ndim - 4))] if image.ndim > 3 else image.dataobj[...]
    return type(image)(np.asarray(data).reshape((*image.shape[:3], 1, 1)[:3]), image.affine, image.header)


def _affine(volume: Volume) -> np.ndarray:
    """(column, row, slice) -> LPS [mm], (4, 4). The slices' step is where the last one lies from the first: with a
    gantry tilt it is not along their normal (PS3.3 C.7.6.2.1.1 says nothing of a grid; a sheared affine holds it)."""
    dz, dy, dx = volume.spacing
    affine = np.diag([dx, dy, dz, 1.0])
    depth, rows, columns = volume.data.shape
    affine[:3, 3] = [-(columns - 1) * dx / 2, -(rows - 1) * dy / 2, -(depth - 1) * dz / 2]
    if not volume.dicom:
        return affine
    source = volume.dicom[0]
    places = [numbers(header, "ImagePositionPatient", 3) for header in volume.dicom]
    directions = numbers(source, "ImageOrientationPatient", 6)
    if directions is None or any(place is None for place in places):
        return affine
    first, last = np.asarray(places[0], float), np.asarray(places[-1], float)
    scale_y, scale_x = int(source.Rows) / rows, int(source.Columns) / columns
    dy, dx = numbers(source, "PixelSpacing", 2) or (dy / scale_y, dx / scale_x)
    dy, dx = dy * scale_y, dx * scale_x
    along_row, along_column = np.split(np.asarray(directions), 2)
    shift = along_row * dx * (1 - 1 / scale_x) / 2 + along_column * dy * (1 - 1 / scale_y) / 2
    affine[:3, 0], affine[:3, 1] = along_row * dx, along_column * dy
    affine[:3, 2] = (last - first) / (depth - 1) if depth > 1 else np.cross(along_row, along_column) * dz
    affine[:3, 3] = first + shift
    return affine
