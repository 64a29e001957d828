"""Any known file or folder -> Scan or Volume, decided by content, never by the name.

`sniff` names the format, `describe` reads headers only (no torch, no pixels, well under half a second),
`read` reads. A format within HDF5 has its line in `layouts`, which is imported (with h5py)
only where such a file was found.

All three go through one door (`_through_door`): HDF5 is read in a process of its own, whatever a parsing library
raises becomes a FormatError, and no more memory is taken than allowed.
"""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import cfl, cifar, dicom, limits, nifti
from .dicom_pixels import check_deflated
from .isolated import guarded, isolated
from .reader import Reader, spread
from .scan import FormatError, Scan, Volume, check

_SEVERAL = ("series", "echo", "time", "volume", "pixel_mm")
_ONE_OF = ("time", "volume", "modality", "pixel_mm")
_DICOM = Reader("dicom", dicom.read_dicom, dicom.describe_dicom, _SEVERAL, describes=_SEVERAL)
_NIFTI = Reader("nifti", nifti.read_nifti, nifti.describe_nifti, _ONE_OF, describes=_ONE_OF)
_CIFAR = Reader("cifar-10", cifar.refuse, cifar.describe_cifar)
_CFL = Reader("bart-cfl", cfl.read_cfl, cfl.describe_cfl, ("echo", "time", "pixel_mm"))
_HDF5 = b"\x89HDF\r\n\x1a\n"
SIDECARS = (".json", ".toml")  # of .npy
_CONVERT = (
    "Siemens, GE and Philips raw data: convert to ISMRMRD first (siemens_to_ismrmrd, ge_to_ismrmrd, "
    "philips_to_ismrmrd)"
)


def read(path: str | Path, *, check_data: bool = True, **options: Any) -> Scan | Volume:
    """Read a file or folder.

    Args:
        path: a file of any known format, or a folder with one DICOM series or one other file of a scan.
        check_data: raise for the first defect of the data; False to list them all with `scan.problems`.
        options: slices (slice or list of int; DXchange: detector rows), and what only some formats have
            (docs/formats.md): series, echo, time, volume (DICOM, NIfTI: one of several), modality (NIfTI), pixel_mm
            (files that do not say it), angle_sign (simple sinogram: -1 for clockwise), center, drop_columns
            (DXchange). For all: max_memory (GB that reading may take; by default a share of what is free),
            allow_external (HDF5 may refer to files of its folder).

    Raises:
        FormatError: missing, truncated, unknown or defective, or an option that the format does not have; one
            line that says what to do.
    """
    item = spread(_through_door(_read, path, options), options.get("slices"))
    if check_data:
        with guarded(Path(path)):
            check(item)
    return item


def sniff(path: str | Path, **options: Any) -> str:
    """The name of the format. Raises FormatError where there is none, or one without such options."""
    return _through_door(_sniff, path, options)


def describe(path: str | Path, **options: Any) -> dict[str, Any]:
    """What the headers say, for `scanprior info`: format, kind, shape, units and the like; no bulk data are
    read.

    Args:
        options: as of `read`, without slices; one that does not change what the headers say has no effect.

    Raises:
        FormatError: as in `read`.
    """
    return _through_door(_describe, path, options)


def files_of(path: Path) -> list[Path]:
    """The files that `path` is read from: itself, those of a folder, BART's pair, an array and its sidecar."""
    if path.is_dir():
        return _files(path)
    if cfl.is_cfl(path):
        return [file for file in cfl.pair(path) if file.is_file()]
    beside = [path.with_suffix(end) for end in SIDECARS] if path.suffix == ".npy" else []
    return [path, *(file for file in beside if file.is_file())]


