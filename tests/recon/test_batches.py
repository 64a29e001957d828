"""A sample is a function of (seed, slice, sample) and not of its batch: real operators, a trained network in float32.

What batches may change is rounding. In bfloat16, the default, a network's is worth some HU; here it is float32's.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scanprior.operators.coils import smooth_maps, smooth_phase
from scanprior.operators.geometry import Grid, ParallelBeam
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian, Photon
from scanprior.operators.radon import Radon
from scanprior.operators.sampling import equispaced
from scanprior.pretrained.load import load
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.problem import Problem

SIDE, WATER = 32, 0.0193
METHOD = DDS(steps=5)


def head() -> torch.Tensor:
    """Two slices: a disc with a rim and a hole, 0 to 1."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    radius = torch.hypot(x, y)
    disc = 0.7 * (radius < 0.8) + 0.3 * ((radius < 0.8) & (radius > 0.65))
    return torch.stack([disc - 0.4 * (torch.hypot(x - 0.2, y - at) < 0.2) for at in (0.0, 0.3)])


def ct() -> Problem:
    grid = Grid((SIDE, SIDE), 8.0)
    operator = Radon(ParallelBeam.covering(grid, 16), grid)
    noise = Photon(1e5)
    return Problem(noise.sample(operator(WATER * head()), torch.Generator().manual_seed(0)), operator, noise)


def mri() -> Problem:
    operator = cartesian_mri(equispaced((SIDE, SIDE), 4), smooth_maps(4, (SIDE, SIDE)))
    image = torch.polar(head(), smooth_phase((2, SIDE, SIDE), 1))
    noise = ComplexGaussian(0.02)
    return Problem(noise.sample(operator(image), torch.Generator().manual_seed(0)), operator, noise)


@pytest.mark.parametrize(
    ("pose", "name", "data_range", "beside"),
    [(ct, "ct-256", 2 * WATER, 1e-3), (mri, "mri-256", 1.0, 1e-5)],
    ids=["CT", "MRI"],
)
def test_samples_do_not_depend_on_their_batch(
    pose: Callable[[], Problem], name: str, data_range: float, beside: float
) -> None:
    problem, prior = pose(), load(name)[0].for_inference(dtype=torch.float32)
    one = problem.items(slice(0, 1))
    together = METHOD(one, prior, samples=8, batch=8).samples
    assert together.is_complex() == (name == "mri-256")
    assert together.std(1).mean() > 5e-3 * data_range  # samples, not one picture
    for batch in (1, 3):
        alone = METHOD(one, prior, samples=8, batch=batch).samples
        assert (alone - together).abs().max() < 1e-5 * data_range  # measured: 5e-7 (CT), 2e-6 (MRI)
    # beside another slice the least squares at the start round otherwise, which CT's few views amplify: 2e-5
    neighbours = METHOD(problem, prior, samples=3, batch=8).samples[:1]
    assert (neighbours - together[:, :3]).abs().max() < beside * data_range
