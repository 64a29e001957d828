"""Sparse-view CT of real slices: FBP, FISTA-TV (weight tuned on validation slices), DDS single sample and mean.

    python benchmarks/ct.py                              # 23 views, noise-free and 1e5 photons, 8 test patients
    python benchmarks/ct.py --slices 13 --views 60 --photons 1e5 --steps 100
    python benchmarks/ct.py --projection                 # also Song et al. 2022, N = 1000 (minutes a slice on a CPU)

The data are simulated on a grid twice as fine as the reconstruction's. PSNR and SSIM (7x7 uniform) of images clipped to
[-1000, 1000] HU, data range 2000 HU. Needs the full sets ($SCANPRIOR_DATA).
"""

from __future__ import annotations

import argparse
import time

import torch
from common import Case, Results, best_weight, cases
from scanprior.geometry import Grid, ParallelBeam
from scanprior.pretrained.load import default_for, load
from scanprior.recon.baselines.fbp import fbp
from scanprior.recon.baselines.tv import fista_tv
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.posterior.projection import Projection
from scanprior.recon.problem import Problem
from scanprior.recon.simulate import CTSimulation

TV_WEIGHTS = (1e-4, 3e-4, 1e-3, 3e-3)


def tv(problem: Problem, weight: float) -> torch.Tensor:
    weights = None if problem.noise is None else problem.noise.weights(problem.y)
    return fista_tv(problem.y, problem.operator, weight, weights=weights)


def run(views: int, photons: float, args: argparse.Namespace) -> None:
    settings = CTSimulation(views=views, photons=photons or None)
    items = cases("ct/ct256_test.h5", settings, args.slices, device=args.device)
    weight = best_weight(TV_WEIGHTS, tv, cases("ct/ct256_val.h5", settings, args.tune, device=args.device))
    prior, _ = load(args.prior or default_for("CT"))
    prior.for_inference(args.device)
    noise = f"{photons:.0e} photons" if photons else "noise-free"
    results = Results(f"{views} parallel views, {noise}, {len(items)} test patients")

    began = time.perf_counter()
    results.add("FBP", [fbp_of(c) for c in items], items, "0", (time.perf_counter() - began) / len(items))
    began = time.perf_counter()
    images = [tv(c.problem, weight) for c in items]
    results.add(f"FISTA-TV, {weight:g}", images, items, "0", (time.perf_counter() - began) / len(items))
    methods = [(f"DDS, {steps}", DDS(steps=steps)) for steps in args.steps]
    for name, method in methods:
        out = [method(c.problem, prior, samples=args.samples, batch=args.samples) for c in items]
        seconds, nfe = sum(r.seconds for r in out) / len(out), out[0].nfe
        results.add(
            f"{name}, one sample", [r.samples[:, 0] for r in out], items, str(nfe), seconds / args.samples
        )
        results.add(
            f"{name}, mean of {args.samples}",
            [r.mean for r in out],
            items,
            f"{args.samples} x {nfe}",
            seconds,
        )
    if args.projection:
        few = items[: args.projection]
        out = [Projection()(c.problem, prior) for c in few]
        seconds = sum(r.seconds for r in out) / len(out)
        results.add(f"projection, {len(few)} slices", [r.mean for r in out], few, str(out[0].nfe), seconds)
        out = [methods[-1][1](c.problem, prior) for c in few]
        seconds = sum(r.seconds for r in out) / len(out)
        results.add(
            f"{methods[-1][0]}, the same slices", [r.mean for r in out], few, str(out[0].nfe), seconds
        )
    results.show()


def fbp_of(case: Case) -> torch.Tensor:
    operator = case.problem.operator
    geometry, grid = operator.geometry, operator.grid
    assert isinstance(geometry, ParallelBeam)
    assert isinstance(grid, Grid)
    return fbp(case.problem.y, geometry, grid)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slices", type=int, default=8, help="test slices, one a patient")
    parser.add_argument("--tune", type=int, default=4, help="validation slices that choose the TV weight")
    parser.add_argument("--views", type=int, default=23)
    parser.add_argument("--photons", type=float, nargs="*", default=[0.0, 1e5])
    parser.add_argument("--steps", type=int, nargs="*", default=[50])
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--projection", type=int, default=0, help="slices for the projection sampler")
    parser.add_argument("--prior")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    for photons in arguments.photons:
        run(arguments.views, photons, arguments)
