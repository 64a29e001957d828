"""Multi-coil MRI of real slices, complex k-space simulated with 8 coils: zero-filled, L1-wavelet (sigpy) and FISTA-TV,
their weights tuned on validation slices, DDS single sample and mean.

    python benchmarks/mri.py                     # x4 and x8 equispaced, 30 dB, T1 and whole-head test sets
    python benchmarks/mri.py --slices 7 --steps 50
    python benchmarks/mri.py --slices 2 --samples 0        # the classical methods alone

The object is on a grid twice as fine as the reconstruction's, with a smooth random phase; all methods get the same
(true) maps. PSNR and SSIM (7x7 uniform) of magnitudes, data range = the largest magnitude of the truth. Needs
the full sets ($SCANPRIOR_DATA).
"""

from __future__ import annotations

import argparse
import time

from common import Case, Results, best_weight, cases
from scanprior.pretrained.load import default_for, load
from scanprior.recon import FistaTV
from scanprior.recon.baselines.compressed import l1_wavelet
from scanprior.recon.baselines.zero_filled import zero_filled
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.problem import Problem
from scanprior.recon.simulate import MRISimulation
from torch import Tensor

WAVELET_WEIGHTS = (3e-4, 1e-3, 3e-3)
TV_WEIGHTS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)


def tv(problem: Problem, weight: float) -> Tensor:
    return FistaTV(weight)(problem).mean


def run(name: str, accel: int, args: argparse.Namespace) -> None:
    settings = MRISimulation(accel=accel, snr=args.snr)
    per_patient = 1 if name == "t1" else args.slices
    items = cases(f"mri/{name}_test.h5", settings, args.slices, per_patient, args.device)
    validation = cases(f"mri/{name}_val.h5", settings, 2, 2, args.device)
    weight = best_weight(WAVELET_WEIGHTS, l1_wavelet, validation)
    tv_weight = best_weight(TV_WEIGHTS, tv, validation)
    results = Results(f"{name}, 8 coils, x{accel}, {args.snr:g} dB, {len(items)} test slices")
    for label, method in (
        ("zero-filled", zero_filled),
        (f"L1-wavelet, {weight:g}", lambda p: l1_wavelet(p, weight)),
        (f"FISTA-TV, {tv_weight:g}", lambda p: tv(p, tv_weight)),
    ):
        began = time.perf_counter()
        images = [method(c.problem) for c in items]
        results.add(label, images, items, "0", (time.perf_counter() - began) / len(items))
    if args.samples:
        add_samples(results, items, args)
    results.show()


def add_samples(results: Results, items: list[Case], args: argparse.Namespace) -> None:
    prior, _ = load(args.prior or default_for("MR"))
    prior.for_inference(args.device)
    out = [DDS(steps=args.steps)(c.problem, prior, samples=args.samples, batch=args.samples) for c in items]
    seconds, nfe = sum(r.seconds for r in out) / len(out), out[0].nfe
    results.add("DDS, one sample", [r.samples[:, 0] for r in out], items, str(nfe), seconds / args.samples)
    results.add(
        f"DDS, mean of {args.samples}", [r.mean for r in out], items, f"{args.samples} x {nfe}", seconds
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="*", default=["t1", "ms"])
    parser.add_argument("--slices", type=int, default=3)
    parser.add_argument("--accel", type=int, nargs="*", default=[4, 8])
    parser.add_argument("--snr", type=float, default=30.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--samples", type=int, default=8, help="of DDS; 0: classical methods only")
    parser.add_argument("--prior")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    for name in arguments.sets:
        for accel in arguments.accel:
            run(name, accel, arguments)
