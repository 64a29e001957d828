"""FBP gives a disc its attenuation whatever way the scanner went round it, as well as the plainest scan does.

The data are the chords of the discs, so that no projector's error enters; the plainest scan is half a turn (parallel)
or one turn (fan) of a centred detector.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scanprior.geometry import FanBeam, Geometry, Grid, ParallelBeam
from scanprior.recon.baselines.fbp import fbp
from torch import Tensor

GRID, MU = Grid((40, 40), 4.0), 0.02
DISCS = ((10.0, -12.0, 50.0, MU), (25.0, 5.0, 12.0, MU / 2), (-15.0, -25.0, 14.0, -MU / 2))
RNG = np.random.default_rng(0)


def sinogram(geometry: Geometry, sub: int = 4) -> Tensor:
    """The exact chords of the discs, averaged over the width of each element."""
    origin, direction = geometry.refine(sub).rays()
    lines = np.zeros(origin.shape[:2])
    for x, y, radius, mu in DISCS:
        r = np.array([x, y]) - origin
        distance = r[..., 0] * direction[..., 1] - r[..., 1] * direction[..., 0]
        lines += 2 * mu * np.sqrt(np.clip(radius**2 - distance**2, 0, None))
    return torch.tensor(lines.reshape(*geometry.shape, sub).mean(-1), dtype=torch.float32)[None]


def pixels(sub: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels' centres, or of their parts' [mm]."""
    n = GRID.matrix[0] * sub
    x = (np.arange(n) - (n - 1) / 2) * GRID.pixel / sub
    return np.meshgrid(x, -x)


def truth() -> Tensor:
    x, y = pixels(8)
    fine = sum(mu * (np.hypot(x - a, y - b) < radius) for a, b, radius, mu in DISCS)
    return torch.nn.functional.avg_pool2d(torch.tensor(fine, dtype=torch.float32)[None], 8)[0]


def psnr(image: Tensor) -> float:
    inside = torch.tensor(np.hypot(*pixels()) < 78)
    return float(10 * torch.log10((1.5 * MU) ** 2 / (image - truth())[inside].square().mean()))


def jitter(angles: np.ndarray, part: float = 1e-3) -> np.ndarray:
    return angles + part * np.median(np.diff(angles)) * RNG.uniform(-1, 1, len(angles))


def arc(degrees: float, views: int, end: bool = False) -> np.ndarray:
    return np.linspace(0, math.radians(degrees), views, endpoint=end)


UNEVEN = np.concatenate([arc(90, 120), math.pi / 2 + arc(270, 180)])
TURNS = {
    "even": arc(360, 180),
    "odd": arc(360, 181),
    "both ends": arc(360, 181, end=True),
    "jitter": jitter(arc(360, 180)),
    "clockwise": -arc(360, 180),
    "a turn and a half": arc(540, 270),
    "two turns, jitter": jitter(arc(720, 360)),
    "turns that slip": arc(1800, 602),
    "uneven": UNEVEN,
}


def parallel(angles: np.ndarray, detectors: int = 43, offset: float = 0.0) -> ParallelBeam:
    return ParallelBeam(tuple(angles), detectors, 4.0, offset=offset)


def fan(angles: np.ndarray, is_curved: bool, detectors: int = 45, offset: float = 0.0) -> FanBeam:
    return FanBeam(tuple(angles), detectors, 7.2, 250.0, 450.0, is_curved, offset=offset)


