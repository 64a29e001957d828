"""NIfTI volumes in and out.

Read into DICOM's patient axes (LPS+): slices from the feet up, rows from front to back, columns from right to
left of the patient, so that axial slices look as in DICOM. What NIfTI does not say (CT or MR, and sometimes the
unit of lengths) is guessed unless given, and said.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .dicom_header import ASSUMED_MM, numbers
from .reader import Slices, choose, negative, told_pixel
from .scan import FormatError, Volume
from .write import atomic

_CT_BELOW = -500
_MM = {"meter": 1e3, "mm": 1.0, "micron": 1e-3}
_INTENTS = {  # what is no image of intensities (nifti1.h)
    range(2, 25): "statistics",
    (1002, 1003): "labels",
    range(1004, 1011): "vectors or matrices",
    range(2002, 2019): "values on a surface, or a deformation",
    range(3000, 3100): "CIFTI, values on surfaces and in voxels",
}
_LONGEST_HEADER = 540  # bytes, NIfTI-2's
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def looks_like_nifti(start: bytes) -> bool:
    """Whether a (decompressed) file that begins so is NIfTI-1 or -2."""
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def read_nifti(
    path: str | Path,
    slices: Slices = None,
    modality: Literal["CT", "MR"] | None = None,
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
    image = _load(path)
    _refuse(image, path.name)
    remarks: list[str] = []
    try:
        chosen = _one_volume(image, path.name, {"volume": volume, "time": time})
        image = nibabel.as_closest_canonical(chosen)
        data = np.asanyarray(image.dataobj)
    except FormatError:
        raise
    except (OSError, EOFError, ValueError, TypeError, zlib.error) as error:
        raise FormatError(f"{path.name}: the NIfTI file cannot be read ({error}); copy it again") from error
    if np.iscomplexobj(data):
        data = np.abs(data)
        remarks.append("complex numbers: their magnitude is taken, the phase is left out")
    data = np.ascontiguousarray(data[::-1, ::-1].transpose(2, 1, 0), np.float32)
    data = data[choose(len(data), slices, path.name)]
    spacing, assumed, more = _spacing(image.header, _unsized(path), path.name, pixel_mm)
    if modality is None:
        modality = "CT" if data.min() < _CT_BELOW else "MR"
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
        modality=modality,
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
    image = _load(path)
    _refuse(image, path.name)
    facts: dict[str, Any] = {"kind": "images"} | ({"modality": modality} if modality else {})
    facts["shape"] = tuple(int(n) for n in image.shape)
    if (count := _volumes(image)) > 1 and volume is None and time is None:
        facts["volumes"] = count
    elif volume is not None or time is not None:
        facts["shape"] = _one_volume(image, path.name, {"volume": volume, "time": time}).shape
    (dz, dy, dx), _, remarks = _spacing(image.header, _unsized(path), path.name, pixel_mm)
    facts |= {"voxel_mm": tuple(round(s, 5) for s in (dx, dy, dz)), "type": str(image.get_data_dtype())}
    return facts | ({"remarks": remarks} if remarks else {})


def write_nifti(path: str | Path, volume: Volume) -> None:
    """Write a volume as .nii or .nii.gz (chosen by the name). The affine is the DICOM source's where there is
    one, else the volume's middle is the origin. Lengths that were assumed have no unit.

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
    image.header.set_xyzt_units("unknown" if volume.pixel_assumed else "mm")
    image.header["descrip"] = b"scanprior, not for diagnostic use"
    with atomic(path) as temporary:
        nibabel.save(image, temporary)


