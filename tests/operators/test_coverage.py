"""What views cover: the angle of each, missing arcs, and rays that measure the same line."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scanprior.geometry import FanBeam, ParallelBeam, parallel_views
from scanprior.operators.coverage import coverage, covered_arc, ray_weights

FULL = 2 * math.pi
RNG = np.random.default_rng(0)


def degrees(*parts: np.ndarray) -> np.ndarray:
    return np.deg2rad(np.concatenate(parts))


def jitter(angles: np.ndarray, part: float = 1e-3) -> np.ndarray:
    """An encoder's, of a step."""
    return angles + part * np.median(np.diff(angles)) * RNG.uniform(-1, 1, len(angles))


def turns(number: float, views: int, end: bool = False) -> np.ndarray:
    return np.linspace(0, number * FULL, views, endpoint=end)


AROUND = {
    **{f"{views} views around": turns(1, views) for views in (6, 60, 120, 180, 360, 720)},
    "an odd number": turns(1, 61),
    "both ends": turns(1, 61, end=True),
    "both ends of half a turn": turns(0.5, 61, end=True),
    "clockwise": -turns(1, 60),
    "a turn and a half": turns(1.5, 540),
    "jitter": jitter(turns(1, 360)),
    "two turns, jitter": jitter(turns(2, 720)),
    "ten turns, jitter": jitter(turns(10, 1800)),
    "ten turns that slip": turns(10, 1802),
    "a fraction of a turn": turns(9.41, 302),
    "golden angles": 1.9416 * np.arange(200),
    "random": RNG.uniform(0, FULL, 200),
    "uneven": degrees(np.arange(0, 90, 0.5), np.arange(90, 360, 2.0)),
}


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.parametrize("shift", [0.0, 1.234])
def test_a_turn_or_more_covers_every_direction(name: str, shift: float) -> None:
    """Folded onto half a circle, opposed views lie upon each other, up to rounding or the encoder."""
    found = coverage(AROUND[name] + shift, math.pi)
    assert math.degrees(found.covered) == pytest.approx(180, abs=1e-6) and not len(found.missing)
    assert covered_arc(ParallelBeam(tuple(AROUND[name]), 9, 1.0)) == pytest.approx(math.pi)


LIMITED = {
    "150": (degrees(np.arange(150)), 150, 150),
    "its ends": (degrees(np.linspace(0, 150, 76)), 152, 76),
    "both ways": (degrees(np.arange(0, 120, 2.0), np.arange(180, 300, 2.0)), 120, 60),
    "twice, jitter": (np.concatenate([jitter(degrees(np.arange(120.0))) for _ in range(2)]), 120, 120),
    "few": (degrees(np.arange(0, 100, 20.0)), 100, 5),
    "two arcs": (degrees(np.arange(0, 9, 0.5), 90 + np.arange(0, 9, 0.5)), 18, 36),
}


@pytest.mark.parametrize("name", LIMITED)
def test_missing_arcs_are_not_covered(name: str) -> None:
    angles, covered, directions = LIMITED[name]
    found = coverage(angles, math.pi)
    assert math.degrees(found.covered) == pytest.approx(covered, abs=0.02)
    assert found.covered + found.missing[:, 1].sum() == pytest.approx(math.pi)
    assert found.directions == directions


def test_every_view_stands_for_its_angle() -> None:
    np.testing.assert_allclose(coverage(turns(1, 8), FULL).angle, FULL / 8)
    closed = coverage(np.linspace(0, math.pi, 7), math.pi)  # the last view repeats the first
    np.testing.assert_allclose(closed.angle, np.array([0.5, 1, 1, 1, 1, 1, 0.5]) * math.pi / 6)
    limited = coverage(np.deg2rad([100, 0, 20, 40, 60, 80]), FULL)
    np.testing.assert_allclose(limited.angle, math.radians(20))
    np.testing.assert_allclose(np.rad2deg(limited.missing), [(110, 240)])
    arcs = coverage(np.deg2rad([*range(27, 166), *range(184, 255), *range(269, 335)]), FULL)
    np.testing.assert_allclose(arcs.angle, math.radians(1))
    np.testing.assert_allclose(np.rad2deg(arcs.missing), [(165.5, 18), (254.5, 14), (334.5, 52)])
    np.testing.assert_allclose(coverage((0.3,), math.pi).angle, math.pi)
    np.testing.assert_allclose(coverage((0.3, 0.3, 0.3 + 1e-12), math.pi).angle, math.pi / 3)


def test_every_turn_counts_alike() -> None:
    for angles in (jitter(turns(10, 1800)), turns(10, 1802), np.repeat(turns(1, 60), 7)):
        np.testing.assert_allclose(coverage(angles, FULL).angle, FULL / len(angles), rtol=0.02)


def curved(arc: float, detectors: int = 81, offset: float = 0.0, step: float = 0.5) -> FanBeam:
    """A fan of half a step an element: the view opposite to a ray is one of the scan."""
    views = parallel_views(round(arc / step), math.radians(arc))
    return FanBeam(views, detectors, 500 * math.radians(step / 2), 300.0, 500.0, True, offset=offset)


@pytest.mark.parametrize(
    "fan", [curved(360), curved(201), curved(230), curved(300), curved(360, 61, 10), curved(360, 45, -18)]
)
def test_two_rays_of_one_line_share_one_weight(fan: FanBeam) -> None:
    weights = ray_weights(fan) / math.radians(0.5)
    view, element = np.indices(fan.shape)
    gamma = np.rint(np.rad2deg(fan.fan_angles()) * 4).astype(int)[element]  # in elements, 0 at the axis
    other_view, other = (view + 360 - gamma) % 720, element - 2 * gamma
    met = (other_view < fan.views) & (other >= 0) & (other < fan.detectors)
    assert met.any() and (met.all() == (fan.shape == (720, 81)))
    np.testing.assert_allclose(weights[met] + weights[other_view[met], other[met]], 1)
    np.testing.assert_allclose(weights[~met], 1)
    assert np.abs(np.diff(weights, axis=1)).max() < 0.45  # smooth along the detector


@pytest.mark.parametrize("offset", [-12.0, 0.0, 7.5])
def test_opposed_parallel_rays_share_one_weight(offset: float) -> None:
    beam = ParallelBeam(parallel_views(60, FULL), 41, 1.0, offset=offset)
    weights, s = ray_weights(beam) / (FULL / 60), beam.coordinates()
    for k in range(41):
        opposite = np.flatnonzero(np.isclose(s, -s[k]))
        others = weights[30:, opposite].sum() / 30
        np.testing.assert_allclose(weights[:30, k].mean() + others, 1)
    assert np.abs(np.diff(weights, axis=1)).max() < 0.2
