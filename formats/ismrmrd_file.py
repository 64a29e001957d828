"""ISMRMRD HDF5 (https://ismrmrd.github.io): readouts one by one -> Cartesian k-space (slices, coils, ky, kx).

Which readouts make the image is decided in `ismrmrd_lines`: lines measured several times are averaged, embedded
calibration lines belong to the image, others become `Scan.calibration`. Of echoes, times and sets one is taken.
The phase encoding's centre is moved to ky // 2, an asymmetric echo's to kx // 2, EPI is corrected with its
navigators, the coils are whitened by the noise scan: then the noise is CN(0, 1) in every coil. The readout's
oversampling is removed. What was not acquired (partial Fourier, undersampling, a lost readout) is False in the
mask. All that was assumed or left out is in the remarks.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..modality import Modality
from .epi import corrected
from .hdf5 import dataset, open_hdf5, text
from .ismrmrd_lines import (
    NOISE,
    Load,
    Readouts,
    flagged,
    line_shift,
    of_images,
    on_grid,
    several,
    sort_readouts,
    space_of,
)
from .kspace import crop_readout
from .mr_header import MRHeader, parse_header
from .reader import Slices, choose
from .scan import FormatError, Header, Scan
from .whitening import whitening

_BLOCK = 64  # readouts that are loaded together: one by one takes 15 times as long
_PEEK = 10000  # readouts whose headers `info` looks at


def is_ismrmrd(file: h5py.File) -> bool:
    return _group(file) is not None


def read_ismrmrd(
    path: str | Path,
    slices: Slices = None,
    echo: int = 0,
    time: int = 0,
    volume: int = 0,
    pixel_mm: float | None = None,
) -> Scan:
    """Read an ISMRMRD file of a 2-D Cartesian multi-slice scan.

    Args:
        echo, time, volume: which contrast, repetition (or phase of a cycle) and set, from 0.
        pixel_mm: side of a pixel, where the header does not state it.

    Raises:
        FormatError: a non-Cartesian trajectory, 3-D encoding, no imaging readouts, counters outside the matrix, or
            EPI that cannot be corrected.
    """
    import ismrmrd

    source = Path(path).name
    with open_hdf5(path) as file:
        group = _group(file)
        if group is None:
            raise FormatError(f"{source}: got no dataset/xml and dataset/data, expected ISMRMRD")
        xml = text(dataset(file, f"{group}/xml", source))
        heads = np.asarray(dataset(file, f"{group}/data", source)["head"])
    space = space_of(heads, source)
    head = parse_header(xml, source, space).with_pixel(pixel_mm, source)
    readouts = sort_readouts(heads, head, space, {"echo": echo, "time": time, "volume": volume}, source)
    _refuse(heads, readouts, head, source)
    apart = head
    if len(readouts.reference):
        apart = parse_header(xml, source, int(heads["encoding_space_ref"][readouts.reference[0]]))
    with open_hdf5(path), ismrmrd.File(str(path), "r") as opened:
        acquisitions = opened[group].acquisitions

        @lru_cache(maxsize=2)
        def block(first: int) -> list[Any]:
            try:
                return acquisitions[first : first + _BLOCK]
            except (OSError, KeyError, ValueError, TypeError) as error:
                raise FormatError(
                    f"{source}: readouts from {first} on cannot be read ({error}); the file is damaged: copy it again"
                ) from error

        def readout(number: int) -> Any:
            return block(number - number % _BLOCK)[number % _BLOCK]

        _refuse_uneven(readout(int(readouts.image[0])).traj, source)
        return _scan(lambda n: np.asarray(readout(n).data), heads, readouts, (head, apart), slices, source)


def describe_ismrmrd(
    path: Path, echo: int = 0, time: int = 0, volume: int = 0, pixel_mm: float | None = None
) -> dict[str, Any]:
    """The XML header and the readouts' headers, with what `read_ismrmrd` would make of them; neither the ismrmrd
    package nor any sample is loaded."""
    with open_hdf5(path) as file:
        group = _group(file) or ""
        data = dataset(file, f"{group}/data", path.name)
        count, heads = len(data), np.asarray(data.fields("head")[:_PEEK])
        image = of_images(heads)
        space = space_of(heads, path.name) if image.any() else 0
        head = parse_header(text(dataset(file, f"{group}/xml", path.name)), path.name, space)
    head = head.with_pixel(pixel_mm, path.name)
    chosen = {"echo": echo, "time": time, "volume": volume}
    remarks = [*head.remarks]
    if image.any():
        remarks += sort_readouts(heads, head, space, chosen, path.name).remarks
    if len(heads) < count:
        remarks.append(f"what there is several of was counted in the first {len(heads)} readouts")
    counters = heads["idx"][image]
    counts = {"slices": "slice", "partitions": "kspace_encode_step_2", "averages": "average"}
    facts = {name: len(np.unique(counters[counter])) for name, counter in counts.items()}
    plural = {"echo": "echoes", "time": "times", "volume": "volumes"}
    facts |= {plural[name]: len(np.unique(number[image])) for name, number in several(heads).items()}
    return {
        "kind": "mri",
        "readouts": count,
        "encoded": head.encoded,
        "recon": head.recon,
        **facts,
        "coils": int(heads["active_channels"][image].max(initial=0)),
        "trajectory": head.trajectory,
        "acceleration": head.acceleration,
        "calibration": head.calibration or "not stated",
        "calibration_lines": int(np.count_nonzero(flagged(heads, 20, 21))),
        "noise_scans": int(np.count_nonzero(flagged(heads, NOISE))),
        "pixel_mm": tuple(round(side, 5) for side in head.pixel_mm),
        "slice_mm": head.thickness_mm or "not stored",
        **head.facts,
        **({"remarks": remarks} if remarks else {}),
    }


def _group(file: h5py.File) -> str | None:
    """The group that holds xml and data; "dataset" by convention."""
    for name, item in file.items():
        if isinstance(item, h5py.Group) and "xml" in item and "data" in item:
            data = item["data"]
            if isinstance(data, h5py.Dataset) and data.dtype.names and "head" in data.dtype.names:
                return str(name)
    return None


def _refuse(heads: np.ndarray, readouts: Readouts, head: MRHeader, source: str) -> None:
    if head.trajectory not in ("cartesian", "epi"):
        raise FormatError(
            f"{source}: got the trajectory {head.trajectory!r}, expected a Cartesian one; grid it first"
        )
    partitions = len(np.unique(heads["idx"]["kspace_encode_step_2"][readouts.image]))
    if partitions > 1:
        raise FormatError(
            f"{source}: got 3-D encoding with {partitions} partitions, expected 2-D slices; transform along the "
            "partitions first"
        )


def _refuse_uneven(trajectory: np.ndarray, source: str) -> None:
    """Refuse readouts that carry a trajectory with uneven steps: sampled on the gradient's ramps, or no line."""
    steps = np.diff(np.asarray(trajectory, float), axis=0)
    if steps.size and np.abs(steps - steps.mean(0)).max() > 0.05 * np.abs(steps.mean(0)).max():
        raise FormatError(
            f"{source}: got readouts whose trajectory is not evenly spaced, expected Cartesian lines; regrid them first"
        )