def _load(path: Path) -> Any:
    """The image whatever its name: nibabel would go by the ending."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError

    try:
        packed = _is_gzip(path)
        with gzip.open(path) if packed else path.open("rb") as file:
            start = file.read(348)
        if start[344:347] == b"ni1" or start[4:7] == b"ni2":  # the voxels lie in a second file
            if not any(path.with_suffix(f".img{more}").exists() for more in ("", ".gz")):
                raise FormatError(
                    f"{path.name}: holds no voxels, only a header; copy {path.stem}.img beside it"
                )
            return nibabel.load(path)
        kind = nibabel.Nifti2Image if start[4:6] == b"n+" else nibabel.Nifti1Image
        if path.name.endswith(".nii.gz" if packed else ".nii"):
            return kind.from_filename(path)
        raw = path.read_bytes()
        return kind.from_bytes(gzip.decompress(raw) if packed else raw)
    except (ImageFileError, OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path.name}: the NIfTI file cannot be read ({error}); copy it again") from error


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


# --- what the header says
def _refuse(image: Any, name: str) -> None:
    """Raise FormatError for what NIfTI also holds: colours, labels, statistics, vectors, values on surfaces."""
    code = int(image.header["intent_code"]) if "intent_code" in image.header else 0
    kind = next((words for codes, words in _INTENTS.items() if code in codes), "")
    if image.get_data_dtype().names:
        kind = "colours (RGB)"
    if kind:
        raise FormatError(
            f"{name}: holds {kind}, expected the intensities of a CT or MR scan; pass the scan itself"
        )
    if image.ndim > 4 and any(n > 1 for n in image.shape[4:]):
        raise FormatError(
            f"{name}: got {image.ndim} axes {image.shape}, expected up to four: x, y, z, and volumes; split it first"
        )
    if not image.ndim or 0 in image.shape:
        raise FormatError(f"{name}: got the shape {image.shape}, expected at least one voxel; copy it again")


def _volumes(image: Any) -> int:
    return int(image.shape[3]) if image.ndim > 3 else 1


def _one_volume(image: Any, name: str, chosen: dict[str, int | None]) -> Any:
    """The image of three axes; only the chosen volume is read."""
    count = _volumes(image)
    said = {option: k for option, k in chosen.items() if k is not None}
    if len(set(said.values())) > 1:
        raise FormatError(
            f"{name}: got --volume and --time, expected one of them: there is one axis of volumes"
        )
    if not said and count > 1:
        raise FormatError(
            f"{name}: holds {count} volumes, expected one; choose with --volume 0 to {count - 1}"
        )
    option, k = next(iter(said.items()), ("volume", 0))
    if not 0 <= k < count:
        raise FormatError(f"{name}: got --{option} {k}, expected 0 to {count - 1}")
    if image.ndim == 3:
        return image
    data = image.dataobj[(..., k, *(0,) * (image.ndim - 4))] if image.ndim > 3 else image.dataobj[...]
    data = np.asarray(data).reshape((*image.shape[:3], 1, 1)[:3])
    out = type(image)(data, image.affine, image.header)
    out.header.set_xyzt_units(*image.header.get_xyzt_units())
    return out


def _unsized(path: Path) -> bool:
    """Whether a size within the slices is not stored; nibabel takes 1 for it and does not say so."""
    import nibabel

    with gzip.open(path) if _is_gzip(path) else path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    kind = nibabel.Nifti2Header if start[4:6] in (b"n+", b"ni") else nibabel.Nifti1Header
    sizes = np.asarray(kind(start[: kind.template_dtype.itemsize], check=False)["pixdim"])[1:3]
    return not bool(np.all(np.isfinite(sizes) & (sizes != 0)))


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _spacing(
    header: Any, unsized: bool, name: str, pixel_mm: float | None
) -> tuple[tuple[float, float, float], bool, list[str]]:
    """(dz, dy, dx) [mm], whether the pixels' size is a guess, and the words for what was assumed."""
    sizes = [abs(float(s)) for s in header.get_zooms()[:3]]
    sizes += [0.0] * (3 - len(sizes))
    unit = header.get_xyzt_units()[0]
    scale, remarks = _MM.get(unit), []
    known = [bool(np.isfinite(s)) and s > 0 and not unsized for s in sizes]
    if scale is None and pixel_mm is None and all(known[:2]):
        remarks.append("the unit of the voxel size is not stored; mm assumed (--pixel-mm says it)")
    dx, dy, dz = (s * (scale or 1.0) if ok else 0.0 for s, ok in zip(sizes, known, strict=True))
    assumed = not (dx and dy)
    if pixel_mm is not None:
        side = told_pixel(name, pixel_mm, None if scale is None or assumed else (dy, dx))
        if not assumed:
            dx, dy, dz = side, dy * side / dx, dz * side / dx
        else:
            dx = dy = side
            assumed = False
    if assumed:
        dx = dy = ASSUMED_MM
        remarks.append(f"the pixel size is not stored; {ASSUMED_MM:g} mm assumed (--pixel-mm says it)")
    if not dz:
        dz = ASSUMED_MM
        remarks.append(f"the slice distance is not stored; {ASSUMED_MM:g} mm assumed")
    return (dz, dy, dx), assumed, remarks
