"""A supervised network applied: the first reconstruction, corrected (priors/supervised.py); and what kind of
measurement a problem is, to be compared with the one the network was trained for, outside of which it is worth little.

    beam, views, arc [degrees], photons, rays lost   CT; photons: 1 / variance of an unattenuated ray, 0 without noise
    acceleration, coils, snr [dB]                    MRI; acceleration: k-space / its measured part; snr 0: no noise
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ...modality import Modality
from ...operators.coverage import covered_arc
from ...operators.mri import CartesianMRI
from ...priors.score import from_channels, to_channels
from ...priors.supervised import SupervisedNetwork
from ..options import Space
from ..problem import Problem, Reconstruction
from ..weights import measured_rays
from .fbp import ct_geometry, fbp
from .zero_filled import zero_filled

# How far a scan may be from the training's measurement: ratios, and decibels for the noise of k-space.
RATIOS = {"views": 1.05, "arc": 1.05, "photons": 2.0, "acceleration": 1.15, "coils": 1.0}
DECIBELS = 3.0


def first_reconstruction(problem: Problem) -> Tensor:
    """x_0 in physical units: filtered backprojection (ramp) or zero-filled, (B, H, W)."""
    if problem.modality is Modality.MR:
        return zero_filled(problem)
    return fbp(problem.y, *ct_geometry(problem), valid=measured_rays(problem))


def in_network_units(
    image: Tensor, first: Tensor, network: SupervisedNetwork, water: float | None
) -> tuple[Tensor, Tensor, float]:
    """An image (B, C, H, W) in the units that the first reconstruction defines; the scale (B, 1, 1) and offset back."""
    scale, offset = network.intensity.affine(first, water)
    scale = scale.view(-1, 1, 1)
    return to_channels((image - offset) / scale, network.channels), scale, offset


@dataclass(frozen=True)
class Supervised:
    """The network's image of each slice, in one evaluation."""

    name = "supervised"
    line = "a network of `scanprior train --supervised`, by --prior"
    suite = ()
    space: ClassVar[Space] = {}

    @torch.no_grad()
    def __call__(self, problem: Problem, network: SupervisedNetwork, batch: int = 8) -> Reconstruction:
        """
        Args:
            problem: on the device of the network.
            batch: slices at once; a slice does not depend on it.

        Raises:
            ValueError: a network of another modality.
        """
        if network.channels != 1 + problem.operator.domain_complex:
            raise ValueError(
                f"the scan is {problem.modality.kind.upper()}, the supervised network has "
                f"{network.channels} channel(s): it was trained for another modality"
            )
        began, images, problem = time.perf_counter(), [], problem.in_own_unit()
        for start in range(0, len(problem.y), batch):
            part = problem.items(slice(start, start + batch))
            first = first_reconstruction(part)
            x, scale, offset = in_network_units(first, first, network, part.water)
            images.append(offset + scale * from_channels(network(x)))
        samples = torch.cat(images).cpu()[:, None]
        return Reconstruction.of(problem, samples, 1, time.perf_counter() - began, {"method": "supervised"})


def measurement_of(problem: Problem) -> dict[str, Any]:
    """What kind of measurement it is, JSON-able; the keys are in the module's docstring."""
    if problem.modality is Modality.CT:
        geometry, _ = ct_geometry(problem)
        photons = 0.0
        if problem.noise is not None:
            photons = float(problem.noise.weights(torch.zeros_like(problem.y[:1])).max())
        return {
            "beam": geometry.kind,
            "views": geometry.views,
            "arc": round(math.degrees(covered_arc(geometry)), 1),
            "photons": float(f"{photons:.3g}"),
            "rays lost": "no" if measured_rays(problem) is None else "yes",
        }
    problem = problem.in_own_unit()
    A, y = problem.operator, problem.y
    if not isinstance(A, CartesianMRI):
        raise ValueError(f"got {A!r}; supervised networks are for Cartesian MRI and CT")
    measured = float(A.mask.float().mean())
    snr = 0.0
    if problem.noise is not None:
        power = float(y.abs().square().mean()) / measured
        snr = 10 * math.log10(max(power * float(problem.noise.weights(y).mean()), 1e-30))
    return {"acceleration": round(1 / measured, 2), "coils": A.range[0], "snr": round(snr, 1)}


def differences(trained: dict[str, Any], scan: dict[str, Any]) -> list[str]:
    """Where a scan's measurement is not the one of the training, in words; none where it is."""
    return [
        f"{key}: trained for {_words(trained[key])}, the scan has {_words(scan.get(key))}"
        for key in trained
        if key != "spec" and not _alike(key, trained[key], scan.get(key))
    ]


def _alike(key: str, one: Any, other: Any) -> bool:
    if key not in RATIOS and key != "snr":
        return one == other
    if not isinstance(other, int | float) or (one == 0) != (other == 0):
        return False
    if key == "snr":
        return abs(one - other) <= DECIBELS
    return one == other or max(one, other) <= RATIOS[key] * min(one, other)


def _words(value: Any) -> str:
    if value == 0:
        return "none (noise-free)"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
