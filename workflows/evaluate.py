"""Images, or a prior that draws them -> FID, IS; held-out images -> bits/dim.

Images go through the network of the features batch by batch; what stays in memory is one batch and sums.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..errors import UsageError
from ..formats.images import open_images
from ..formats.write import atomic
from ..pretrained.card import Card
from ..pretrained.load import intensity_of, load
from ..priors.quality import InceptionScore, Moments, frechet_distance
from ..priors.score import NetworkPrior
from .device import device_of
from .features import Features, open_features
from .images import ImageSets
from .likelihood import TOLERANCE, Likelihoods, figures, spread
from .progress import Progress, told
from .request import fingerprint
from .sample import batches, fitting, physical
from .settings import EvaluateSettings, SampleSettings

SPLITS = 10
Window = tuple[float, float] | None


@dataclass(frozen=True)
class Figures:
    """What was found; None and 0 of what was not asked for.

    Attributes:
        fid: Fréchet distance of the features of `images_judged` images and of `reference_images` real ones.
        is_mean, is_std: Inception score, its mean and standard deviation over `splits` parts.
        feature_count: of the network; fewer images than that make a FID that compares with no other number of them.
        bits_per_dim: of `held_out_images`, with its standard error.
        asked: the settings, and the hash of each input for its name, which may be a patient's.
    """

    fid: float | None = None
    is_mean: float | None = None
    is_std: float | None = None
    images_judged: int = 0
    reference_images: int = 0
    feature_count: int = 0
    bits_per_dim: float | None = None
    bits_per_dim_error: float | None = None
    held_out_images: int = 0
    asked: dict[str, Any] = field(default_factory=dict)

    @property
    def splits(self) -> int:
        """Parts that the Inception score is the mean of."""
        return min(SPLITS, self.images_judged)

    def facts(self) -> dict[str, Any]:
        """What was asked and found, JSON-able."""
        found = {k: v for k, v in dataclasses.asdict(self).items() if k != "asked" and v not in (None, 0)}
        return self.asked | found

    def rows(self) -> list[tuple[str, str, str]]:
        """The figures in words: which, its value, and of what it is."""
        out, judged = [], f"{self.images_judged} images"
        if self.is_mean is not None:
            out.append(("IS", f"{self.is_mean:.3f} ± {self.is_std:.3f}", f"{judged}, {self.splits} splits"))
        if self.fid is not None:
            out.append(("FID", f"{self.fid:.3f}", f"{judged} against {self.reference_images}"))
        if self.bits_per_dim is not None:
            error = "" if self.bits_per_dim_error is None else f" ± {self.bits_per_dim_error:.3f}"
            of = (
                "1 held-out image" if self.held_out_images == 1 else f"{self.held_out_images} held-out images"
            )
            out.append(("bits/dim", f"{self.bits_per_dim:.3f}{error}", of))
        return out

    def remarks(self) -> list[str]:
        """What must be known of the figures before they are compared."""
        few = min(self.images_judged, self.reference_images)
        if self.fid is None or few > self.feature_count:
            return []
        what = f"{few} images for {self.feature_count} features"
        return [f"{what}: this FID compares with no other number of images"]

    def write_json(self, path: Path) -> None:
        """`facts` as a file, whole or not at all."""
        with atomic(path) as temporary:
            temporary.write_text(json.dumps(self.facts(), indent=1))


def evaluate(
    images: Path | str | None = None,
    prior: str | Path | None = None,
    reference: Path | str | None = None,
    features: Path | str | None = None,
    held_out: Path | str | None = None,
    settings: EvaluateSettings | None = None,
    progress: Progress | None = None,
) -> Figures:
    """Figures of a prior: FID and IS of its images, bits/dim of images that it has not seen.

    Args:
        images: drawn images, an image set; None: drawn here, from the prior.
        prior: to be judged: by name, run folder or file.
        reference: real images, for the FID.
        features: the network of FID and IS (features.py).
        held_out: images that the prior has not seen, for its bits/dim.
        settings: how many, by which sampler.
        progress: hears of the images.

    Raises:
        UsageError: nothing to judge, or something that is missing for it.
        FileNotFoundError, ValueError: no such file, images or a prior that do not fit, a network that cannot be had.
        FloatingPointError: a drawn image that is not finite.
    """
    given = {"images": images, "reference": reference, "held_out": held_out, "features": features}
    paths = {name: None if path is None else Path(path) for name, path in given.items()}
    settings = settings or EvaluateSettings()
    _refuse_nothing(paths, prior)
    device = device_of(settings.device)
    with closing(told(progress)) as telling:
        network, card = (None, None) if prior is None else load(prior)
        found: dict[str, Any] = {}
        if paths["features"] is not None:
            telling.stage("loading the network of the features")
            judge = _Judge(open_features(paths["features"], device), settings, telling)
            if paths["images"] is not None:
                shown = _stored(paths["images"], settings)
            else:
                shown = _drawn(network, card, settings, device)
            found |= judge.figures(shown, paths["reference"])
        if paths["held_out"] is not None and network is not None and card is not None:
            found |= _bits(paths["held_out"], network, card, settings, telling)
    return Figures(**found, asked=_asked(settings, paths, card))


def _refuse_nothing(paths: dict[str, Path | None], prior: object) -> None:
    """Raise UsageError where there is nothing to judge, or something is missing for it."""
    if paths["images"] is None and prior is None:
        raise UsageError("nothing to judge: give IMAGES, or a --prior to draw them from")
    if paths["held_out"] is not None and prior is None:
        raise UsageError("--held-out: bits/dim are a prior's; add --prior")
    if paths["features"] is None and (paths["images"] is not None or paths["reference"] is not None):
        raise UsageError("FID and IS need a network: add --features (docs/priors.md)")
    if paths["features"] is None and paths["held_out"] is None:
        raise UsageError("nothing to judge: add --features for FID and IS, --held-out for bits/dim")


def _asked(settings: EvaluateSettings, paths: dict[str, Path | None], card: Card | None) -> dict[str, Any]:
    """The settings, and the hash of each input for its name."""
    out: dict[str, Any] = {k: v for k, v in dataclasses.asdict(settings).items() if k != "device"}
    out |= {f"{name}_sha256": fingerprint(path) for name, path in paths.items() if path is not None}
    out |= {"scanprior": __version__, "torch": torch.__version__}
    out["date"] = datetime.now(UTC).isoformat(timespec="seconds")
    return out | ({} if card is None else {"prior": card.name, "prior_sha256": card.sha256})


Shown = tuple[int, Iterator[torch.Tensor]]  # how many, and their batches, (B, 3, H, W) uint8


@dataclass(frozen=True)
class _Judge:
    """FID and IS by a network's features."""

    network: Features
    settings: EvaluateSettings
    progress: Progress

    def figures(self, shown: Shown, reference: Path | None) -> dict[str, Any]:
        """Of images, and of real ones."""
        count, score = shown[0], InceptionScore(shown[0], min(SPLITS, shown[0]))
        moments, has_classes = self._moments("images", shown, score)
        found: dict[str, Any] = {"images_judged": count, "feature_count": len(moments.mean)}
        if has_classes:
            found |= dict(zip(("is_mean", "is_std"), score.score(), strict=True))
        if reference is None:
            return found
        others = _stored(reference, self.settings)
        real, _ = self._moments("reference", others)
        return {**found, "fid": frechet_distance(moments, real), "reference_images": others[0]}

    def _moments(self, name: str, shown: Shown, score: InceptionScore | None = None) -> tuple[Moments, bool]:
        """Of the features; whether the network has classes too, which go into the score."""
        (total, images), moments, has_classes, done = shown, Moments(), False, 0
        self.progress.stage(name, total)
        for x in images:
            features, log_p = self.network(x)
            moments.add(features.numpy())
            if log_p is not None and score is not None:
                score.add(log_p.numpy())
                has_classes = True
            self.progress.update(done := done + len(x))
        return moments, has_classes


