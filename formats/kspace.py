"""Cartesian k-space on its grid: what was measured, and the removal of readout oversampling."""

from __future__ import annotations

import numpy as np


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
