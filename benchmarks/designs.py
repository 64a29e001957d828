"""Designs of the network compared at equal compute (docs/lab/2026-11-27-prior-designs.md): each is trained from nothing
on the CT training slices for as many steps as cost what `--steps` steps of the first design cost (timed in this run),
then judged on validation crops (denoising PSNR) and test slices (23 views, noise-free, DDS with 50 evaluations, one
sample).

    python benchmarks/designs.py -o designs/                      # four designs, 1200 steps: hours on a CPU; resumable
    python benchmarks/designs.py -o designs/ --designs unshuffle position --steps 5000 --device cuda

Needs the full sets ($SCANPRIOR_DATA).
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import torch
from common import DATA, cases, figures
from rich.console import Console
from rich.table import Table
from scanprior.pretrained.load import from_card, load
from scanprior.recon.posterior.dds import DDS
from scanprior.recon.simulate import CTSimulation
from scanprior.workflows.train import TrainSettings, train
from scanprior.workflows.training_preset import TrainingPreset, preset_of, read_preset

MIXED = {"size": [128, 64, 256]}
DESIGNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # changes of ct-256: [network], [crops]
    "unshuffle": ({"position": False, "attention": 0}, {"size": 128}),
    "position": ({"position": True, "attention": 0}, MIXED),
    "attention": ({"position": True, "attention": 4}, MIXED),
    "plain": (
        {"stem": 1, "base": 24, "multipliers": [1, 2, 4, 4, 4], "position": False, "attention": 0},
        {"size": 128},
    ),
}


def design(name: str) -> TrainingPreset:
    tables = copy.deepcopy(read_preset("ct-256").tables)
    del tables["coarse"], tables["name"]
    network, crops = DESIGNS[name]
    tables["network"].update(network)
    tables["crops"].update(crops)
    return preset_of(name, tables)


def seconds_a_step(names: list[str], device: str) -> dict[str, float]:
    """Of forward and backward pass at batch 8 of 128²: the least of several, the designs in turn."""
    priors = {}
    for name in names:
        prior = from_card(design(name).card).to(device)
        priors[name] = prior.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    times: dict[str, list[float]] = {name: [] for name in names}
    x = torch.randn(8, 1, 128, 128, device=device)
    for _ in range(5):
        for name, prior in priors.items():
            position = torch.zeros(8, 2, 128, 128, device=device) if DESIGNS[name][0]["position"] else None
            began = time.perf_counter()
            with torch.autocast(device, torch.bfloat16):
                loss = prior(x, torch.rand(8, device=device) + 0.1, position).square().mean()
            loss.backward()
            float(loss)
            times[name].append(time.perf_counter() - began)
    return {name: min(values) for name, values in times.items()}


def finished(run: Path) -> bool:
    if not (run / "prior.safetensors").is_file():
        return False
    training = load(run)[1].training
    return training["finished_steps"] == training["steps"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", "-o", type=Path, required=True, help="a run folder a design goes here")
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--steps", type=int, default=1200, help="of the first design")
    parser.add_argument("--slices", type=int, default=6, help="test slices, one a patient")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    cost = seconds_a_step(args.designs, args.device)
    items = cases("ct/ct256_test.h5", CTSimulation(views=23), args.slices, device=args.device)
    table = Table(title=f"designs at equal compute, 23 views: {len(items)} test patients")
    for column in ("design", "M parameters", "ms a step", "steps", "PSNR at sigma .02", ".1", ".5", "2"):
        table.add_column(column, justify="left" if column == "design" else "right")
    table.add_column("23 views: PSNR, SSIM", justify="right")
    for name in args.designs:
        steps = round(args.steps * cost[args.designs[0]] / cost[name])
        run = args.output / name
        if not finished(run):
            data, other = [DATA / "ct/ct256_train.h5"], [DATA / "ct/ct256_val.h5"]
            train(data, run, design(name), other, TrainSettings(steps, device=args.device))
        prior, card = load(run)
        size = sum(p.numel() for p in prior.parameters()) / 1e6
        prior.for_inference(args.device)
        found = figures([DDS()(c.problem, prior).mean for c in items], items)
        table.add_row(
            name,
            f"{size:.1f}",
            f"{1000 * cost[name]:.0f}",
            str(card.training["finished_steps"]),
            *(f"{v:.2f}" for v in card.validation["denoising_psnr"].values()),
            f"{found['psnr'].mean():.2f}, {found['ssim'].mean():.3f}",
        )
    Console(width=120).print(table)
