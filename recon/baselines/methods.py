"""The baselines by name, with defaults that work: a problem in, a `Reconstruction` of one "sample" out.

A baseline is a frozen dataclass of its settings, as a posterior method is, and says what scans it is for. The
least-squares ones weight by the noise and a model error (weights.py) and stop by the discrepancy.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ...geometry import Geometry, Grid
from ..problem import Problem, Reconstruction
from .admm import admm_tv
from .cgls import cgls
from .compressed import l1_wavelet, total_variation
from .fbp import fbp
from .sense import cg_sense
from .sirt import sirt
from .tv import fista_tv
from .weights import inverse_variance, measured_rays, measurements
from .zero_filled import zero_filled


class Baseline:
    """Base of the baselines: `problem -> Reconstruction`, without a network.

    Attributes:
        title: what tables and pictures call it.
        scans: "ct", "mri" or both.
    """

    title: ClassVar[str]
    scans: ClassVar[tuple[str, ...]]

    def image(self, problem: Problem) -> Tensor:
        """The reconstruction (B, H, W), in physical units. Raises ValueError for a problem that it is not for."""
        raise NotImplementedError

    @property
    def settings(self) -> dict[str, Any]:
        """Name and settings, JSON-able."""
        fields = dataclasses.asdict(self) if dataclasses.is_dataclass(self) else {}  # type: ignore[call-overload]
        return {"method": self.title, **fields}

    @property
    def automatic(self) -> dict[str, Any]:
        """The settings that are left to the method, in words."""
        return {}

    def __call__(self, problem: Problem) -> Reconstruction:
        """Raises ValueError for another modality's problem."""
        kind = "mri" if problem.operator.domain_complex else "ct"
        if kind not in self.scans:
            known = ", ".join(method.title for method in BASELINES if kind in method.scans)
            raise ValueError(
                f"{self.title} reconstructs {self.scans[0].upper()}, the scan is {kind.upper()}; "
                f"for {kind.upper()} there are {known}"
            )
        began, problem = time.perf_counter(), problem.in_own_unit()
        image = self.image(problem).cpu()
        provenance = {**self.settings, **self.automatic}
        return Reconstruction.of(problem, image[:, None], 0, time.perf_counter() - began, provenance)


def ct_geometry(problem: Problem) -> tuple[Geometry, Grid]:
    """The geometry and the pixels of a CT problem. Raises ValueError for an operator without."""
    geometry, grid = (getattr(problem.operator, name, None) for name in ("geometry", "grid"))
    if not isinstance(geometry, Geometry) or not isinstance(grid, Grid):
        raise ValueError(f"FBP needs the geometry of a CT scan, {problem.operator!r} has none")
    return geometry, grid


@dataclass(frozen=True)
class FBP(Baseline):
    title, scans = "FBP", ("ct",)
    filter: str = "ramp"

    def image(self, problem: Problem) -> Tensor:
        return fbp(problem.y, *ct_geometry(problem), self.filter, measured_rays(problem))


@dataclass(frozen=True)
class SIRT(Baseline):
    title, scans = "SIRT", ("ct",)
    iterations: int = 200
    nonnegative: bool = True

    def image(self, problem: Problem) -> Tensor:
        W, m = inverse_variance(problem), measurements(problem)
        x = _start(problem)
        return sirt(problem.y, problem.operator, self.iterations, W, m, self.nonnegative, x)


@dataclass(frozen=True)
class CGLS(Baseline):
    title, scans = "CGLS", ("ct",)
    iterations: int = 20

    def image(self, problem: Problem) -> Tensor:
        W, m = inverse_variance(problem), measurements(problem)
        return cgls(problem.y, problem.operator, self.iterations, W, m, start=_start(problem))


@dataclass(frozen=True)
class FistaTV(Baseline):
    title, scans = "FISTA-TV", ("ct", "mri")
    weight: float = 1e-3
    iterations: int = 200

    def image(self, problem: Problem) -> Tensor:
        W, x = _noise_weights(problem), _start(problem)
        return fista_tv(problem.y, problem.operator, self.weight, self.iterations, W, start=x)


@dataclass(frozen=True)
class AdmmTV(Baseline):
    title, scans = "ADMM-TV", ("ct", "mri")
    weight: float = 1e-3
    iterations: int = 60

    def image(self, problem: Problem) -> Tensor:
        W, x = _noise_weights(problem), _start(problem)
        return admm_tv(problem.y, problem.operator, self.weight, self.iterations, W, start=x)


@dataclass(frozen=True)
class ZeroFilled(Baseline):
    title, scans = "zero-filled", ("mri",)

    def image(self, problem: Problem) -> Tensor:
        return zero_filled(problem)


@dataclass(frozen=True)
class CGSense(Baseline):
    title, scans = "CG-SENSE", ("mri",)
    iterations: int = 30
    regularisation: float = 0.0

    @property
    def automatic(self) -> dict[str, Any]:
        return {} if self.regularisation else {"regularisation": "automatic, from the noise"}

    def image(self, problem: Problem) -> Tensor:
        return cg_sense(problem, self.iterations, self.regularisation or None)


@dataclass(frozen=True)
class L1Wavelet(Baseline):
    title, scans = "L1-wavelet", ("mri",)
    weight: float = 1e-3
    iterations: int = 100

    def image(self, problem: Problem) -> Tensor:
        return l1_wavelet(problem, self.weight, self.iterations)


@dataclass(frozen=True)
class TotalVariation(Baseline):
    title, scans = "TV", ("mri",)
    weight: float = 1e-3
    iterations: int = 100

    def image(self, problem: Problem) -> Tensor:
        return total_variation(problem, self.weight, self.iterations)


def _start(problem: Problem) -> Tensor | None:
    """Where rays were lost, FBP with them interpolated: iterations from zero do not fill the gaps in their number. None
    elsewhere: from zero, noise comes last."""
    return None if measured_rays(problem) is None else FBP().image(problem)


def _noise_weights(problem: Problem) -> Tensor | None:
    return None if problem.noise is None else problem.noise.weights(problem.y).expand(problem.y.shape)


BASELINES = (FBP, SIRT, CGLS, FistaTV, AdmmTV, ZeroFilled, CGSense, L1Wavelet, TotalVariation)
