"""deepinv's posterior methods (Tachella et al., github.com/deepinv/deepinv, 0.5) with our network, operator and noise.

deepinv's denoisers know images in [0, 1], its operators are best of norm 1, its noise is white. Hence, from the problem
in the prior's units x (`Posed`: whitened by its noise, the same model error of 0.04 %),

    x = low + width v,      D'(v, s) = (D(low + width v, width s) - low) / width
    y' = W^½ (y - A low) / N,      A' v = W^½ A width v / N,      sigma = 1 / N,      N = |W^½ A width|

v in [0, 1] is the network's [-1, 1]: -1000 to 1000 HU, the parts of a complex image. Some of the methods clip what
they denoise, and bone goes beyond; windows up to 2000 or 4000 HU were worse (DiffPIR and PiGDM by 0.2 to 0.7 dB). The
methods are given this and timed without it, and get our fused A^H A.

What was set (`python -m peers.run --tune` repeats the choice of the weight; the rest is deepinv's default):

    DPS       the class's VP and DDPM solver; `weight`
    DiffPIR   zeta 1, the default of its documentation, 1.6 to 3 dB better here than the code's 0.1; `lambda_`
    PiGDM     no class, but a data term: PosteriorDiffusion with PiGDMDataFidelity, VP (alpha 1) and clip as in
              deepinv's CT example, the DDPM solver as in DPS (deepinv advises it for few steps); `weight`
    DDRM      levels linspace(1, 0, n), `eta`; one coil only, whose operator has a decomposition in closed form

The network's evaluations are counted here: n + 1 times of the DDPM solver cost n of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scanprior.operators.fourier import fft2c, ifft2c
from scanprior.operators.mri import CartesianMRI
from scanprior.priors.score import NetworkPrior, from_channels, to_channels
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.problem import Problem
from torch import Tensor

try:
    import torchvision  # noqa: F401
except RuntimeError:  # "operator torchvision::nms does not exist": no build of it for this torch
    _library = torch.library.Library("torchvision", "DEF")
    for _name in ("nms", "qnms"):
        _library.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import deepinv

Map = Callable[..., Tensor]
LOW, WIDTH = -1.0, 2.0  # of deepinv's [0, 1] in network units


class Denoiser(deepinv.models.Denoiser):
    """Our prior in deepinv's units. `evaluations` counts its calls."""

    def __init__(self, prior: NetworkPrior) -> None:
        super().__init__()
        self.prior, self.evaluations = prior, 0

    def forward(self, x: Tensor, sigma: Tensor | float, **_: object) -> Tensor:
        self.evaluations += 1
        sigma = torch.as_tensor(sigma, dtype=torch.float32).flatten()
        D = self.prior.denoise(LOW + WIDTH * x.float(), WIDTH * sigma)
        return (D - LOW) / WIDTH


class Physics(deepinv.physics.LinearPhysics):
    """A, A^H and the operator's own A^H A, which deepinv takes for conjugate gradients."""

    def __init__(self, A: Map, A_adjoint: Map, normal: Map, noise: deepinv.physics.GaussianNoise) -> None:
        super().__init__(A=A, A_adjoint=A_adjoint, noise_model=noise)
        self.normal = normal

    def A_adjoint_A(self, x: Tensor, **_: object) -> Tensor:
        return self.normal(x)


@dataclass(frozen=True)
class Peer:
    """One slice as deepinv sees it.

    Attributes:
        physics: A' with its noise.
        y: y', (1, channels, ...).
        denoiser: the prior.
        physical: v (1, channels, H, W) -> an image in the scan's units.
    """

    physics: deepinv.physics.LinearPhysics
    y: Tensor
    denoiser: Denoiser
    physical: Callable[[Tensor], Tensor]