def _through_door(function: Callable[..., Any], path: str | Path, options: dict[str, Any]) -> Any:
    """`function(file or folder, options)`."""
    path = Path(path)
    path = path if path.name else path.resolve()  # "." has no name to be called by
    chosen = {key: value for key, value in options.items() if value is not None}
    allowed = {key: chosen.pop(key, None) for key in ("max_memory", "allow_external")}
    with guarded(path), limits.allowing(**allowed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pydicom|nibabel|numpy")  # of other people's headers
        path = _place(path)
        if path.is_file() and _is_hdf5(path):
            return isolated(function, path, chosen)
        return function(path, chosen)


def _read(path: Path, options: dict[str, Any]) -> Scan | Volume:
    reader = _reader(path)
    return reader.read(path, **_understood(path, reader, options, ("slices", *reader.options)))


def _sniff(path: Path, options: dict[str, Any]) -> str:
    reader = _reader(path)
    _understood(path, reader, options, reader.options)
    return reader.name


def _describe(path: Path, options: dict[str, Any]) -> dict[str, Any]:
    reader = _reader(path)
    chosen = _understood(path, reader, options, reader.options)
    facts: dict[str, Any] = {"file": path.name, "format": reader.name}
    if path.is_file():
        facts["size_mb"] = round(path.stat().st_size / 1e6, 3)
    return facts | reader.describe(path, **{key: chosen[key] for key in reader.describes if key in chosen})


def _understood(
    path: Path, reader: Reader, options: dict[str, Any], allowed: tuple[str, ...]
) -> dict[str, Any]:
    """The options. Raises FormatError for one that is not among the allowed."""
    if unknown := sorted(set(options) - set(allowed)):
        has = f", only {', '.join(allowed)}" if allowed else ""
        raise FormatError(
            f"{path.name}: is {reader.name}, which has no option {', '.join(unknown)}{has}; leave out what it does not "
            "have"
        )
    return options


def _place(path: Path) -> Path:
    """The file or folder that holds the data: of a folder with one HDF5 file, the file."""
    if not path.exists():
        if cfl.is_cfl(path):
            return next(file for file in reversed(cfl.pair(path)) if file.is_file())
        raise FormatError(
            f"{path}: does not exist; check the spelling and the working directory ({Path.cwd()})"
        )
    if path.is_dir():
        return _in_folder(path)
    if not path.is_file():  # a pipe would be waited for, a device read for ever
        raise FormatError(f"{path.name}: is a pipe, socket or device, expected a file or a folder")
    if path.stat().st_size == 0:
        raise FormatError(f"{path.name}: is empty (0 bytes); copy it again")
    data = cfl.pair(path)[1]
    return data if path.suffix == ".hdr" and cfl.is_cfl(path) and data.is_file() else path


def _reader(path: Path) -> Reader:
    """The reader of what `_place` found."""
    if path.is_dir():
        files = [item for item in _files(path) if dicom.is_dicom(item)]
        for item in files:
            check_deflated(item)
        return _DICOM if files else _CIFAR
    with path.open("rb") as file:
        start = file.read(352)
    if _is_hdf5(path):
        from .layouts import reader_of

        return reader_of(path)
    if start.startswith(b"\x93NUMPY"):
        from .npy import READER

        return READER
    if start.startswith(b"MATLAB 5.0 MAT-file"):
        raise FormatError(
            f"{path.name}: is a MATLAB file older than 7.3, expected 7.3; load it in MATLAB and save it again with "
            "save(name, 'kspace', '-v7.3'), or with scipy.io.loadmat and numpy.save as .npy"
        )
    if dicom.looks_like_dicom(start):
        check_deflated(path)
        return _DICOM
    if start[:2] == b"\x1f\x8b":
        start = _unzip(path)
        if dicom.looks_like_dicom(start):
            return _DICOM
    if nifti.looks_like_nifti(start):
        return _NIFTI
    if cfl.is_cfl(path):
        return _CFL
    if cifar.is_batch(path):
        return _CIFAR
    if b"<GIFTI" in start:
        raise FormatError(
            f"{path.name}: is GIFTI, values on a surface; expected images on a grid, such as NIfTI"
        )
    kind = "a text file" if _is_text(start) else "an unknown binary file"
    raise FormatError(
        f"{path.name}: is {kind}, expected DICOM, NIfTI, HDF5, MATLAB 7.3, .npy or BART's cfl with its hdr (by "
        f"content, whatever its name ends with). {_CONVERT}"
    )


def _files(folder: Path) -> list[Path]:
    return sorted(item for item in folder.iterdir() if item.is_file() and not item.name.startswith("."))


def _in_folder(path: Path) -> Path:
    """The folder, where it holds DICOM or CIFAR-10, or the one other file of a scan in it."""
    files = _files(path)
    if any(dicom.is_dicom(item) for item in files) or cifar.training_batches(path):
        return path
    inside = [item for item in files if _is_hdf5(item) or nifti.is_nifti(item)]
    if len(inside) == 1:
        return inside[0]
    if inside:
        names = ", ".join([item.name for item in inside[:8]] + ["…"] * (len(inside) > 8))
        raise FormatError(
            f"{path.name}: is a folder of {len(inside)} scans, a file each ({names}); pass one of them"
        )
    below = sorted(item.name for item in path.iterdir() if item.is_dir() and not item.name.startswith("."))
    advice = (
        f"; pass one of its sub-folders: {', '.join(below[:8])}"
        if below
        else "; check that the export worked"
    )
    what = (
        f"is {'a folder without files of its own' if below else 'an empty folder'}"
        if not files
        else f"is a folder of {len(files)} files, none of them DICOM, NIfTI or HDF5"
    )
    raise FormatError(f"{path.name}: {what}{advice}")


def _is_hdf5(path: Path) -> bool:
    """Whether the signature stands at byte 0, 512, 1024, 2048, … (HDF5 file format specification, II.A)."""
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            if file.read(len(_HDF5)) == _HDF5:
                return True
            at = max(512, 2 * at)
    return False


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
