"""How likely images are under a prior, in bits/dim."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ..errors import UsageError
from ..formats.images import open_images
from ..formats.write import atomic
from ..pretrained.card import Card
from ..pretrained.load import default_for, load
from ..priors.sampling.likelihood import bits_per_dim, dequantized, log_likelihood
from ..priors.sampling.loop import item_seeds
from ..priors.score import NetworkPrior, to_channels
from ..priors.sde import VE
from .device import device_of
from .images import ImageSets
from .progress import Progress, told

TOLERANCE = 1e-3  # of the adaptive solver


@dataclass(frozen=True)
class Row:
    """The figure of one image, by its index in the file."""

    index: int
    bits_per_dim: float
    nfe: int
    seconds: float


@dataclass(frozen=True)
class Likelihoods:
    """The figures of images under a prior.

    Attributes:
        rows: one an image.
        card: of the prior.
        grey_level: whose bits are counted, in words ("1 HU").
    """

    rows: list[Row]
    card: Card
    grey_level: str

    @property
    def mean(self) -> float:
        """Of the images [bits/dim]."""
        return float(np.mean([row.bits_per_dim for row in self.rows]))

    @property
    def error(self) -> float | None:
        """The mean's standard error [bits/dim]; None of one image."""
        n = len(self.rows)
        return float(np.std([row.bits_per_dim for row in self.rows], ddof=1) / n**0.5) if n > 1 else None

    def write_csv(self, path: Path) -> None:
        """One line an image: index in the file, bits/dim, network evaluations, seconds. Whole or not at all."""
        with atomic(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "bits_per_dim", "nfe", "seconds"])
            writer.writerows(
                [row.index, f"{row.bits_per_dim:.5f}", row.nfe, f"{row.seconds:.2f}"] for row in self.rows
            )


def likelihood(
    images: Path | str,
    prior: str | Path | None = None,
    limit: int | None = None,
    tolerance: float = TOLERANCE,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Likelihoods:
    """Log-likelihood of images under a prior, as bits/dim, by the probability flow (priors/sampling/likelihood.py).

    Args:
        images: an image set, a DICOM file or folder, NIfTI.
        prior: bundled, in the cache, a run folder or a file; None: the bundled one of their modality.
        limit: so many of them, spread evenly; None: all.
        tolerance: of the adaptive solver, 1e-9 to 0.1.
        seed: of the probe and of the dequantisation; the figure of an image depends on nothing else.
        device: cpu, cuda or auto.
        progress: hears of the images.

    Raises:
        FormatError, FileNotFoundError, ValueError: no such images or prior, or of different modalities.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"--limit: got {limit}, expected at least 1 image")
    if not 1e-9 <= tolerance <= 0.1:
        raise UsageError(f"--tolerance: got {tolerance:g}, expected 1e-9 to 0.1")
    path, where = Path(images), device_of(device)
    with closing(told(progress)) as telling:
        telling.stage("reading")
        modality = {"HU": "CT", "RGB": "RGB"}.get(open_images(path).units, "MR")
        network, card = load(default_for(modality) if prior is None else prior)
        if card.modality != modality:
            raise UsageError(
                f"prior {card.name!r} is of {card.modality} images, {path.name} holds {modality}; choose another "
                "--prior"
            )
        network.for_inference(where, torch.float32)
        held = ImageSets([path], card)
        chosen = spread(len(held), limit)
        telling.stage("likelihood", len(chosen))
        rows = []
        for row in figures(network, held, chosen, tolerance, seed):
            rows.append(row)
            telling.update(len(rows), f"{row.bits_per_dim:.3f} bits/dim")
    return Likelihoods(rows, card, held.intensity.grey_level)


def spread(count: int, limit: int | None) -> list[int]:
    """Indices of at most `limit` of `count` images, spread evenly; all for None."""
    return np.linspace(0, count - 1, min(limit or count, count)).round().astype(int).tolist()


def figures(
    prior: NetworkPrior, images: ImageSets, chosen: list[int], tolerance: float, seed: int
) -> Iterator[Row]:
    """The figure of each chosen image: a function of (seed, index), never of the others."""
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