def pose(problem: Problem, prior: NetworkPrior, decomposed: bool = False) -> Peer:
    """A problem of one slice for deepinv. `decomposed`: with its singular value decomposition, for CartesianMRI of one
    coil (ValueError for others)."""
    posed = Posed(problem, prior, problem.least_squares())
    denoiser, channels = Denoiser(prior), prior.channels
    norm = WIDTH * float(posed.gain.sqrt())
    constant = from_channels(torch.full((1, channels, *problem.operator.domain), LOW))

    def A(v: Tensor, **_: object) -> Tensor:
        return to_channels(posed.A(WIDTH * from_channels(v)) / norm, channels)

    def A_adjoint(w: Tensor, **_: object) -> Tensor:
        return to_channels(WIDTH * posed.AH(from_channels(w)) / norm, channels)

    def normal(v: Tensor) -> Tensor:
        return to_channels((WIDTH / norm) ** 2 * posed.AHA(from_channels(v)), channels)

    noise = deepinv.physics.GaussianNoise(1 / norm)
    physics = one_coil(problem, noise) if decomposed else Physics(A, A_adjoint, normal, noise)
    y = to_channels((posed.y - posed.A(constant)) / norm, channels)
    return Peer(physics, y, denoiser, lambda v: posed.physical(from_channels(LOW + WIDTH * v.float())))


def one_coil(problem: Problem, noise: deepinv.physics.GaussianNoise) -> deepinv.physics.DecomposablePhysics:
    """M F S of a map of modulus 1: U = 1, the singular values are the mask, V = S^H F^H."""
    operator = problem.operator
    if not isinstance(operator, CartesianMRI) or operator.range[0] != 1:
        raise ValueError(f"got {operator!r}, expected CartesianMRI of one coil")
    maps = operator.maps.reshape(operator.domain)
    if not torch.allclose(maps.abs(), torch.ones(()), atol=1e-4):
        raise ValueError(
            "the coil's map is not of modulus 1: its operator has no decomposition in closed form"
        )
    mask = operator.mask.reshape(1, 1, 1, *operator.domain).float()
    return deepinv.physics.DecomposablePhysics(
        V_adjoint=lambda v: to_channels(fft2c(maps * from_channels(v))[:, None], 2),
        V=lambda k: to_channels(maps.conj() * ifft2c(from_channels(k)[:, 0]), 2),
        mask=mask.expand(1, 2, *mask.shape[2:]),
        noise_model=noise,
    )


def dps(peer: Peer, nfe: int, weight: float) -> Tensor:
    method = deepinv.sampling.DPS(peer.denoiser, num_steps=nfe + 1, weight=weight, rng=torch.Generator())
    return method(peer.y, peer.physics, x_init=_shape(peer), seed=1)


def diffpir(peer: Peer, nfe: int, weight: float) -> Tensor:
    method = deepinv.sampling.DiffPIR(
        peer.denoiser, deepinv.optim.data_fidelity.L2(), max_iter=nfe, zeta=1.0, lambda_=weight
    )
    return method(peer.y, peer.physics, seed=1)


def pigdm(peer: Peer, nfe: int, weight: float) -> Tensor:
    times = torch.linspace(1, 0, nfe + 1, dtype=torch.float64)
    method = deepinv.sampling.PosteriorDiffusion(
        data_fidelity=deepinv.sampling.PiGDMDataFidelity(weight=weight, clip=(0.0, 1.0)),
        denoiser=peer.denoiser,
        sde=deepinv.sampling.VariancePreservingDiffusion(alpha=1.0),
        solver=deepinv.sampling.DDPMSolver(timesteps=times, rng=torch.Generator()),
    )
    return method(peer.y, peer.physics, x_init=_shape(peer), seed=1)


def ddrm(peer: Peer, nfe: int, weight: float) -> Tensor:
    method = deepinv.sampling.DDRM(peer.denoiser, sigmas=torch.linspace(1, 0, nfe).numpy(), eta=weight)
    return method(peer.y.clone(), peer.physics, seed=1)


def _shape(peer: Peer) -> tuple[int, ...]:
    return tuple(peer.physics.A_adjoint(peer.y).shape)


METHODS = {"dps": dps, "diffpir": diffpir, "pigdm": pigdm, "ddrm": ddrm}


def sample(peer: Peer, name: str, nfe: int, weight: float) -> tuple[Tensor, int]:
    """One sample by a method of deepinv, in the scan's units, (1, H, W), and the network's evaluations it took."""
    before = peer.denoiser.evaluations
    with torch.no_grad():
        v = METHODS[name](peer, nfe, weight)
    return peer.physical(v), peer.denoiser.evaluations - before
