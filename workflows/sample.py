"""A prior -> images, batch by batch: in memory, or into an output folder.

Of what goes into a folder one batch is held in memory, and the pictures of the sheet; `samples.h5` is written as the
images come.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor

from .. import __version__
from ..formats.image_set import ImageSet, read_images
from ..modality import Modality
from ..pretrained.cache import sha256_of
from ..pretrained.card import Card
from ..pretrained.load import default_for, intensity_of, load
from ..priors import classifier as classifiers
from ..priors.precision import dtype_name
from ..priors.sampling.guidance import Guided
from ..priors.sampling.loop import sample_images, uniform_times
from ..priors.sampling.ode import flow_images
from ..priors.sampling.predictor_corrector import sample as predictor_corrector
from ..priors.sampling.tiled import Tiled
from ..priors.score import NetworkPrior, Prior, from_channels
from ..priors.sde import VE
from ..report.figures import FOOTER, sample_grid
from ..report.page import write_sidecar
from .device import device_of
from .output import check_output, whole_folder
from .progress import Progress, told
from .settings import SampleSettings

FILES = {"samples.png", "samples.h5", "samples.json"}
ON_THE_SHEET, THUMBNAIL = 64, 400  # images, pixels
STEPS = {"flow": 41, "ancestral": 41, "pc": 500}  # network evaluations an image, where none are said
Shape = tuple[int, int]
NOTE = "Synthetic images, drawn from a prior; they show no patient. " + FOOTER


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Drawn images.

    Attributes:
        images: (N, H, W), or (N, 3, H, W) uint8 of pictures in colour. Of an output folder its image set, which reads
            them when asked.
        units: "HU", "RGB, 0 to 255", or those of the network, for MR.
        seeds: of each; an image is a function of its seed.
        card: of the prior.
        nfe: network evaluations that an image took.
        seconds: of all.
        folder: where they are; None for images in memory.
    """

    images: np.ndarray | ImageSet
    units: str
    seeds: range
    card: Card
    nfe: int
    seconds: float
    folder: Path | None = None

    def __repr__(self) -> str:
        sizes = " x ".join(map(str, self.images.shape))
        return f"Samples({sizes} in {self.units}, of {self.card.name!r}, {self.nfe} evaluations each)"


class Announced:
    """A prior that counts its network evaluations and tells of each."""

    def __init__(self, prior: Prior, tell: Callable[[int], None]) -> None:
        self.prior, self.tell, self.evaluations = prior, tell, 0
        self.channels, self.intensity = prior.channels, prior.intensity

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        mean = self.prior.denoise(x, sigma)
        self.evaluations += 1
        self.tell(self.evaluations)
        return mean


