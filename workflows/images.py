"""Training images as one array in network units: image sets and packs, CIFAR-10, or a volume (DICOM, NIfTI) as one.

Sets that together take less than `IN_MEMORY` bytes are loaded whole; larger ones stay on disk and are read image by
image, so that the memory of a training run does not grow with its data (but for a few numbers an image). The padding
of a pack's smaller images is cut off again.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from ..formats.grid import middle
from ..formats.images import open_images
from ..pretrained.card import Card
from ..pretrained.load import intensity_of

IN_MEMORY = 2 << 30  # bytes
SAMPLE = 16  # images of a set that are hashed
UNITS = {"CT": ("HU",), "MR": ("magnitude", "complex"), "RGB": ("RGB",)}  # of a modality's images


class ImageSets:
    """Several image sets as one array of N images in the network units of a card, (H, W) float32 or (complex images of
    a prior with 2 channels) complex64; pictures in colour (3, H, W) float32.

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
        for k, array in enumerate(self.arrays):
            if isinstance(array, np.ndarray):
                for own in range(len(array)):
                    self._finite(k, own)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> np.ndarray:
        k = int(np.searchsorted(self.starts, index, side="right")) - 1
        own = int(index - self.starts[k])
        image, extent = self._finite(k, own), self.sets[k].extent(own)
        rows, columns = (middle(n, keep) for n, keep in zip(image.shape[-2:], extent, strict=True))
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
    def pixel_mm(self) -> tuple[float, float] | None:
        """Least and greatest, None of pictures in colour."""
        if self.card.modality == "RGB":
            return None
        sizes = np.concatenate([np.atleast_1d(s.pixel_mm) for s in self.sets])
        return float(sizes.min()), float(sizes.max())


def _numbered(groups: list[np.ndarray]) -> np.ndarray:
    """One number a patient; patients of different sets are different ones."""
    numbers, first = [], 0
    for labels in groups:
        names, index = np.unique(labels, return_inverse=True)
        numbers.append(index + first)
        first += len(names)
    return np.concatenate(numbers)
