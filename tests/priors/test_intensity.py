"""The map to network units: what the network's 0 and 1 are in physical units, and back again."""

from __future__ import annotations

import pytest
import torch
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators.attenuation import hu_from_mu, mu_from_hu
from scanprior.operators.radon import Radon
from scanprior.priors.analytic import MixturePrior
from scanprior.priors.intensity import Attenuation, RobustMaximum
from scanprior.recon.posterior.base import Posed
from scanprior.recon.problem import Problem

WATER = 0.0205  # 1/mm, not the card's


@pytest.mark.parametrize(
    ("intensity", "hu_of"),  # HU of network 0 and 1
    [
        (Attenuation(), (0.0, 1000.0)),
        (Attenuation(hu_per_unit=2000, hu_at_zero=-1000), (-1000.0, 1000.0)),  # [0, 1]
        (Attenuation(hu_per_unit=2047.5, hu_at_zero=1023.5), (1023.5, 3071.0)),  # [-1, 1]: -1024 to 3071
    ],
)
def test_network_zero_and_one_are_the_hu_of_the_card(intensity: Attenuation, hu_of) -> None:
    for water in (None, WATER):
        scale, offset = intensity.affine(torch.zeros(3, 4, 4), water)
        assert scale.shape == (3,)
        for x, hu in zip((0.0, 1.0), hu_of, strict=True):
            mu = scale.double() * x + offset
            assert torch.allclose(
                hu_from_mu(mu, water or intensity.mu_water), torch.tensor(hu).double(), atol=1e-3
            )


def test_air_at_zero_needs_no_offset() -> None:
    """So a method subtracts no projection of a constant."""
    assert Attenuation(hu_per_unit=2000, hu_at_zero=-1000).affine(torch.zeros(1, 4, 4))[1] == 0.0


def test_there_and_back() -> None:
    hu = torch.linspace(-1024, 3071, 64).view(1, 8, 8)
    mu = mu_from_hu(hu, WATER)
    scale, offset = Attenuation(hu_per_unit=2047.5, hu_at_zero=1023.5).affine(mu, WATER)
    network = (mu - offset) / scale
    assert network.aminmax() == (pytest.approx(-1, abs=1e-5), pytest.approx(1, abs=1e-5))
    torch.testing.assert_close(offset + scale * network, mu)


@pytest.mark.parametrize("hu_at_zero", [0.0, -1000.0, 1023.5])
def test_a_method_poses_the_same_problem_in_any_network_units(hu_at_zero: float) -> None:
    """The operator in network units explains exactly what is left of noise-free data, and back come the images."""
    image = mu_from_hu(torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0)) * 300, WATER)
    grid = Grid((16, 16), 1.0)
    operator = Radon(ParallelBeam.covering(grid, 9), grid)
    prior = MixturePrior(torch.ones(1), torch.zeros(1, 1, 16, 16), torch.ones(1))
    prior.intensity = Attenuation(hu_per_unit=2047.5, hu_at_zero=hu_at_zero)
    posed = Posed(Problem(operator(image), operator, water=WATER), prior, image)
    torch.testing.assert_close(posed.forward(posed.initial), posed.y, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(posed.physical(posed.initial), image)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Attenuation(hu_per_unit=0),
        lambda: Attenuation(mu_water=-0.02),
        lambda: Attenuation(hu_per_unit=float("nan")),
        lambda: RobustMaximum(quantile=99),
        lambda: RobustMaximum(factor=0),
    ],
)
def test_maps_that_cannot_be_are_refused(make) -> None:
    with pytest.raises(ValueError, match=r"got .*; expected"):
        make()
