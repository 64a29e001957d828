"""The CT operator by name, with or without gaps, and data simulated with another discretisation than the
reconstruction's.

`Radon` is a function that picks the projector; both projectors mean the same by every axis (geometry.py), and
their images are attenuation [1/mm], their line integrals dimensionless.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..geometry import Geometry, Grid
from .linear import LinearOperator
from .radon_sparse import RadonSparse, joseph_matrix, multiply, to_torch

if TYPE_CHECKING:
    from .radon_astra import RadonAstra

_VIEWS_AT_ONCE = 8  # of the fine matrix in `simulate_sinogram`


def Radon(
    geometry: Geometry, grid: Grid, backend: str = "auto", valid: Tensor | None = None
) -> LinearOperator:
    """Line integrals: (B, H, W) [1/mm] -> (B, views, detectors).

    Args:
        geometry: ParallelBeam or FanBeam.
        grid: the pixels.
        backend: "sparse" (stored matrix, exact adjoint, any geometry), "astra" (computed on the fly: slower,
            but without the matrix's memory), or "auto", the sparse one.
        valid: (views, detectors) bool, True where a ray was measured; the others measure nothing, which is zero.
            None: all were.

    Raises:
        ValueError: for an unknown backend, a source inside the grid, a curved detector with ASTRA, or a `valid` of
            another shape or type.
    """
    if backend in ("auto", "sparse"):
        operator = RadonSparse(geometry, grid)
    elif backend == "astra":
        from .radon_astra import RadonAstra

        operator = RadonAstra(geometry, grid)
    else:
        raise ValueError(f"Radon: got backend={backend!r}, expected 'auto', 'sparse' or 'astra'")
    return operator if valid is None else RadonWithGaps(operator, valid)


class RadonWithGaps(LinearOperator):
    """V A: line integrals of which some rays were lost (metal, dead elements), V = diag(valid).

    Args:
        operator: A, with its geometry and grid.
        valid: (views, detectors) bool, True where measured; for all items of a batch.

    Raises:
        ValueError: for a `valid` of another shape or type.
    """

    def __init__(self, operator: RadonSparse | RadonAstra, valid: Tensor) -> None:
        if tuple(valid.shape) != operator.range or valid.dtype != torch.bool:
            raise ValueError(
                f"Radon: got valid of shape {tuple(valid.shape)} and {valid.dtype}, expected bool {operator.range} "
                "(views, detectors), True where a ray was measured"
            )
        super().__init__(operator.domain, operator.range)
        self.operator, self.geometry, self.grid = operator, operator.geometry, operator.grid
        self.valid: Tensor
        self.register_buffer("valid", valid, persistent=False)

    def apply_forward(self, x: Tensor) -> Tensor:
        return self.valid * self.operator.apply_forward(x)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return self.operator.apply_adjoint(self.valid * y)

    def filled(self, y: Tensor) -> tuple[LinearOperator, Tensor]:
        """Lost rays interpolated along the detector (`fill_gaps`), but for views without any."""
        views = self.valid.any(1, keepdim=True).expand(self.range)
        return RadonWithGaps(self.operator, views), fill_gaps(y, self.valid)


def fill_gaps(sinogram: Tensor, valid: Tensor) -> Tensor:
    """Lost rays, interpolated linearly between the next measured ones on both sides in the same view. Beyond the
    detector's ends there are zeros, so that a view without any measured ray is zero.

    Args:
        sinogram: (B, views, detectors).
        valid: (views, detectors) bool, True where measured.

    Raises:
        ValueError: for a `valid` of another shape.
    """
    if valid.shape != sinogram.shape[1:]:
        raise ValueError(
            f"fill_gaps: got valid of shape {tuple(valid.shape)}, expected {tuple(sinogram.shape[1:])}: (views, "
            "detectors)"
        )
    y = torch.nn.functional.pad(sinogram, (1, 1))
    known = torch.nn.functional.pad(valid, (1, 1), value=True)
    n = known.shape[-1]
    k = torch.arange(n, device=y.device).expand_as(known)
    left = torch.where(known, k, 0).cummax(-1).values
    right = torch.where(known, k, n - 1).flip(-1).cummin(-1).values.flip(-1)
    part = ((k - left) / (right - left).clamp_min(1)).to(y.dtype)
    before, after = (y.gather(-1, index.expand_as(y)) for index in (left, right))
    return torch.lerp(before, after, part.expand_as(y))[..., 1:-1]


def simulate_sinogram(image: Tensor, geometry: Geometry, grid: Grid, oversample: int = 2) -> Tensor:
    """Clean line integrals of a piecewise constant object, from finer pixels and finer detector elements.

    Every pixel and every element is cut into `oversample` parts, and the parts of an element are averaged
    (the mean of the line integrals, not of the intensities): data that the reconstruction's own operator did
    not make.

    Args:
        image: (B, H, W) attenuation [1/mm] on `grid`.
        geometry: of the measurement wanted.
        grid: of the image.
        oversample: 1 or more; 1 gives `RadonSparse`'s own data.

    Returns:
        (B, views, detectors) in the image's precision.

    Raises:
        ValueError: for a wrong shape, complex data or oversample < 1.
    """
    if image.ndim != 3 or tuple(image.shape[1:]) != grid.matrix or image.is_complex():
        raise ValueError(
            f"simulate_sinogram: got an image of shape {tuple(image.shape)} and type {image.dtype}, expected "
            f"real (batch, {grid.matrix[0]}, {grid.matrix[1]})"
        )
    if oversample < 1:
        raise ValueError(f"simulate_sinogram: got oversample={oversample}, expected at least 1")
    fine = image.repeat_interleave(oversample, 1).repeat_interleave(oversample, 2)
    fine_grid, parts = grid.refine(oversample), []
    for first in range(0, geometry.views, _VIEWS_AT_ONCE):
        part = geometry.subset(slice(first, first + _VIEWS_AT_ONCE)).refine(oversample)
        matrix = joseph_matrix(part, fine_grid)
        lines = multiply(
            tuple(t.to(image.device) for t in to_torch(matrix)), part.shape, fine
        )  # (B, views of the part * fine elements)
        parts.append(lines.view(len(image), part.views, geometry.detectors, oversample).mean(-1))
    return torch.cat(parts, 1)
