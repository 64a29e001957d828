"""Published networks as priors. Each was trained under a noise law of its own, on the noise or on a score; here
each becomes the denoiser of `score.Prior`, for any sigma:

    D(x, sigma) = c_skip(sigma) x + c_out(sigma) F(c_in(sigma) x, label(sigma)),     x = x_0 + sigma z

which is Tweedie's formula (Karras et al. 2022, Table 1), c_skip = 1 for all but the flows. A law says the other three:

    kind        c_in              c_out    label                                     network
    "vp"        alpha(t)          -sigma   labels t                                  DDPM++, EDM's "vp"
    "sub-vp"    alpha(t)          -sigma   labels t                                  DDPM++
    "ve"        1                 sigma    log(scale sigma)                          NCSN++, EDM's "ve"
    "discrete"  1/sqrt(1+sigma²)  -sigma   step: sqrt(1 / alpha_bar - 1) = sigma     DDPM, ADM, iDDPM
    "levels"    1                 sigma    level: sigma_i = sigma                    NCSNv2, discrete NCSN++
    the same, gives = "score"     sigma²                                             NCSN
    "flow"      t                 1 - t    labels t                                  velocities towards the image
    the same, towards = "noise"   t - 1    labels (1 - t)                            diffusers' flow matching

A flow (Lipman et al. 2023, Liu et al. 2023) goes straight, x_t = t x_0 + (1 - t) z, with t = 1 / (1 + sigma), and its
velocity v = x_0 - z (or z - x_0) gives x_0 = x_t + (1 - t) v: c_skip = t. Of the others, t solves
sigma(t) / alpha(t) = sigma. Steps and levels are interpolated in log sigma: the sines of a label need no whole number,
NCSNv2 ignores the label, NCSN rounds it. Labels stay within those that the network has seen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from .intensity import Intensity
from .score import NetworkPrior
from .sde import SDE, VE, VP, SubVP


class NoiseLaw(Protocol):
    """How a network is shown noise of level sigma (B,), and which levels it learns from: all methods (B,) -> (B,)."""

    def c_skip(self, sigma: Tensor) -> Tensor: ...

    def c_in(self, sigma: Tensor) -> Tensor: ...

    def c_out(self, sigma: Tensor) -> Tensor: ...

    def label(self, sigma: Tensor) -> Tensor: ...

    def level(self, u: Tensor) -> Tensor:
        """The noise levels of training, ascending in u, which is uniform in [0, 1]."""
        ...


class _OfTheNoise:
    """Networks whose output tells the noise: D keeps x whole and takes the noise away."""

    def c_skip(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)


@dataclass(frozen=True)
class ContinuousVP(_OfTheNoise):
    """Networks of the noise under the VP SDE, with label `labels` t (Song et al. 2021)."""

    beta_0: float = 0.1
    beta_1: float = 20.0
    labels: float = 999.0

    def _sde(self) -> VP:
        return VP(self.beta_0, self.beta_1)

    def c_in(self, sigma: Tensor) -> Tensor:
        sde = self._sde()
        return sde.alpha(sde.time(sigma))

    def c_out(self, sigma: Tensor) -> Tensor:
        return -sigma

    def label(self, sigma: Tensor) -> Tensor:
        return self.labels * self._sde().time(sigma).clamp(0, 1)

    def level(self, u: Tensor) -> Tensor:
        return _level_under(self._sde(), u)


@dataclass(frozen=True)
class ContinuousSubVP(ContinuousVP):
    """As `ContinuousVP`, under the sub-VP SDE."""

    def _sde(self) -> VP:
        return SubVP(self.beta_0, self.beta_1)


@dataclass(frozen=True)
class ContinuousVE(_OfTheNoise):
    """Networks of sigma times the score under the VE SDE, with label log(scale sigma)."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    scale: float = 1.0

    def c_in(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)

    def c_out(self, sigma: Tensor) -> Tensor:
        return sigma

    def label(self, sigma: Tensor) -> Tensor:
        return torch.log(self.scale * sigma.clamp(self.sigma_min, self.sigma_max))

    def level(self, u: Tensor) -> Tensor:
        return _level_under(VE(self.sigma_min, self.sigma_max), u)


