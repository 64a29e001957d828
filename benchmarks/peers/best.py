"""The time to a peer's own best PSNR: deepinv's methods at several numbers of evaluations, and how long ours take to be
as good.

    cd benchmarks
    OMP_NUM_THREADS=1 python -m peers.best
    OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 python -m peers.best   # a CPU without bfloat16

Each peer runs at every number of BUDGETS, with the weight of run.py; its best is the highest mean PSNR of them, its
time the CPU seconds of that run. Ours is the quickest of OURS whose mean PSNR is as high, one sample of one thread in
the same process. Slices, networks, operators, noise and what is timed are those of run.py.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from common import Case, cases, figures
from rich.console import Console
from rich.table import Table
from scanprior.pretrained.load import default_for, load
from scanprior.priors.precision import dtype_name

from .run import LABELS, TASKS, WEIGHTS, Row, ours

BUDGETS = {"dps": (100,), "diffpir": (25, 50, 100), "pigdm": (50, 100), "ddrm": (20, 50)}
OURS = {"auto": (3, 5, 7, 10, 20), "dds": (5, 10, 20, 50)}  # method -> evaluations


def run(task: str, args: argparse.Namespace) -> None:
    from . import deepinv_peer

    title, images, simulation, modality, methods = TASKS[task]
    items = cases(f"{images}_test.h5", simulation, args.slices)
    prior, _ = load(args.prior or default_for(modality))
    prior.for_inference()
    mine = [Row(f"{name}, {steps}", "ours") for name, budgets in OURS.items() for steps in budgets]
    theirs = {
        name: [Row(f"{LABELS[name]}, {steps}", "deepinv") for steps in BUDGETS[name]]
        for name in methods
        if name in args.methods
    }
    for case in items:
        peer = deepinv_peer.pose(case.problem, prior, decomposed=task == "one")
        peer.denoiser(peer.physics.A_adjoint(peer.y), 0.1)  # whatever is built at first use
        for row in mine:
            name, steps = row.name.split(", ")
            row.run(ours, case.problem, prior, name, int(steps))
        for name, rows in theirs.items():
            for row, steps in zip(rows, BUDGETS[name], strict=True):
                row.run(deepinv_peer.sample, peer, name, steps, WEIGHTS[task][name])
    for row in [*mine, *(row for rows in theirs.values() for row in rows)]:
        psnr = figures(row.images, items)["psnr"]
        print(
            f"{title}, {row.whose}, {row.name}: {psnr.mean():.2f} dB, {np.mean(row.seconds):.2f} s",
            flush=True,
        )
    table = Table(*COLUMNS, title=f"{title}, {len(items)} test slices, {dtype_name(prior.dtype)}")
    for line in lines(mine, theirs, items):
        table.add_row(*line)
    Console(width=120).print(table)


COLUMNS = (
    "peer's best, evaluations",
    "PSNR [dB]",
    "CPU s",
    "as good or better: ours",
    "PSNR [dB]",
    "CPU s",
    "ours / theirs",
)


def lines(mine: Sequence[Row], theirs: dict[str, list[Row]], items: Sequence[Case]) -> Iterator[list[str]]:
    """A line of the table for each peer's method."""

    def facts(row: Row) -> tuple[float, float]:
        return float(figures(row.images, items)["psnr"].mean()), float(np.mean(row.seconds))

    for rows in theirs.values():
        best = max(rows, key=lambda row: facts(row)[0])
        psnr, seconds = facts(best)
        enough = [row for row in mine if facts(row)[0] >= psnr]
        if not enough:
            yield [best.name, f"{psnr:.2f}", f"{seconds:.2f}", "none", "", "", ""]
            continue
        quick = min(enough, key=lambda row: facts(row)[1])
        value, time = facts(quick)
        yield [
            best.name,
            f"{psnr:.2f}",
            f"{seconds:.2f}",
            quick.name,
            f"{value:.2f}",
            f"{time:.2f}",
            f"{time / seconds:.2f}",
        ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--slices", type=int, default=2, help="test slices, one a patient")
    parser.add_argument("--methods", nargs="*", choices=LABELS, default=list(LABELS), help="of the peer")
    parser.add_argument("--prior")
    arguments = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    for chosen in arguments.tasks:
        run(chosen, arguments)
