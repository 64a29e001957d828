"""Predictors: one step of the reverse SDE or of the probability flow, from time t to s < t, under every law of noise.

With a, G of the forward transition x_t = a x_s + G z, D the denoised image at t, and levels l = sigma / alpha, x_s is

    Euler-Maruyama      x - (f - g² score) (t - s) + g sqrt(t - s) z                Song et al. 2021, eq. 6
    reverse diffusion   (2 - a) x + G² score + G z                                  eq. 46-47; Alg. 2, 3
    ancestral           (x + G² score) / a + G (sigma_s / sigma_t) z                eq. 4, 47; Ho et al. 2020
    DDIM                alpha_s D + sqrt(sigma_s² - v²) (x - alpha_t D) / sigma_t + v z,    v = eta G sigma_s / sigma_t
                                                                                    Song J. et al. 2021, eq. 12
    Heun                noise up to (1 + churn) l, then Heun's step in l, on x / alpha      Karras et al. 2022, Alg. 2
    none                x

Heun takes two network evaluations and is of order 2 (with churn too, in distribution); the others take one, and are
of order 1. DDIM with eta = 0 is Euler's step of the probability flow in l, with eta = 1 ancestral sampling. Ancestral
noise has the variance of q(x_s | x_t, x_0), which for VE is Song's; for VP Song takes the other of Ho's two, G.

All have one signature, with parameters of their own by keyword (`functools.partial(ddim, eta=0.5)`). They return the
image and what it was before the step's noise was added, so that a run can end noise free.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from ..score import Prior, per_item, score
from ..sde import SDE
from .loop import NoiseSource


class Predictor(Protocol):
    """From x (B, C, H, W) at time t to time s < t; times are numbers or (B,). Returns (x_s, x_s before its noise)."""

    def __call__(
        self, prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, *, noise: NoiseSource
    ) -> tuple[Tensor, Tensor]: ...


def transition(sde: SDE, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """(a, G) of the forward step from s to t: x_t = a x_s + G z."""
    a = sde.alpha(t) / sde.alpha(s)
    return a, torch.sqrt((sde.sigma(t) ** 2 - (a * sde.sigma(s)) ** 2).clamp_min(0))


def euler_maruyama(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, noise: NoiseSource
) -> tuple[Tensor, Tensor]:
    t, dt = per_item(t, x), per_item(t - s, x)
    f, g = sde.drift(x, t), sde.diffusion(t)
    mean = x - (f - g**2 * score(prior, x, t.flatten(), sde)) * dt
    return mean + g * torch.sqrt(dt) * noise.like(x), mean


def reverse_diffusion(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, noise: NoiseSource
) -> tuple[Tensor, Tensor]:
    a, G = transition(sde, per_item(t, x), per_item(s, x))
    mean = (2 - a) * x + G**2 * score(prior, x, t, sde)
    return mean + G * noise.like(x), mean


def ancestral(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, noise: NoiseSource
) -> tuple[Tensor, Tensor]:
    a, G = transition(sde, per_item(t, x), per_item(s, x))
    mean = (x + G**2 * score(prior, x, t, sde)) / a
    return mean + G * per_item(sde.sigma(s) / sde.sigma(t), x) * noise.like(x), mean


def ddim(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, noise: NoiseSource, eta: float = 0.0
) -> tuple[Tensor, Tensor]:
    """`eta`: 0 renews no noise, 1 as much as ancestral sampling."""
    t, s = per_item(t, x), per_item(s, x)
    alpha, sigma, lower = sde.alpha(t), sde.sigma(t), sde.sigma(s)
    _, G = transition(sde, t, s)
    v = eta * G * lower / sigma
    D = prior.denoise(x / alpha, (sigma / alpha).flatten())
    mean = sde.alpha(s) * D + torch.sqrt(lower**2 - v**2) * (x - alpha * D) / sigma
    return (mean + v * noise.like(x) if eta else mean), mean


def heun(
    prior: Prior,
    x: Tensor,
    t: Tensor,
    s: Tensor,
    sde: SDE,
    noise: NoiseSource,
    churn: float = 0.0,
    between: tuple[float, float] = (0.0, math.inf),
) -> tuple[Tensor, Tensor]:
    """`churn`: the paper's gamma = min(S_churn / N, sqrt(2) - 1) of N levels, for levels `between` S_tmin and S_tmax.
    Its S_noise is the sampler's temperature."""
    t, s = per_item(t, x), per_item(s, x)
    level, lower = sde.sigma(t) / sde.alpha(t), sde.sigma(s) / sde.alpha(s)
    x_hat = x / sde.alpha(t)
    if churn:
        gamma = churn * ((level >= between[0]) & (level <= between[1]))
        x_hat = x_hat + level * torch.sqrt((1 + gamma) ** 2 - 1) * noise.like(x)
        level = (1 + gamma) * level
    d = (x_hat - prior.denoise(x_hat, level.flatten())) / level
    x_next = x_hat + (lower - level) * d
    d_next = (x_next - prior.denoise(x_next, lower.flatten())) / lower
    x = sde.alpha(s) * (x_hat + (lower - level) * (d + d_next) / 2)
    return x, x


def none(
    prior: Prior, x: Tensor, t: Tensor, s: Tensor, sde: SDE, noise: NoiseSource
) -> tuple[Tensor, Tensor]:
    """No step: as a predictor it leaves all to the corrector, and the other way round."""
    return x, x
