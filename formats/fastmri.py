"""fastMRI's HDF5 (https://github.com/facebookresearch/fastMRI): kspace (slices, coils, height, width) or,
single-coil, (slices, height, width), or of several averages (averages, slices, coils, height, width), whose mean is
taken; test files carry a mask of length width; the acquisition's geometry
stands in ismrmrd_header.

The readout runs along the height and is oversampled; it is cut to the reconstruction's height, exactly (the
readout is fully sampled). Columns that hold only zeros were not measured. A fully sampled file gets its
root-sum-of-squares picture as `truth`: the file's reconstruction_rss before its crop.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..modality import Modality
from . import limits
from .hdf5 import dataset, open_hdf5, take, text
from .kspace import crop_readout, mean_of_averages, root_sum_of_squares
from .mr_header import MRHeader, parse_header
from .reader import NO_PIXEL, Slices, choose, told_or_stated
from .scan import FormatError, Header, Scan

_AXES = {
    3: "slice, height, width",
    4: "slice, coil, height, width",
    5: "average, slice, coil, height, width",
}


def is_fastmri(file: h5py.File) -> bool:
    kspace = file.get("kspace")
    if not isinstance(kspace, h5py.Dataset):
        return False
    mask = file.get("mask")
    flat = isinstance(mask, h5py.Dataset) and kspace.ndim > 0 and mask.size == kspace.shape[-1]
    return "ismrmrd_header" in file or "reconstruction_rss" in file or kspace.ndim == 3 or flat


def read_fastmri(path: str | Path, slices: Slices = None, pixel_mm: float | None = None) -> Scan:
    """Read a fastMRI file.

    Args:
        pixel_mm: side of a pixel, where the header does not state it.

    Raises:
        FormatError: real k-space, another number of axes, a mask of the wrong length, or a header that is no XML.
    """
    source = Path(path).name
    with open_hdf5(path) as file:
        kspace, averaged = _kspace(dataset(file, "kspace", source), slices, source)
        stored = np.ravel(dataset(file, "mask", source)[()]) != 0 if "mask" in file else None
        acquisition = _acquisition(file, source)
        if acquisition is not None:
            acquisition = acquisition.with_pixel(pixel_mm, source)
        header: Header = {"modality": "MR"}
        if protocol := _protocol(file):
            header["acquisition"] = protocol
    height, width = kspace.shape[-2:]
    _check_mask(stored, width, source)
    if acquisition is None:
        side = told_or_stated(source, pixel_mm, None)
        spacing, assumed = (1.0, side or 1.0, side or 1.0), side is None
        remarks = (NO_PIXEL,) * assumed
    else:
        fields = acquisition.encoded_mm
        spacing = (acquisition.thickness_mm or 1.0, fields[0] / height, fields[1] / width)
        assumed, remarks = acquisition.pixel_assumed, acquisition.remarks
        header |= acquisition.facts
        header["recon_matrix"] = f"{acquisition.recon[0]} x {acquisition.recon[1]}"
        keep = acquisition.readout(height)
        if keep < height:
            header["readout"] = f"oversampled, cut from {height} to {keep}"
            kspace = crop_readout(kspace, keep, -2)
    columns = np.any(kspace != 0, axis=(0, 1, 2))
    inside = _encoded(acquisition, width)
    complete = stored is None and bool(columns[inside].all())
    if stored is not None:
        columns = stored & columns if columns.any() else stored
    rows = kspace.shape[-2]
    return Scan(
        Modality.MR,
        kspace,
        (rows, width),
        spacing[1],
        mask=None if columns.all() else np.repeat(columns[None], rows, 0),
        truth=root_sum_of_squares(kspace)
        if complete and kspace.any() and np.isfinite(kspace).all()
        else None,
        header=header,
        source=source,
        spacing=spacing,
        pixel_assumed=assumed,
        remarks=(*averaged, *remarks),
    )


def _check_mask(stored: np.ndarray | None, width: int, source: str) -> None:
    if stored is not None and len(stored) != width:
        raise FormatError(
            f"{source}: got a mask of length {len(stored)}, expected the width {width} of kspace; repair the mask, "
            "or remove it: columns of zeros then count as not measured"
        )


def _kspace(data: h5py.Dataset, slices: Slices, source: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The chosen slices (slices, coils, height, width), and what was done to them. Raises FormatError."""
    if data.ndim not in (3, 4, 5) or data.dtype.kind != "c":
        raise FormatError(
            f"{source}: got kspace of shape {data.shape} and type {data.dtype}, expected complex "
            "([averages,] slices, [coils,] height, width)"
        )
    index = choose(data.shape[-4] if data.ndim == 5 else len(data), slices, source)
    if data.ndim < 5:
        kspace = take(data, index).astype(np.complex64)
        return kspace[:, None] if data.ndim == 3 else kspace, ()
    unique, inverse = np.unique(index, return_inverse=True)
    limits.check_size(data.nbytes * len(unique) / data.shape[1], source, "kspace")
    words = f"the mean of {len(data)} averages, each sample over those that measured it"
    return mean_of_averages(data[:, unique][:, inverse]), (words,)


def describe_fastmri(path: Path, pixel_mm: float | None = None) -> dict[str, Any]:
    """Shapes and the header's matrix; no k-space is read."""
    with open_hdf5(path) as file:
        kspace = dataset(file, "kspace", path.name)
        acquisition = _acquisition(file, path.name)
        if acquisition is not None:
            acquisition = acquisition.with_pixel(pixel_mm, path.name)
        facts: dict[str, Any] = {
            "kind": "mri",
            "kspace": kspace.shape,
            "axes": _AXES.get(kspace.ndim, "unknown"),
            "slices": kspace.shape[-4] if kspace.ndim == 5 else len(kspace),
            "mask": int(np.count_nonzero(dataset(file, "mask", path.name)[()]))
            if "mask" in file
            else "none stored",
            "acquisition": _protocol(file) or "not stored",
        }
    if acquisition is not None:
        facts |= {"encoded": acquisition.encoded, "recon": acquisition.recon}
        facts["pixel_mm"] = tuple(round(side, 5) for side in acquisition.pixel_mm)
        facts["slice_mm"] = acquisition.thickness_mm or "not stored"
        facts["acceleration"], facts["calibration"] = (
            acquisition.acceleration,
            acquisition.calibration or "not stated",
        )
        if acquisition.remarks:
            facts["remarks"] = list(acquisition.remarks)
    return facts


def _protocol(file: h5py.File) -> str:
    """fastMRI's name of the sequence (AXT2, CORPD_FBK, …); "" for none and for anything that does not look like one."""
    name = text(file.attrs.get("acquisition", ""))
    return name if re.fullmatch(r"(AX|COR|SAG)[A-Z0-9]{1,8}(_[A-Z0-9]{1,8})?", name) else ""


def _encoded(acquisition: MRHeader | None, width: int) -> slice:
    """The columns inside the zero padding (fastMRI's padding_left, padding_right); all where nothing is
    known."""
    if acquisition is None or acquisition.centre is None or acquisition.last is None:
        return slice(0, width)
    left = acquisition.encoded[1] // 2 - acquisition.centre
    return slice(max(left, 0), min(left + acquisition.last + 1, width))


def _acquisition(file: h5py.File, source: str) -> MRHeader | None:
    if "ismrmrd_header" not in file:
        return None
    return parse_header(text(dataset(file, "ismrmrd_header", source)), source)
