"""Cartesian k-space on its grid: what was measured, the removal of readout oversampling, the mean of averages, and the
scan of k-space from files that say little more."""

from __future__ import annotations

import numpy as np

from ..modality import Modality
from .reader import NO_PIXEL, told_or_stated
from .scan import Scan

_CHANCE = 0.01  # of the samples: so many may be zero though they were measured


def measured(kspace: np.ndarray) -> np.ndarray | None:
    """Where (slices, coils, ky, kx) was measured, from what is not exactly zero in all coils: (ky, kx) bool, or
    (slices, ky, kx) where slices lack whole lines or more than a hundredth that others have; None for all of it.
    Fewer samples are zero by chance, and a slice of nothing but zeros counts as the others."""
    masks = np.asarray((kspace != 0).any(axis=1))
    union = np.asarray(masks.any(axis=0))
    masks[~masks.any(axis=(1, 2))] = union
    lines = [(~masks.any(axis) & union.any(axis - 1)).any() for axis in (1, 2)]
    if any(lines) or (union & ~masks).mean(axis=(1, 2)).max() > _CHANCE:
        return masks
    return None if union.all() else union


def to_image(kspace: np.ndarray, axes: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Centred orthonormal inverse FFT."""
    shifted = np.fft.ifftshift(kspace, axes=axes)
    return np.fft.fftshift(np.fft.ifftn(shifted, axes=axes, norm="ortho"), axes=axes).astype(np.complex64)


def to_kspace(image: np.ndarray, axes: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Centred orthonormal FFT."""
    shifted = np.fft.ifftshift(image, axes=axes)
    return np.fft.fftshift(np.fft.fftn(shifted, axes=axes, norm="ortho"), axes=axes).astype(np.complex64)


def crop_readout(kspace: np.ndarray, keep: int, axis: int) -> np.ndarray:
    """Remove oversampling of a fully sampled readout: the middle `keep` of the n pixels along `axis` stay.
    The transforms are orthonormal, so that the noise per sample stays as it was."""
    n = kspace.shape[axis]
    start = n // 2 - keep // 2
    image = to_image(kspace, (axis,))
    return to_kspace(np.take(image, np.arange(start, start + keep), axis), (axis,))


def root_sum_of_squares(kspace: np.ndarray) -> np.ndarray:
    """(slices, coils, ky, kx) -> (slices, ky, kx) float32, the usual reference picture of a fully sampled
    multi-coil scan."""
    sizes = (np.abs(to_image(s)).astype(np.float64) for s in kspace)  # whose squares have any unit
    return np.stack([np.sqrt((size**2).sum(0)) for size in sizes]).astype(np.float32)


def mean_of_averages(kspace: np.ndarray) -> np.ndarray:
    """(averages, slices, coils, ky, kx) -> the mean over those averages in which a sample was measured: averages may
    share the lines among them. Samples that are exactly zero in all coils were not."""
    times = (kspace != 0).any(axis=2).sum(axis=0)
    return (kspace.sum(axis=0) / np.maximum(times, 1)[:, None]).astype(np.complex64)


def kspace_scan(
    kspace: np.ndarray,
    *,
    mask: np.ndarray | None,
    stated_mm: float | None,
    pixel_mm: float | None,
    source: str,
    remarks: tuple[str, ...] = (),
) -> Scan:
    """The scan of (slices, coils, ky, kx) from a file that says little more.

    Args:
        mask: (ky, kx) or (slices, ky, kx), as stored; None: samples that are zero in all coils count as not measured.
        stated_mm: the pixel as the file states it; pixel_mm: as the user says. Neither: 1 mm is assumed.

    Raises:
        FormatError: for a pixel that is not the file's.
    """
    if mask is None:
        mask = measured(kspace)
        if mask is not None:
            remarks = (*remarks, "no mask is stored: samples that are exactly zero count as not measured")
    pixel = told_or_stated(source, pixel_mm, stated_mm)
    if pixel is None:
        remarks = (*remarks, NO_PIXEL)
    return Scan(
        Modality.MR,
        kspace.astype(np.complex64, copy=False),
        (kspace.shape[-2], kspace.shape[-1]),
        1.0 if pixel is None else pixel,
        mask=mask,
        header={"modality": "MR"},
        source=source,
        pixel_assumed=pixel is None,
        remarks=remarks,
    )
