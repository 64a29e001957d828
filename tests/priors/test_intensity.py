"""The map to network units: what the network's 0 and 1 are in physical units, and back again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators.attenuation import hu_from_mu, mu_from_hu
from scanprior.operators.radon import Radon
from scanprior.priors.analytic import MixturePrior
from scanprior.priors.intensity import Attenuation, GreyLevels, RobustMaximum
from scanprior.recon.posterior.posed import Posed
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


@pytest.mark.parametrize(
    ("intensity", "window", "stored", "network", "back", "span"),
    [
        (
            Attenuation(1000.0),
            (-1024, 3071),
            [-2000, -1000, 40, 5000],
            [-1.024, -1, 0.04, 3.071],
            [-1024, 3071],
            2.0,
        ),
        (
            Attenuation(2000.0, hu_at_zero=-1000),
            (-1000, 1000),
            [-1024, 0, 1000],
            [0, 0.5, 1],
            [-1000, 1000],
            1.0,
        ),
        (GreyLevels(), (0, 255), [0, 51, 255], [-1, -0.6, 1], [0, 255], 2.0),
        (GreyLevels(255, 0), (0, 255), [0, 51, 255], [0, 0.2, 1], [0, 255], 1.0),
        (RobustMaximum(quantile=1, factor=1), (0, 1), [0, 5, 20], [0, 0.25, 1], [0, 1], 2.0),
        (RobustMaximum(quantile=0.5, factor=1), (0, 1), [0, 5j, 20j], [0, 1j, 1j], [0, 1], 2.0),
    ],
)
def test_stored_images_and_network_units(intensity, window, stored, network, back, span) -> None:
    """What training reads and sampling writes: cut off at the card's window, and back again."""
    image = np.array([stored], np.complex64 if isinstance(stored[1], complex) else np.float32)
    x = intensity.to_network(image, window)
    np.testing.assert_allclose(x, [network], atol=1e-6)
    assert x.dtype == image.dtype
    again = intensity.to_physical(torch.from_numpy(x)).numpy()
    assert (np.abs(again).min() if back[0] >= 0 else again.min(), np.abs(again).max()) == pytest.approx(
        tuple(back)
    )
    assert intensity.span == pytest.approx(span)


@pytest.mark.parametrize("intensity", [Attenuation(1000.0, hu_at_zero=-24), GreyLevels(), GreyLevels(255, 0)])
def test_a_step_is_one_stored_level_and_the_window_spans_the_data(intensity) -> None:
    one = torch.tensor([[10.0, 11.0]]).numpy()
    x = intensity.to_network(one, (-1024, 3071))
    assert x[0, 1] - x[0, 0] == pytest.approx(intensity.step, rel=1e-4)
    low, high = intensity.window
    assert (high - low) * intensity.step == pytest.approx(intensity.span)


@pytest.mark.parametrize("hu_at_zero", [0.0, -1000.0, 1023.5])
def test_a_method_poses_the_same_problem_in_any_network_units(hu_at_zero: float) -> None:
    """The operator in network units explains exactly what is left of noise-free data, and back come the images."""
    image = mu_from_hu(torch.randn(2, 16, 16, generator=torch.Generator().manual_seed(0)) * 300, WATER)
    grid = Grid((16, 16), 1.0)
    operator = Radon(ParallelBeam.covering(grid, 9), grid)
    prior = MixturePrior(torch.ones(1), torch.zeros(1, 1, 16, 16), torch.ones(1))
    prior.intensity = Attenuation(hu_per_unit=2047.5, hu_at_zero=hu_at_zero)
    posed = Posed(Problem(operator(image), operator, water=WATER), prior, image)
    torch.testing.assert_close(posed.A(posed.initial), posed.y, rtol=0, atol=0.01)  # of the noise
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
