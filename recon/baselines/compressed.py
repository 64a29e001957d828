"""Compressed sensing (Lustig, Donoho & Pauly, MRM 2007), slice by slice, by sigpy:

    min_x ½ ||A x - y||² + lambda ||Psi x||_1,

    l1_wavelet       Psi: Daubechies-4 wavelets; FISTA with the step 1/||A||²
    total_variation  Psi: the two finite differences (anisotropic, circular); primal-dual hybrid gradient

lambda = weight * max |A^H y|: y is divided by the largest magnitude of the zero-filled image before and the result
multiplied by it after, so that one weight serves scans of any scale.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from ...operators.mri import CartesianMRI
from ..problem import Problem

_MARGIN = 1.05  # on ||A||², as the power method comes from below
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
    return _by_sigpy("l1_wavelet", "L1WaveletRecon", problem, weight, iterations)


@torch.no_grad()
def total_variation(problem: Problem, weight: float = 1e-3, iterations: int = 100) -> Tensor:
    """Every item of the batch by itself, on the CPU. Arguments, result and errors as `l1_wavelet`."""
    return _by_sigpy("total_variation", "TotalVariationRecon", problem, weight, iterations)


def _by_sigpy(what: str, app: str, problem: Problem, weight: float, iterations: int) -> Tensor:
    A = problem.operator
    if not isinstance(A, CartesianMRI):
        raise ValueError(f"{what}: got {A!r}, expected a CartesianMRI operator; use fista_tv for others")
    if weight < 0 or iterations < 1:
        raise ValueError(f"{what}: got weight={weight}, iterations={iterations}; expected at least 0 and 1")
    from sigpy.mri import app as apps

    images = []
    for b in range(len(problem.y)):
        item = cast(CartesianMRI, A.items(slice(b, b + 1)))
        y = problem.y[b : b + 1]
        scale = item.adjoint(y).abs().max()
        if scale == 0:  # nothing was measured
            images.append(torch.zeros(item.domain, dtype=torch.complex64))
            continue
        maps, mask = item.maps.view(item.range), item.mask.view(item.domain)
        norm = _MARGIN * item.norm() ** 2
        wavelet = app == "L1WaveletRecon"
        dual = {"sigma": _DUAL_STEP, "tau": 1 / (_DUAL_STEP * (norm + 8))}  # ||Psi||² <= 8
        steps = {"alpha": 1 / norm} if wavelet else dual
        image = getattr(apps, app)(
            (y[0] / scale).cpu().numpy(),
            maps.cpu().numpy(),
            weight,
            weights=mask.float().cpu().numpy(),
            max_iter=iterations,
            show_pbar=False,
            **steps,
        ).run()
        images.append(torch.from_numpy(image) * scale.cpu())
    return torch.stack(images).to(problem.y.device)
