"""The run behind `scanprior evaluate`: images, or a prior that draws them -> FID, IS; held-out images -> bits/dim.

Images go through the network of the features batch by batch; what stays in memory is one batch and sums.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from .. import __version__
from ..formats.images import open_images
from ..formats.write import atomic
from ..pretrained.load import intensity_of, load
from ..priors.quality import InceptionScore, Moments, frechet_distance
from ..report.progress import counting
from .device import device_of
from .features import Features, open_features
from .images import ImageSets
from .likelihood import figures
from .request import fingerprint
from .sample import batches, own_size, physical

SPLITS = 10
Window = tuple[float, float] | None


@dataclass(frozen=True)
class Request:
    """The options of the command."""

    images: Path | None
    prior: str | None
    reference: Path | None
    features: Path | None
    held_out: Path | None
    limit: int | None
    draw: int
    sampler: str
    steps: int
    seed: int
    window: Window
    batch: int
    device: str
    output: Path | None


def run(request: Request) -> None:
    """Compute the figures, with progress bars; print a table, and write the JSON file.

    Raises:
        FileNotFoundError, ValueError: no such file, images or a prior that do not fit, a network that cannot be had.
        FloatingPointError: a drawn image that is not finite.
    """
    device = device_of(request.device)
    facts: dict[str, Any] = {
        "scanprior": __version__,
        "torch": torch.__version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if request.prior is not None:
        _, card = load(request.prior)
        facts |= {"prior": card.name, "prior_sha256": card.sha256}
    table = Table("figure", "value", "of", title="evaluation")
    with counting() as progress:
        if request.features is not None:
            network = open_features(request.features, device)
            facts |= _of_images(request, network, device, table, progress)
        if request.held_out is not None and request.prior is not None:
            facts |= _bits(request.held_out, request.prior, request, device, table, progress)
    Console().print(table)
    if request.output is not None:
        with atomic(request.output) as temporary:
            temporary.write_text(json.dumps(_asked(request) | facts, indent=1))
        print(f"wrote {request.output}")


def _asked(request: Request) -> dict[str, Any]:
    """The options, with the hash of each input for its name, which may be a patient's."""
    asked = {k: v for k, v in dataclasses.asdict(request).items() if k not in ("output", "device")}
    given = {key: asked.pop(key) for key in ("images", "reference", "held_out", "features")}
    return asked | {f"{key}_sha256": fingerprint(path) for key, path in given.items() if path is not None}


def _of_images(
    request: Request,
    network: Features,
    device: str,
    table: Table,
    progress: Progress,
) -> dict[str, Any]:
    """FID and IS of the given images, or of drawn ones."""
    if request.images is not None:
        count, judged = _stored(request.images, request.batch, request.window)
    else:
        count, judged = request.draw, _drawn(request, device)
    shown, score = Moments(), InceptionScore(count, min(SPLITS, count))
    has_classes = False
    task = progress.add_task("images", total=count)
    for x in judged:
        features, log_p = network(x)
        shown.add(features.numpy())
        if log_p is not None:
            score.add(log_p.numpy())
            has_classes = True
        progress.advance(task, len(x))
    facts: dict[str, Any] = {"images_judged": count, "feature_count": len(shown.mean)}
    if has_classes:
        mean, spread = score.score()
        facts |= {"is_mean": mean, "is_std": spread}
        table.add_row("IS", f"{mean:.3f} ± {spread:.3f}", f"{count} images, {min(SPLITS, count)} splits")
    if request.reference is None:
        return facts
    real = Moments()
    total, others = _stored(request.reference, request.batch, request.window)
    task = progress.add_task("reference", total=total)
    for x in others:
        real.add(network(x)[0].numpy())
        progress.advance(task, len(x))
    fid = frechet_distance(shown, real)
    table.add_row("FID", f"{fid:.3f}", f"{count} images against {total}")
    few = min(count, total)
    if few <= len(shown.mean):
        table.caption = (
            f"{few} images for {len(shown.mean)} features: this FID compares with no other number of images"
        )
    return {**facts, "fid": fid, "reference_images": total}


def _stored(path: Path, batch: int, window: Window) -> tuple[int, Iterator[torch.Tensor]]:
    """Number of images in a file, and their batches, (B, 3, H, W) uint8."""
    images = open_images(path)

    def read() -> Iterator[torch.Tensor]:
        for first in range(0, len(images), batch):
            some = np.stack([images[i] for i in range(first, min(first + batch, len(images)))])
            yield levels(some, images.units, window)

    levels(images[0][None], images.units, window)  # refuses units before any work
    return len(images), read()


def _drawn(request: Request, device: str) -> Iterator[torch.Tensor]:
    """Images of the prior as batches (B, 3, H, W) uint8, drawn as they are asked for."""
    prior, card = load(request.prior or "")
    units = intensity_of(card).units
    seeds = range(request.seed, request.seed + request.draw)
    network = prior.for_inference(device)
    for _, x in batches(
        network, own_size(card), seeds, request.steps, request.sampler, request.batch, device
    ):
        yield levels(physical(x, card), units, request.window)


def levels(images: np.ndarray, units: str, window: Window) -> torch.Tensor:
    """What the network of the features is shown of (B, H, W), or (B, 3, H, W) in colour: (B, 3, H, W) uint8, 0 to 255.

    Grey images, complex ones by magnitude, have `window` from black to white and three equal channels.

    Raises:
        ValueError: grey images in units that say no window.
    """
    if units.startswith("RGB"):
        return torch.from_numpy(np.asarray(images).round().clip(0, 255).astype(np.uint8))
    if window is None and units != "HU":
        raise ValueError(f"images in {units}: add --window, the values shown as black and as white")
    low, high = window or (-1000.0, 1000.0)
    grey = (255 * (np.abs(images) if np.iscomplexobj(images) else images) - 255 * low) / (high - low)
    return torch.from_numpy(grey.round().clip(0, 255).astype(np.uint8))[:, None].expand(-1, 3, -1, -1)


def _bits(
    held_out: Path, name: str, request: Request, device: str, table: Table, progress: Progress
) -> dict[str, Any]:
    """bits/dim of the held-out images, as `scanprior likelihood` has them."""
    prior, card = load(name)
    images = ImageSets([held_out], card)
    count = min(request.limit or len(images), len(images))
    chosen = np.linspace(0, len(images) - 1, count).round().astype(int).tolist()
    prior.for_inference(device, torch.float32)
    task = progress.add_task("bits/dim", total=count)
    bits = []
    for row in figures(prior, images, chosen, 1e-3, request.seed):
        bits.append(row.bits_per_dim)
        progress.advance(task)
    mean, error = float(np.mean(bits)), float(np.std(bits, ddof=1) / count**0.5) if count > 1 else None
    said = f"{mean:.3f}" if error is None else f"{mean:.3f} ± {error:.3f}"
    table.add_row("bits/dim", said, f"{count} held-out images" if count > 1 else "1 held-out image")
    return {"bits_per_dim": mean, "bits_per_dim_error": error, "held_out_images": count}
