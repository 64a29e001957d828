import math
from itertools import pairwise

import pytest
import torch
from scanprior.operators import sampling
from scanprior.operators.acs import acs_size

SHAPE = (96, 128)
MAKERS = ["equispaced", "random_lines", "gaussian_lines", "gaussian_2d", "poisson_disc", "radial"]


def make(name, acceleration=4, **options):
    return getattr(sampling, name)(SHAPE, acceleration, **options)


@pytest.mark.parametrize("name", MAKERS)
def test_shape_type_and_seed(name):
    mask = make(name, seed=1)
    assert mask.shape == SHAPE and mask.dtype == torch.bool
    assert torch.equal(mask, make(name, seed=1))
    assert any(not torch.equal(mask, make(name, seed=s)) for s in (2, 3, 4))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("acceleration", [4, 8])
def test_acceleration(name, acceleration):
    mask = make(name, acceleration, center_fraction=0.06)
    achieved = sampling.achieved_acceleration(mask)
    if name == "equispaced":  # the centre comes on top
        achieved = 1 / ((1 / achieved - 0.0625) / (1 - 0.0625))  # 8 of 128 columns
        assert achieved == pytest.approx(acceleration, rel=0.1)
    else:
        assert achieved == pytest.approx(acceleration, rel=0.025)


@pytest.mark.parametrize("name", MAKERS)
def test_the_centre_is_full(name):
    ny, nx = acs_size(make(name, center_fraction=0.1))
    assert nx >= 13
    assert ny == SHAPE[0] if name.endswith(("lines", "equispaced")) else ny >= 10


def test_lines_are_whole_columns():
    for name in MAKERS[:3]:
        mask = make(name)
        assert torch.equal(mask, mask[:1].expand(SHAPE))


def test_equispaced_lines_are_equispaced():
    columns = make("equispaced", 4, center_fraction=0.0)[0].nonzero().squeeze(1)
    assert len(columns) == 32 and bool((columns.diff() == 4).all()) and int(columns[0]) < 4


def test_gaussian_masks_are_denser_in_the_middle():
    """The density at one standard deviation is e^-1/2 of the centre's before the centre saturates."""
    lines = (
        torch.stack([make("gaussian_lines", 8, center_fraction=0.0, seed=s)[0] for s in range(200)])
        .float()
        .mean(0)
    )
    middle, flank, edge = lines[58:70].mean(), lines[80:92].mean(), lines[116:].mean()
    assert middle > 1.2 * flank > 1.2 * edge
    plane = make("gaussian_2d", 8).float()
    assert plane[36:60, 48:80].mean() > 2 * plane[:24, :32].mean()


def test_poisson_disc_keeps_its_distance():
    mask = sampling.poisson_disc((96, 96), 6, center_fraction=0.0, slope=0.0, tolerance=0.15)
    points = mask.nonzero().float()
    distance = torch.cdist(points, points) + 1e3 * torch.eye(len(points))
    uniform = sampling.random_lines((96, 96), 6, center_fraction=0.0)
    assert float(distance.min()) >= 2  # uniformly drawn points would touch
    assert float(distance.min(1).values.max()) < 5  # and no holes
    assert sampling.achieved_acceleration(uniform) == 6


@pytest.mark.parametrize("acceleration", [4, 8, 24])
@pytest.mark.parametrize("shape", [(320, 320), (256, 192)])
def test_radial_acceleration_is_met_within_half_a_spoke(shape, acceleration):
    mask = sampling.radial(shape, acceleration, center_fraction=0.04, seed=acceleration)
    assert abs(int(mask.sum()) - mask.numel() / acceleration) <= max(shape) / 2
    assert sampling.achieved_acceleration(mask) == pytest.approx(acceleration, rel=0.05)


@pytest.mark.parametrize("shape", [(96, 96), (95, 128)])
def test_radial_spokes_are_symmetric_and_end_at_the_edge(shape):
    mask = sampling.radial(shape, 6, center_fraction=0.0)
    (ky, kx), middle = mask.nonzero().T, torch.tensor(shape) // 2
    assert bool(mask[2 * middle[0] - ky, 2 * middle[1] - kx].all())  # k and -k
    radius = torch.hypot((ky - middle[0]) / shape[0], (kx - middle[1]) / shape[1])
    assert 0.49 < float(radius.max()) < 0.51  # no corners: they lie at 0.71
    inner = float(((radius > 0.1) & (radius < 0.15)).sum() / (math.pi * (0.15**2 - 0.1**2)))
    outer = float(((radius > 0.4) & (radius < 0.45)).sum() / (math.pi * (0.45**2 - 0.4**2)))
    assert 2.5 < inner / outer < 4.5  # the density of spokes falls with 1 / radius


def test_radial_spokes_are_a_golden_angle_apart():
    n, last, directions = 257, torch.zeros(257, 257, dtype=torch.bool), []
    for count in (1, 2, 3):  # each mask is the one before and one more spoke
        mask = sampling.radial((n, n), n / count, center_fraction=0.0, seed=7)
        ky, kx = ((mask & ~last).nonzero() - n // 2).double().T
        far = torch.hypot(ky, kx) > n / 4
        directions.append(
            float(torch.polar(torch.ones_like(ky), 2 * torch.atan2(ky, kx))[far].sum().angle()) / 2
        )
        last = mask
    for one, other in pairwise(directions):
        assert math.degrees((other - one) % math.pi) == pytest.approx(111.246, abs=0.5)


def test_acs_size_by_hand():
    mask = torch.zeros(9, 10, dtype=torch.bool)
    assert acs_size(mask) == (0, 0)
    mask[:, 3:7] = True  # centre 5: columns 5 - 2 ... 5 + 1
    assert acs_size(mask) == (9, 4)
    mask[0] = False
    assert acs_size(mask) == (7, 4)  # centre 4: a block of 8 would begin at row 0
    assert acs_size(torch.ones(8, 6, dtype=torch.bool)) == (8, 6)
    assert acs_size(mask.numpy()) == (7, 4)


def test_impossible_masks_are_refused():
    with pytest.raises(ValueError, match="more than acceleration 8 allows"):
        make("random_lines", 8, center_fraction=0.3)
    with pytest.raises(ValueError, match="at least 1"):
        make("gaussian_2d", 0.5)
    with pytest.raises(ValueError, match="integer"):
        make("equispaced", 3.5)
    with pytest.raises(ValueError, match="more than acceleration 8 allows"):
        make("radial", 8, center_fraction=0.5)
    with pytest.raises(ValueError, match="do not reach the corners of k-space; the least at"):
        make("radial", 1.1)
    with pytest.raises(ValueError, match=r"expected \(ky, kx\)"):
        sampling.equispaced((3, 96, 96), 4)
