"""The X-ray transform as a sparse matrix: any 2-D rays, on CPU and CUDA, with an exactly matched adjoint.

Joseph's method (P. M. Joseph, IEEE Trans. Med. Imaging 1, 192, 1982): a ray steps along the axis it is most
aligned with, pixel by pixel; at each step the image is interpolated linearly between the two nearest pixels
of the other axis and weighted with the length of the step,

    (A x)_r = sum_k l_r ((1 - f_rk) x[k, n_rk] + f_rk x[k, n_rk + 1]),      l_r = pixel / |main_r|,

where n_rk + f_rk (whole part and fraction) is the ray's position on the other axis and main_r its direction's
component along the stepping axis. Outside the grid the image is zero. A and its transpose are both stored
(CSR), so that both directions run at the same speed.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from ..geometry import Geometry, Grid
from .linear import LinearOperator

_FORWARD = ("crow", "col", "value")  # CSR of A: where rows start, columns, values
_ADJOINT = ("crow_t", "col_t", "value_t")  # of its transpose
_CHUNK = 1 << 20  # ray-steps built at once: bounds the memory of the temporaries to some 60 MB


class RadonSparse(LinearOperator):
    """Line integrals through a stored matrix: (B, H, W) [1/mm] -> (B, views, detectors) [dimensionless].

    Memory is 16 bytes for each of about 1.3 * views * detectors * max(H, W) entries (512 x 512, 23 views: 175
    MB); the last two matrices built are kept on the CPU and shared between operators of equal geometry.

    Raises:
        ValueError: when the source lies inside the circle around the grid.
    """

    def __init__(self, geometry: Geometry, grid: Grid) -> None:
        super().__init__(grid.matrix, geometry.shape)
        self.geometry, self.grid = geometry, grid
        for name, tensor in zip(_FORWARD + _ADJOINT, _both_directions(geometry, grid), strict=True):
            self.register_buffer(name, tensor, persistent=False)

    def apply_forward(self, x: Tensor) -> Tensor:
        matrix = tuple(self.get_buffer(name) for name in _FORWARD)
        return multiply(matrix, self.range, x)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        matrix = tuple(self.get_buffer(name) for name in _ADJOINT)
        return multiply(matrix, self.domain, y)


def joseph_matrix(geometry: Geometry, grid: Grid) -> csr_array:
    """The matrix of the module docstring: (views * detectors, H * W) float32 [mm], rows ordered view by view.

    Raises:
        ValueError: when the source lies inside the circle around the grid.
    """
    geometry.check_outside(grid)
    H, W = grid.matrix
    origin, direction = (part.reshape(-1, 2) for part in geometry.rays())
    # in pixel coordinates: columns to the right, rows downwards
    start_col, start_row = origin[:, 0] / grid.pixel + (W - 1) / 2, (H - 1) / 2 - origin[:, 1] / grid.pixel
    d_col, d_row = direction[:, 0], -direction[:, 1]
    by_column = np.abs(d_col) >= np.abs(d_row)  # the stepping axis
    main, other = np.where(by_column, d_col, d_row), np.where(by_column, d_row, d_col)
    slope = other / main
    first = np.where(by_column, start_row - slope * start_col, start_col - slope * start_row)  # p at step 0
    n_main, n_other = np.where(by_column, W, H), np.where(by_column, H, W)
    stride_main, stride_other = np.where(by_column, 1, W), np.where(by_column, W, 1)
    length = grid.pixel / np.abs(main)

    steps = np.arange(max(H, W))
    columns, values, counts = [], [], []
    rays_at_once = max(1, _CHUNK // len(steps))
    for begin in range(0, len(main), rays_at_once):
        part = np.s_[begin : begin + rays_at_once, None]
        p = first[part] + slope[part] * steps  # (rays, steps)
        lower = np.floor(p)
        fraction = (p - lower).astype(np.float32)
        # two neighbours of each step, next to one another: (rays, steps, 2)
        value = np.stack([1 - fraction, fraction], axis=-1) * length[part].astype(np.float32)[..., None]
        lower = lower.clip(-2, n_other[part]).astype(np.int32)
        index = (stride_main[part] * steps + stride_other[part] * lower).astype(np.int32)
        column = np.stack([index, index + stride_other[part].astype(np.int32)], axis=-1)
        inside = np.stack([lower >= 0, lower >= -1], axis=-1)
        inside[..., 0] &= lower < n_other[part]
        inside[..., 1] &= lower < n_other[part] - 1
        inside &= (steps < n_main[part])[..., None]
        columns.append(column[inside])
        values.append(value[inside])
        counts.append(inside.sum(axis=(1, 2)))
    column, value = np.concatenate(columns), np.concatenate(values)
    kind = np.int32 if len(value) < 2**31 else np.int64
    crow = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(kind)
    return csr_array((value, column.astype(kind, copy=False), crow), shape=(len(main), H * W))


@lru_cache(maxsize=2)
def _both_directions(geometry: Geometry, grid: Grid) -> tuple[Tensor, ...]:
    """Row starts, columns and values of A, then of its transpose."""
    matrix = joseph_matrix(geometry, grid)
    return to_torch(matrix) + to_torch(csr_array(matrix.T))


def to_torch(matrix: csr_array) -> tuple[Tensor, ...]:
    """Row starts, columns and values, sharing the matrix's memory."""
    return tuple(torch.from_numpy(a) for a in (matrix.indptr, matrix.indices, matrix.data))


def multiply(csr: tuple[Tensor, ...], shape: tuple[int, ...], x: Tensor) -> Tensor:
    """M x for every item: (B, ...) -> (B, *shape), in x's precision; `csr` from `to_torch`.

    A single item is a matrix of one column, too: the product of a matrix and a vector sums in another order, and an
    item's result would depend on whether it has company."""
    crow, col, value = csr
    flat = x.reshape(len(x), -1).to(value.dtype)  # (B, n)
    size = (len(crow) - 1, flat.shape[1])
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="Sparse CSR tensor support is in beta", category=UserWarning
        )
        matrix = torch.sparse_csr_tensor(crow, col, value, size=size, check_invariants=False)
    out = (matrix @ flat.T.contiguous()).T.contiguous()
    return out.view(len(x), *shape).to(x.dtype)
