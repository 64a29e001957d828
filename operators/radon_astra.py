"""The X-ray transform through ASTRA (van Aarle et al., Opt. Express 24, 25129, 2016), slice by slice.

Nothing is stored, so it serves geometries whose matrix would not fit, and as an independent check of
radon_sparse.py: both mean the same by every axis. On the CPU the adjoint is the transpose of the same
weights; ASTRA's CUDA backprojector is driven by pixels instead of rays and is the transpose only
approximately.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..geometry import FanBeam, Geometry, Grid
from .linear import LinearOperator


class RadonAstra(LinearOperator):
    """Line integrals by ASTRA: (B, H, W) [1/mm] -> (B, views, detectors) [dimensionless].

    Args:
        geometry: ParallelBeam, or FanBeam with a flat detector.
        grid: the pixels.
        kernel: "linear" on the CPU: Joseph's method for a parallel beam, exact intersection lengths
            ("line_fanflat") for a fan, the one fan kernel with a free detector position; or "cuda". Data on
            other devices are brought to the CPU and back.

    Raises:
        ValueError: for a curved detector, which ASTRA does not know, a source inside the circle around the
            grid, an unknown kernel, or "cuda" where ASTRA finds no CUDA device.
    """

    def __init__(self, geometry: Geometry, grid: Grid, kernel: str = "linear") -> None:
        super().__init__(grid.matrix, geometry.shape)
        if isinstance(geometry, FanBeam) and geometry.curved:
            raise ValueError(
                "RadonAstra: got a curved detector, expected a flat one (ASTRA has no other); "
                "use Radon(geometry, grid, backend='sparse')"
            )
        geometry.check_outside(grid)
        if kernel not in ("linear", "cuda"):
            raise ValueError(f"RadonAstra: got kernel={kernel!r}, expected 'linear' or 'cuda'")
        if kernel == "cuda" and not _import_astra().use_cuda():
            raise ValueError(
                "RadonAstra: got kernel='cuda', but ASTRA finds no CUDA device here; use kernel='linear'"
            )
        self.geometry, self.grid, self.kernel = geometry, grid, kernel

    def apply_forward(self, x: Tensor) -> Tensor:
        return self._project(x, adjoint=False)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return self._project(y, adjoint=True)

    def _project(self, x: Tensor, adjoint: bool) -> Tensor:
        source = np.ascontiguousarray(x.detach().cpu().numpy(), dtype=np.float32)
        result = np.zeros((len(source), *(self.domain if adjoint else self.range)), np.float32)
        for one, out in zip(source, result, strict=True):
            self._run(out if adjoint else one, one if adjoint else out, adjoint)
        return torch.from_numpy(result).to(x)

    def _run(self, image: np.ndarray, sinogram: np.ndarray, adjoint: bool) -> None:
        """One slice; ASTRA reads our memory and writes into the result."""
        astra = _import_astra()
        volumes, projections = _volume(self.grid), _projections(self.geometry)
        linear = "line_fanflat" if isinstance(self.geometry, FanBeam) else "linear"
        projector = astra.create_projector("cuda" if self.kernel == "cuda" else linear, projections, volumes)
        volume = astra.data2d.link("-vol", volumes, image)
        lines = astra.data2d.link("-sino", projections, sinogram)
        config = astra.astra_dict(("BP" if adjoint else "FP") + ("_CUDA" if self.kernel == "cuda" else ""))
        config["ProjectorId"], config["ProjectionDataId"] = projector, lines
        config["ReconstructionDataId" if adjoint else "VolumeDataId"] = volume
        job = astra.algorithm.create(config)
        try:
            astra.algorithm.run(job)
        finally:
            astra.algorithm.delete(job)
            astra.data2d.delete([volume, lines])
            astra.projector.delete(projector)


def _import_astra() -> Any:
    import astra

    return astra


def _volume(grid: Grid) -> dict[str, Any]:
    H, W = grid.matrix
    x, y = 0.5 * W * grid.pixel, 0.5 * H * grid.pixel
    return _import_astra().create_vol_geom(H, W, -x, x, -y, y)


def _projections(geometry: Geometry) -> dict[str, Any]:
    """ASTRA's vector geometry, per view: ray (or source), centre of the detector, step of one element."""
    theta = np.asarray(geometry.angles)
    u = np.stack([np.cos(theta), np.sin(theta)], 1)
    d = np.stack([-u[:, 1], u[:, 0]], 1)
    centre = -geometry.offset * geometry.spacing * u  # of the detector, seen from the rotation axis' shadow
    if isinstance(geometry, FanBeam):
        kind, first = "fanflat_vec", -geometry.source_origin * d
        centre = centre + (geometry.source_detector - geometry.source_origin) * d
    else:
        kind, first = "parallel_vec", d
    vectors = np.concatenate([first, centre, geometry.spacing * u], 1)
    return _import_astra().create_proj_geom(kind, geometry.detectors, vectors)
