"""The probability flow: the deterministic way between images and noise (Song et al. 2021, eq. 13; Karras et al. 2022,
eq. 4, Alg. 1). Under every law of noise,

    dx = [f(x, t) - ½ g(t)² score(x, t)] dt

keeps the marginals p_t of the SDE. Divided by alpha it is one and the same equation for them all, in the noise level
s = sigma / alpha (sde.py):

    dx/ds = (x - D(x, s)) / s,

so that a law only says where the flow ends in noise, at s_max = sigma(1) / alpha(1). `encode` goes from an image, taken
at s = sigma_min, up to the latent z = x(s_max) / s_max, nearly standard normal; `decode` goes down again. In s the
paths are nearly straight at both ends, which is why the solvers step in s and not in t. Levels below about 0.01 are
not asked for: no network has seen them, and (x - D) / s is a difference of nearly equal numbers there.

    solver    order   network evaluations
    Euler     1       steps              on a grid of levels (loop.py)
    Heun      2       2 steps            on a grid of levels; Alg. 1 without its last step to 0, see `decode`
    RK45      5(4)    as many as needed  Dormand-Prince, the paper's choice (scipy's `solve_ivp`)

An image's path never depends on its batch mates: RK45 solves, and chooses its steps, for one image at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from ..score import Prior
from ..sde import SDE, VE
from .loop import ItemNoise, karras_levels

SIGMA_MIN = 0.01

Slope = Callable[[Tensor, float], Tensor]  # (x (B, ...), s) -> dx/ds


class Solution(NamedTuple):
    """Where a path ends, (B, ...), and the network evaluations that each item took, (B,)."""

    x: Tensor
    nfe: Tensor


class Solver(Protocol):
    """dx/ds = slope(x, s) from x(start), item by item."""

    def __call__(self, slope: Slope, x: Tensor, start: float, stop: float) -> Solution: ...


Grid = Callable[[int, float, float], Sequence[float]]  # (N, start, stop) -> N levels, e.g. `log_snr_levels`


def _refuse(solver: Solver, sound: bool, expected: str) -> None:
    if not sound:
        raise ValueError(f"got {solver}, expected {expected}")


@dataclass(frozen=True)
class Euler:
    """First order; the same as DDIM (Song J. et al. 2021). `steps` from each level of the `grid` to the next."""

    steps: int = 50
    grid: Grid = karras_levels

    def __post_init__(self) -> None:
        _refuse(self, self.steps >= 1, "at least one step")

    def __call__(self, slope: Slope, x: Tensor, start: float, stop: float) -> Solution:
        for sigma, s in pairwise(self.grid(self.steps + 1, start, stop)):
            x = x + (s - sigma) * slope(x, sigma)
        return Solution(x, torch.full((len(x),), self.steps))


@dataclass(frozen=True)
class Heun:
    """Second order (Karras et al. 2022, Alg. 1). `steps` from each level of the `grid` to the next."""

    steps: int = 25
    grid: Grid = karras_levels

    def __post_init__(self) -> None:
        _refuse(self, self.steps >= 1, "at least one step")

    def __call__(self, slope: Slope, x: Tensor, start: float, stop: float) -> Solution:
        for sigma, s in pairwise(self.grid(self.steps + 1, start, stop)):
            d = slope(x, sigma)
            x_euler = x + (s - sigma) * d
            x = x + (s - sigma) / 2 * (d + slope(x_euler, s))
        return Solution(x, torch.full((len(x),), 2 * self.steps))


@dataclass(frozen=True)
class RK45:
    """Adaptive, with an error of about `tolerance` a step, absolute and relative, rms over the image."""

    tolerance: float = 1e-5

    def __post_init__(self) -> None:
        _refuse(self, 1e-12 < self.tolerance < 1, "a tolerance between 1e-12 and 1")

    def __call__(self, slope: Slope, x: Tensor, start: float, stop: float) -> Solution:
        """Raises FloatingPointError where the slope is not finite, or no step is small enough."""
        paths = [self._path(slope, item, start, stop) for item in x.split(1)]
        ends = [torch.from_numpy(y).to(x).view_as(x[:1]) for y, _ in paths]
        return Solution(torch.cat(ends), torch.tensor([count for _, count in paths]))

    def _path(self, slope: Slope, x: Tensor, start: float, stop: float) -> tuple[np.ndarray, int]:
        def derivative(s: float, y: np.ndarray) -> np.ndarray:
            d = slope(torch.from_numpy(y).to(x).view_as(x), float(s)).flatten().double().cpu().numpy()
            if not np.isfinite(d).all():  # solve_ivp would go on for ever
                raise FloatingPointError(f"the probability flow is not finite at noise level {s:.3g}")
            return d

        y = x.flatten().double().cpu().numpy()
        path = solve_ivp(
            derivative, (start, stop), y, "RK45", t_eval=[stop], rtol=self.tolerance, atol=self.tolerance
        )
        if not path.success:
            raise FloatingPointError(
                f"the probability flow cannot be solved to a tolerance of {self.tolerance:g} ({path.message}); take a "
                "larger one"
            )
        return path.y[:, -1], path.nfev


def flow(prior: Prior) -> Slope:
    """dx/ds of a prior's probability flow, one network evaluation."""

    @torch.no_grad()
    def slope(x: Tensor, s: float) -> Tensor:
        return (x - prior.denoise(x, s)) / s

    return slope


