"""The run behind `scanprior sample`: a prior -> images, batch by batch, into an output folder.

What is held in memory is one batch and the pictures of the sheet; `samples.h5` is written as the images come.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..pretrained.cache import sha256_of
from ..pretrained.card import Card
from ..pretrained.load import default_for, intensity_of, load
from ..priors import classifier as classifiers
from ..priors.sampling.guidance import Guided
from ..priors.sampling.loop import sample_images, uniform_times
from ..priors.sampling.ode import flow_images
from ..priors.sampling.predictor_corrector import sample as predictor_corrector
from ..priors.sampling.tiled import Tiled
from ..priors.score import NetworkPrior, Prior, from_channels
from ..priors.sde import VE
from ..report.figures import FOOTER, sample_grid
from ..report.page import write_sidecar
from ..report.progress import counting
from .device import device_of
from .output import whole_folder

FILES = {"samples.png", "samples.h5", "samples.json"}
ON_THE_SHEET, THUMBNAIL = 64, 400  # images, pixels
Shape = tuple[int, int]
NOTE = "Synthetic images, drawn from a prior; they show no patient. " + FOOTER


@dataclass(frozen=True)
class Request:
    """The options of the command."""

    output: Path
    prior: str | None
    images: int
    size: int | None  # the prior's own, at most 256, where it is not said
    steps: int
    seed: int
    class_name: str | None
    classifier: Path | None
    strength: float
    batch: int
    tile: int | None
    sampler: str
    device: str
    overwrite: bool


class Announced:
    """A prior that counts its network evaluations and tells of each."""

    def __init__(self, prior: Prior, tell: Callable[[], None]) -> None:
        self.prior, self.tell, self.evaluations = prior, tell, 0
        self.channels, self.intensity = prior.channels, prior.intensity

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        mean = self.prior.denoise(x, sigma)
        self.evaluations += 1
        self.tell()
        return mean


def _pc(prior: Prior, shape: Shape, seeds: Sequence[int], steps: int, device: str) -> Tensor:
    times = uniform_times(max(1, steps // 2), VE())
    return predictor_corrector(prior, shape, seeds, times, VE(), device=device).x


SAMPLERS: dict[str, Callable[..., Tensor]] = {  # of about `steps` network evaluations each
    "flow": flow_images,
    "ancestral": sample_images,
    "pc": _pc,
}


def draw(request: Request) -> None:
    """Draw, with a progress bar, and write the folder.

    Raises:
        FileNotFoundError, ValueError: no such prior or classifier, one that does not fit the other, an unknown class.
        FloatingPointError: an image that is not finite.
    """
    device = device_of(request.device)
    network, card = load(request.prior or default_for("CT"))
    request = dataclasses.replace(request, size=request.size or own_size(card))
    prior, facts = _prior_of(request, network.for_inference(device), card, device)
    began = time.perf_counter()
    with whole_folder(request.output, request.overwrite, FILES) as folder:
        shown, nfe = _fill(folder / "samples.h5", request, prior, card, facts["units"], device)
        seconds = time.perf_counter() - began
        facts |= {
            "nfe": nfe,
            "seconds": round(seconds, 3),
            "device": device,
            "network_dtype": str(network.dtype),
        }
        write_sidecar(folder / "samples.json", facts)
        sample_grid(
            folder / "samples.png", shown, intensity_of(card).window, _title(request, card, len(shown))
        )
    what = "1 image" if request.images == 1 else f"{request.images} images"
    click.echo(f"{what}, {nfe} network evaluations each, {seconds:.1f} s; wrote {request.output}")


def _fill(
    path: Path, request: Request, prior: Prior, card: Card, units: str, device: str
) -> tuple[np.ndarray, int]:
    """Draw into the image set; the images of the sheet (N, [3,] H, W), and the network evaluations that each took."""
    count = -(-request.images // request.batch)
    side, seeds = request.size or own_size(card), range(request.seed, request.seed + request.images)
    sheet: list[np.ndarray] = []
    with h5py.File(path, "w") as file, counting() as progress:
        task = progress.add_task("sampling", total=count * request.steps)
        announced = Announced(prior, lambda: progress.advance(task))
        stored = _image_set(file, request, card, units)
        drawing = batches(announced, side, seeds, request.steps, request.sampler, request.batch, device)
        for first, drawn in drawing:
            values = physical(drawn, card)
            stored[first : first + len(values)] = values
            sheet.append(_thumbnails(values[: ON_THE_SHEET - sum(map(len, sheet))]))
    return np.concatenate(sheet), announced.evaluations // count


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """What the sheet shows of (N, [3,] H, W): magnitudes, large images as means of blocks."""
    images = np.abs(images) if np.iscomplexobj(images) else images
    k = max(1, images.shape[-1] // THUMBNAIL)
    n = images.shape[-1] // k
    return images[..., : n * k, : n * k].reshape(*images.shape[:-2], n, k, n, k).mean((-3, -1))


def _prior_of(
    request: Request, network: NetworkPrior, card: Card, device: str
) -> tuple[Prior, dict[str, Any]]:
    """The prior to draw from, tiled and guided as asked for, and the facts for the sidecar."""
    units = intensity_of(card).units
    if units == "magnitude":
        units = ("magnitude", "complex")[card.channels - 1] + ", network units"
    asked = {
        k: v for k, v in dataclasses.asdict(request).items() if k not in {"output", "overwrite", "device"}
    }
    facts: dict[str, Any] = {
        **asked,
        "scanprior": __version__,
        "torch": torch.__version__,
        "prior": card.name,
        "prior_sha256": card.sha256,
        "classifier": None,
        "units": units,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": NOTE,
    }
    prior: Prior = network if request.tile is None else Tiled(network, request.tile)
    if request.class_name is None or request.classifier is None:
        return prior, facts
    classifier = classifiers.load(request.classifier, device)
    own = classifier.card
    fits = own.channels == card.channels and own.modality in ("", card.modality)
    if fits and own.intensity:
        fits = intensity_of(dataclasses.replace(card, intensity=own.intensity)) == intensity_of(card)
    if not fits:
        raise ValueError(
            f"{request.classifier}: learned images of {own.channels} channel(s), modality {own.modality or 'any'}, "
            f"intensities {own.intensity or 'any'}; prior {card.name!r} has {card.channels}, {card.modality}, "
            f"{card.intensity}; choose another classifier or prior"
        )
    facts |= {"classifier": request.classifier.name, "classifier_sha256": sha256_of(request.classifier)}
    return Guided(prior, classifier, request.class_name, request.strength), facts


def batches(
    prior: Prior, side: int, seeds: range, steps: int, sampler: str, batch: int, device: str
) -> Iterator[tuple[int, Tensor]]:
    """(index of the first, images (B, C, side, side) in network units) of each batch. Raises FloatingPointError for an
    image that is not finite."""
    for first in range(0, len(seeds), batch):
        some = seeds[first : first + batch]
        x = SAMPLERS[sampler](prior, (side, side), some, steps, device=device).cpu()
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError(
                f"an image of seeds {some[0]} to {some[-1]} is not finite; a --strength too great?"
            )
        yield first, x


def own_size(card: Card) -> int:
    """The side of a prior's images, at most 256."""
    return min(256, *(card.matrix or (256,)))


