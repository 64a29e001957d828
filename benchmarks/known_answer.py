"""Every posterior method against the exact posterior of a Gaussian prior: docs/lab/2026-11-27-known-answers.md.

    python benchmarks/known_answer.py                 # all methods, all cases; some minutes on one core
    python benchmarks/known_answer.py --methods dps mmps --cases even noisy
    python benchmarks/known_answer.py --methods toy --options steps=100 --cases uneven    # a new one, for HELD

Images are 4 x 4 with correlated pixels (and correlated real and imaginary parts) and a mean that is not zero; each case
has two measurements of different images. Printed are the largest error of the samples' mean in posterior standard
deviations, the mean ratio of the standard deviations, the error of the whole covariance (Frobenius norm, relative),
network evaluations and VJPs. `tests/recon/test_methods_posterior.py` holds the methods to
these figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from scanprior.geometry import Grid, ParallelBeam
from scanprior.operators.coils import smooth_maps
from scanprior.operators.linear import LinearOperator
from scanprior.operators.mri import cartesian_mri
from scanprior.operators.noise import ComplexGaussian, Gaussian, Photon
from scanprior.operators.pixel import Colorization, Downsampling, Inpainting
from scanprior.operators.radon import Radon
from scanprior.priors.analytic import GaussianPrior
from scanprior.priors.score import from_channels
from scanprior.recon.methods import method_of
from scanprior.recon.posterior.method import PosteriorMethod
from scanprior.recon.posterior.posed import Posed
from scanprior.recon.problem import Noise, Problem
from torch import Tensor
from toys import Dense, OneGenerator, Uneven

SIDE = 4
N = SIDE * SIDE
SAMPLES = 500  # of each of two measurements


class Held(NamedTuple):
    """The settings in which a method is held to its known answer, as `--options`, and its figures of the case "uneven":
    largest error of the mean [posterior std], ratio of the stds, error of the covariance."""

    options: str
    bias: float
    ratio: float
    covariance: float

    def method(self, name: str, **changes: Any) -> PosteriorMethod:
        return dataclasses.replace(method_of(name, self.options), **changes)  # type: ignore[type-var,return-value]


# Conjugate gradients go nearly to the end, so that the figures are the method's and not the solver's.
HELD = {
    "score-sde": Held("steps=150,cg=10", 0.71, 1.06, 0.18),
    "projection": Held("steps=150,mixing=1,snr=0.16,cg=10", 0.55, 1.08, 0.21),
    "ald": Held("steps=200,inner=5,sigma_max=20", 0.80, 1.09, 0.25),
    "ula": Held("steps=60,inner=8,tau=0.1,sigma_max=20,cg=10", 0.67, 1.12, 0.27),
    "dps": Held("steps=200", 1.77, 1.07, 0.28),
    "mcg": Held("steps=200,cg=10", 1.34, 0.90, 0.37),
    "pigdm": Held("cg=10", 0.20, 0.98, 0.08),
    "mmps": Held("cg=10", 0.10, 0.98, 0.09),
    "ddrm": Held("", 1.22, 0.77, 0.40),
    "ddnm": Held("steps=50", 1.59, 0.85, 0.45),
    "dds": Held("steps=100,warm_start=0,gamma=1,cg=10", 0.33, 0.70, 0.48),
    "auto": Held("steps=100", 0.32, 0.76, 0.41),  # an estimate too
    "draws": Held("steps=100,gamma=1,width=1,cg=10,sigma_start=20", 0.38, 0.99, 0.08),
    "diffpir": Held("zeta=0.3,cg=10", 0.89, 0.98, 0.12),
    "daps": Held("steps=100,cg=10", 0.41, 0.87, 0.24),
    "pnpdm": Held("steps=100,inner=10,cg=10", 0.28, 0.90, 0.23),
    "reddiff": Held("steps=300", 0.34, 0.58, 0.68),  # one estimate: its mean is what counts
}
METHODS = {name: held.method(name) for name, held in HELD.items()}


@dataclass(frozen=True)
class Case:
    """A measurement and its exact posterior, in real numbers (real parts before imaginary parts)."""

    problem: Problem
    prior: GaussianPrior
    mean: Tensor  # (B, n)
    covariance: Tensor  # (n, n); of the first item

    def posed(self, repeat: int = 1) -> Posed:
        return Posed(self.problem, self.prior, self.problem.least_squares(), repeat)


def prior_of(A: LinearOperator, scale: float = 0.5) -> GaussianPrior:
    """Smooth images with a mean, whose channels resemble one another; standard deviation `scale`."""
    channels = 2 if A.domain_complex else A.domain[0] if len(A.domain) == 3 else 1
    side = A.domain[-1]
    axis = torch.arange(side, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).flatten(0, 1)
    smooth = scale**2 * torch.exp(-torch.cdist(points, points) / 1.5)
    coupled = torch.full((channels, channels), 0.5, dtype=torch.float64).fill_diagonal_(1.0)
    return GaussianPrior(0.6 * scale * torch.ones(channels, side, side), torch.kron(coupled, smooth).float())


def images(x: Tensor, A: LinearOperator) -> Tensor:
    """Channels as the operator wants them."""
    return x if len(A.domain) == 3 else from_channels(x)


def real_parts(x: Tensor) -> Tensor:
    """(B, ...) -> (B, n), real parts before imaginary parts."""
    return torch.cat([x.real.flatten(1), x.imag.flatten(1)], 1) if x.is_complex() else x.flatten(1)


def case_of(A: LinearOperator, noise: Noise, scale: float = 0.5, seed: int = 3) -> Case:
    """Two images of the prior, measured; their exact posterior with the noise that the methods assume."""
    prior, g = prior_of(A, scale), torch.Generator().manual_seed(seed)
    root = torch.linalg.cholesky(prior.covariance)
    truth = prior.mean + (torch.randn(2, len(root), generator=g) @ root.T).unflatten(1, prior.mean.shape)
    problem = Problem(noise.sample(A(images(truth, A)), g), A, noise)  # type: ignore[attr-defined]
    eye = images(torch.eye(len(root)).unflatten(1, prior.mean.shape), A)
    means, covariances = [], []
    for b in range(2):
        one = problem.items(slice(b, b + 1))
        posed = Posed(one, prior, one.least_squares())
        white = posed.weights.sqrt()
        matrix = real_parts(white * A(eye)).T.double()  # (m, n)
        mean, covariance = prior.posterior(matrix, real_parts(posed.y).double(), 1.0)
        means.append(mean)
        covariances.append(covariance)
    return Case(problem, prior, torch.cat(means), covariances[0])


@cache
def cases() -> dict[str, Case]:
    """The cases of the table."""
    g = torch.Generator().manual_seed(3)
    dense = Dense(torch.randn(6, N, generator=g) / N**0.5, (SIDE, SIDE))
    rows = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    rows[:, [0, 2]] = True
    return {
        "even": case_of(dense, Gaussian(0.05)),
        "noisy": case_of(dense, Gaussian(0.3)),
        "uneven": case_of(dense, Uneven(torch.tensor([0.02, 0.05, 0.1, 0.2, 0.5, 1.0]))),
        "complex": case_of(cartesian_mri(rows, smooth_maps(2, (SIDE, SIDE))), ComplexGaussian(0.1)),
    }


@cache
def operators() -> dict[str, Case]:
    """A case for each kind of operator of the library."""
    g = torch.Generator().manual_seed(2)
    known = torch.rand(SIDE, SIDE, generator=g) < 0.5
    mask = torch.rand(SIDE, SIDE, generator=g) < 0.5
    grid = Grid((SIDE, SIDE), 1.0)
    one = torch.ones(1, SIDE, SIDE, dtype=torch.complex64)
    return {
        "CT": case_of(Radon(ParallelBeam.covering(grid, 3), grid), Photon(300.0)),
        "MRI, one coil": case_of(cartesian_mri(mask, one), ComplexGaussian(0.1)),
        "MRI, 3 coils": case_of(cartesian_mri(mask, smooth_maps(3, (SIDE, SIDE))), ComplexGaussian(0.1)),
        "inpainting": case_of(Inpainting(known), Gaussian(0.05)),
        "complex inpainting": case_of(Inpainting(known, is_complex=True), ComplexGaussian(0.07)),
        "super-resolution": case_of(Downsampling((SIDE, SIDE), 2), Gaussian(0.05)),
        "colorization": case_of(Colorization((3, SIDE, SIDE)), Gaussian(0.05)),
    }


@dataclass(frozen=True)
class Figures:
    """Largest error of the mean [posterior standard deviations], mean ratio of the standard deviations, relative error
    of the covariance, network evaluations, VJPs of the network."""

    bias: float
    ratio: float
    covariance: float
    nfe: int
    vjps: int


def measure(method: PosteriorMethod, case: Case, samples: int = SAMPLES, seed: int = 0) -> Figures:
    """`samples` of each of the case's measurements."""
    with torch.no_grad():
        posed = case.posed(samples)
        *_, x = method.trajectory(posed, OneGenerator(seed))
    drawn = real_parts(x).double().unflatten(0, (-1, samples))  # (B, S, n)
    exact = case.covariance.diagonal().sqrt()
    bias = float(((drawn.mean(1) - case.mean).abs() / exact).max())
    centred = (
        (drawn[0] - drawn[0].mean(0))
        if isinstance(case.problem.noise, Photon)
        else (drawn - drawn.mean(1, keepdim=True)).flatten(0, 1)
    )  # photons: the posterior's covariance is each measurement's own
    found = centred.T @ centred / (len(centred) - 1)
    ratio = float((found.diagonal().sqrt() / exact).mean())
    off = float((found - case.covariance).norm() / case.covariance.norm())
    return Figures(bias, ratio, off, posed.evaluations, posed.vjps)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--methods", nargs="*", default=list(METHODS))
    parser.add_argument("--options", help="settings of these methods, instead of those of HELD")
    parser.add_argument("--cases", nargs="*", default=list(cases()))
    parser.add_argument("--operators", action="store_true", help="the kinds of operator instead of the cases")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    args = parser.parse_args()
    chosen = operators() if args.operators else {name: cases()[name] for name in args.cases}
    table = Table(title="bias (in posterior std), ratio of the stds, error of the covariance")
    for heading in ("method", "NFE", "vjps", *chosen, "s"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    for name in args.methods:
        began = time.perf_counter()
        method = METHODS[name] if args.options is None else method_of(name, args.options)
        rows = [measure(method, case, args.samples) for case in chosen.values()]
        seconds = time.perf_counter() - began
        cells = [f"{f.bias:.2f}, {f.ratio:.2f}, {f.covariance:.2f}" for f in rows]
        print(name, *cells, f"{seconds:.0f} s", file=sys.stderr, flush=True)
        table.add_row(name, str(rows[0].nfe), str(rows[0].vjps), *cells, f"{seconds:.0f}")
    Console(width=160).print(table)
