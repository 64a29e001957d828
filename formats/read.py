"""Any known file or folder -> Scan or Volume, decided by content, never by the name.

`sniff` names the format, `describe` reads headers only (no torch, no pixels, well under half a second),
`read` reads. Adding a format means one line in `_FORMATS`.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from . import dicom, dxchange, fastmri, ismrmrd_file, nifti, simple, store
from .hdf5 import Slices, choose, datasets, open_hdf5, text
from .scan import FormatError, Scan, Volume, check, is_personal

_KNOWN = (
    "scanprior scans, reconstructions and image sets, simple sinograms (sinogram, angles_deg), simple "
    "k-space (kspace), "
    "fastMRI (kspace, ismrmrd_header), ISMRMRD (dataset/xml, dataset/data), DXchange (exchange/data)"
)
_CONVERT = (
    "Siemens, GE and Philips raw data: convert to ISMRMRD first (siemens_to_ismrmrd, ge_to_ismrmrd, "
    "philips_to_ismrmrd)"
)


@dataclass(frozen=True)
class _Format:
    """How a format is read and described, and the options of `read` it understands besides `slices`."""

    read: Callable[..., Scan | Volume]
    describe: Callable[[Path], dict[str, Any]]
    options: tuple[str, ...] = ()


def read(path: str | Path, *, check_data: bool = True, **options: Any) -> Scan | Volume:
    """Read a file or folder.

    Args:
        path: a file of any known format, or a folder with one DICOM series or one HDF5 file.
        check_data: raise for the first defect of the data; False to list them all with `scan.problems`.
        options: slices (slice or list of int; DXchange: detector rows), and for some formats only: series
            (DICOM: UID, number or description), angle_sign (simple sinogram: -1 for clockwise), center,
            drop_columns, pixel_mm (DXchange).

    Raises:
        FormatError: missing, truncated, unknown or defective, or an option that the format does not have; one
            line that says what to do.
    """
    path, name = _resolve(path)
    chosen = {key: value for key, value in options.items() if value is not None}
    allowed = ("slices", *_FORMATS[name].options)
    if unknown := sorted(set(chosen) - set(allowed)):
        raise FormatError(
            f"{path.name}: is {name}, which has no option {', '.join(unknown)}, only {', '.join(allowed)}; leave "
            "out what it does not have"
        )
    item = _FORMATS[name].read(path, **chosen)
    if check_data:
        check(item)
    return item


def sniff(path: str | Path) -> str:
    """The name of the format. Raises FormatError where there is none."""
    return _resolve(path)[1]


def describe(path: str | Path) -> dict[str, Any]:
    """What the headers say, for `scanprior info`: format, kind, shape, units and the like; no bulk data are
    read.

    Raises:
        FormatError: as in `read`.
    """
    path, name = _resolve(path)
    facts: dict[str, Any] = {"file": path.name, "format": name}
    if path.is_file():
        facts["size_mb"] = round(path.stat().st_size / 1e6, 3)
    return facts | _FORMATS[name].describe(path)


def _resolve(path: str | Path) -> tuple[Path, str]:
    """The file or folder that holds the data and the format's name."""
    path = Path(path)
    if not path.exists():
        raise FormatError(
            f"{path}: does not exist; check the spelling and the working directory ({Path.cwd()})"
        )
    if path.is_dir():
        return _folder(path)
    if path.stat().st_size == 0:
        raise FormatError(f"{path.name}: is empty (0 bytes); copy it again")
    with path.open("rb") as file:
        start = file.read(352)
    if h5py.is_hdf5(path):
        return path, _hdf5(path)
    if dicom.looks_like_dicom(start):
        return path, "dicom"
    if start[:2] == b"\x1f\x8b":
        start = _unzip(path)
    if nifti.looks_like_nifti(start):
        return path, "nifti"
    if start[:8] == b"\x89HDF\r\n\x1a\n":
        raise FormatError(f"{path.name}: begins like HDF5 but is truncated or damaged; copy it again")
    kind = "a text file" if _is_text(start) else "an unknown binary file"
    raise FormatError(
        f"{path.name}: is {kind}, expected DICOM, NIfTI or HDF5 (by content, whatever its name ends with). "
        f"{_CONVERT}"
    )


def _folder(path: Path) -> tuple[Path, str]:
    files = sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
    if any(dicom.is_dicom(item) for item in files):
        return path, "dicom"
    inside = [item for item in files if h5py.is_hdf5(item)]
    if len(inside) == 1:
        return _resolve(inside[0])
    if inside:
        names = ", ".join(item.name for item in inside[:8])
        raise FormatError(
            f"{path.name}: is a folder of {len(inside)} HDF5 files ({names}, …); pass one of them"
        )
    below = sorted(item.name for item in path.iterdir() if item.is_dir() and not item.name.startswith("."))
    advice = (
        f"; pass one of its sub-folders: {', '.join(below[:8])}"
        if below
        else "; check that the export worked"
    )
    what = (
        "is an empty folder"
        if not files
        else f"is a folder of {len(files)} files, none of them DICOM or HDF5"
    )
    raise FormatError(f"{path.name}: {what}{advice}")