def physical(x: Tensor, card: Card) -> np.ndarray:
    """(B, C, H, W) in network units -> (B, H, W): HU, or real or complex network units; (B, 3, H, W) grey levels."""
    return intensity_of(card).to_physical(from_channels(x)).numpy()


def _image_set(file: h5py.File, request: Request, card: Card, units: str) -> h5py.Dataset:
    """The empty image set (docs/formats.md), one chunk an image."""
    n, side = request.images, request.size or own_size(card)
    shape = (3, side, side) if units.startswith("RGB") else (side, side)
    file.attrs.update({"content": "samples", "prior": card.name, "prior_sha256": card.sha256, "note": NOTE})
    dtype = {"com": np.complex64, "RGB": np.uint8}.get(units[:3], np.float32)
    images = file.create_dataset(
        "images",
        (n, *shape),
        dtype,
        chunks=(1, *shape),
        compression="gzip",
        compression_opts=1,
        shuffle=True,
    )
    images.attrs["units"] = units
    file["px_mm"] = np.full(n, np.mean(card.pixel_mm) if card.pixel_mm else 1.0, np.float32)
    file["px_mm"].attrs["note"] = "middle of the prior's training images" if card.pixel_mm else "not known"
    file["patient"] = np.array([b"synthetic"] * n)
    file["seed"] = request.seed + np.arange(n)
    return images


def _title(request: Request, card: Card, shown: int) -> str:
    which = f" of class {request.class_name}" if request.class_name else ""
    seeds = f"seed {request.seed}" if shown == 1 else f"seeds {request.seed} to {request.seed + shown - 1}"
    return f"{card.name}: samples of the prior{which}, {request.steps} steps, {seeds}"