def _scan(
    load: Load,
    heads: np.ndarray,
    readouts: Readouts,
    spaces: tuple[MRHeader, MRHeader],
    slices: Slices,
    source: str,
) -> Scan:
    """The scan of the chosen slices; samples of other slices are not loaded. `spaces`: of the image, and of calibration
    lines."""
    head = spaces[0]
    remarks = [*head.remarks, *readouts.remarks]
    order, distance = _stack(heads[readouts.image], remarks)
    order = [order[i] for i in choose(len(order), slices, source)]
    kspace, count, calibration = _lines(load, heads, readouts, order, spaces, remarks, source)
    header: Header = {"modality": "MR", **head.facts, "recon_matrix": f"{head.recon[0]} x {head.recon[1]}"}
    if head.thickness_mm and distance and abs(head.thickness_mm - distance) > 0.01:
        header["slice_thickness_mm"] = head.thickness_mm
        remarks.append(f"slices of {head.thickness_mm:.4g} mm lie {distance:.4g} mm apart")
    noise = None
    matrix = _whitening(load, heads, readouts, kspace, head, remarks)
    if matrix is not None:
        kspace = _through(matrix, kspace)
        calibration = None if calibration is None else _through(matrix, calibration)
        noise = {"type": "complex_gaussian", "sigma": float(np.sqrt(np.mean(1 / count[count > 0])))}
        header["noise"] = "coils whitened by the noise scan"
    mask = count > 0
    full, keep = kspace.shape[-1], head.readout(kspace.shape[-1])
    if keep < full and (mask.any(-1) & ~mask.all(-1)).any():
        header["readout"] = "asymmetric echo, oversampling kept"
    elif keep < full:
        header["readout"] = f"oversampled, cut from {full} to {keep}"
        kspace = crop_readout(kspace, keep, -1) * mask[:, None, :, :1]
        mask = np.repeat(mask[..., :1], keep, -1)
        calibration = None if calibration is None else _cut(calibration, full, keep)
    if (mask != mask[0]).any():
        lines = mask.any(-1).sum(-1)
        remarks.append(
            f"the slices were not sampled alike ({lines.min()} to {lines.max()} lines): each has a mask of its own"
        )
    else:
        mask = mask[0]
    readout_mm, phase_mm = head.pixel_mm
    return Scan(
        Modality.MR,
        kspace,
        (kspace.shape[-2], kspace.shape[-1]),
        readout_mm,
        mask=None if mask.all() else mask,
        calibration=calibration,
        noise=noise,
        header=header,
        source=source,
        spacing=(distance or head.thickness_mm or 1.0, phase_mm, readout_mm),
        pixel_assumed=head.pixel_assumed,
        remarks=tuple(remark for remark in remarks if remark),
    )