def _level_under(sde: SDE, u: Tensor) -> Tensor:  # t uniform in [1e-5, 1] (Song et al. 2021, App. C)
    t = 1e-5 + (1 - 1e-5) * u
    return sde.sigma(t) / sde.alpha(t)


def _interpolate(sigma: Tensor, levels: np.ndarray) -> Tensor:
    """The real index at which `levels` (ascending) reach sigma, linear in log sigma, within 0 ... len - 1."""
    logs = torch.as_tensor(np.log(levels), dtype=torch.float64, device=sigma.device)
    value = sigma.double().clamp_min(1e-12).log()
    above = torch.searchsorted(logs, value.contiguous()).clamp(1, len(logs) - 1)
    low, high = logs[above - 1], logs[above]
    return (above - 1 + ((value - low) / (high - low)).clamp(0, 1)).to(sigma.dtype)


@dataclass(frozen=True)
class DiscreteVP(_OfTheNoise):
    """Networks of the noise at steps 0 ... steps - 1 (Ho et al. 2020): `linear` beta from beta_0 to beta_1, or
    `cosine` (Nichol & Dhariwal 2021, eq. 17). Respaced samplers show their network the original steps: nothing
    changes."""

    schedule: Literal["linear", "cosine"] = "linear"
    steps: int = 1000
    beta_0: float = 1e-4
    beta_1: float = 0.02

    def __post_init__(self) -> None:
        if self.schedule not in ("linear", "cosine"):
            raise ValueError(f"noise schedule {self.schedule!r}: expected linear or cosine")

    def levels(self) -> np.ndarray:
        """sqrt(1 / alpha_bar - 1) of each step, ascending."""
        if self.schedule == "linear":
            kept = 1 - np.linspace(self.beta_0, self.beta_1, self.steps)
        else:
            bar = np.cos((np.arange(self.steps + 1) / self.steps + 0.008) / 1.008 * np.pi / 2) ** 2
            kept = np.maximum(bar[1:] / bar[:-1], 1e-3)
        return np.sqrt(1 / np.cumprod(kept) - 1)

    def c_in(self, sigma: Tensor) -> Tensor:
        return torch.rsqrt(1 + sigma**2)

    def c_out(self, sigma: Tensor) -> Tensor:
        return -sigma

    def label(self, sigma: Tensor) -> Tensor:
        return _interpolate(sigma, self.levels())

    def level(self, u: Tensor) -> Tensor:
        levels = torch.as_tensor(self.levels(), dtype=u.dtype, device=u.device)
        return levels[(u * self.steps).long().clamp(max=self.steps - 1)]


@dataclass(frozen=True)
class Levels(_OfTheNoise):
    """Networks at `count` levels, geometric from sigma_max (label 0) to sigma_min (Song & Ermon 2019, 2020). They
    give sigma times the score, or the score itself (`gives = "score"`: NCSN)."""

    sigma_max: float
    sigma_min: float
    count: int
    gives: Literal["scaled", "score"] = "scaled"

    def __post_init__(self) -> None:
        if self.gives not in ("scaled", "score"):
            raise ValueError(f"noise levels: gives is {self.gives!r}, expected scaled or score")

    def c_in(self, sigma: Tensor) -> Tensor:
        return torch.ones_like(sigma)

    def c_out(self, sigma: Tensor) -> Tensor:
        return sigma**2 if self.gives == "score" else sigma

    def label(self, sigma: Tensor) -> Tensor:
        ratio = torch.log(self.sigma_max / sigma.clamp(self.sigma_min, self.sigma_max))
        return (self.count - 1) * ratio / math.log(self.sigma_max / self.sigma_min)

    def level(self, u: Tensor) -> Tensor:
        rank = (u * self.count).floor().clamp(max=self.count - 1)
        return self.sigma_min * (self.sigma_max / self.sigma_min) ** (rank / max(1, self.count - 1))


