"""Our methods beside deepinv's and BART's, in one run: the same network, operator, noise and slices.

    cd benchmarks
    python -m peers.run                                  # 2 patients a task, 50 evaluations, 100 for DPS
    python -m peers.run --tasks ct --slices 8 --nfe 100
    python -m peers.run --tune                           # the peers' weights, on validation slices

Tasks: ct (23 parallel views, noise-free), t1 (8 coils, x4, 30 dB), one (the same with one coil, for DDRM). Each method
of a peer follows ours of the same name on the same slice, one sample each, ours with as many network evaluations and
with half as many. The peers have the weights of WEIGHTS, the best of `--tune`; ours their defaults; compressed sensing,
ours and BART's, weights chosen on validation slices. Times are CPU seconds of one thread and of the programs it starts
(set OMP_NUM_THREADS=1): next to other work they compare where the clock does not; "theirs / ours" is by both numbers of
evaluations of ours. Setting up the problem is in ours, not in deepinv's. Needs the full sets ($SCANPRIOR_DATA), the
extra [bench], the program `bart`; docs/benchmarks.md has the results.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from common import Case, best_weight, cases, figures
from rich.console import Console
from rich.table import Table
from scanprior.pretrained.load import default_for, load
from scanprior.priors.score import NetworkPrior
from scanprior.recon.baselines.compressed import l1_wavelet, total_variation
from scanprior.recon.methods import method_of
from scanprior.recon.metrics import bootstrap_interval
from scanprior.recon.problem import Problem
from scanprior.recon.simulate import CTSimulation, MRISimulation

from . import bart_peer

TASKS = {  # name -> (title, images, simulation, modality, methods)
    "ct": ("CT, 23 views, noise-free", "ct/ct256", CTSimulation(views=23), "CT", ("dps", "diffpir", "pigdm")),
    "t1": ("T1, 8 coils, x4, 30 dB", "mri/t1", MRISimulation(accel=4), "MR", ("dps", "diffpir", "pigdm")),
    "one": ("T1, 1 coil, x4, 30 dB", "mri/t1", MRISimulation(accel=4, coils=1), "MR", ("ddrm",)),
}
LABELS = {"dps": "DPS", "diffpir": "DiffPIR", "pigdm": "PiGDM", "ddrm": "DDRM"}
DEFAULTS = {"dps": 1.0, "diffpir": 7.0, "pigdm": 1.0, "ddrm": 0.85}  # deepinv's
WEIGHTS = {  # by `--tune`, where it is not the default
    "ct": {**DEFAULTS, "dps": 100.0},
    "t1": {**DEFAULTS, "dps": 100.0, "diffpir": 25.0},
    "one": DEFAULTS,
}
CANDIDATES = {
    "dps": (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
    "diffpir": (1.0, 7.0, 25.0),
    "pigdm": (0.3, 1.0, 3.0),
    "ddrm": (0.85, 1.0),
}
CLASSICAL = {  # name -> (ours, ours' weights, BART's regulariser, its weights)
    "L1-wavelet": (l1_wavelet, (3e-4, 1e-3, 3e-3), bart_peer.WAVELET, (3e-4, 1e-3, 3e-3)),
    "TV": (total_variation, (3e-4, 1e-3, 3e-3), bart_peer.TOTAL_VARIATION, (3e-3, 1e-2, 3e-2)),
}


def seconds() -> float:
    """CPU seconds of this process and of the programs it has run."""
    return sum(os.times()[:4])


@dataclass
class Row:
    """A method on all slices of a task. `partners`: the rows of ours that its time is compared with."""

    name: str
    whose: str
    partners: Sequence[Row] = ()
    images: list[torch.Tensor] = field(default_factory=list)
    nfe: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self, method: Callable[..., tuple[torch.Tensor, int]], *args: object) -> None:
        """One slice: method(*args) gives the image and its number of network evaluations."""
        began = seconds()
        image, nfe = method(*args)
        self.seconds.append(seconds() - began)
        self.images.append(image)
        self.nfe.append(nfe)


def ours(problem: Problem, prior: NetworkPrior, name: str, nfe: int) -> tuple[torch.Tensor, int]:
    out = method_of(name, f"steps={nfe}")(problem, prior)
    return out.mean, out.nfe


def classical(
    method: Callable[..., torch.Tensor], problem: Problem, weight: float
) -> tuple[torch.Tensor, int]:
    return method(problem, weight), 0


def run(task: str, args: argparse.Namespace) -> None:
    from . import deepinv_peer

    title, images, simulation, modality, methods = TASKS[task]
    items = cases(f"{images}_test.h5", simulation, args.slices)
    prior, _ = load(args.prior or default_for(modality))
    prior.for_inference()
    rows = {"dds": Row("DDS", "ours")}
    methods = [name for name in methods if name in args.methods]
    for name in methods:
        mine = [Row(LABELS[name], "ours") for _ in range(2)]
        rows[name], rows[f"{name}, half"] = mine
        rows[f"{name}, deepinv"] = Row(LABELS[name], f"deepinv, {WEIGHTS[task][name]:g}", mine)
    for case in items:
        peer = deepinv_peer.pose(case.problem, prior, decomposed=task == "one")
        peer.denoiser(peer.physics.A_adjoint(peer.y), 0.1)  # whatever is built at first use
        rows["dds"].run(ours, case.problem, prior, "dds", args.nfe)
        for name in methods:
            nfe = args.nfe_dps if name == "dps" else args.nfe
            rows[name].run(ours, case.problem, prior, name, nfe)
            rows[f"{name}, half"].run(ours, case.problem, prior, name, nfe // 2)
            rows[f"{name}, deepinv"].run(deepinv_peer.sample, peer, name, nfe, WEIGHTS[task][name])
        report(title, list(rows.values()), items)  # as far as it is
    if task == "t1" and args.bart and bart_peer.available():
        validation = cases(f"{images}_val.h5", simulation, args.tune_slices)
        report(title, [*rows.values(), *compressed_sensing(items, validation)], items)


def compressed_sensing(items: Sequence[Case], validation: Sequence[Case]) -> Iterator[Row]:
    for name, (own, own_weights, kind, weights) in CLASSICAL.items():
        theirs = partial(bart_peer.pics, kind=kind)
        weight, bart_weight = (
            best_weight(own_weights, own, validation),
            best_weight(weights, theirs, validation),
        )
        mine = Row(name, f"ours (sigpy), {weight:g}")
        bart = Row(name, f"BART, {bart_weight:g}", [mine])
        for case in items:
            mine.run(classical, own, case.problem, weight)
            bart.run(classical, theirs, case.problem, bart_weight)
        yield mine
        yield bart


def report(title: str, rows: Sequence[Row], items: Sequence[Case]) -> None:
    """The table, over the slices that all rows have."""
    columns = (
        "method",
        "whose, weight",
        "NFE",
        "PSNR [dB]",
        "95 %",
        "SSIM",
        "CPU s / slice",
        "theirs / ours",
    )
    items = items[: min(len(row.images) for row in rows)]
    table = Table(*columns, title=f"{title}, {len(items)} test slices")
    for row in rows:
        f = figures(row.images[: len(items)], items)
        interval = "-"
        if len({c.patient for c in items}) > 1:
            found = bootstrap_interval(f["psnr"], [c.patient for c in items], level=0.95, seed=0)
            interval = f"{found['low']:.2f} - {found['high']:.2f}"
        each = np.mean(row.seconds)
        table.add_row(
            row.name,
            row.whose,
            " - ".join(map(str, sorted(set(row.nfe)))),
            f"{f['psnr'].mean():.2f}",
            interval,
            f"{f['ssim'].mean():.3f}",
            f"{each:.1f}",
            ", ".join(f"{each / np.mean(mine.seconds):.2f}" for mine in row.partners),
        )
    Console(width=120).print(table)


def tune(task: str, args: argparse.Namespace) -> None:
    """PSNR of deepinv's methods by weight, on validation slices."""
    from . import deepinv_peer

    title, images, simulation, modality, methods = TASKS[task]
    prior, _ = load(args.prior or default_for(modality))
    prior.for_inference()
    items = cases(f"{images}_val.h5", simulation, args.tune_slices)
    peers = [deepinv_peer.pose(case.problem, prior, decomposed=task == "one") for case in items]
    for name in methods:
        for weight in CANDIDATES[name]:
            out = [deepinv_peer.sample(peer, name, args.nfe, weight)[0] for peer in peers]
            default = ", deepinv's default" if weight == DEFAULTS[name] else ""
            psnr = figures(out, items)["psnr"].mean()
            print(f"{title}, {LABELS[name]}, {weight:g}{default}: {psnr:.2f} dB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--slices", type=int, default=2, help="test slices, one a patient")
    parser.add_argument("--nfe", type=int, default=50, help="network evaluations a sample")
    parser.add_argument("--nfe-dps", type=int, default=100)
    parser.add_argument("--tune", action="store_true", help="PSNR by weight on validation slices instead")
    parser.add_argument("--tune-slices", type=int, default=1, help="validation slices")
    parser.add_argument(
        "--bart", action=argparse.BooleanOptionalAction, default=True, help="beside compressed sensing"
    )
    parser.add_argument("--methods", nargs="*", choices=LABELS, default=list(LABELS), help="only these")
    parser.add_argument("--prior")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for chosen in arguments.tasks:
        (tune if arguments.tune else run)(chosen, arguments)
