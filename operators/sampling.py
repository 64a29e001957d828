"""Which positions of k-space are measured: seeded masks, (ky, kx) bool, True = measured, zero frequency at
floor(n/2).

The 1-D masks leave out whole columns: the phase encoding is the last axis, kx (fastMRI's convention). Every
mask has a fully sampled centre for the coil calibration. `acceleration` always means the number of all
positions over that of the measured ones, except in `equispaced`, where (as in fastMRI) it is the spacing of
the lines outside the centre and the achieved acceleration is lower: about 1/(center_fraction + (1 -
center_fraction)/acceleration), e.g. 3.2 for x4 with 8 %. `achieved_acceleration` measures it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

GOLDEN_ANGLE = math.pi * (math.sqrt(5) - 1) / 2  # 111.25 degrees


def equispaced(
    shape: Sequence[int], acceleration: int, center_fraction: float = 0.08, seed: int = 0
) -> Tensor:
    """Every `acceleration`-th column from a random first one, and the centre (Zbontar et al. 2018,
    1811.08839).

    Args:
        shape: (ky, kx).
        acceleration: spacing of the columns; the centre comes on top.
        center_fraction: part of the columns in the fully sampled centre.
        seed: of the first column.
    """
    _check(shape, acceleration, center_fraction)
    if acceleration != int(acceleration):
        raise ValueError(
            f"got acceleration={acceleration}, equispaced lines need an integer; use random_lines"
        )
    columns = _centre(shape[1], center_fraction)
    columns[np.random.default_rng(seed).integers(int(acceleration)) :: int(acceleration)] = True
    return _lines(columns, shape)


def random_lines(
    shape: Sequence[int], acceleration: float, center_fraction: float = 0.08, seed: int = 0
) -> Tensor:
    """The centre and columns drawn uniformly without replacement: round(kx/acceleration) in all, exactly."""
    _check(shape, acceleration, center_fraction)
    columns = _centre(shape[1], center_fraction)
    return _lines(_draw(columns, np.zeros(shape[1]), acceleration, seed), shape)


def gaussian_lines(
    shape: Sequence[int],
    acceleration: float,
    center_fraction: float = 0.08,
    seed: int = 0,
    width: float = 1 / 6,
) -> Tensor:
    """The centre and columns drawn without replacement from a normal density around it:
    round(kx/acceleration) in all.

    Args:
        width: standard deviation of the density, in parts of the matrix.
    """
    _check(shape, acceleration, center_fraction)
    columns = _centre(shape[1], center_fraction)
    return _lines(_draw(columns, -0.5 * (_axis(shape[1]) / width) ** 2, acceleration, seed), shape)


def gaussian_2d(
    shape: Sequence[int],
    acceleration: float,
    center_fraction: float = 0.08,
    seed: int = 0,
    width: float = 1 / 6,
) -> Tensor:
    """The centre square and single positions drawn without replacement from a 2-D normal density:
    round(ky kx/acceleration) in all. `center_fraction` is the square's side, in parts of each axis."""
    _check(shape, acceleration, center_fraction**2)
    mask = _centre(shape[0], center_fraction)[:, None] & _centre(shape[1], center_fraction)
    radius2 = _axis(shape[0])[:, None] ** 2 + _axis(shape[1]) ** 2
    return torch.from_numpy(_draw(mask, -0.5 * radius2 / width**2, acceleration, seed))


def poisson_disc(
    shape: Sequence[int],
    acceleration: float,
    center_fraction: float = 0.08,
    seed: int = 0,
    slope: float = 2.0,
    tolerance: float = 0.02,
) -> Tensor:
    """Variable-density Poisson disc: no two positions closer than a distance that grows with the frequency
    (Bridson 2007 names the discs; here darts are thrown at all positions in random order, which fills the
    plane completely).

    Args:
        center_fraction: side of the centre square, in parts of each axis.
        slope: the distance at the edge of k-space is 1 + slope times that at the centre.
        tolerance: how far the achieved acceleration may be from the wanted one, relative.

    Raises:
        ValueError: if no scale of the discs meets the acceleration.
    """
    _check(shape, acceleration, center_fraction**2)
    centre = _centre(shape[0], center_fraction)[:, None] & _centre(shape[1], center_fraction)
    radius = 2 * np.sqrt(_axis(shape[0])[:, None] ** 2 + _axis(shape[1]) ** 2)  # 1 at the edge of an axis
    order = np.random.default_rng(seed).permutation(centre.size)
    low, high, mask = 0.0, float(max(shape)), centre
    for _ in range(24):
        scale = (low + high) / 2
        mask = centre | _throw_darts(scale * (1 + slope * radius) / (1 + slope), order)
        achieved = mask.size / mask.sum()
        if abs(achieved / acceleration - 1) <= tolerance:
            return torch.from_numpy(mask)
        low, high = (scale, high) if achieved < acceleration else (low, scale)
    raise ValueError(
        f"poisson_disc: the nearest to acceleration {acceleration} was {mask.size / mask.sum():.2f} at "
        f"{tuple(shape)}; raise the tolerance or lower the slope or center_fraction"
    )


