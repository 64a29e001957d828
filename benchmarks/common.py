"""What the reconstruction benchmarks share: slices of real scans, tables, figures with intervals over patients."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scanprior.formats.scan import Volume
from scanprior.formats.store import read_images
from scanprior.operators.attenuation import hu_from_mu
from scanprior.recon.metrics import bootstrap_interval, ct_metrics, data_residual, mri_metrics
from scanprior.recon.problem import Problem
from scanprior.recon.simulate import CTSimulation, MRISimulation, simulate
from scanprior.recon.study import problem_of

DATA = Path(os.environ.get("SCANPRIOR_DATA", Path(__file__).parents[2] / "shared" / "data"))


@dataclass(frozen=True)
class Case:
    """One simulated slice."""

    patient: str
    problem: Problem
    truth: torch.Tensor  # (1, H, W), 1/mm or complex


def cases(
    path: str, settings: CTSimulation | MRISimulation, count: int, per_patient: int = 1, device: str = "cpu"
) -> list[Case]:
    """`per_patient` slices (evenly through the stack) of the first patients of an image set, measured."""
    images = read_images(DATA / path)
    chosen: list[int] = []
    for patient in dict.fromkeys(images.groups):
        own = np.flatnonzero(images.groups == patient)
        chosen += [int(own[round(q)]) for q in np.linspace(0, len(own) - 1, per_patient + 2)[1:-1]]
    out = []
    for i in chosen[:count]:
        pixel = float(images.pixel_mm[i])
        modality = "CT" if images.units == "HU" else "MR"
        volume = Volume(images.load([i]), images.units, modality, (1.0, pixel, pixel), {}, path, None)  # type: ignore[arg-type]
        scan = simulate(volume, settings, seed=i)
        out.append(
            Case(str(images.groups[i]), problem_of(scan, device), torch.from_numpy(np.asarray(scan.truth)))
        )
    return out


def figures(images: Sequence[torch.Tensor], items: Sequence[Case]) -> dict[str, np.ndarray]:
    """PSNR, SSIM, data residual of each slice."""
    rows = []
    for image, case in zip(images, items, strict=True):
        image = image.cpu()
        if image.is_complex():
            row = mri_metrics(image, case.truth)
        else:
            row = ct_metrics(hu_from_mu(image.numpy()), hu_from_mu(case.truth.numpy()))
        residual = data_residual(case.problem.operator, image.to(case.problem.y.device), case.problem.y)
        rows.append({**row, "residual": float(residual.mean())})
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
        self.table.add_row(
            name,
            f"{f['psnr'].mean():.2f}",
            f"{interval['low']:.2f} - {interval['high']:.2f}",
            f"{f['ssim'].mean():.3f}",
            f"{f['residual'].mean():.4f}",
            nfe,
            f"{seconds:.2f}",
        )
        return float(f["psnr"].mean())

    def show(self) -> None:
        Console(width=120).print(self.table)