def _pc(prior: Prior, shape: Shape, seeds: Sequence[int], steps: int, device: str) -> Tensor:
    times = uniform_times(max(1, steps // 2), VE())
    return predictor_corrector(prior, shape, seeds, times, VE(), device=device).x


DRAWN: dict[str, Callable[..., Tensor]] = {  # of about `steps` network evaluations each
    "flow": flow_images,
    "ancestral": sample_images,
    "pc": _pc,
}


def sample(
    prior: str | Path | None = None,
    output: Path | str | None = None,
    settings: SampleSettings | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Samples:
    """Draw images from a prior, without any measurement.

    Args:
        prior: bundled, in the cache, a run folder or a file; None: the bundled CT prior.
        output: folder for samples.png, samples.h5 and samples.json; None: the images stay in memory.
        settings: how many, by which sampler.
        overwrite: replace an older folder.
        progress: hears of the network evaluations.

    Raises:
        FileNotFoundError, ValueError: no such prior or classifier, one that does not fit the other, an unknown class.
        FileExistsError and others: as `check_output`.
        FloatingPointError: an image that is not finite.
    """
    settings, folder = settings or SampleSettings(), None if output is None else Path(output)
    if folder is not None:
        check_output(folder, overwrite, FILES)
    device = device_of(settings.device)
    with closing(told(progress)) as telling:
        telling.stage("loading the prior")
        network, card = load(default_for(Modality.CT) if prior is None else prior)
        settings, began = fitting(settings, card), time.perf_counter()
        drawing = _Drawing(_guided(settings, network.for_inference(device), card, device), card, settings)
        if folder is None:
            images = np.concatenate([values for _, values in drawing.images(device, telling)])
            seconds = time.perf_counter() - began
        else:
            with whole_folder(folder, overwrite, FILES, progress=telling) as place:
                sheet = drawing.into(place / "samples.h5", device, telling)
                seconds = time.perf_counter() - began
                computed = {"nfe": drawing.nfe, "seconds": round(seconds, 3), "device": device}
                computed["network_dtype"] = dtype_name(network.dtype)
                write_sidecar(place / "samples.json", _facts(drawing, prior) | computed)
                title = _title(settings, card, len(sheet))
                sample_grid(place / "samples.png", sheet, intensity_of(card).window, title)
            images = read_images(folder / "samples.h5")
    return Samples(images, drawing.units, settings.seeds, card, drawing.nfe, seconds, folder)


class _Drawing:
    """The images of a request, as they come."""

    def __init__(self, prior: Prior, card: Card, settings: SampleSettings) -> None:
        self.prior, self.card, self.settings, self.nfe = prior, card, settings, 0
        self.units = intensity_of(card).units
        if self.units == "magnitude":
            self.units = ("magnitude", "complex")[card.channels - 1] + ", network units"

    def images(self, device: str, progress: Progress) -> Iterator[tuple[int, np.ndarray]]:
        """Index of the first, and the images as they are stored, of each batch."""
        s, count = self.settings, -(-self.settings.images // self.settings.batch)
        progress.stage("sampling", count * (s.steps or 1))
        announced = Announced(self.prior, progress.update)
        for first, drawn in batches(announced, s, device):
            yield first, physical(drawn, self.card)
        self.nfe = announced.evaluations // count

    def into(self, path: Path, device: str, progress: Progress) -> np.ndarray:
        """Draw into an image set; returns the images of the sheet, (N, [3,] H, W)."""
        sheet: list[np.ndarray] = []
        with h5py.File(path, "w") as file:
            stored = _image_set(file, self.settings, self.card, self.units)
            for first, values in self.images(device, progress):
                stored[first : first + len(values)] = values
                sheet.append(_thumbnails(values[: ON_THE_SHEET - sum(map(len, sheet))]))
        return np.concatenate(sheet)


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """What the sheet shows of (N, [3,] H, W): magnitudes, large images as means of blocks."""
    images = np.abs(images) if np.iscomplexobj(images) else images
    k = max(1, images.shape[-1] // THUMBNAIL)
    n = images.shape[-1] // k
    return images[..., : n * k, : n * k].reshape(*images.shape[:-2], n, k, n, k).mean((-3, -1))


def _facts(drawing: _Drawing, prior: str | Path | None) -> dict[str, Any]:
    """What the sidecar says of a request."""
    settings, card = dataclasses.asdict(drawing.settings), drawing.card
    classifier = settings.pop("classifier")
    del settings["device"]
    facts = settings | {
        "scanprior": __version__,
        "torch": torch.__version__,
        "prior": card.name,
        "prior_sha256": card.sha256,
        "classifier": classifier and classifier.name,
        "units": drawing.units,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": NOTE,
    }
    return facts | ({"classifier_sha256": sha256_of(classifier)} if classifier else {})


def _guided(settings: SampleSettings, network: NetworkPrior, card: Card, device: str) -> Prior:
    """The prior to draw from, tiled and guided as asked for."""
    prior: Prior = network if settings.tile is None else Tiled(network, settings.tile)
    if settings.class_name is None or settings.classifier is None:
        return prior
    classifier = classifiers.load(settings.classifier, device)
    own = classifier.card
    fits = own.channels == card.channels and own.modality in ("", card.modality)
    if fits and own.intensity:
        fits = intensity_of(dataclasses.replace(card, intensity=own.intensity)) == intensity_of(card)
    if not fits:
        raise ValueError(
            f"{settings.classifier}: learned images of {own.channels} channel(s), modality {own.modality or 'any'}, "
            f"intensities {own.intensity or 'any'}; prior {card.name!r} has {card.channels}, {card.modality}, "
            f"{card.intensity}; choose another classifier or prior"
        )
    return Guided(prior, classifier, settings.class_name, settings.strength)


def batches(prior: Prior, settings: SampleSettings, device: str) -> Iterator[tuple[int, Tensor]]:
    """(index of the first, images (B, C, side, side) in network units) of each batch. `settings`: that have a size and
    steps (`fitting`). Raises FloatingPointError for an image that is not finite."""
    shape, seeds = (settings.size, settings.size), settings.seeds
    for first in range(0, len(seeds), settings.batch):
        some = seeds[first : first + settings.batch]
        x = DRAWN[settings.sampler](prior, shape, some, settings.steps, device=device).cpu()
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError(
                f"an image of seeds {some[0]} to {some[-1]} is not finite; a --strength too great?"
            )
        yield first, x


def fitting(settings: SampleSettings, card: Card) -> SampleSettings:
    """With the size of a prior's images and the steps of the sampler, where none are said."""
    steps = STEPS[settings.sampler] if settings.steps is None else settings.steps
    return replace(settings, size=settings.size or own_size(card), steps=steps)


def own_size(card: Card) -> int:
    """The side of a prior's images, at most 256."""
    return min(256, *(card.matrix or (256,)))


def physical(x: Tensor, card: Card) -> np.ndarray:
    """(B, C, H, W) in network units -> (B, H, W): HU, or real or complex network units; (B, 3, H, W) grey levels."""
    return intensity_of(card).to_physical(from_channels(x)).numpy()


def _image_set(file: h5py.File, settings: SampleSettings, card: Card, units: str) -> h5py.Dataset:
    """The empty image set (docs/formats.md), one chunk an image."""
    n, side = settings.images, settings.size or own_size(card)
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
    file["seed"] = settings.seed + np.arange(n)
    return images


def _title(settings: SampleSettings, card: Card, shown: int) -> str:
    which = f" of class {settings.class_name}" if settings.class_name else ""
    seeds = f"seed {settings.seed}" if shown == 1 else f"seeds {settings.seed} to {settings.seed + shown - 1}"
    return f"{card.name}: samples of the prior{which}, {settings.steps} steps, {seeds}"