SHORT = 180 + 2 * math.degrees(math.atan(45 / 2 * 7.2 / 450)) + 2
PARALLEL = {
    **{f"{name}, around": parallel(angles) for name, angles in TURNS.items()},
    **{f"{name}, displaced": parallel(angles, 31, -9) for name, angles in TURNS.items()},
    "displaced to the other side": parallel(arc(360, 180), 31, 9.25),
    "few see both sides": parallel(arc(360, 180), 26, -10),
    "half a turn and both ends": parallel(arc(180, 91, end=True)),
    "more than half a turn": parallel(arc(220, 110)),
    "half a turn, uneven": parallel(np.concatenate([arc(60, 60), math.pi / 3 + arc(120, 60)])),
    "half a turn, displaced": parallel(arc(180, 90), 61, 9),
    "golden angles": parallel(1.9416 * np.arange(150)),
}
FAN = {
    **{f"{name}, around": (angles, 45, 0.0) for name, angles in TURNS.items()},
    **{f"{name}, displaced": (angles, 33, -9.0) for name, angles in TURNS.items()},
    "displaced to the other side": (arc(360, 180), 33, 9.0),
    "quarter offset": (arc(360, 180), 46, 0.25),
    "short scan": (arc(SHORT, 120), 45, 0.0),
    "short scan and a little": (arc(SHORT + 13, 130), 45, 0.0),
    "nearly a turn": (arc(340, 170), 45, 0.0),
    "short scan, displaced": (arc(SHORT, 120), 63, -9.0),
    "short scan, twice": (np.concatenate([jitter(arc(SHORT, 120)) for _ in range(2)]), 45, 0.0),
}


def check(geometry: Geometry, plain: Geometry) -> None:
    image = fbp(sinogram(geometry), geometry, GRID)[0]
    x, y = pixels()
    for (a, b, radius, _), expected in zip(DISCS[1:], (1.5 * MU, 0.5 * MU), strict=True):
        inside = image[torch.tensor(np.hypot(x - a, y - b) < radius - 6)]
        assert float(inside.mean()) == pytest.approx(expected, abs=0.01 * MU)
    big = np.hypot(x - DISCS[0][0], y - DISCS[0][1]) < 44
    for a, b, radius, _ in DISCS[1:]:
        big &= np.hypot(x - a, y - b) > radius + 6
    assert float(image[torch.tensor(big)].mean()) == pytest.approx(MU, rel=0.005)
    assert psnr(image) > psnr(fbp(sinogram(plain), plain, GRID)[0]) - 0.3


@pytest.mark.parametrize("name", PARALLEL)
def test_a_parallel_beam(name: str) -> None:
    check(PARALLEL[name], parallel(arc(180, 90)))


@pytest.mark.parametrize("name", FAN)
@pytest.mark.parametrize("is_curved", [False, True], ids=["flat", "curved"])
def test_a_fan(name: str, is_curved: bool) -> None:
    angles, detectors, offset = FAN[name]
    check(fan(angles, is_curved, detectors, offset), fan(arc(360, 180), is_curved))


@pytest.mark.parametrize(
    ("once", "again"),
    [
        (parallel(arc(180, 90)), parallel(jitter(arc(720, 360)))),
        (fan(arc(360, 90), False), fan(np.concatenate([jitter(arc(360, 90)) for _ in range(4)]), False)),
    ],
)
def test_every_turn_lessens_the_noise(once: Geometry, again: Geometry) -> None:
    """Four times the data, half the noise: none is thrown away."""
    g = torch.Generator().manual_seed(0)
    levels = [
        float(fbp(torch.randn(4, *beam.shape, generator=g), beam, GRID).std()) for beam in (once, again)
    ]
    assert levels[1] / levels[0] == pytest.approx(0.5, rel=0.06)


def test_lost_rays_of_a_displaced_detector_are_filled() -> None:
    beam = parallel(arc(360, 180), 31, -9)
    valid = torch.ones(beam.shape, dtype=torch.bool)
    valid[::3, 14:16] = False
    y = torch.where(valid, sinogram(beam), torch.nan).nan_to_num(9.0)
    image = fbp(y, beam, GRID, valid=valid)[0]
    assert psnr(image) > psnr(fbp(sinogram(beam), beam, GRID)[0]) - 3


def test_a_missing_arc_stays_missing() -> None:
    """120 of 180 degrees give two thirds in the middle, however often they were measured."""
    images = [
        fbp(sinogram(beam), beam, GRID)[0]
        for beam in (parallel(arc(120, 60)), parallel(np.concatenate([arc(120, 60), math.pi + arc(120, 60)])))
    ]
    torch.testing.assert_close(images[0], images[1], atol=0.01 * MU, rtol=0)
    x, y = pixels()
    middle = images[0][torch.tensor(np.hypot(x - 10, y + 12) < 20)]
    assert float(middle.mean()) == pytest.approx(2 / 3 * MU, rel=0.15)
