"""What DDS costs beyond its network: wall time over the same number of bare evaluations, 256² CT, 23 views.

    python benchmarks/overhead.py            # batch 1 and 8, 20 steps; run it on an idle machine
    python benchmarks/overhead.py --device cuda --batches 1 8 64

Prints seconds per slice and the ratio; both are medians of `--repeats` interleaved runs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from common import cases
from rich.console import Console
from rich.table import Table
from scanprior.pretrained.load import default_for, load
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.simulate import CTSimulation


def seconds(run: Callable[[], object], device: str) -> float:
    began = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--prior")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    prior, _ = load(args.prior or default_for("CT"))
    prior.for_inference(args.device)
    problem = cases("ct/ct256_test.h5", CTSimulation(views=23), 1, device=args.device)[0].problem
    table = Table(title=f"DDS, {args.steps} evaluations, 256², 23 views, {args.device}")
    for name in ("batch", "DDS [s / slice]", "network alone [s / slice]", "ratio", "peak memory [MiB]"):
        table.add_column(name, justify="right")
    method = DDS(steps=args.steps)
    for batch in args.batches:
        x = torch.randn(batch, 1, 256, 256, device=args.device)

        def network(x: torch.Tensor = x) -> None:
            with torch.no_grad():
                for _ in range(args.steps):
                    prior.denoise(x, 0.1)

        def dds(batch: int = batch) -> None:
            method(problem, prior, samples=batch, batch=batch)

        network(), dds()
        if args.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        times = [(seconds(dds, args.device), seconds(network, args.device)) for _ in range(args.repeats)]
        ours, bare = (statistics.median(column) for column in zip(*times, strict=True))
        peak = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if args.device == "cuda" else "-"
        table.add_row(str(batch), f"{ours / batch:.3f}", f"{bare / batch:.3f}", f"{ours / bare:.3f}", peak)
    Console().print(table)
