"""ISMRMRD HDF5 (https://ismrmrd.github.io): readouts one by one -> Cartesian k-space (slices, coils, ky, kx).

Readouts are placed by their counters, reversed ones turned, the phase encoding centre moved to ky // 2, an
asymmetric echo to kx // 2. Noise scans whiten the coils (Pruessmann et al. 2001): then the noise is CN(0, 1)
in every coil. The readout's oversampling is removed. Of averages, repetitions, contrasts, phases and sets the
first is taken. What was not acquired (partial Fourier, undersampling) is False in the mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .hdf5 import dataset, open_hdf5, text
from .kspace import crop_readout
from .mr_header import MRHeader, parse_header
from .reader import Slices, choose
from .scan import FormatError, Header, Scan

_NOISE, _CALIBRATION, _REVERSE = 19, 20, 22  # bit numbers of ISMRMRD's flags, counted from 1
_NO_IMAGE = (23, 24, 26, 27, 28, 29, 30, 31)  # navigators, phase correction, feedback, dummies, …
_COUNTERS = ("average", "contrast", "phase", "repetition", "set")
_BANDWIDTH_RATIO = 0.79  # of the receiver's noise bandwidth, Siemens' usual value (Kellman & McVeigh 2005)


def is_ismrmrd(file: h5py.File) -> bool:
    return _group(file) is not None


def read_ismrmrd(path: str | Path, slices: Slices = None) -> Scan:
    """Read an ISMRMRD file of a 2-D Cartesian multi-slice scan.

    Raises:
        FormatError: a non-Cartesian trajectory, 3-D encoding, no imaging readouts, or counters outside the
            matrix.
    """
    import ismrmrd

    source = Path(path).name
    with open_hdf5(path) as file:
        group = _group(file)
        if group is None:
            raise FormatError(f"{source}: got no dataset/xml and dataset/data, expected ISMRMRD")
        head = parse_header(text(dataset(file, f"{group}/xml", source)), source)
        _refuse(head, source)
    try:
        with ismrmrd.File(str(path), "r") as opened:
            readouts = list(opened[group].acquisitions)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise FormatError(
            f"{source}: the readouts cannot be read ({error}); the file is damaged: copy it again"
        ) from error
    noise = [r for r in readouts if r.is_flag_set(_NOISE)]
    imaging = [
        r for r in readouts if not any(r.is_flag_set(flag) for flag in (_NOISE, _CALIBRATION, *_NO_IMAGE))
    ]
    if not imaging:
        raise FormatError(
            f"{source}: got {len(readouts)} readouts, none of them of an image; expected a scan, not an "
            "adjustment"
        )
    header: Header = {"modality": "MR", **head.facts, "recon_matrix": f"{head.recon[0]} x {head.recon[1]}"}
    for counter in _COUNTERS:
        present = {int(getattr(r.idx, counter)) for r in imaging}
        if len(present) > 1:
            header[f"{counter}s"] = f"first of {len(present)}"
            imaging = [r for r in imaging if getattr(r.idx, counter) == min(present)]
    kspace, mask = _sorted(imaging, head, source)
    sigma = None
    if noise and noise[0].data.shape[0] == kspace.shape[1]:
        kspace, sigma = _whitened(kspace, noise, imaging[0]), 1.0
        header["noise"] = "coils whitened by the noise scan"
    kspace = kspace[choose(len(kspace), slices, source)]
    keep = head.readout(kspace.shape[-1])
    if keep < kspace.shape[-1] and not mask[mask.any(1)].all():
        header["readout"] = "asymmetric echo, oversampling kept"
    elif keep < kspace.shape[-1]:
        header["readout"] = f"oversampled, cut from {kspace.shape[-1]} to {keep}"
        kspace, mask = crop_readout(kspace, keep, -1) * mask[:, :1], np.repeat(mask[:, :1], keep, 1)
    if abs(head.pixel_mm[1] / head.pixel_mm[0] - 1) > 0.02:
        header["pixel_mm_phase"] = head.pixel_mm[1]
    return Scan(
        "mri",
        kspace,
        (kspace.shape[-2], kspace.shape[-1]),
        head.pixel_mm[0],
        mask=None if mask.all() else mask,
        noise=None if sigma is None else {"type": "complex_gaussian", "sigma": sigma},
        header=header,
        source=source,
    )


def describe_ismrmrd(path: Path) -> dict[str, Any]:
    """The XML header and the number of readouts; neither the ismrmrd package nor any readout is loaded."""
    with open_hdf5(path) as file:
        group = _group(file) or ""
        head = parse_header(text(dataset(file, f"{group}/xml", path.name)), path.name)
        readouts = len(dataset(file, f"{group}/data", path.name))
    return {
        "kind": "mri",
        "readouts": readouts,
        "encoded": head.encoded,
        "recon": head.recon,
        "partitions": head.partitions,
        "trajectory": head.trajectory,
        "pixel_mm": round(head.pixel_mm[0], 5),
        **head.facts,
    }


def _group(file: h5py.File) -> str | None:
    """The group that holds xml and data; "dataset" by convention."""
    for name, item in file.items():
        if isinstance(item, h5py.Group) and "xml" in item and "data" in item:
            data = item["data"]
            if isinstance(data, h5py.Dataset) and data.dtype.names and "head" in data.dtype.names:
                return str(name)
    return None


def _refuse(head: MRHeader, source: str) -> None:
    if head.trajectory not in ("cartesian", "epi"):
        raise FormatError(f"{source}: got a {head.trajectory} trajectory, expected Cartesian; grid it first")
    if head.partitions > 1:
        raise FormatError(
            f"{source}: got 3-D encoding with {head.partitions} partitions, expected 2-D slices; transform "
            "along the "
            "partitions first"
        )


def _sorted(readouts: list[Any], head: MRHeader, source: str) -> tuple[np.ndarray, np.ndarray]:
    """k-space (slices, coils, ky, kx) and where it was measured (ky, kx)."""
    width, height = head.encoded
    coils = readouts[0].data.shape[0]
    numbers = sorted({int(r.idx.slice) for r in readouts})
    kspace = np.zeros((len(numbers), coils, height, width), dtype=np.complex64)
    mask = np.zeros((len(numbers), height, width), dtype=bool)
    shift = 0 if head.centre is None else height // 2 - head.centre
    for readout in readouts:
        data = np.asarray(readout.data)
        last = data.shape[1] - int(readout.discard_post)
        line, first = int(readout.idx.kspace_encode_step_1) + shift, int(readout.discard_pre)
        middle = int(readout.center_sample)
        if data.shape[1] == width:  # a whole line is in place, whatever its centre_sample says
            middle = width // 2
        if readout.is_flag_set(_REVERSE):
            data, first, last = data[:, ::-1], data.shape[1] - last, data.shape[1] - first
            middle = data.shape[1] - middle
        start = width // 2 - middle
        if len(data) != coils or not 0 <= line < height or start + first < 0 or start + last > width:
            raise FormatError(
                f"{source}: got a readout of {data.shape[1]} samples and {len(data)} coils for line {line}, "
                "expected at most "
                f"{width} samples, {coils} coils and lines 0 to {height - 1}; the header and the readouts "
                "disagree"
            )
        place = numbers.index(int(readout.idx.slice))
        kspace[place, :, line, start + first : start + last] = data[:, first:last]
        mask[place, line, start + first : start + last] = True
    if (mask != mask[0]).any():
        raise FormatError(
            f"{source}: got slices with different sampling, expected one mask; pass them one by one with "
            "slices"
        )
    return kspace, mask[0]


def _whitened(kspace: np.ndarray, noise: list[Any], imaging: Any) -> np.ndarray:
    """L^-1 k-space, L L^H the coils' noise covariance at the imaging readouts' bandwidth."""
    samples = np.concatenate([np.asarray(r.data) for r in noise], axis=1).astype(np.complex128)
    covariance = samples @ samples.conj().T / samples.shape[1]
    dwell = float(imaging.sample_time_us), float(noise[0].sample_time_us)
    if min(dwell) > 0:
        covariance *= dwell[1] / dwell[0] * _BANDWIDTH_RATIO
    lower = np.linalg.cholesky(covariance)
    white = np.linalg.solve(lower, np.moveaxis(kspace, 1, 0).reshape(len(lower), -1))
    return np.moveaxis(white.reshape(len(lower), len(kspace), *kspace.shape[2:]), 0, 1).astype(np.complex64)
