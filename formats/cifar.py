"""CIFAR-10 in its binary version (Krizhevsky 2009; `cifar-10-binary.tar.gz`, unpacked): batches of records

    label, 0 to 9 (1 byte)    red, green, blue, each 32 x 32, row by row (3072 bytes)

A batch is a file; a folder means its training batches, `data_batch_1.bin` to `data_batch_5.bin`, 50,000 pictures, and
the test set is the file `test_batch.bin`. Nothing says what such a file is: it is known by its length and its labels.
The version for Python is a pickle and is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .reader import IN_COLOUR, Slices, choose
from .scan import FormatError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE, RECORD = 32, 1 + 3 * 32 * 32  # pixels, bytes


@dataclass(frozen=True, eq=False)
class Cifar:
    """Pictures as an image set (image_set.ImageSet): uint8, mapped from the files.

    Attributes:
        records: of each file, (n, 3073) uint8.
    """

    records: list[np.ndarray]
    units: str = "RGB"

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), 3, SIDE, SIDE)

    @property
    def groups(self) -> np.ndarray:
        """(N,): every picture is of its own."""
        return np.arange(len(self))

    @property
    def pixel_mm(self) -> np.ndarray:
        return np.ones(len(self), np.float32)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """The label of each picture: the name of its class."""
        labels = np.concatenate([part[:, 0] for part in self.records])
        return {"label": np.array(CLASSES)[labels]}

    def __len__(self) -> int:
        return sum(map(len, self.records))

    def __getitem__(self, index: int) -> np.ndarray:
        """One picture, (3, 32, 32) float32, 0 to 255."""
        return self.load([index])[0].astype(np.float32)

    def extent(self, index: int) -> tuple[int, int]:
        return SIDE, SIDE

    def load(self, slices: Slices = None) -> np.ndarray:
        """Pictures, (n, 3, 32, 32) uint8; all by default."""
        index = choose(len(self), slices, "CIFAR-10")
        ends = np.cumsum([len(part) for part in self.records])
        files = np.searchsorted(ends, index, side="right")
        out = np.empty((len(index), RECORD - 1), np.uint8)
        for k, (part, end) in enumerate(zip(self.records, ends, strict=True)):
            out[files == k] = part[index[files == k] - (end - len(part)), 1:]
        return out.reshape(-1, 3, SIDE, SIDE)


def is_batch(path: Path) -> bool:
    """Whether a file is whole records with labels below 10."""
    return path.stat().st_size % RECORD == 0 and bool((_mapped(path)[:, 0] < len(CLASSES)).all())


def training_batches(folder: Path) -> list[Path]:
    """The training batches in a folder, none where there is none."""
    return [
        path for path in sorted(folder.glob("data_batch_*.bin")) if path.stat().st_size and is_batch(path)
    ]


def read_cifar(path: str | Path) -> Cifar:
    """One batch, or the training batches of a folder. Raises FormatError where there is none."""
    path = Path(path)
    batches = training_batches(path) if path.is_dir() else [path] * is_batch(path)
    if not batches:
        raise FormatError(
            f"{path.name}: got no batch of CIFAR-10's binary version, expected a .bin file or the folder of them"
        )
    return Cifar([_mapped(batch) for batch in batches])


def refuse(path: Path, **_: Any) -> Any:
    """Raises FormatError: pictures are no volume."""
    raise FormatError(f"{path.name}: {IN_COLOUR}")


def describe_cifar(path: Path) -> dict[str, Any]:
    """Kind, shape, units, classes."""
    pictures = read_cifar(path)
    return {"kind": "images", "shape": pictures.shape, "units": "RGB, 0 to 255", "classes": list(CLASSES)}


def _mapped(path: Path) -> np.ndarray:
    return np.memmap(path, np.uint8, "r").reshape(-1, RECORD)
