"""Training images as one array in network units: image sets and packs, CIFAR-10, or a volume (DICOM, NIfTI) as one.

Sets that together take less than `IN_MEMORY` bytes are loaded whole; larger ones stay on disk and are read image by
image, so that the memory of a training run does not grow with its data (but for a few numbers an image). The padding
of a pack's smaller images is cut off again.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ..formats.grid import middle
from ..formats.images import kept_for_calibration, open_images
from ..pretrained.card import Card
from ..pretrained.load import intensity_of

IN_MEMORY = 2 << 30  # bytes
SAMPLE = 16  # images of a set that are hashed
Paths = Path | str | Sequence[Path | str]
UNITS = {"CT": ("HU",), "MR": ("magnitude", "complex"), "RGB": ("RGB",)}  # of a modality's images


def to_learn_from(paths: Paths, card: Card) -> ImageSets | None:
    """The images that a training learns from, or is judged by while it is made; None for no paths.

    Raises:
        ValueError: images that are kept for calibration; as `ImageSets`.
    """
    paths = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not paths:
        return None
    images = ImageSets(paths, card)
    for path, part in zip(paths, images.sets, strict=True):
        if why := kept_for_calibration(path, part):
            raise ValueError(
                f"{path}: is for calibration only ({why}), expected images to learn from; intervals that are "
                "calibrated on what was trained on promise too much"
            )
    return images


class ImageSets:
    """Several image sets as one array of N images in the network units of a card, (H, W) float32 or (complex images of
    a prior with 2 channels) complex64; pictures in colour (3, H, W) float32. Of an image that is a part of a larger one
    there is what was recorded, and `partial` (N,) says so.

    Raises:
        ValueError: images in other units than the card's modality has; NaN or Inf among them, when they are read.
    """

    def __init__(self, paths: list[Path], card: Card) -> None:
        self.sets = [open_images(path) for path in paths]
        expected = UNITS[card.modality]
        for path, images in zip(paths, self.sets, strict=True):
            if images.units not in expected:
                raise ValueError(
                    f"{path}: got images in {images.units}, the preset expects {' or '.join(expected)}"
                )
        self.card, self.intensity = card, intensity_of(card)
        self.paths = paths
        size = sum(np.prod(s.shape) * (8 if s.units == "complex" else 4) for s in self.sets)
        self.arrays = [s.load() if size < IN_MEMORY else s for s in self.sets]
        self.groups = _numbered([s.groups for s in self.sets])
        self.starts = np.cumsum([0] + [len(s) for s in self.sets])
        self.parts = np.concatenate(
            [np.zeros((len(s), 2), int) if (b := _boxes(s)) is None else b[:, 2:] for s in self.sets]
        )
        for k, array in enumerate(self.arrays):
            if isinstance(array, np.ndarray):
                for own in range(len(array)):
                    self._finite(k, own)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> np.ndarray:
        k = int(np.searchsorted(self.starts, index, side="right")) - 1
        own = int(index - self.starts[k])
        image = self._finite(k, own)
        if (boxes := _boxes(self.sets[k])) is None:
            rows, columns = map(middle, image.shape[-2:], self.sets[k].extent(own))
        else:
            top, left, height, width = boxes[own].tolist()
            rows, columns = slice(top, top + height), slice(left, left + width)
        image = np.ascontiguousarray(image[..., rows, columns])
        if np.iscomplexobj(image) and self.card.channels == 1:
            image = np.abs(image)
        return self.intensity.to_network(image, self.card.window)

    def _finite(self, k: int, own: int) -> np.ndarray:
        """Image `own` of set `k` as it is stored."""
        image = self.arrays[k][own]
        if not np.isfinite(image).all():
            raise ValueError(
                f"{self.paths[k]}: got NaN or Inf in image {own} (the first is 0), expected finite numbers; leave it "
                "out, or repair what made it"
            )
        return image

    def facts(self) -> dict[str, Any]:
        """What tells these images from others: how many, of how many patients, and a hash of some, of the labels and
        pixel sizes of all."""
        digest = blake2b(digest_size=8)
        for k, images in enumerate(self.sets):
            digest.update(f"{images.shape} {images.units} {images.groups.tolist()}".encode())
            digest.update(np.asarray(images.pixel_mm, np.float32).tobytes())
            for own in np.unique(np.linspace(0, len(images) - 1, SAMPLE).astype(int)):
                digest.update(np.ascontiguousarray(self.arrays[k][int(own)]).tobytes())
        return {"images": len(self), "patients": len(set(self.groups)), "hash": digest.hexdigest()}

    @property
    def matrix(self) -> tuple[int, ...]:
        """Rows and columns of the first whole image, or of the first where none is whole."""
        return self[int(np.argmin(self.parts.any(1)))].shape[-2:]

    @property
    def pixel_mm(self) -> tuple[float, float] | None:
        """Least and greatest, None of pictures in colour."""
        if self.card.modality == "RGB":
            return None
        sizes = np.concatenate([np.atleast_1d(s.pixel_mm) for s in self.sets])
        return float(sizes.min()), float(sizes.max())


def _boxes(images: object) -> np.ndarray | None:
    return getattr(images, "boxes", None)


def _numbered(groups: list[np.ndarray]) -> np.ndarray:
    """One number a patient; patients of different sets are different ones."""
    numbers, first = [], 0
    for labels in groups:
        names, index = np.unique(labels, return_inverse=True)
        numbers.append(index + first)
        first += len(names)
    return np.concatenate(numbers)
