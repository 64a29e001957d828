"""The baselines by name, with defaults that work: a problem in, a `Reconstruction` of one "sample" out.

A baseline is a frozen dataclass of its settings, as a posterior method is, and says what scans it is for. The
least-squares ones weight by the noise and a model error (recon/weights.py) and stop by the discrepancy.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from ...geometry import Geometry, Grid
from ..options import Space
from ..problem import Problem, Reconstruction
from ..weights import inverse_variance, measured, measured_rays
from .admm import admm_tv
from .cgls import cgls
from .compressed import l1_wavelet, total_variation
from .fbp import fbp
from .sense import cg_sense
from .sirt import sirt
from .tv import fista_tv
from .zero_filled import zero_filled


class Baseline:
    """Base of the baselines: `problem -> Reconstruction`, without a network; a subclass is a frozen dataclass of its
    settings with an `image`, and says what the command line, tuning and benchmarks need to know (recon/methods.py).

    Attributes:
        name: as `--method`.
        line: its line in --help.
        reference: the paper.
        space: what tuning may change: setting -> least, greatest; tenfold and more in logarithms.
        suite: the options of its rows in the benchmark suites; () for none.
        title: what tables and pictures call it.
        scans: "ct", "mri" or both.
    """

    name: ClassVar[str]
    line: ClassVar[str]
    reference: ClassVar[str] = ""
    space: ClassVar[Space] = {}
    suite: ClassVar[tuple[str, ...]] = ("",)
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
        kind = problem.modality.kind
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
    """Filtered backprojection (fbp.py).

    Attributes:
        filter: window on the ramp: ramp, shepp-logan, cosine, hamming or hann.
    """

    name = "fbp"
    line = "CT: filtered backprojection; filter=ramp, shepp-logan, cosine, hamming or hann"
    title, scans = "FBP", ("ct",)
    filter: str = "ramp"

    def image(self, problem: Problem) -> Tensor:
        return fbp(problem.y, *ct_geometry(problem), self.filter, measured_rays(problem))


@dataclass(frozen=True)
class SIRT(Baseline):
    """Simultaneous iterative reconstruction (sirt.py).

    Attributes:
        iterations: at most so many.
        nonnegative: keep the image >= 0.
    """

    name = "sirt"
    line = "CT: simultaneous iterations, weighted by the noise, nonnegative"
    reference = "Gilbert, 1972"
    space: ClassVar[Space] = {"iterations": (20, 1000)}
    title, scans = "SIRT", ("ct",)
    iterations: int = 200
    nonnegative: bool = True

    def image(self, problem: Problem) -> Tensor:
        y, W, m = _least_squares(problem)
        x = _start(problem)
        return sirt(y, problem.operator, self.iterations, W, m, self.nonnegative, x)


@dataclass(frozen=True)
class CGLS(Baseline):
    """Conjugate gradients on weighted least squares (cgls.py).

    Attributes:
        iterations: at most so many; the discrepancy principle stops before.
    """

    name = "cgls"
    line = "CT: conjugate gradients on least squares, weighted by the noise"
    reference = "Hestenes & Stiefel, 1952"
    space: ClassVar[Space] = {"iterations": (3, 200)}
    title, scans = "CGLS", ("ct",)
    iterations: int = 100

    def image(self, problem: Problem) -> Tensor:
        y, W, m = _least_squares(problem)
        return cgls(y, problem.operator, self.iterations, W, m, start=_start(problem))


@dataclass(frozen=True)
class FistaTV(Baseline):
    """Total variation by FISTA (tv.py).

    Attributes:
        weight: lambda relative to max |A^H W y|: 1e-5 (clean) to 1e-1.
        iterations: of FISTA.
    """

    name = "fista-tv"
    line = "total variation by FISTA, weighted by the noise"
    reference = "Beck & Teboulle, 2009"
    space: ClassVar[Space] = {"weight": (1e-5, 0.1)}
    title, scans = "FISTA-TV", ("ct", "mri")
    weight: float = 1e-3
    iterations: int = 200

    def image(self, problem: Problem) -> Tensor:
        W, x = _noise_weights(problem), _start(problem)
        return fista_tv(problem.y, problem.operator, self.weight, self.iterations, W, start=x)


@dataclass(frozen=True)
class AdmmTV(Baseline):
    """Total variation by ADMM (admm.py).

    Attributes:
        weight: lambda relative to max |A^H W y|: 1e-5 (clean) to 1e-1.
        iterations: of ADMM.
    """

    name = "admm-tv"
    line = "the same total variation by ADMM"
    reference = "Boyd et al., 2011"
    space: ClassVar[Space] = {"weight": (1e-5, 0.1)}
    title, scans = "ADMM-TV", ("ct", "mri")
    weight: float = 1e-3
    iterations: int = 60

    def image(self, problem: Problem) -> Tensor:
        W, x = _noise_weights(problem), _start(problem)
        return admm_tv(problem.y, problem.operator, self.weight, self.iterations, W, start=x)


@dataclass(frozen=True)
class ZeroFilled(Baseline):
    """A^H y (zero_filled.py)."""

    name = "zero-filled"
    line = "MRI: missing k-space taken as zero"
    title, scans = "zero-filled", ("mri",)

    def image(self, problem: Problem) -> Tensor:
        return zero_filled(problem)


@dataclass(frozen=True)
class CGSense(Baseline):
    """Regularised least squares (sense.py).

    Attributes:
        iterations: of conjugate gradients.
        regularisation: lambda relative to the squared norm of A; auto: from the noise.
    """

    name = "cg-sense"
    line = "MRI: regularised least squares"
    reference = "Pruessmann et al., 2001"
    space: ClassVar[Space] = {"regularisation": (1e-4, 1.0), "iterations": (3, 60)}
    title, scans = "CG-SENSE", ("mri",)
    iterations: int = 30
    regularisation: float | None = None

    @property
    def automatic(self) -> dict[str, Any]:
        return {} if self.regularisation is not None else {"regularisation": "automatic, from the noise"}

    def image(self, problem: Problem) -> Tensor:
        return cg_sense(problem, self.iterations, self.regularisation)


@dataclass(frozen=True)
class L1Wavelet(Baseline):
    """Compressed sensing with wavelets (compressed.py).

    Attributes:
        weight: lambda relative to the largest magnitude of the zero-filled image.
        iterations: of FISTA.
    """

    name = "l1-wavelet"
    line = "MRI: compressed sensing with wavelets"
    reference = "Lustig et al., 2007"
    space: ClassVar[Space] = {"weight": (1e-5, 0.1)}
    title, scans = "L1-wavelet", ("mri",)
    weight: float = 1e-3
    iterations: int = 100

    def image(self, problem: Problem) -> Tensor:
        return l1_wavelet(problem, self.weight, self.iterations)


@dataclass(frozen=True)
class TotalVariation(Baseline):
    """Compressed sensing with total variation (compressed.py).

    Attributes:
        weight: lambda relative to the largest magnitude of the zero-filled image.
        iterations: of the primal-dual method.
    """

    name = "tv"
    line = "MRI: compressed sensing with total variation"
    reference = "Lustig et al., 2007"
    space: ClassVar[Space] = {"weight": (1e-5, 0.1)}
    title, scans = "TV", ("mri",)
    weight: float = 1e-3
    iterations: int = 100

    def image(self, problem: Problem) -> Tensor:
        return total_variation(problem, self.weight, self.iterations)


def _least_squares(problem: Problem) -> tuple[Tensor, Tensor, int]:
    """y where it measures something and zero elsewhere, its weights, and the misfit at which to stop (one item's)."""
    known = measured(problem)
    return known * problem.y, inverse_variance(problem), int(known[0].sum())


def _start(problem: Problem) -> Tensor | None:
    """Where rays were lost, FBP with them interpolated: iterations from zero do not fill the gaps in their number. None
    elsewhere: from zero, noise comes last."""
    return None if measured_rays(problem) is None else FBP().image(problem)


def _noise_weights(problem: Problem) -> Tensor | None:
    return None if problem.noise is None else problem.noise.weights(problem.y).expand(problem.y.shape)


BASELINES = (FBP, SIRT, CGLS, FistaTV, AdmmTV, ZeroFilled, CGSense, L1Wavelet, TotalVariation)
