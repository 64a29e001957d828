"""What a file holds, once read: a `Scan` (raw measurements) or a `Volume` (images). numpy only.

Axes and units. CT data are line integrals -log(I/I0), dimensionless, (slices, views, detectors); angles in
radians, counter-clockwise; lengths in mm. MRI data are k-space, (slices, coils, ky, kx), zero frequency at
index n // 2 of both axes, related to the image by the centred orthonormal FFT, so that the image of a k-space
of (ky, kx) samples has (ky, kx) pixels; `matrix` is that grid, or its centre crop where a smaller picture is
asked for. Volumes are (Z, H, W), rows downwards.

Headers hold only what does not identify a person. `problems` lists everything that is wrong with a scan,
`check` raises the first of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..geometry import Geometry
from ..modality import Modality
from . import plausible

Header = dict[str, str | float | int]

_NOISES: dict[Modality, dict[str, dict[str, float | None]]] = {  # law -> its numbers, None: no default
    Modality.CT: {"gaussian": {"sigma": None}, "photon": {"photons": None, "electronic": 0.0}},
    Modality.MR: {"complex_gaussian": {"sigma": None}},
}
_PERSONAL = ("patient", "birth", "institution", "physician", "operator", "accession", "studydate", "studyid")


def is_personal(key: str) -> bool:
    """Whether an attribute of this name can identify a person."""
    return any(word in key.lower().replace("_", "").replace(" ", "") for word in _PERSONAL)


class FormatError(ValueError):
    """A file that cannot be read or written: names the file, what was got, what was expected, what to do."""


@dataclass(frozen=True, eq=False, repr=False)
class Scan:
    """Measured (or simulated) data with all that a reconstruction needs to know about them.

    Attributes:
        modality: CT or MR.
        data: ct (slices, views, detectors) float32, line integrals; mri (slices, coils, ky, kx) complex64.
        matrix: (H, W), the grid asked for.
        pixel_mm: side of its square pixels [mm].
        geometry: ct only: a ParallelBeam or a FanBeam (geometry.py) of data's views and detectors.
        mask: True where measured, bool; None: everywhere. mri (ky, kx), or (slices, ky, kx) where slices differ; ct
            (views, detectors), False for rays that were lost (metal, dead elements), whatever data has there.
        maps: mri only: (slices, coils, H, W) complex64 coil sensitivities.
        noise: {"type": "gaussian" | "complex_gaussian", "sigma": float} or {"type": "photon", "photons":
            float, "electronic": float}; None where unknown.
        counts: ct only: measured photon counts, the shape of data.
        truth: (slices, H, W), for metrics only: what a simulation started from (1/mm or complex), or the
            reference of a fully sampled measurement.
        header: non-identifying facts (manufacturer, sequence, mu_water, …).
        source: name of the file, without its folder.
        spacing: (dz, dy, dx) [mm] of the images where it is known to be something else than square pixels of
            `pixel_mm` and slices of unknown thickness; None: (1, pixel_mm, pixel_mm).
        pixel_assumed: the pixel size is a guess: it must be said, and is never written as if it were measured.
        remarks: what was assumed, dropped or repaired when the file was read, a sentence each.
        calibration: mri only: the fully sampled centre of k-space, measured apart from data and in other units, for
            coil maps: (slices, coils, ny, nx) complex64, zero frequency at ny // 2, nx // 2.
        faults: what the file states and cannot be (a geometry with a negative length), in words; `problems` lists
            them, `check` raises the first.
    """

    modality: Modality
    data: np.ndarray
    matrix: tuple[int, int]
    pixel_mm: float
    geometry: Geometry | None = None
    mask: np.ndarray | None = None
    maps: np.ndarray | None = None
    noise: dict[str, Any] | None = None
    counts: np.ndarray | None = None
    truth: np.ndarray | None = None
    header: Header = field(default_factory=dict)
    source: str = "scan"
    spacing: tuple[float, float, float] | None = None
    pixel_assumed: bool = False
    remarks: tuple[str, ...] = ()
    calibration: np.ndarray | None = None
    faults: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "modality", Modality(self.modality))

    def __repr__(self) -> str:
        says = [f"{self.source!r}, {self.modality}, {_sizes(self.data)}"]
        says += [repr(self.geometry)] if self.geometry else []
        parts = ("mask", "maps", "calibration", "counts", "truth")
        held = [name for name in parts if getattr(self, name) is not None]
        says += [f"with {', '.join(held)}"] if held else []
        says += [f"noise {self.noise.get('type')}"] if self.noise else []
        return f"Scan({'; '.join([*says, f'to {_pixels(self.matrix)} of {self.pixel_mm:.4g} mm'])})"

    @property
    def kind(self) -> str:
        """ "ct" or "mri": the word of simulations and files."""
        return self.modality.kind

    @property
    def slices(self) -> int:
        return int(self.data.shape[0])

    @property
    def voxel(self) -> tuple[float, float, float]:
        """(dz, dy, dx) [mm] of the images; 1 mm where a slice's thickness is not known."""
        return self.spacing or (1.0, self.pixel_mm, self.pixel_mm)

    @property
    def thickness(self) -> float | None:
        """Of a slice [mm], where it is known to be another length than the slices' distance."""
        stated = self.header.get("slice_thickness_mm")
        return float(stated) if stated else None


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """Images. `dicom` keeps the source's pydicom Datasets without their pixels, slice by slice, for DICOM
    output.

    Attributes:
        data: (Z, H, W) float32.
        units: "HU", "magnitude" or "1/mm".
        modality: CT or MR.
        spacing: (dz, dy, dx) [mm].
        slice_assumed: dz is a guess, and never written as if it were measured.
        pixel_assumed, remarks: as of a `Scan`.
    """

    data: np.ndarray
    units: Literal["HU", "magnitude", "1/mm"]
    modality: Modality
    spacing: tuple[float, float, float]
    header: Header = field(default_factory=dict)
    source: str = "volume"
    dicom: tuple[Any, ...] | None = None
    slice_assumed: bool = False
    pixel_assumed: bool = False
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "modality", Modality(self.modality))

    def __repr__(self) -> str:
        mm = " x ".join(f"{side:.4g}" for side in self.spacing)
        return f"Volume({self.source!r}, {self.modality}, {_sizes(self.data)} in {self.units}, voxels of {mm} mm)"