@dataclass(frozen=True)
class Flow:
    """Networks of the velocity of a straight flow between noise and image, with label `labels` times how far it has
    come: from the noise for velocities `towards` the image, from the image for those towards the noise."""

    towards: Literal["image", "noise"] = "image"
    labels: float = 1.0

    def __post_init__(self) -> None:
        if self.towards not in ("image", "noise"):
            raise ValueError(f"a flow goes towards {self.towards!r}, expected image or noise")

    def c_skip(self, sigma: Tensor) -> Tensor:
        return 1 / (1 + sigma)

    def c_in(self, sigma: Tensor) -> Tensor:
        return 1 / (1 + sigma)

    def c_out(self, sigma: Tensor) -> Tensor:
        left = sigma / (1 + sigma)
        return left if self.towards == "image" else -left

    def label(self, sigma: Tensor) -> Tensor:
        return self.labels * (1 if self.towards == "image" else sigma) / (1 + sigma)

    def level(self, u: Tensor) -> Tensor:
        left = 1e-3 + (1 - 2e-3) * u  # 1 - t, uniform
        return left / (1 - left)


LAWS: dict[str, type] = {
    "vp": ContinuousVP,
    "sub-vp": ContinuousSubVP,
    "ve": ContinuousVE,
    "discrete": DiscreteVP,
    "levels": Levels,
    "flow": Flow,
}


def noise_law(table: Mapping[str, Any]) -> NoiseLaw:
    """The law that a card's table describes: {"kind": "ve", ...fields of its class}.

    Raises ValueError for an unknown kind or field, a missing one, and one of which no noise comes.
    """
    options = dict(table)
    kind = options.pop("kind", None)
    if kind not in LAWS:
        raise ValueError(f"unknown noise law {kind!r}; known: {', '.join(LAWS)}")
    fields = {field.name: field for field in dataclasses.fields(LAWS[kind])}
    if unknown := set(options) - set(fields):
        raise ValueError(
            f"noise law {kind!r} has no entry {', '.join(sorted(unknown))}; known: {', '.join(fields)}"
        )
    needed = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    if missing := [name for name in needed if name not in options]:
        raise ValueError(f"noise law {kind!r} lacks {', '.join(missing)}")
    law = LAWS[kind](**options)
    try:
        sigma, u = (torch.tensor(values, device="cpu") for values in ([0.01, 1.0, 100.0], [0.1, 0.5, 0.9]))
        with np.errstate(all="ignore"):
            tried = [law.c_skip(sigma), law.c_in(sigma), law.c_out(sigma), law.label(sigma), law.level(u)]
        sound = all(bool(torch.isfinite(values).all()) for values in tried)
    except (TypeError, ValueError, RuntimeError, ArithmeticError, LookupError):
        sound = False
    if not sound:
        raise ValueError(f"noise law {kind!r}: no noise comes of {str(options)[:200]}; correct these numbers")
    return law


class PublishedPrior(NetworkPrior):
    """D(x, sigma) = c_skip x + c_out F(c_in x, label) of a network under `law`; channels of F beyond C are left aside.

    Args:
        network: (B, C, H, W), (B,) -> (B, C or more, H, W).
        channels: C.
        law: the noise the network was trained under.
        sigma_data: standard deviation of the data in network units; only the training loss reads it.
        intensity: the map from physical units; None where images are in network units already.
    """

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        law: NoiseLaw,
        sigma_data: float = 0.5,
        intensity: Intensity | None = None,
    ) -> None:
        super().__init__(network, channels, sigma_data, intensity)
        self.law = law

    def for_inference(
        self, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
    ) -> NetworkPrior:
        """As `NetworkPrior`, but in float32 by default: D = x - sigma F multiplies the network's rounding by sigma,
        which is large where the image is still noise."""
        return super().for_inference(device, dtype or torch.float32)

    def scaling(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """c_skip, c_out, c_in and the network's noise label at levels (B,)."""
        law = self.law
        return law.c_skip(sigma), law.c_out(sigma), law.c_in(sigma), law.label(sigma)