def _stored(path: Path, settings: EvaluateSettings) -> Shown:
    """The images in a file."""
    images, batch, window = open_images(path), settings.batch, settings.window

    def read() -> Iterator[torch.Tensor]:
        for first in range(0, len(images), batch):
            some = np.stack([images[i] for i in range(first, min(first + batch, len(images)))])
            yield levels(some, images.units, window)

    levels(images[0][None], images.units, window)  # refuses units before any work
    return len(images), read()


def _drawn(prior: NetworkPrior | None, card: Card | None, settings: EvaluateSettings, device: str) -> Shown:
    """Images of the prior, drawn as they are asked for."""
    assert prior is not None and card is not None  # `_refuse_nothing`
    units, network = intensity_of(card).units, prior.for_inference(device)
    drawn = batches(network, _drawing(settings, card), device)
    return settings.draw, (levels(physical(x, card), units, settings.window) for _, x in drawn)


def _drawing(settings: EvaluateSettings, card: Card) -> SampleSettings:
    """The images to draw from a prior."""
    how: dict[str, Any] = {
        key: getattr(settings, key) for key in ("steps", "sampler", "seed", "batch", "device")
    }
    return fitting(SampleSettings(settings.draw, **how), card)


def levels(images: np.ndarray, units: str, window: Window) -> torch.Tensor:
    """What the network of the features is shown of (B, H, W), or (B, 3, H, W) in colour: (B, 3, H, W) uint8, 0 to 255.

    Grey images, complex ones by magnitude, have `window` from black to white and three equal channels.

    Raises:
        UsageError: grey images in units that say no window.
    """
    if units.startswith("RGB"):
        return torch.from_numpy(np.asarray(images).round().clip(0, 255).astype(np.uint8))
    if window is None and units != "HU":
        raise UsageError(f"images in {units}: add --window, the values shown as black and as white")
    low, high = window or (-1000.0, 1000.0)
    grey = (255 * (np.abs(images) if np.iscomplexobj(images) else images) - 255 * low) / (high - low)
    return torch.from_numpy(grey.round().clip(0, 255).astype(np.uint8))[:, None].expand(-1, 3, -1, -1)


def _bits(
    held_out: Path, prior: NetworkPrior, card: Card, settings: EvaluateSettings, progress: Progress
) -> dict[str, Any]:
    """bits/dim of the held-out images, as `likelihood` has them."""
    images = ImageSets([held_out], card)
    chosen = spread(len(images), settings.limit)
    prior.for_inference(device_of(settings.device), torch.float32)
    progress.stage("bits/dim", len(chosen))
    rows = []
    for row in figures(prior, images, chosen, TOLERANCE, settings.seed):
        rows.append(row)
        progress.update(len(rows))
    found = Likelihoods(rows, card, images.intensity.grey_level)
    return {
        "bits_per_dim": found.mean,
        "bits_per_dim_error": found.error,
        "held_out_images": len(rows),
    }
