"""Training images as one array in network units: image sets and packs, or a volume (DICOM, NIfTI) as one.

Sets that together take less than `IN_MEMORY` bytes are loaded whole; larger ones stay on disk and are read image by
image, so that the memory of a training run does not grow with its data.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ..formats.read import read, sniff
from ..formats.scan import Scan, Volume
from ..formats.store import ImageSet, read_images
from ..pretrained.card import Card
from ..pretrained.load import intensity_of

IN_MEMORY = 2 << 30  # bytes


class OneVolume:
    """A volume (a DICOM series, a NIfTI file) as an image set of one patient."""

    def __init__(self, volume: Volume) -> None:
        self.volume, self.units, self.shape = volume, volume.units, volume.data.shape
        self.groups = np.full(len(volume.data), "one")
        self.pixel_mm = np.full(len(volume.data), volume.spacing[1])

    def __len__(self) -> int:
        return len(self.volume.data)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.volume.data[index]

    def load(self) -> np.ndarray:
        return self.volume.data


def open_images(path: Path) -> ImageSet | OneVolume:
    """An image set, or a volume as one. Raises ValueError for measured data."""
    if sniff(path) == "image-set":
        return read_images(path)
    item = read(path)
    if isinstance(item, Scan):
        raise ValueError(
            f"{path.name}: holds measured data; a prior learns from images (an image set, DICOM, NIfTI)"
        )
    return OneVolume(item)


class ImageSets:
    """Several image sets as one (N, H, W) array in the network units of a card."""

    def __init__(self, paths: list[Path], card: Card) -> None:
        self.sets = [open_images(path) for path in paths]
        units = "HU" if card.modality == "CT" else "magnitude"
        for path, images in zip(paths, self.sets, strict=True):
            if images.units != units:
                raise ValueError(f"{path}: got images in {images.units}, the preset expects {units}")
        self.card = card
        small = sum(np.prod(s.shape) for s in self.sets) * 4 < IN_MEMORY
        self.arrays = [s.load() if small else s for s in self.sets]
        self.groups = [f"{k}:{g}" for k, s in enumerate(self.sets) for g in s.groups]
        self.starts = np.cumsum([0] + [len(s) for s in self.sets])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> np.ndarray:
        k = int(np.searchsorted(self.starts, index, side="right")) - 1
        image = np.asarray(self.arrays[k][int(index - self.starts[k])], np.float32)
        if self.card.modality == "CT":
            return np.clip(image, *self.card.window) / self.card.intensity["hu_per_unit"]
        scale, _ = intensity_of(self.card).affine(torch.from_numpy(image)[None])
        return np.clip(image / float(scale), *self.card.window)

    @property
    def pixel_mm(self) -> tuple[float, float]:
        sizes = np.concatenate([np.atleast_1d(s.pixel_mm) for s in self.sets])
        return float(sizes.min()), float(sizes.max())
