"""Training images as one array in network units: image sets and packs, CIFAR-10, or a volume (DICOM, NIfTI) as one.

Sets that together take less than `IN_MEMORY` bytes are loaded whole; larger ones stay on disk and are read image by
image, so that the memory of a training run does not grow with its data (but for a few numbers an image). The padding
of a pack's smaller images is cut off again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..formats.grid import middle
from ..formats.images import open_images
from ..pretrained.card import Card
from ..pretrained.load import intensity_of
from ..priors.intensity import Attenuation, GreyLevels

IN_MEMORY = 2 << 30  # bytes
UNITS = {"CT": ("HU",), "MR": ("magnitude", "complex"), "RGB": ("RGB",)}  # of a modality's images


class ImageSets:
    """Several image sets as one array of N images in the network units of a card, (H, W) float32 or (complex images of
    a prior with 2 channels) complex64; pictures in colour (3, H, W) float32.

    Raises:
        ValueError: images in other units than the card's modality has.
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
        size = sum(np.prod(s.shape) * (8 if s.units == "complex" else 4) for s in self.sets)
        self.arrays = [s.load() if size < IN_MEMORY else s for s in self.sets]
        self.groups = _numbered([s.groups for s in self.sets])
        self.starts = np.cumsum([0] + [len(s) for s in self.sets])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> np.ndarray:
        k = int(np.searchsorted(self.starts, index, side="right")) - 1
        own = int(index - self.starts[k])
        image, extent = self.arrays[k][own], self.sets[k].extent(own)
        rows, columns = (middle(n, keep) for n, keep in zip(image.shape[-2:], extent, strict=True))
        image = np.ascontiguousarray(image[..., rows, columns])
        if isinstance(self.intensity, GreyLevels):
            image = np.clip(image.astype(np.float32), *self.card.window)
            return (image - np.float32(self.intensity.at_zero)) / np.float32(self.intensity.per_unit)
        if isinstance(self.intensity, Attenuation):
            return (
                np.clip(image, *self.card.window) - self.intensity.hu_at_zero
            ) / self.intensity.hu_per_unit
        if self.card.channels == 1:
            image = np.abs(image)
        scale, _ = self.intensity.affine(torch.from_numpy(image)[None])
        image = image / np.float32(scale)
        if not np.iscomplexobj(image):
            return np.clip(image, *self.card.window)
        return image * np.minimum(1, self.card.window[1] / np.maximum(np.abs(image), 1e-12))

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