def radial(shape: Sequence[int], acceleration: float, center_fraction: float = 0.08, seed: int = 0) -> Tensor:
    """Spokes through the centre of k-space, each turned by the golden angle pi (sqrt 5 - 1) / 2 against the one before
    it (Winkelmann et al., IEEE Trans. Med. Imaging 26, 68, 2007), rounded to the Cartesian grid: radial sampling
    without gridding, whose samples lie where the FFT has them.

    A spoke has max(ky, kx) samples at the Nyquist distance, reaches the edge of k-space in every direction (half the
    matrix, so that the corners are never measured), and is symmetric about the zero frequency. There are as many
    spokes as bring the number of measured positions nearest to ky kx/acceleration, half a spoke off at most.

    Args:
        center_fraction: side of the fully sampled centre, in parts of each axis.
        seed: of the first angle.

    Raises:
        ValueError: if the centre alone has more positions than the acceleration allows, or the spokes cannot fill as
            much as it asks for (below about 4/pi).
    """
    _check(shape, acceleration, center_fraction**2)
    mask = _centre(shape[0], center_fraction)[:, None] & _centre(shape[1], center_fraction)
    wanted = mask.size / acceleration
    if mask.sum() > wanted:
        raise _too_large_a_centre(mask, acceleration)
    angle, before = np.random.default_rng(seed).uniform(0, math.pi), mask
    for _ in range(8 * max(shape)):
        before, mask = mask, mask | _spoke(shape, angle)
        if mask.sum() >= wanted:
            nearer = before if wanted - before.sum() < mask.sum() - wanted else mask
            return torch.from_numpy(nearer)
        angle += GOLDEN_ANGLE
    raise ValueError(
        f"radial: got acceleration={acceleration}, but spokes do not reach the corners of k-space; the least at "
        f"{tuple(shape)} is {mask.size / mask.sum():.2f}"
    )


def achieved_acceleration(mask: Tensor) -> float:
    """All positions over measured ones."""
    return mask.numel() / int(mask.sum())


def _check(shape: Sequence[int], acceleration: float, centre: float) -> None:
    if len(shape) != 2:
        raise ValueError(f"got shape {tuple(shape)}, expected (ky, kx)")
    if acceleration < 1:
        raise ValueError(f"got acceleration={acceleration}, expected at least 1")
    if not 0 <= centre <= 1:
        raise ValueError(f"got a centre of {centre} of k-space, expected 0 to 1")


def _axis(n: int) -> np.ndarray:
    """Frequencies in parts of the matrix: (n,), -1/2 to 1/2."""
    return (np.arange(n) - n // 2) / n


def _centre(n: int, fraction: float) -> np.ndarray:
    """(n,) bool: the round(n fraction) positions around the zero frequency."""
    count = round(n * fraction)
    centre = np.zeros(n, bool)
    centre[n // 2 - count // 2 : n // 2 - count // 2 + count] = True
    return centre


def _lines(columns: np.ndarray, shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(np.repeat(columns[None], shape[0], 0))


def _draw(mask: np.ndarray, log_density: np.ndarray, acceleration: float, seed: int) -> np.ndarray:
    """Add positions without replacement (Gumbel top-k) until size/acceleration are measured."""
    missing = round(mask.size / acceleration) - int(mask.sum())
    if missing < 0:
        raise _too_large_a_centre(mask, acceleration)
    keys = np.where(mask, -np.inf, log_density + np.random.default_rng(seed).gumbel(size=mask.shape))
    drawn = mask.copy()
    drawn.flat[np.argsort(keys, axis=None)[mask.size - missing :]] = True
    return drawn


def _too_large_a_centre(mask: np.ndarray, acceleration: float) -> ValueError:
    return ValueError(
        f"the centre alone has {int(mask.sum())} of {mask.size} positions, more than acceleration "
        f"{acceleration} allows; lower center_fraction"
    )


def _spoke(shape: Sequence[int], angle: float) -> np.ndarray:
    """(ky, kx) bool: a spoke of both directions, symmetric about the zero frequency, as an even axis' last negative
    frequency, which has no opposite, is left out."""
    ny, nx = shape
    r = np.arange(max(shape) // 2 + 1) / max(shape)  # 0 to 1/2, in parts of the matrix
    ky, kx = np.rint(r * ny * math.sin(angle)).astype(int), np.rint(r * nx * math.cos(angle)).astype(int)
    inside = (np.abs(ky) <= (ny - 1) // 2) & (np.abs(kx) <= (nx - 1) // 2)
    ky, kx = ky[inside], kx[inside]
    spoke = np.zeros((ny, nx), bool)
    for sign in (1, -1):
        spoke[ny // 2 + sign * ky, nx // 2 + sign * kx] = True
    return spoke


def _throw_darts(distance: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Positions in the given order, each taken unless it lies nearer to a taken one than that one's
    `distance`."""
    H, W = distance.shape
    taken, blocked = np.zeros((H, W), bool), np.zeros((H, W), bool)
    reach = np.ceil(distance).astype(int) - 1
    largest = int(reach.max())
    offset2 = np.arange(-largest, largest + 1)[:, None] ** 2 + np.arange(-largest, largest + 1) ** 2
    for position in order:
        i, j = divmod(int(position), W)
        if blocked[i, j]:
            continue
        taken[i, j] = True
        r = int(reach[i, j])
        if r > 0:
            top, bottom, left, right = max(i - r, 0), min(i + r + 1, H), max(j - r, 0), min(j + r + 1, W)
            near = offset2[top - i + largest : bottom - i + largest, left - j + largest : right - j + largest]
            blocked[top:bottom, left:right] |= near < distance[i, j] ** 2
    return taken
