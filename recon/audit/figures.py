"""The figures of a reconstruction, slice by slice, and its maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...priors.score import Prior
from ..posterior.posed import Posed
from ..problem import Problem
from ..weights import MODEL_ERROR, inverse_variance, measured, measured_rays
from .clusters import groups
from .fit import Fit, fit
from .moments import moments
from .split import data_share
from .surprise import LEVELS, surprise

SURPRISED = 2  # samples that the prior is asked about


@dataclass(frozen=True)
class Slice:
    """What was measured of one slice.

    Attributes:
        figures: name -> value (checks.py).
        where: name -> the place of a figure, in words.
        facts: what else is worth knowing, JSON-able.
        fit_map: the residual's power over the image, 1 where it is the noise's, (H, W).
        share: the data's share of each pixel, (H, W); None without a prior.
    """

    figures: dict[str, float]
    where: dict[str, str]
    facts: dict[str, float]
    fit_map: np.ndarray
    share: np.ndarray | None = None


@torch.no_grad()
def measure(
    problem: Problem, samples: Tensor, prior: Prior | None, stated: bool, split: bool = True
) -> list[Slice]:
    """The figures of samples (B, S, H, W) in the units of the scan.

    Args:
        prior: that drew them; None: of a method without one, of which only the data are looked at.
        stated: whether the noise level was stated with the data, and not estimated from them.
        split: whether to compute the data's share.
    """
    out = []
    for b in range(len(samples)):
        part, own = problem.items(slice(b, b + 1)), samples[b : b + 1]
        out.append(_slice(part, own, prior, stated, split))
    return out


def _slice(problem: Problem, samples: Tensor, prior: Prior | None, stated: bool, split: bool) -> Slice:
    found = fit(problem, samples)
    figures = _of_moments(problem) | ({"noise": noise_ratio(problem)} if stated else {})
    facts = {"mean": float(found.mean), "mean_expected": float(found.expected)}
    if prior is None:
        return Slice(figures, {}, facts, found.map[0].numpy())
    own, where = _of_fit(found, samples, problem.modality.kind)
    figures |= own
    apart = groups(_pictures(samples[0]))
    if apart is not None:
        figures["groups"] = apart.separation
        sizes = " and ".join(map(str, apart.sizes))
        where["groups"] = f"row {apart.row}, column {apart.column} ({sizes})"
    alone = problem.in_own_unit()
    posed = Posed(alone, prior, alone.least_squares())
    x = (samples[0, :SURPRISED].to(alone.y.device) / alone.unit - posed.offset) / posed.scale
    ratios = torch.stack([surprise(posed, one[None])[0] for one in x]).mean(0)
    for level, ratio in zip(LEVELS, ratios.tolist(), strict=True):
        figures[f"surprise_{level:g}"] = ratio
        where[f"surprise_{level:g}"] = f"level {level:g}"
    share = data_share(posed)[0].numpy() if split else None
    if share is not None:
        facts["data_share"] = float(share.mean())
    return Slice(figures, where, facts, found.map[0].numpy(), share)


def _of_fit(found: Fit, samples: Tensor, kind: str) -> tuple[dict[str, float], dict[str, str]]:
    parts, power = found.parts[0].numpy(), found.map[0].numpy()
    worst = int(np.nanargmax(parts))
    inside = _inside(_pictures(samples[0]).mean(0))
    place = np.unravel_index(int(np.argmax(np.where(inside, power, -1))), power.shape)
    figures = {
        "fit": float(found.samples),
        "part": float(parts[worst] / max(float(np.nanmedian(parts)), 1e-30)),
        "place": float(power[place] / max(float(np.median(power[inside])), 1e-30)),
    }
    name = "view" if kind == "ct" else "column of k-space"
    return figures, {"part": f"{name} {worst}", "place": f"row {place[0]}, column {place[1]}"}


def noise_ratio(problem: Problem) -> float:
    """Noise as the data look, over that stated; over the model error's, of data stated to be noise-free."""
    from ..study import kspace_noise, sinogram_noise

    y, known = problem.y, measured(problem)
    if problem.modality.kind == "mri":
        mask = known[0, 0] if known.ndim == 4 else known[0]
        seen = kspace_noise(y, mask)
    else:
        seen = sinogram_noise(y, measured_rays(problem))
    error = 0.0 if problem.noise is not None else MODEL_ERROR
    variance = (1 / inverse_variance(problem, error)).expand_as(y)
    strong = known & (y.abs() > 0.05 * y.abs().max()) if problem.modality.kind == "ct" else known
    return seen / max(float(variance[strong].median().sqrt()), 1e-30)


def _of_moments(problem: Problem) -> dict[str, float]:
    geometry = getattr(problem.operator, "geometry", None)
    if geometry is None or problem.modality.kind != "ct":
        return {}
    valid = measured_rays(problem)
    found = moments(problem.y[0].cpu().numpy(), geometry, None if valid is None else valid.cpu().numpy())
    return {} if found is None else {"centre": abs(found.centre), "sway": found.sway, "mass": found.mass}


def _pictures(images: Tensor) -> np.ndarray:
    """As people look at them."""
    return (images.abs() if images.is_complex() else images).cpu().numpy().astype(np.float32)


def _inside(image: np.ndarray) -> np.ndarray:
    """The object, roughly; everything where nothing stands out."""
    mask = image > 0.1 * float(np.quantile(image, 0.99))
    return mask if mask.any() else np.ones(image.shape, bool)
