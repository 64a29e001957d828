"""Compressed sensing (Lustig, Donoho & Pauly, MRM 2007), slice by slice, by sigpy:

    min_x ½ ||A x - y||² + lambda ||Psi x||_1,

    l1_wavelet       Psi: Daubechies wavelets of two vanishing moments; FISTA with the step 1/||A||². Every
                     iteration moves the wavelets' grid at random (Figueiredo & Nowak, IEEE TIP 2003), as BART's
                     `pics` does: on average Psi knows no place; 1.1 dB over a grid at rest (T1, x4)
    total_variation  Psi: the two finite differences (anisotropic, circular); primal-dual hybrid gradient

lambda = weight * max |A^H y|: y is divided by the largest magnitude of the zero-filled image before and the result
multiplied by it after, so that one weight serves scans of any scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor

from ...modality import Modality
from ...operators.mri import CartesianMRI
from ..options import Space
from ..problem import Problem
from .method import Baseline

_MARGIN = 1.05  # on ||A||², as the power method comes from below
_SHIFTS = 32  # the width of a wavelet of the fifth level
_DUAL_STEP = 0.03  # for images of size 1; sigpy's 1 is far from the end after 100 iterations (19 dB for 39)


@torch.no_grad()
def l1_wavelet(problem: Problem, weight: float = 1e-3, iterations: int = 100) -> Tensor:
    """Every item of the batch by itself, on the CPU.

    Args:
        problem: of a `CartesianMRI` operator, whose mask and maps are used.
        weight: lambda relative to the largest magnitude of the zero-filled image.
        iterations: of FISTA.

    Returns:
        (B, H, W) complex64 on the device of y, in the units of k-space.

    Raises:
        ValueError: for another operator, a negative weight or no iterations.
    """
    return _by_sigpy("l1_wavelet", _wavelet, problem, weight, iterations)


@torch.no_grad()
def total_variation(problem: Problem, weight: float = 1e-3, iterations: int = 100) -> Tensor:
    """Every item of the batch by itself, on the CPU. Arguments, result and errors as `l1_wavelet`."""
    return _by_sigpy("total_variation", _variation, problem, weight, iterations)


def _wavelet(
    y: np.ndarray, maps: np.ndarray, mask: np.ndarray, weight: float, norm: float, iterations: int
) -> Any:
    """The app for data of one slice; `norm`: at least ||A||²."""
    import sigpy
    from sigpy.mri.linop import Sense

    class RandomShift(sigpy.prox.Prox):
        """A proximal operator on the image moved by up to the coarsest wavelet, and moved back."""

        def __init__(self, prox: Any) -> None:
            super().__init__(prox.shape)
            self.prox, self.random = prox, np.random.default_rng(0)

        def _prox(self, alpha: float, image: np.ndarray) -> np.ndarray:
            row, column = self.random.integers(0, _SHIFTS, 2)
            moved = self.prox(alpha, np.roll(image, (row, column), (0, 1)))
            return np.roll(moved, (-row, -column), (0, 1))

    Psi = sigpy.linop.Wavelet(maps.shape[1:], wave_name="db2")
    prox = sigpy.prox.UnitaryTransform(sigpy.prox.L1Reg(Psi.oshape, weight), Psi)
    return sigpy.app.LinearLeastSquares(
        Sense(maps, weights=mask),
        mask * y,
        proxg=RandomShift(prox),
        alpha=1 / norm,
        max_iter=iterations,
        show_pbar=False,
    )


def _variation(
    y: np.ndarray, maps: np.ndarray, mask: np.ndarray, weight: float, norm: float, iterations: int
) -> Any:
    """As `_wavelet`."""
    from sigpy.mri.app import TotalVariationRecon

    tau = 1 / (_DUAL_STEP * (norm + 8))  # ||Psi||² <= 8
    return TotalVariationRecon(
        y, maps, weight, weights=mask, max_iter=iterations, show_pbar=False, sigma=_DUAL_STEP, tau=tau
    )


def _by_sigpy(what: str, app: Callable[..., Any], problem: Problem, weight: float, iterations: int) -> Tensor:
    A = problem.operator
    if not isinstance(A, CartesianMRI):
        raise ValueError(f"{what}: got {A!r}, expected a CartesianMRI operator; use fista_tv for others")
    if weight < 0 or iterations < 1:
        raise ValueError(f"{what}: got weight={weight}, iterations={iterations}; expected at least 0 and 1")
    images = []
    for b in range(len(problem.y)):
        item = cast(CartesianMRI, A.items(slice(b, b + 1)))
        y = problem.y[b : b + 1]
        scale = item.adjoint(y).abs().max()
        if scale == 0:  # nothing was measured
            images.append(torch.zeros(item.domain, dtype=torch.complex64))
            continue
        maps, mask = item.maps.view(item.range), item.mask.view(item.domain).float()
        arrays = ((y[0] / scale).cpu().numpy(), maps.cpu().numpy(), mask.cpu().numpy())
        image = app(*arrays, weight, _MARGIN * item.norm() ** 2, iterations).run()
        images.append(torch.from_numpy(image) * scale.cpu())
    return torch.stack(images).to(problem.y.device)


@dataclass(frozen=True)
class L1Wavelet(Baseline):
    """Compressed sensing with wavelets.

    Attributes:
        weight: lambda relative to the largest magnitude of the zero-filled image.
        iterations: of FISTA.
    """

    name = "l1-wavelet"
    line = "MRI: compressed sensing with wavelets"
    reference = "Lustig et al., 2007"
    space: ClassVar[Space] = {"weight": (1e-5, 0.1)}
    title, scans = "L1-wavelet", (Modality.MR,)
    weight: float = 1e-3
    iterations: int = 100

    def image(self, problem: Problem) -> Tensor:
        return l1_wavelet(problem, self.weight, self.iterations)


@dataclass(frozen=True)
class TotalVariation(Baseline):
    """Compressed sensing with total variation.

    Attributes:
        weight: lambda relative to the largest magnitude of the zero-filled image.
        iterations: of the primal-dual method.
    """

    name = "tv"
    line = "MRI: compressed sensing with total variation"
    reference = "Lustig et al., 2007"
    space: ClassVar[Space] = {"weight": (1e-5, 0.1)}
    title, scans = "TV", (Modality.MR,)
    weight: float = 1e-3
    iterations: int = 100

    def image(self, problem: Problem) -> Tensor:
        return total_variation(problem, self.weight, self.iterations)
