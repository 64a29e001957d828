"""Settings of DDS side by side on two validation slices: gamma, adaptive, cg (docs/lab/2026-11-27-dds-settings.md).

    python benchmarks/settings.py ct:views=23 "" adaptive=no gamma=1 gamma=10
    python benchmarks/settings.py ct:views=60,photons=1e5 "" adaptive=no,gamma=0.5
    python benchmarks/settings.py mri:accel=8 --set ms "" cg=3

Needs the full sets ($SCANPRIOR_DATA).
"""

from __future__ import annotations

import argparse

from common import Results, cases
from scanprior.pretrained.load import default_for, load
from scanprior.recon.options import parse
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.simulate import CTSimulation, MRISimulation

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measurement", help="ct:views=23,photons=1e5 or mri:accel=8")
    parser.add_argument("settings", nargs="+", help="of DDS, as for `scanprior reconstruct --options`")
    parser.add_argument("--set", choices=["t1", "ms"], default="t1", help="MRI slices")
    parser.add_argument("--slices", type=int, default=2, help="one a patient")
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--prior")
    args = parser.parse_args()
    kind, _, options = args.measurement.partition(":")
    what = {"ct": CTSimulation, "mri": MRISimulation}[kind]
    images = "ct/ct256_val.h5" if kind == "ct" else f"mri/{args.set}_val.h5"
    items = cases(images, parse(options, what, "measurement"), args.slices)
    prior, _ = load(args.prior or default_for("CT" if kind == "ct" else "MR"))
    prior.for_inference("cpu")
    results = Results(f"{args.measurement}, {len(items)} slices of {images}, mean of {args.samples}")
    for text in args.settings:
        out = [parse(text, DDS, "settings")(c.problem, prior, samples=args.samples) for c in items]
        nfe, seconds = f"{args.samples} x {out[0].nfe}", sum(r.seconds for r in out) / len(out)
        results.add(text or "default", [r.mean for r in out], items, nfe, seconds)
    results.show()