def _hdf5(path: Path) -> str:
    with open_hdf5(path) as file:
        if text(file.attrs.get("format", "")) == "scanprior":
            name = f"scanprior-{text(file.attrs.get('content', 'scan'))}"
            if name in _FORMATS:
                return name
        layouts = {
            "fastmri": fastmri.is_fastmri(file),
            "ismrmrd": ismrmrd_file.is_ismrmrd(file),
            "dxchange": "exchange/data" in file,
            "simple-sinogram": "sinogram" in file,
            "simple-kspace": "kspace" in file,
            "image-set": "images" in file,
        }
        for name, matches in layouts.items():
            if matches:
                return name
        found = ", ".join(f"{key} {item.shape}" for key, item in list(datasets(file).items())[:12])
    raise FormatError(
        f"{path.name}: HDF5 with an unknown layout: {found or 'no datasets'}. Known: {_KNOWN} "
        "(docs/formats.md)"
    )


def _unzip(path: Path) -> bytes:
    try:
        with gzip.open(path) as file:
            return file.read(352)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(
            f"{path.name}: is a truncated or damaged gzip file ({error}); copy it again"
        ) from error


def _is_text(start: bytes) -> bool:
    return bool(start) and all(byte in b"\t\n\r\f" or 32 <= byte < 127 or byte > 127 for byte in start)


# --- our own and the simple layouts
def _read_images(path: Path, slices: Slices = None) -> Volume:
    return store.read_images(path).volume(slices)


def _read_reconstruction(path: Path, slices: Slices = None) -> Volume:
    stored = store.read_reconstruction(path)
    mean = np.abs(stored.mean) if np.iscomplexobj(stored.mean) else stored.mean
    units = stored.units if stored.units in ("HU", "1/mm") else "magnitude"
    return Volume(
        data=mean[choose(len(mean), slices, path.name)].astype(np.float32),
        units=units,  # pyright: ignore[reportArgumentType]
        modality="MR" if units == "magnitude" else "CT",
        spacing=stored.pixel_mm,
        header={"content": "mean of a reconstruction"},
        source=path.name,
    )


def _describe_images(path: Path) -> dict[str, Any]:
    images = store.read_images(path)
    return {
        "kind": "images",
        "shape": images.shape,
        "units": images.units,
        "groups": len(set(images.groups)),
        "pixel_mm": (float(images.pixel_mm.min()), float(images.pixel_mm.max())),
        "columns": sorted(images.columns),
    }


def _describe_hdf5(path: Path) -> dict[str, Any]:
    """Datasets and short attributes of the layouts that are flat."""
    with open_hdf5(path) as file:
        facts: dict[str, Any] = {}
        if "sinogram" in file or text(file.attrs.get("kind", "")) == "ct":
            facts["kind"] = "ct"
        elif "kspace" in file or text(file.attrs.get("kind", "")) == "mri":
            facts["kind"] = "mri"
        else:
            facts["kind"] = "images"
        facts["datasets"] = {name: f"{item.shape} {item.dtype}" for name, item in datasets(file).items()}
        facts |= {
            key: _short(value)
            for key, value in file.attrs.items()
            if key not in ("format", "version", "kind") and not is_personal(key)
        }
        for group in ("geometry", "noise", "header"):
            if isinstance(file.get(group), h5py.Group):
                attributes = file[group].attrs.items()
                facts[group] = {key: _short(value) for key, value in attributes if not is_personal(key)}
    return facts


def _short(value: Any) -> Any:
    if isinstance(value, (str, bytes)):
        return text(value)[:200]
    return np.asarray(value).tolist()


_FORMATS: dict[str, _Format] = {
    "scanprior-scan": _Format(store.read_scan, _describe_hdf5),
    "scanprior-reconstruction": _Format(_read_reconstruction, _describe_hdf5),
    "image-set": _Format(_read_images, _describe_images),
    "simple-sinogram": _Format(simple.read_sinogram, _describe_hdf5, ("angle_sign",)),
    "simple-kspace": _Format(simple.read_kspace, _describe_hdf5),
    "fastmri": _Format(fastmri.read_fastmri, fastmri.describe_fastmri),
    "ismrmrd": _Format(ismrmrd_file.read_ismrmrd, ismrmrd_file.describe_ismrmrd),
    "dxchange": _Format(
        dxchange.read_dxchange, dxchange.describe_dxchange, ("center", "drop_columns", "pixel_mm")
    ),
    "dicom": _Format(dicom.read_dicom, dicom.describe_dicom, ("series",)),
    "nifti": _Format(nifti.read_nifti, nifti.describe_nifti, ("modality",)),
}
