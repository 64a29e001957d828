"""Series -> images as a training pack stores them, by all cores: read, checked, brought to one grid."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..formats.collect import KSPACE, LeftOut, Source
from ..formats.grid import to_grid
from ..formats.pack import stored
from ..formats.scan import FormatError
from ..modality import Modality
from ..pretrained.card import Card
from .pool import in_order
from .settings import PrepareSettings
from .sources import Picture, pictures

AIR, BODY = -500.0, 0.01  # HU; the least part of a CT slice that is not air
FAINT = 0.1  # an MR slice whose brightest parts are fainter than this part of its series' holds noise


@dataclass
class Prepared:
    """What a source has for a pack.

    Attributes:
        images: of each image its file's name, its pixels' side [mm], its rows and columns within the matrix.
        file: their pixels, (n, matrix, matrix), which `take` gives; None for none.
        left: what is not used.
    """

    images: list[tuple[str, float, tuple[int, int]]] = field(default_factory=list)
    file: Path | None = None
    left: list[LeftOut] = field(default_factory=list)

    def take(self) -> np.ndarray:
        """The pixels, off the disk."""
        if self.file is None:
            return np.zeros((0, 1, 1))
        pixels = np.load(self.file, allow_pickle=False)
        self.file.unlink()
        return pixels


def prepare_all(
    found: list[Source], card: Card, settings: PrepareSettings, units: str, folder: Path
) -> Generator[Prepared]:
    """The sources in their order; `folder`: for pixels that wait. A file that ends the process that reads it is left
    out, and its series read again without it."""
    function = partial(prepare_one, card=card, settings=settings, units=units, folder=folder)
    numbered, preload = list(enumerate(found)), [__name__, "pydicom", "h5py"]
    preload += ["scanprior.operators.coils"] if any(source.format in KSPACE for source in found) else []
    for (number, source), done in zip(numbered, in_order(function, numbered, preload), strict=True):
        left = []
        while done is None:
            at = int(_place(folder, number).read_text())
            left.append(LeftOut(source.names[at], "cannot be read", "it ended the process that read it"))
            files, names = (v[:at] + v[at + 1 :] for v in (source.files, source.names))
            source = replace(source, files=files, names=names)
            done = next(in_order(function, [(number, source)], preload))
        done.left += left
        yield done


def prepare_one(
    numbered: tuple[int, Source], *, card: Card, settings: PrepareSettings, units: str, folder: Path
) -> Prepared:
    """Read and check the n-th source, in whatever process. `folder` has meanwhile the place in the source of the file
    that is being read."""
    number, source = numbered
    is_ct = card.modality == Modality.CT
    out, pixels, levels = Prepared(), [], []
    for place, (path, name) in enumerate(zip(source.files, source.names, strict=True)):
        _place(folder, number).write_text(str(place))
        for item in pictures(replace(source, files=(path,), names=(name,)), card.modality):
            if isinstance(item, LeftOut):
                out.left.append(item)
                continue
            reason, detail = _flaw(item.image, is_ct), ""
            try:
                if not reason:
                    image, side, extent = _on_grid(item, card, settings, units)
                    pixels.append(image)
                    levels.append(float(np.quantile(np.abs(image), 0.998)))
                    out.images.append((item.name, side, extent))
            except FormatError as error:
                reason, _, detail = str(error).partition(": ")
            if reason:
                out.left.append(LeftOut(item.name, reason, detail))
    keep = [k for k, level in enumerate(levels) if is_ct or level >= FAINT * max(levels)]
    out.left += [LeftOut(image[0], "empty") for k, image in enumerate(out.images) if k not in keep]
    out.images = [out.images[k] for k in keep]
    if keep:
        out.file = folder / f"{number}.npy"
        np.save(out.file, np.stack([pixels[k] for k in keep]))
    return out


def _place(folder: Path, number: int) -> Path:
    return folder / f"{number}.place"


def _on_grid(
    picture: Picture, card: Card, settings: PrepareSettings, units: str
) -> tuple[np.ndarray, float, tuple[int, int]]:
    """As it is stored, its pixels' side [mm], its extent."""
    image, fill = picture.image, 0.0
    if card.modality == Modality.CT:
        low, high = card.window
        image, fill = np.clip(image, low, high), low
    elif units == "complex":
        image = image.astype(np.complex64)
    image, side, extent = to_grid(image, picture.spacing, settings.matrix or 256, fill, settings.pixel_mm)
    return stored(image, units), side, extent


def _flaw(image: np.ndarray, is_ct: bool) -> str:
    """What is wrong with an image by itself."""
    if not np.isfinite(image).all():
        return "not finite"
    if np.ptp(np.abs(image)) == 0:
        return "constant"
    if is_ct:
        return "air only" if np.mean(image > AIR) < BODY else ""
    return "" if np.quantile(np.abs(image), 0.998) > 0 else "empty"
