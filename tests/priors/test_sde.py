"""The one law of noise: alpha, sigma, drift and diffusion tell the same story."""

from __future__ import annotations

import pytest
import torch
from scanprior.priors.sde import SDE, VE, VP, SubVP

LAWS = [VE(0.01, 50.0), VP(), SubVP()]
T = torch.linspace(0.05, 0.95, 13, dtype=torch.float64)


def derivative(function: object, t: torch.Tensor) -> torch.Tensor:
    t = t.clone().requires_grad_(True)
    return torch.autograd.grad(function(t).sum(), t)[0]  # type: ignore[operator]


@pytest.mark.parametrize("sde", LAWS, ids=lambda s: type(s).__name__)
def test_drift_and_diffusion_solve_the_moment_equations(sde: SDE) -> None:
    # d alpha / dt = f alpha and d sigma² / dt = 2 f sigma² + g² (Särkkä & Solin, eq. 5.50-51; Song 2021 App. B)
    f = sde.drift(torch.ones_like(T), T)
    alpha = sde.alpha(T.clone())
    slope = derivative(sde.alpha, T) if not isinstance(sde, VE) else torch.zeros_like(T)
    torch.testing.assert_close(slope, f * alpha)
    growth = derivative(lambda t: sde.sigma(t) ** 2, T)
    torch.testing.assert_close(growth, 2 * f * sde.sigma(T) ** 2 + sde.diffusion(T) ** 2)


def test_published_values() -> None:
    one = torch.tensor(1.0, dtype=torch.float64)
    assert float(VP().alpha(one)) == pytest.approx(
        torch.exp(torch.tensor(-0.25 * 19.9 - 0.05)).item(), rel=1e-6
    )
    assert float(VP().alpha(one) ** 2 + VP().sigma(one) ** 2) == pytest.approx(1)
    assert float(SubVP().sigma(one)) == pytest.approx(1 - float(VP().alpha(one)) ** 2)
    assert float(VE(0.01, 50).sigma(one)) == pytest.approx(50)
    assert bool((SubVP().sigma(T) < VP().sigma(T)).all())


@pytest.mark.parametrize("sde", LAWS, ids=lambda s: type(s).__name__)
def test_time_inverts_the_noise_level(sde: SDE) -> None:
    torch.testing.assert_close(sde.time(sde.sigma(T) / sde.alpha(T)), T)
