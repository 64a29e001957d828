"""A supervised network beside DDS, on the measurement it was trained for and on others: the honest comparison. It wins
where it was trained and loses elsewhere; the prior was never told of any measurement.

    python benchmarks/supervised.py --network run/                        # a run of `scanprior train --supervised`
    python benchmarks/supervised.py --network run/ --train 20000          # train it first, or go on (23 views, clean)
    python benchmarks/supervised.py --network run/ --others ct:views=40 ct:views=23,arc=120 ct:views=23,photons=2e4

The network's own measurement comes first, then each of --others. Simulated on a grid twice as fine as the
reconstruction's; figures as in ct.py and mri.py. Needs the full sets ($SCANPRIOR_DATA).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from common import DATA, Results, cases
from scanprior.pretrained.load import default_for, load, load_supervised
from scanprior.recon.baselines.supervised import Supervised, differences, first_reconstruction, measurement_of
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.simulate import simulation_of
from scanprior.workflows.supervised import train_supervised
from scanprior.workflows.train import TrainSettings

SETS = {"ct": "ct/ct256", "mri": "mri/t1"}
OTHERS = {
    "ct": ["ct:views=40", "ct:views=16", "ct:views=23,arc=120", "ct:views=23,photons=2e4"],
    "mri": ["mri:accel=6,coils=8", "mri:accel=4,coils=8,snr=15", "mri:accel=4,coils=8,mask=random"],
}


def run(spec: str, args: argparse.Namespace) -> None:
    network, card = load_supervised(args.network)
    network.to(args.device).eval()
    modality = spec.partition(":")[0]
    settings = simulation_of(spec, "--others")
    items = cases(f"{SETS[modality]}_test.h5", settings, args.slices, device=args.device)
    prior, _ = load(args.prior or default_for(card.modality))
    prior.for_inference(args.device)
    outside = differences(card.measurement, measurement_of(items[0].problem))
    where = "; ".join(outside) or "as in the network's training"
    results = Results(f"{spec}, {len(items)} test slices ({where})")
    began = time.perf_counter()
    images = [first_reconstruction(c.problem) for c in items]
    results.add("its input", images, items, "0", (time.perf_counter() - began) / len(items))
    out = [Supervised()(c.problem, network) for c in items]
    results.add("supervised", [r.mean for r in out], items, "1", sum(r.seconds for r in out) / len(out))
    out = [DDS(steps=args.steps)(c.problem, prior, samples=args.samples, batch=args.samples) for c in items]
    seconds, nfe = sum(r.seconds for r in out) / len(out), out[0].nfe
    results.add("DDS, one sample", [r.samples[:, 0] for r in out], items, str(nfe), seconds / args.samples)
    if args.samples > 1:
        name = f"DDS, mean of {args.samples}"
        results.add(name, [r.mean for r in out], items, f"{args.samples} x {nfe}", seconds)
    results.show()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", type=Path, required=True, help="run folder of train --supervised")
    parser.add_argument("--train", type=int, help="train the network in that folder for so many steps first")
    parser.add_argument("--spec", default="ct:views=23", help="the measurement to train for")
    parser.add_argument("--preset", help="of the training; ct-256 or mri-256 by default")
    parser.add_argument("--others", nargs="*", help="measurements outside of the training")
    parser.add_argument("--slices", type=int, default=8, help="test slices, one a patient")
    parser.add_argument("--steps", type=int, default=50, help="of DDS")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--prior")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.train:
        kind = arguments.spec.partition(":")[0]
        if kind not in SETS:
            sys.exit(f"--spec: got {arguments.spec}, expected ct:… or mri:…")
        data, held_out = (DATA / f"{SETS[kind]}_{part}.h5" for part in ("train", "val"))
        preset, settings = (
            arguments.preset or f"{kind}-256",
            TrainSettings(arguments.train, device=arguments.device),
        )
        train_supervised(data, arguments.network, arguments.spec, preset, held_out, settings)
    own = load_supervised(arguments.network)[1].measurement["spec"]
    others = OTHERS[own.partition(":")[0]] if arguments.others is None else arguments.others
    for measurement in [own, *others]:
        run(measurement, arguments)
