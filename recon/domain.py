"""Whether a prior is in its own world: is the scan like the images it learned from, and did it do any good?

What is known of a prior comes in as plain facts, the entries `pixel_mm`, `matrix` and `window` of its card. That a scan
shows the anatomy of the training cannot be seen from such facts, and nothing here says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .problem import Problem

PIXEL = 0.1  # how far a pixel may be from the range of the training's, relative
SIDES = (0.5, 1.1)  # of the training's matrix that an image's sides may be
BEYOND, MARGIN = (
    0.01,
    0.05,
)  # part of the pixels that may lie outside the training's window; by so much of its width
RESIDUAL = 0.01  # a data residual that no one wonders at; and twice what the noise leaves
Figures = dict[str, NDArray[np.float64]]  # of each slice, (B,)


def outside(known: dict[str, Any], matrix: Sequence[int], pixel_mm: Sequence[float] | None) -> list[str]:
    """Where a scan is not like the images of the training, in words; none where it is.

    Args:
        known: the card's entries; what it lacks is not judged.
        matrix: of the images that are reconstructed.
        pixel_mm: their pixels' sides (dy, dx); None where they are not known.
    """
    found = []
    low, high = known.get("pixel_mm") or (0.0, np.inf)
    if pixel_mm and not low * (1 - PIXEL) <= min(pixel_mm) <= max(pixel_mm) <= high * (1 + PIXEL):
        learned = f"{low:.3g} mm" if low == high else f"{low:.3g} to {high:.3g} mm"
        sizes = " x ".join(dict.fromkeys(f"{side:.3g}" for side in pixel_mm))
        found.append(f"pixel size: the prior learned from {learned}, the scan has {sizes} mm")
    sides = known.get("matrix") or ()
    if sides and not min(sides) * SIDES[0] <= min(matrix) <= max(matrix) <= max(sides) * SIDES[1]:
        shapes = [" x ".join(map(str, shape)) for shape in (sides, matrix)]
        found.append(f"matrix: the prior learned from {shapes[0]}, the scan has {shapes[1]}")
    return found


def beyond(known: dict[str, Any], image: NDArray[np.float32], units: str) -> list[str]:
    """Whether a reconstruction in the units of the card's window leaves it, in words."""
    if not known.get("window"):
        return []
    low, high = known["window"]
    margin = MARGIN * (high - low)
    part = float(((image < low - margin) | (image > high + margin)).mean())
    if part <= BEYOND:
        return []
    return [
        f"intensities: {part:.1%} of the pixels lie outside of {low:g} to {high:g} {units}, the range that the prior "
        "knows; the attenuation of water or the units may be wrong"
    ]


def noise_residual(problem: Problem) -> NDArray[np.float64]:
    """||n|| / ||y|| of each slice as the noise model expects it, (B,): about the data residual of the truth."""
    problem = problem.in_own_unit()
    if problem.noise is None:
        return np.zeros(len(problem.y))
    y = problem.y
    variance = (1 / problem.noise.weights(y)) * (y != 0)
    norms = y.abs().square().flatten(1).sum(1, dtype=torch.float64)
    return (variance.flatten(1).sum(1, dtype=torch.float64) / norms).sqrt().cpu().numpy()


def worse(
    ours: Figures, floor: Figures, name: str, noise: NDArray[np.float64], slices: Sequence[int]
) -> list[str]:
    """Where a reconstruction is worse than the classical one that anything must beat, in words.

    Args:
        ours, floor: `residual`, and with a known truth `psnr`.
        name: of the classical method.
        noise: `noise_residual`.
        slices: their numbers, for the words.
    """
    found = []
    if "psnr" in ours and (bad := ours["psnr"] < floor["psnr"]).any():
        got, better = (figures["psnr"][bad].mean() for figures in (ours, floor))
        found.append(f"PSNR {got:.2f} dB, {name} has {better:.2f}, in {_which(bad, slices)}")
    limit = np.maximum(floor["residual"], np.maximum(2 * noise, RESIDUAL))
    if (bad := ours["residual"] > limit).any():
        got, better = (figures["residual"][bad].mean() for figures in (ours, floor))
        found.append(
            f"data residual {got:.4f}, {name} has {better:.4f} and the noise leaves {noise[bad].mean():.4f}, in "
            f"{_which(bad, slices)}"
        )
    return [f"worse than {name}: {line}; do not trust this reconstruction" for line in found]


def _which(bad: NDArray[np.bool_], slices: Sequence[int]) -> str:
    if bad.all():
        return "all slices" if len(bad) > 1 else "the slice"
    numbers = [str(number) for number, is_bad in zip(slices, bad, strict=True) if is_bad]
    return f"slice{'s' * (len(numbers) > 1)} {', '.join(numbers)}"