def _sizes(data: np.ndarray) -> str:
    return f"{_pixels(data.shape)} {data.dtype}"


def _pixels(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def one_turn(degrees: np.ndarray) -> np.ndarray:
    """Angles in radians, without whole turns; what is no number stays so, and `check` refuses it."""
    with np.errstate(invalid="ignore"):
        return np.deg2rad(np.fmod(np.asarray(degrees, np.float64), 360))


def square_around(detectors: int, offset: float) -> tuple[int, int]:
    """The matrix, in pixels of a detector's size, of what a detector sees that turns around an axis `offset` elements
    off its middle: the farther side counts. An axis beside the detector, which `check` refuses, counts as none."""
    side = detectors + (int(2 * abs(offset)) if abs(offset) < detectors / 2 else 0)
    return side, side


def check(item: Scan | Volume) -> None:
    """Raise FormatError with the first of `problems(item)`, if there is any."""
    for problem in _find(item):
        raise FormatError(f"{item.source}: {problem}")


def problems(item: Scan | Volume) -> list[str]:
    """Everything that is wrong with a scan or a volume, in words: what was got, what was expected, what to
    do."""
    return list(_find(item))


def _find(item: Scan | Volume) -> Iterator[str]:
    if isinstance(item, Volume):
        yield from _volume(item)
    elif item.modality is Modality.CT:
        yield from _ct(item)
    elif item.modality is Modality.MR:
        yield from _mri(item)
    else:
        yield f"got a scan of modality {item.modality}, expected CT or MR"
    if isinstance(item, Scan):
        yield from item.faults
        if item.noise is not None and item.modality in _NOISES:
            yield from _noise(item.noise, item.modality)
    for key in item.header:
        if is_personal(key):
            yield f"got header key {key!r}, which can identify a person; remove it"


def _volume(volume: Volume) -> Iterator[str]:
    yield from _array("the volume", volume.data, 3, "(slices, rows, columns)", is_complex=False)
    if volume.units not in ("HU", "magnitude", "1/mm"):
        yield f"got units {volume.units!r}, expected 'HU', 'magnitude' or '1/mm'"
    if len(volume.spacing) != 3 or not all(np.isfinite(s) and s > 0 for s in volume.spacing):
        yield f"got spacing {volume.spacing}, expected three positive lengths (dz, dy, dx) in mm"
    if volume.dicom is not None and len(volume.dicom) != len(volume.data):
        yield f"got {len(volume.dicom)} DICOM headers for {len(volume.data)} slices; expected one a slice"


def _ct(scan: Scan) -> Iterator[str]:
    yield from _array("the sinogram", scan.data, 3, "(slices, views, detectors)", is_complex=False)
    yield from _grid(scan)
    if scan.data.ndim != 3 or not scan.data.size:
        return
    if scan.geometry is None and not scan.faults:
        yield "got no geometry, expected its type, angles and detector spacing; add them (docs/formats.md)"
    elif scan.geometry is not None:
        yield from _geometry(scan.geometry, scan.data.shape[1], scan.data.shape[2])
    if not scan.data.any():
        yield "the sinogram is zero everywhere, expected line integrals; check the export"
    elif np.median(scan.data) > 20:
        yield (
            f"the sinogram's median is {np.median(scan.data):.3g}, expected line integrals (a ray with 20 "
            "keeps 2 photons of "
            "10^9); these look like detector counts: take -log(counts / flat field) first"
        )
    elif scan.mask is None or np.shape(scan.mask) == scan.data.shape[1:]:
        yield from plausible.line_integrals(scan.data, scan.mask)
    if scan.counts is not None:
        if scan.counts.shape != scan.data.shape:
            yield f"got counts of shape {scan.counts.shape}, expected the sinogram's {scan.data.shape}"
        elif not np.isfinite(scan.counts).all() or (scan.counts < 0).any():
            yield (
                "got negative or non-finite photon counts, expected numbers >= 0; subtract the dark field "
                "and clip"
            )
        elif not scan.counts.any():
            yield "the photon counts are zero everywhere, expected those of the detector; check the export"
    water = scan.header.get("mu_water", 1.0)
    if not isinstance(water, (int, float, np.number)) or not np.isfinite(water) or water <= 0:
        yield f"got mu_water = {water!r}, expected the attenuation of water in 1/mm, about 0.02"
    yield from _mask(scan.mask, scan.data.shape[1:], "the sinogram's", "(views, detectors)")
    yield from _images("truth", scan.truth, (scan.slices, *scan.matrix))
    for name, array in (("maps", scan.maps), ("calibration lines", scan.calibration)):
        if array is not None:
            yield f"got {name} in a CT scan, expected none; they belong to MRI"


def _geometry(geometry: Geometry, views: int, detectors: int) -> Iterator[str]:
    """What does not fit the sinogram, or no scanner has; a geometry that cannot be is never made (geometry.py)."""
    if geometry.views != views:
        yield (
            f"got {geometry.views} angles for {views} views, expected as many; the axes may be swapped (expected "
            "slices, views, detectors) or views were dropped from one of the two"
        )
    if geometry.detectors != detectors:
        yield (
            f"got {detectors} detector elements a view, expected the {geometry.detectors} that the geometry states; "
            "the axes may be swapped (expected slices, views, detectors), or elements were dropped: correct one of "
            "the two"
        )
    yield from plausible.geometry(geometry)


def _mri(scan: Scan) -> Iterator[str]:
    yield from _array("k-space", scan.data, 4, "(slices, coils, ky, kx)", is_complex=True)
    yield from _grid(scan)
    if scan.data.ndim != 4 or not scan.data.size:
        return
    slices, coils, *grid = scan.data.shape
    if len(scan.matrix) == 2 and (scan.matrix[0] > grid[0] or scan.matrix[1] > grid[1]):
        yield (
            f"got matrix {tuple(scan.matrix)}, expected at most the k-space grid {tuple(grid)}; zero-fill "
            "the k-space"
        )
    if not scan.data.any():
        yield "k-space is zero everywhere, expected samples; check the export"
    yield from plausible.kspace(scan.data)
    each = scan.mask is not None and np.ndim(scan.mask) == 3
    shape, axes = ((slices, *grid), "(slices, ky, kx)") if each else (tuple(grid), "(ky, kx)")
    lacking = list(_mask(scan.mask, shape, "the k-space grid", axes))
    yield from lacking
    if scan.mask is not None and not lacking and _outside(scan.data, np.asarray(scan.mask, bool)):
        yield (
            "k-space is not zero where the mask says it was not measured; multiply it by the mask or "
            "repair the mask"
        )
    yield from _images("maps", scan.maps, (slices, coils, *scan.matrix))
    if scan.maps is not None and np.ndim(scan.maps) == 4:
        yield from plausible.coil_maps(scan.maps)
    if scan.calibration is not None:
        yield from _array("calibration", scan.calibration, 4, "(slices, coils, ny, nx)", is_complex=True)
        if scan.calibration.shape[:2] != (slices, coils) or np.any(
            scan.calibration.shape[2:] > np.array(grid)
        ):
            yield (
                f"got calibration of shape {scan.calibration.shape}, expected {slices} slices, {coils} coils and at "
                f"most {tuple(grid)}"
            )
    yield from _images("truth", scan.truth, (slices, *scan.matrix))
    for name in ("geometry", "counts"):
        if getattr(scan, name) is not None:
            yield f"got {name} in an MRI scan, expected none; it belongs to CT"


def _outside(kspace: np.ndarray, mask: np.ndarray) -> bool:
    """Whether k-space holds anything where the mask, of all slices or one for each, says nothing was measured."""
    masks = np.broadcast_to(mask, (len(kspace), *mask.shape[-2:]))
    return any(bool(np.any(one[:, ~measured])) for one, measured in zip(kspace, masks, strict=True))


def _noise(noise: dict[str, Any], modality: Modality) -> Iterator[str]:
    laws, law = _NOISES[modality], noise.get("type")
    if not isinstance(law, str) or law not in laws:
        yield (
            f"got noise of type {law!r}, expected {' or '.join(map(repr, laws))} in {modality.kind.upper()}; state "
            "one of them, or leave noise out and it is estimated"
        )
        return
    for name, default in laws[law].items():
        value, none_allowed = noise.get(name, default), name != "photons"
        fits = (
            isinstance(value, int | float | np.number) and not isinstance(value, bool) and np.isfinite(value)
        )
        if not fits or value < 0 or (value == 0 and not none_allowed):
            least = ">= 0" if none_allowed else "> 0"
            yield f"got noise with {name} = {value!r}, expected a number {least}; correct it, or leave noise out"


def _array(what: str, data: np.ndarray, ndim: int, axes: str, *, is_complex: bool) -> Iterator[str]:
    if data.ndim != ndim:
        yield f"got {what} of shape {data.shape}, expected {ndim} axes {axes}; add or remove an axis"
    elif not data.size:
        yield f"got {what} of shape {data.shape}, which is empty; expected at least one element in {axes}"
    if np.iscomplexobj(data) != is_complex:
        got, expected = ("real", "complex") if is_complex else ("complex", "real")
        yield f"got {got} numbers in {what}, expected {expected} ones; check which dataset was read"
    bad = [
        tuple(int(i) for i in np.argwhere(~np.isfinite(part))[0])
        for part in data
        if not np.isfinite(part).all()
    ]
    if bad:
        slices = len(data)
        yield (
            f"got NaN or Inf in {len(bad)} of {slices} slices of {what} (there first at {bad[0]}), expected "
            "finite "
            "numbers; mask or interpolate these elements before"
        )


def _mask(mask: np.ndarray | None, shape: tuple[int, ...], whose: str, axes: str) -> Iterator[str]:
    if mask is None:
        return
    if np.shape(mask) != shape:
        yield f"got a mask of shape {np.shape(mask)}, expected {whose} {shape} {axes}"
    elif not np.any(mask):
        yield "the mask samples nothing, expected True where there are measurements"


def _grid(scan: Scan) -> Iterator[str]:
    if len(scan.matrix) != 2 or min(scan.matrix) < 1:
        yield f"got matrix {scan.matrix}, expected (rows, columns), both positive"
    if not np.isfinite(scan.pixel_mm) or scan.pixel_mm <= 0:
        yield f"got pixel_mm {scan.pixel_mm}, expected a positive length"
    if scan.spacing and (len(scan.spacing) != 3 or not all(np.isfinite(s) and s > 0 for s in scan.spacing)):
        yield f"got spacing {scan.spacing}, expected three positive lengths (dz, dy, dx) in mm"


def _images(name: str, images: np.ndarray | None, shape: tuple[int, ...]) -> Iterator[str]:
    if images is None:
        return
    if images.shape != shape:
        yield f"got {name} of shape {images.shape}, expected {shape}"
    elif not np.isfinite(images).all():
        yield f"got NaN or Inf in {name}, expected finite numbers"
