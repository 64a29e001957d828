"""Cartesian k-space on its grid: what was measured, the removal of readout oversampling, the mean of averages, and the
scan of k-space from files that say little more."""

from __future__ import annotations

import numpy as np

from .scan import Header, Scan


def measured(kspace: np.ndarray, *, lines: bool = False) -> np.ndarray | None:
    """Where (slices, coils, ky, kx) was measured: (ky, kx) bool from what is not exactly zero (with `lines`,
    whole columns); None for all of it."""
    mask = np.any(kspace != 0, axis=(0, 1))
    if lines:
        mask = np.broadcast_to(mask.any(axis=0), mask.shape).copy()
    return None if mask.all() else mask


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
    return np.stack([np.sqrt((np.abs(to_image(s)) ** 2).sum(0)) for s in kspace]).astype(np.float32)


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
        mask: (ky, kx), as stored; None: samples that are zero in all slices and coils count as not measured.
        stated_mm: the pixel as the file states it; pixel_mm: as the user says. Neither: 1 mm is assumed.
    """
    header: Header = {"modality": "MR"}
    if mask is None:
        mask = measured(kspace)
        if mask is not None:
            remarks = (*remarks, "no mask is stored: samples that are exactly zero count as not measured")
    pixel = pixel_mm if pixel_mm is not None else stated_mm
    if pixel is None:
        header["pixel_size"] = "not stored; 1 mm assumed"
        remarks = (*remarks, "the pixel size is not stored: 1 mm is assumed (--pixel-mm says it)")
    return Scan(
        "mri",
        kspace.astype(np.complex64, copy=False),
        (kspace.shape[-2], kspace.shape[-1]),
        1.0 if pixel is None else pixel,
        mask=mask,
        header=header,
        source=source,
        pixel_assumed=pixel is None,
        remarks=remarks,
    )
