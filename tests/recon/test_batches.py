"""A sample is a function of (seed, slice, sample), a baseline's image one of its slice, and neither of the batch: every
method, joint, one by one and in uneven parts, on slices that differ in all that slices may differ in.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise

import known_answer as known
import pytest
import torch
from scanprior.geometry import FanBeam, Grid, ParallelBeam
from scanprior.modality import Modality
from scanprior.operators.coils import smooth_maps, smooth_phase
from scanprior.operators.linear import LinearOperator
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian, Photon
from scanprior.operators.radon import Radon
from scanprior.operators.sampling import equispaced
from scanprior.pretrained.load import load
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.intensity import Attenuation, RobustMaximum
from scanprior.recon.methods import BASELINES, METHODS, class_of, method_of
from scanprior.recon.options import settings_of
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.problem import Problem
from torch import Tensor

WATER, SLICES, SAMPLES, BOUND = 0.0193, 3, 3, 1e-5


def heads(side: int) -> Tensor:
    """Three discs with a rim and a hole, each denser than the last, (3, side, side)."""
    axis = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = torch.hypot(x, y)
    disc = 0.7 * (radius < 0.8) + 0.3 * ((radius < 0.8) & (radius > 0.65))
    at = (-0.2, 0.1, 0.4)
    return torch.stack([(1 + k) * disc - 0.4 * (torch.hypot(x - 0.2, y - at[k]) < 0.2) for k in range(3)])


def ct(side: int = 12, fan: bool = False, noisy: bool = True, lost: bool = False) -> Problem:
    """Photons, which are few behind the denser slices, and rays that metal swallowed; or neither."""
    grid = Grid((side, side), 8.0)
    geometry = (
        FanBeam.covering(grid, 9, source_origin=400, source_detector=700)
        if fan
        else ParallelBeam.covering(grid, 8)
    )
    valid = None
    if lost:
        valid = torch.ones(geometry.shape, dtype=torch.bool)
        valid[::2, side // 3 : side // 2], valid[3] = False, False
    operator, noise = Radon(geometry, grid, valid=valid), Photon(1e5, 3.0) if noisy else None
    y = operator(WATER * heads(side))
    if noise is not None:
        y = noise.sample(y, torch.Generator().manual_seed(0))
    return Problem(y if valid is None else y * valid, operator, noise)


def mri(side: int = 12, own: bool = False) -> Problem:
    """Slices of brightness 1, 30 and 1/5 under the same noise; with masks and maps of their own, or shared ones."""
    draw = torch.Generator().manual_seed(1)
    mask, maps = equispaced((side, side), 3), smooth_maps(4, (side, side))
    if own:
        random = torch.rand(side, side, generator=draw) < 0.4
        mask = torch.stack([mask, random, equispaced((side, side), 2)])
        maps = torch.stack([smooth_maps(4, (side, side), seed) for seed in range(SLICES)])
    operator, noise = cartesian_mri(mask, maps), ComplexGaussian(0.02)
    image = torch.polar(heads(side), smooth_phase((SLICES, side, side), 1))
    clean = operator(image * torch.tensor([1.0, 30.0, 0.2]).view(-1, 1, 1))
    return Problem(noise.sample(clean, draw) * mask.unsqueeze(-3), operator, noise)


CASES: dict[str, Callable[[], Problem]] = {
    "CT parallel": lambda: ct(noisy=False),
    "CT fan, photons, lost rays": lambda: ct(fan=True, lost=True),
    "MRI": mri,
    "MRI, masks and maps of their own": lambda: mri(13, own=True),  # odd: no multiple of a vector register
}


def exact_prior(operator: LinearOperator) -> GaussianPrior:
    prior = known.prior_of(operator)
    prior.intensity = RobustMaximum() if operator.domain_complex else Attenuation()
    return prior


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, in parts of the largest value of its slice."""
    peak = other.abs().flatten(1).amax(1).view(-1, *[1] * (other.ndim - 1))
    return float(((one - other).abs() / peak).max())


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", METHODS)
def test_every_method_draws_the_same_in_any_batch(name: str, case: str) -> None:
    problem, method = CASES[case](), method_of(name, "steps=3")
    prior = exact_prior(problem.operator)
    together = method(problem, prior, samples=SAMPLES, batch=SLICES * SAMPLES).samples
    for batch in (1, 2, 6):  # one image, 2 + 1 samples, 2 + 1 slices at once
        assert apart(method(problem, prior, samples=SAMPLES, batch=batch).samples, together) < BOUND
    alone = method(problem.items(slice(0, 1)), prior, samples=SAMPLES, batch=2).samples
    assert apart(alone, together[:1]) < BOUND


def options(name: str) -> str:
    return "iterations=20" if "iterations" in [one.name for one in settings_of(class_of(name))] else ""


@pytest.mark.parametrize(
    ("name", "case"),
    [
        (name, case)
        for name in BASELINES
        for case in CASES
        if (Modality.MR if "MRI" in case else Modality.CT) in getattr(class_of(name), "scans", ())
    ],
)
def test_every_baseline_gives_the_same_image_in_any_batch(name: str, case: str) -> None:
    problem, baseline = CASES[case](), method_of(name, options(name))
    together = baseline(problem).samples
    for parts in ((1, 1, 1), (2, 1)):
        ends = list(accumulate(parts, initial=0))
        images = [baseline(problem.items(slice(*pair))).samples for pair in pairwise(ends)]
        assert apart(torch.cat(images), together) < BOUND


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_network_answers_the_same_in_any_batch(dtype: torch.dtype) -> None:
    """Bit by bit: on CPUs kernels are chosen by the size of a batch, and an answer is not (`item_by_item`)."""
    prior = load("ct-256")[0].for_inference(dtype=dtype)
    x = 0.3 * torch.randn(5, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    together = prior.denoise(x, 0.3)
    for size in (1, 2, 3):
        torch.testing.assert_close(
            torch.cat([prior.denoise(part, 0.3) for part in x.split(size)]), together, rtol=0, atol=0
        )


@pytest.mark.parametrize(
    ("pose", "name", "data_range"), [(ct, "ct-256", 2 * WATER), (mri, "mri-256", 1.0)], ids=["CT", "MRI"]
)
def test_samples_of_a_network_do_not_depend_on_their_batch(
    pose: Callable[..., Problem], name: str, data_range: float
) -> None:
    problem, prior = pose(32).items(slice(0, 2)), load(name)[0].for_inference(dtype=torch.float32)
    method = DDS(steps=5)
    together = method(problem, prior, samples=3, batch=8).samples
    assert together.is_complex() == (name == "mri-256")
    assert together.std(1).mean() > 5e-3 * data_range  # samples, not one picture
    for batch in (1, 5):
        assert apart(method(problem, prior, samples=3, batch=batch).samples, together) < BOUND
