"""What the reconstruction benchmarks share: slices of real scans, tables, figures with intervals over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scanprior.recon.metrics import bootstrap_interval
from scanprior.recon.problem import Problem
from scanprior.recon.simulate import CTSimulation, MRISimulation
from scanprior.workflows.benchmark.cases import Case
from scanprior.workflows.benchmark.cases import cases as measured
from scanprior.workflows.benchmark.suite import data_root

DATA = data_root()


def cases(
    path: str, settings: CTSimulation | MRISimulation, count: int, per_patient: int = 1, device: str = "cpu"
) -> list[Case]:
    """The first `count` of `per_patient` slices (evenly through the stack) of each patient of an image set."""
    return list(islice(measured(DATA / path, settings, 0, per_patient, device), count))


def figures(images: Sequence[torch.Tensor], items: Sequence[Case]) -> dict[str, np.ndarray]:
    """PSNR, SSIM, NRMSE, VIF, data residual of each slice."""
    rows = [case.figures(image) for image, case in zip(images, items, strict=True)]
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def best_weight(
    weights: Sequence[float], method: Callable[[Problem, float], torch.Tensor], items: Sequence[Case]
) -> float:
    """The weight with the highest mean PSNR on validation slices."""
    scores = [figures([method(c.problem, w) for c in items], items)["psnr"].mean() for w in weights]
    return weights[int(np.argmax(scores))]


class Results:
    """Collects rows and prints them as a table, with 95 % bootstrap intervals over patients."""

    def __init__(self, title: str) -> None:
        self.table = Table(title=title)
        for name in ("method", "PSNR [dB]", "95 %", "SSIM", "data residual", "NFE", "s / slice"):
            self.table.add_column(name, justify="left" if name == "method" else "right")

    def add(
        self, name: str, images: Sequence[torch.Tensor], items: Sequence[Case], nfe: str, seconds: float
    ) -> float:
        f = figures(images, items)
        interval = bootstrap_interval(f["psnr"], [c.patient for c in items], level=0.95, seed=0)
        low, high = interval["low"], interval["high"]
        self.table.add_row(
            name,
            f"{f['psnr'].mean():.2f}",
            f"{low:.2f} - {high:.2f}" if low == low else "one patient",
            f"{f['ssim'].mean():.3f}",
            f"{f['residual'].mean():.4f}",
            nfe,
            f"{seconds:.2f}",
        )
        return float(f["psnr"].mean())

    def show(self) -> None:
        Console(width=120).print(self.table)
