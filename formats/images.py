"""Images with the patient each is of, from any file: an image set or pack, CIFAR-10, or a volume as one patient."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from .cifar import Cifar, read_cifar
from .image_set import ImageSet, read_images
from .read import read, sniff
from .scan import FormatError, Scan, Volume


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

    def extent(self, index: int) -> tuple[int, int]:
        return self.volume.data.shape[1], self.volume.data.shape[2]

    def load(self) -> np.ndarray:
        return self.volume.data


def open_images(path: Path) -> ImageSet | Cifar | OneVolume:
    """An image set, CIFAR-10, or a volume as one. Raises FormatError for measured data."""
    kind = sniff(path)
    if kind == "image-set":
        return read_images(path)
    if kind == "cifar-10":
        return read_cifar(path)
    item = read(path)
    if isinstance(item, Scan):
        raise FormatError(f"{path.name}: holds measured data, expected images (an image set, DICOM, NIfTI)")
    return OneVolume(item)


def kept_for_calibration(path: Path, images: object) -> str:
    """Why images must not be learned from, in words: a pack's attribute `split`, or the file's name, says that they are
    for calibration only. "" where they may."""
    if getattr(images, "split", "").startswith("calib"):
        return "its attribute split says so"
    words = re.split("[^a-z]+", path.stem.lower())
    return "its name says so" if {"calib", "calibration"} & set(words) else ""
