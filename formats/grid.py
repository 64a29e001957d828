"""One grid for a training pack: square pixels, one matrix, nothing finer than was measured.

An image of H x W pixels of dy x dx mm gets pixels of

    p = max(H dy / n, W dx / n, dy, dx)  [mm]

on a matrix of n x n: the finest size at which its whole field of view fits, and never finer than its own pixels.
Each new pixel is the mean over its area: 512 pixels on n = 256 are exact 2 x 2 means. A smaller field of view
is centred on the matrix; its extent says where the image ends.
"""

from __future__ import annotations

import numpy as np

from .scan import FormatError

_SAME = 0.01  # relative difference of pixel sizes that does not matter


def to_grid(
    image: np.ndarray, spacing: tuple[float, float], matrix: int, fill: float, pixel_mm: float | None = None
) -> tuple[np.ndarray, float, tuple[int, int]]:
    """An image on the pack's grid.

    Args:
        image: (H, W) float32 or complex64.
        spacing: (dy, dx) [mm].
        matrix: n.
        fill: value beyond the image.
        pixel_mm: side of the new pixels [mm]; by default p as above. A field of view that does not fit is cut.

    Returns:
        (n, n) of the same type; the pixels' side [mm]; the image's extent (rows, columns), centred.

    Raises:
        FormatError: pixels coarser than `pixel_mm`, or an image that covers less than half of the matrix.
    """
    (height, width), (dy, dx) = image.shape, spacing
    side = pixel_mm or max(height * dy / matrix, width * dx / matrix, dy, dx)
    if max(dy, dx) > (1 + _SAME) * side:
        raise FormatError(f"coarse pixels: {max(dy, dx):.3g} mm, coarser than the {side:.3g} mm asked for")
    shape = tuple(
        n if abs(d / side - 1) <= _SAME else max(1, round(n * d / side))
        for n, d in ((height, dy), (width, dx))
    )
    if max(shape) < matrix / 2:
        raise FormatError(
            f"small image: {shape[0]} x {shape[1]} pixels, less than half of the matrix of {matrix}"
        )
    small = _mean(image, shape)
    extent = (min(shape[0], matrix), min(shape[1], matrix))
    out = np.full((matrix, matrix), fill, image.dtype)
    out[middle(matrix, extent[0]), middle(matrix, extent[1])] = small[
        middle(shape[0], extent[0]), middle(shape[1], extent[1])
    ]
    return out, side, extent


def middle(n: int, keep: int) -> slice:
    """The `keep` central of n pixels; the origin n // 2 stays the origin keep // 2."""
    start = n // 2 - keep // 2
    return slice(start, start + keep)


def _mean(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The mean over each new pixel's area."""
    if image.shape == shape:
        return image
    if np.iscomplexobj(image):
        return (_mean(np.real(image), shape) + 1j * _mean(np.imag(image), shape)).astype(np.complex64)
    from skimage.transform import resize_local_mean

    return resize_local_mean(image.astype(np.float32), shape, preserve_range=True).astype(np.float32)