def _lines(
    load: Load,
    heads: np.ndarray,
    readouts: Readouts,
    order: list[int],
    spaces: tuple[MRHeader, MRHeader],
    remarks: list[str],
    source: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Of slices by their counters: k-space, how often it was measured, and the centre that calibration lines measured
    apart."""
    slices, again = np.unique(order, return_inverse=True)
    place, coils = heads["idx"]["slice"], heads["active_channels"]
    image = readouts.image[np.isin(place[readouts.image], slices)]
    reference = readouts.reference[np.isin(place[readouts.reference], slices)]
    head, apart = spaces

    def measured(numbers: np.ndarray, head: MRHeader) -> tuple[np.ndarray, np.ndarray]:
        shift, assumed = line_shift(heads[numbers], head)
        load_line, mended = corrected(load, heads, numbers, readouts.navigators, head, source)
        remarks.extend(remark for remark in (assumed, mended) if remark not in remarks)
        kspace, count = on_grid(load_line, heads, numbers, slices, head.encoded, shift, source)
        if not np.array_equal(again, np.arange(len(slices))):
            kspace, count = kspace[again], count[again]
        return kspace, count

    kspace, count = measured(image, head)
    calibration = None
    whole = len(np.unique(place[reference])) == len(slices) and (coils[reference] == kspace.shape[1]).all()
    if whole and head.same_field(apart):
        calibration = _centre(*measured(reference, apart), head.encoded)
    if calibration is not None:
        remarks.append("calibration lines were measured apart: they are used for coil maps only")
    elif len(reference):
        remarks.append(
            "calibration lines are not used: they have another field of view, or lack the centre, a coil or a slice"
        )
    return kspace, count, calibration


def _stack(heads: np.ndarray, remarks: list[str]) -> tuple[list[int], float | None]:
    """The slices' counters in their order in space, or as counted where it is not known, and their distance [mm]."""
    counters, first = np.unique(heads["idx"]["slice"], return_index=True)
    normal = heads["slice_dir"][first[0]].astype(float)
    along = heads["position"][first].astype(float) @ normal
    steps = np.diff(np.sort(along))
    if not len(steps) or not np.isfinite(steps).all() or steps.min() < 0.1:
        return counters.tolist(), None
    if steps.max() > 1.02 * steps.min():
        remarks.append(f"slices are {steps.min():.2f} to {steps.max():.2f} mm apart; their mean is taken")
    if not (np.diff(along) > 0).all() and not (np.diff(along) < 0).all():
        remarks.append(
            "slices are counted in another order than they lie in space; they are sorted by position"
        )
        counters = counters[np.argsort(along)]
    return counters.tolist(), float(steps.mean())


def _centre(kspace: np.ndarray, count: np.ndarray, largest: tuple[int, int]) -> np.ndarray | None:
    """The fully sampled centre of (slices, coils, ky, kx), whose zero frequency is at n // 2 too, of at most `largest`
    (readout, phase); None without one."""
    whole = np.all(count > 0, axis=0)
    rows = np.any(whole, axis=1)
    for axis, measured, most in ((-2, rows, largest[1]), (-1, np.all(whole[rows], axis=0), largest[0])):
        middle, lost = len(measured) // 2, np.flatnonzero(~measured)
        below = middle - 1 - lost[lost < middle].max(initial=-1)
        above = lost[lost >= middle].min(initial=len(measured)) - middle
        side = int(min(2 * above, 2 * below + 1, most))
        kspace = np.take(kspace, np.arange(middle - side // 2, middle - side // 2 + side), axis)
    return kspace if kspace.size else None


def _cut(kspace: np.ndarray, full: int, keep: int) -> np.ndarray:
    """`crop_readout` of the centre of a readout of `full` samples."""
    n = kspace.shape[-1]
    before, side = full // 2 - n // 2, max(1, n * keep // full)
    cut = crop_readout(np.pad(kspace, [(0, 0)] * 3 + [(before, full - n - before)]), keep, -1)
    return cut[..., keep // 2 - side // 2 : keep // 2 - side // 2 + side]


def _whitening(
    load: Load, heads: np.ndarray, readouts: Readouts, kspace: np.ndarray, head: MRHeader, remarks: list[str]
) -> np.ndarray | None:
    """What whitens the coils of k-space, from the noise scans; None, and a remark, where they do not serve."""
    coils = heads["active_channels"]
    fitting = readouts.noise[coils[readouts.noise] == kspace.shape[1]]
    if len(fitting) < len(readouts.noise):
        remarks.append(f"noise scans with another number of coils than {kspace.shape[1]} are not used")
    if not len(fitting):
        return None
    samples = np.concatenate([load(int(number)) for number in fitting], axis=1)
    image_us, noise_us = (float(heads["sample_time_us"][numbers[0]]) for numbers in (readouts.image, fitting))
    ratio = noise_us / image_us if image_us > 0 and 0 < noise_us < np.inf else None
    matrix, said = whitening(samples, np.any(kspace != 0, axis=(0, 2, 3)), head.noise_bandwidth, ratio)
    remarks.extend(said)
    return matrix


def _through(matrix: np.ndarray, kspace: np.ndarray) -> np.ndarray:
    """A matrix applied to the coils of (slices, coils, ky, kx)."""
    return np.stack([np.tensordot(matrix, one, 1) for one in kspace]).astype(np.complex64)
