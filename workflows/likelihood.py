"""The run behind `scanprior likelihood`: how likely images are under a prior, in bits/dim."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..priors.score import NetworkPrior
    from .images import ImageSets


@dataclass(frozen=True)
class Row:
    """The figure of one image, by its index in the file."""

    index: int
    bits_per_dim: float
    nfe: int
    seconds: float


def run(
    path: Path, name: str | None, limit: int | None, tolerance: float, seed: int, device: str
) -> list[Row]:
    """Read, evaluate with a progress bar, print the table."""
    import numpy as np
    import torch
    from rich.console import Console
    from rich.table import Table

    from ..formats.images import open_images
    from ..pretrained.load import default_for, load
    from ..report.progress import counting
    from ..workflows.device import device_of
    from ..workflows.images import ImageSets

    modality = {"HU": "CT", "RGB": "RGB"}.get(open_images(path).units, "MR")
    prior, card = load(name or default_for(modality))
    if card.modality != modality:
        raise ValueError(
            f"prior {card.name!r} is of {card.modality} images, {path.name} holds {modality}; choose another --prior"
        )
    prior.for_inference(device_of(device), torch.float32)
    images = ImageSets([path], card)
    count = min(limit or len(images), len(images))
    chosen = np.linspace(0, len(images) - 1, count).round().astype(int).tolist()
    table = Table(title=f"{path.name} under {card.name}")
    for column in ("image", "bits/dim", "NFE", "s"):
        table.add_column(column, justify="right")
    rows = []
    with counting() as progress:
        for row in progress.track(
            figures(prior, images, chosen, tolerance, seed), count, description="likelihood"
        ):
            rows.append(row)
            table.add_row(str(row.index), f"{row.bits_per_dim:.3f}", str(row.nfe), f"{row.seconds:.1f}")
    Console().print(table)
    bits = np.array([row.bits_per_dim for row in rows])
    error = f" ± {bits.std(ddof=1) / len(bits) ** 0.5:.3f} (standard error)" if len(bits) > 1 else ""
    what = "1 image" if len(bits) == 1 else f"{len(bits)} images"
    click.echo(
        f"{what}, mean {bits.mean():.3f}{error} bits/dim, grey levels of {images.intensity.grey_level}"
    )
    return rows


def figures(
    prior: NetworkPrior, images: ImageSets, chosen: list[int], tolerance: float, seed: int
) -> Iterator[Row]:
    """The figure of each chosen image: a function of (seed, index), never of the others."""
    import time

    import torch

    from ..priors.sampling.likelihood import bits_per_dim, dequantized, log_likelihood
    from ..priors.sampling.loop import item_seeds
    from ..priors.score import to_channels
    from ..priors.sde import VE

    scale, device = images.intensity, next(prior.parameters()).device
    for index in chosen:
        began = time.perf_counter()
        probe, dither = item_seeds(seed, index, 0, 2)
        x = to_channels(torch.from_numpy(images[index])[None], prior.channels).to(device)
        x = dequantized(x, scale.step, [dither])
        log_density, nfe = log_likelihood(
            prior, x, VE(), [probe], tolerance=tolerance, sigma_min=scale.sigma_min
        )
        bits = float(bits_per_dim(log_density, x.numel(), scale.step))
        yield Row(index, bits, int(nfe), time.perf_counter() - began)


def write_csv(path: Path, rows: list[Row]) -> None:
    """One line an image: index in the file, bits/dim, network evaluations, seconds. Whole or not at all."""
    import csv

    from ..formats.write import atomic

    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "bits_per_dim", "nfe", "seconds"])
        writer.writerows(
            [row.index, f"{row.bits_per_dim:.5f}", row.nfe, f"{row.seconds:.2f}"] for row in rows
        )
