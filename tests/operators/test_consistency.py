"""Opposite rays agree where the geometry is right, and betray angles that run the wrong way round."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scanprior.geometry import FanBeam, Geometry, Grid, ParallelBeam, parallel_views
from scanprior.operators.consistency import angles_reversed, opposite_rays
from scanprior.operators.radon import Radon

GRID = Grid((64, 64), 2.0)


def fan(views: int = 120, arc: float = 2 * math.pi, **options) -> FanBeam:
    return FanBeam(parallel_views(views, arc), 100, 2.4, 300.0, 500.0, **options)


def sinogram(geometry: Geometry) -> np.ndarray:
    """Of a disc off the centre with a hole."""
    y, x = np.mgrid[-31.5:32, -31.5:32] * 2.0
    image = (np.hypot(x - 12, y) < 40) * 0.02 - (np.hypot(x - 20, y + 15) < 10) * 0.015
    return Radon(geometry, GRID)(torch.from_numpy(image.astype(np.float32))[None])[0].numpy()


def often(turns: int, jitter: float = 0.0) -> FanBeam:
    """The angles of several turns, counted from 0 in each, with an encoder's jitter in parts of a step."""
    angles = np.linspace(0, turns * 2 * math.pi, 120 * turns, endpoint=False) % (2 * math.pi)
    noise = np.random.default_rng(0).uniform(-1, 1, len(angles))
    return replace(fan(), angles=tuple(angles + jitter * noise * math.pi / 60))


BOTH_ENDS = replace(fan(), angles=tuple(np.linspace(0, 2 * math.pi, 121)))


@pytest.mark.parametrize(
    "geometry",
    [
        fan(),
        fan(curved=True),
        fan(offset=1.5),
        fan(offset=20.0),
        fan(200, 1.2 * math.pi),
        BOTH_ENDS,
        often(2),
        often(3, 1e-3),
    ],
)
def test_angles_the_wrong_way_round_are_found(geometry: FanBeam) -> None:
    y = sinogram(geometry)
    wrong = replace(geometry, angles=tuple(-a for a in geometry.angles))
    right = opposite_rays(y, geometry)
    assert right is not None and right < 0.03
    assert angles_reversed(y, geometry) is None
    assert "--angle-sign" in (angles_reversed(y, wrong) or "")


def test_noise_is_no_reason() -> None:
    y = sinogram(fan())
    noisy = y + 0.3 * y.std() * np.random.default_rng(0).standard_normal(y.shape).astype(np.float32)
    assert (opposite_rays(noisy, fan()) or 0) > 0.1
    assert angles_reversed(noisy, fan()) is None


def test_few_pairs_say_nothing() -> None:
    for geometry in (fan(60, 0.8 * math.pi), fan(3)):
        y = sinogram(geometry)
        assert opposite_rays(y, geometry) is None
        assert angles_reversed(y, replace(geometry, angles=tuple(-a for a in geometry.angles))) is None
    around = ParallelBeam(parallel_views(90, 2 * math.pi), 100, 2.0)
    y = sinogram(around)
    differ = opposite_rays(y, around)
    assert differ is not None and differ < 0.02
    assert angles_reversed(y, around) is None