def top_level(sde: SDE) -> float:
    """s_max = sigma(1) / alpha(1)."""
    end = torch.tensor(1.0, dtype=torch.float64)
    return float(sde.sigma(end) / sde.alpha(end))


def encode(
    prior: Prior, x: Tensor, sde: SDE, solver: Solver = RK45(), sigma_min: float = SIGMA_MIN
) -> Solution:
    """Images (B, C, H, W) in network units -> latents of the same shape, about N(0, I)."""
    top = top_level(sde)
    latent, nfe = solver(flow(prior), x, sigma_min, top)
    return Solution(latent / top, nfe)


def decode(
    prior: Prior,
    latent: Tensor,
    sde: SDE,
    solver: Solver = RK45(),
    sigma_min: float = SIGMA_MIN,
    denoised: bool = False,
) -> Solution:
    """Latents (B, C, H, W), e.g. `ItemNoise(seeds).like(...)` -> images in network units. Latents times a temperature
    below 1 give images nearer to the prior's mean (Song et al. 2021, App. D.5).

    They keep noise of `sigma_min`, which makes this the inverse of `encode`; `denoised` takes it away (the last step
    of Alg. 1, an Euler step to s = 0, which ends at D), for one evaluation more.
    """
    top = top_level(sde)
    x, nfe = solver(flow(prior), top * latent, top, sigma_min)
    if not denoised:
        return Solution(x, nfe)
    with torch.no_grad():
        return Solution(prior.denoise(x, sigma_min), nfe + 1)


def flow_images(
    prior: Prior,
    shape: tuple[int, int],
    seeds: Sequence[int],
    steps: int = 41,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Unconditional images, (len(seeds), C, H, W) in network units on the prior's `device`: Heun's method from
    each seed's noise, in `steps` network evaluations, one less where that is even, 3 at least."""
    z = ItemNoise(seeds).like(torch.zeros(len(seeds), prior.channels, *shape, device=device))
    return decode(prior, z, VE(), Heun(max(1, (steps - 1) // 2)), denoised=True).x


def interpolate(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Latents (K, C, H, W) on the arc from `a` (weight 0) to `b` (weight 1), each (C, H, W): spherical, for a straight
    line would leave the shell where Gaussian latents lie. weights (K,)."""
    angle = torch.acos(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1))
    w = weights.to(a).view(-1, *[1] * a.ndim)
    if float(angle.sin()) < 1e-6:
        return (1 - w) * a + w * b
    return (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / torch.sin(angle)
