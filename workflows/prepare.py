"""Folders of scans -> a training pack, with a list of what was left out.

Two passes: headers first (formats/collect.py), then series by series the pixels, by all cores (series.py), appended to
the pack (formats/pack.py) by one process. Memory holds one series a core; finished ones wait on the disk. Twice the
same files and options are twice the same pack, byte by byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from .. import __version__
from ..formats.collect import KSPACE, LeftOut, Source, collect, find_files
from ..formats.image_set import read_images
from ..formats.pack import LEFT_OUT, MANIFEST, SPLITS, PackWriter, place_of, secret_of, split_of
from ..modality import Modality
from ..pretrained.card import Card
from ..report.figures import sample_grid
from .output import check_output, whole_folder
from .progress import Progress, told
from .series import Prepared, prepare_all
from .settings import PrepareSettings
from .training_preset import TrainingPreset, read_preset

PICTURE = "pack.png"
OURS = {f"{split}.h5" for split in SPLITS} | {MANIFEST, LEFT_OUT, PICTURE}
SHOWN = {"train": 8, "val": 4, "test": 4, "calib": 4}  # slices on the picture


@dataclass(frozen=True)
class Pack:
    """A training pack: its folder, and its manifest (docs/formats.md)."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """split -> {patients, images}."""
        return self.manifest["counts"]

    @property
    def left_out(self) -> dict[str, int]:
        """Reason -> images that were left out for it."""
        return self.manifest["left_out"]

    @property
    def without(self) -> list[str]:
        """Splits that were asked for and that no patient fell into."""
        asked = self.manifest["split"]
        return [split for split in SPLITS[1:] if asked[split] and not self.counts[split]["patients"]]


def prepare(
    sources: Path | str | Sequence[Path | str],
    output: Path | str,
    preset: str | Path | TrainingPreset = "ct-256",
    settings: PrepareSettings | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Pack:
    """Turn scans into a training pack.

    Args:
        sources: folders and files, searched recursively, of any mixture of formats.
        output: folder of the pack.
        preset: of the training that it is for: modality, matrix, HU window.
        settings: matrix, pixels, splits.
        overwrite: replace an older pack.
        progress: hears of files and images.

    Raises:
        ValueError: nothing usable in the sources (with the reasons), or no patient left to train on.
        FileExistsError, NotADirectoryError, FileNotFoundError: as `check_output`.
        FormatError: a source that does not exist.
    """
    card, output = read_preset(preset).card, Path(output)
    settings = _fitting(settings or PrepareSettings(), card)
    check_output(output, overwrite, OURS)
    with (
        closing(told(progress)) as telling,
        whole_folder(output, overwrite, OURS, progress=telling) as folder,
    ):
        found, left, secret = _found(_paths(sources), output, card, settings, telling)
        units = _units(card, found)
        telling.stage("images", sum(len(s.files) for s in found))
        with (
            TemporaryDirectory(dir=folder) as waiting,
            PackWriter(folder, units, settings.matrix or 256, secret) as pack,
            closing(prepare_all(found, card, settings, units, Path(waiting))) as images,
        ):
            writer, done = _Writer(pack, settings, left), 0
            for source, own in zip(found, images, strict=True):
                writer.add(source, own)
                telling.update(done := done + len(source.files))
            manifest = pack.finish(_about(card, settings), left)
        trained = manifest["counts"]["train"]["patients"]
        _refuse_useless(len(manifest["patients"]), trained, manifest["left_out"])
        _draw(folder, manifest, units)
    return Pack(output, manifest)


def planned(
    sources: Path | str | Sequence[Path | str],
    preset: str | Path | TrainingPreset = "ct-256",
    settings: PrepareSettings | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """What `prepare` would read, from headers alone: files and patients, those of each split, what would be left out.
    Pixels may leave out more. Raises as `prepare`."""
    card = read_preset(preset).card
    settings = _fitting(settings or PrepareSettings(), card)
    with closing(told(progress)) as telling:
        found, left, _ = _found(_paths(sources), None, card, settings, telling)
    patients = {source.patient for source in found}
    split = Counter(_split(settings, patient) for patient in patients)
    reasons = Counter(item.reason for item in left)
    _refuse_useless(len(patients), split["train"], reasons)
    return {
        "modality": card.modality,
        "matrix": settings.matrix,
        "files": len({path for source in found for path in source.files}),
        "patients": len(patients),
        "split": dict(split),
        "left_out": dict(reasons),
    }


def _fitting(settings: PrepareSettings, card: Card) -> PrepareSettings:
    """With the matrix of a preset's images, where none is said."""
    return replace(settings, matrix=settings.matrix or max(card.matrix or (256,)))


def _split(settings: PrepareSettings, patient: str) -> str:
    """Where a patient goes, by the key that identifies them."""
    return split_of(patient, settings.seed, settings.val, settings.test, settings.calib)


def _paths(sources: Path | str | Sequence[Path | str]) -> list[Path]:
    return [Path(path) for path in ([sources] if isinstance(sources, str | Path) else sources)]


def _found(
    sources: list[Path], output: Path | None, card: Card, settings: PrepareSettings, progress: Progress
) -> tuple[list[Source], list[LeftOut], bytes]:
    """What the files hold, in an order that says nothing of patients; what is left out; the secret of the labels."""
    files, done = find_files(sources, skip=output and output.resolve()), iter(range(1, 1 << 60))
    progress.stage("headers", len(files))
    found, left = collect(files, card.modality, lambda: progress.update(next(done)), settings.modality)
    secret = secret_of(path for path, _ in files)
    return sorted(found, key=lambda source: place_of(source.patient, secret)), left, secret


def _units(card: Card, found: list[Source]) -> str:
    if card.modality == Modality.CT:
        return "HU"
    raw = any(s.format in (*KSPACE, "scanprior-scan") or _is_complex(s) for s in found)
    return "complex" if card.channels == 2 and raw else "magnitude"


def _about(card: Card, settings: PrepareSettings) -> dict[str, Any]:
    """The manifest's account of how the pack was made."""
    return {
        "scanprior": __version__,
        "preset": card.name,
        "modality": card.modality,
        "window": card.window if card.modality == Modality.CT else None,
        "pixel_mm_asked": settings.pixel_mm,
        "split": {name: getattr(settings, name) for name in (*SPLITS[1:], "seed")},
    }


class _Writer:
    """Source after source into a pack, each image once."""

    def __init__(self, pack: PackWriter, settings: PrepareSettings, left: list[LeftOut]) -> None:
        self.pack, self.settings, self.left = pack, settings, left
        self.seen: set[bytes] = set()

    def add(self, source: Source, found: Prepared) -> None:
        """Append what was found in a source."""
        self.left += found.left
        pixels, keep = found.take(), []
        for k, image in enumerate(pixels):
            digest = blake2b(image.tobytes(), digest_size=16).digest()
            if digest in self.seen:
                self.left.append(LeftOut(found.images[k][0], "duplicate"))
            else:
                self.seen.add(digest)
                keep.append(k)
        if keep:
            _, sizes, extents = zip(*(found.images[k] for k in keep), strict=True)
            split = _split(self.settings, source.patient)
            self.pack.add(source.patient, split, pixels[keep], list(sizes), list(extents), source.format)


def _is_complex(source: Source) -> bool:
    return source.format == "image-set" and read_images(source.files[0]).units == "complex"


def _refuse_useless(patients: int, left_to_train: int, left_out: Mapping[str, int]) -> None:
    """Refuse a pack that nothing can be learned from."""
    if not patients:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in left_out.items()) or "no files"
        raise ValueError(f"nothing to learn from was found ({reasons}); check the sources and the preset")
    if not left_to_train:
        raise ValueError(
            f"none of the {patients} patients is left to train on; choose another --seed, or --val 0 --test 0"
        )


def _draw(folder: Path, manifest: dict[str, Any], units: str) -> None:
    """Some slices of each split, chosen at random."""
    rng = np.random.default_rng(0)
    pictures, labels = [], []
    for split in SPLITS:
        if not manifest["counts"][split]["images"]:
            continue
        images = read_images(folder / f"{split}.h5")
        for index in rng.choice(len(images), min(SHOWN[split], len(images)), replace=False):
            image = np.abs(images[int(index)]) if units != "HU" else images[int(index)]
            if units != "HU":
                image = image / np.quantile(image, 0.998)
            pictures.append(image)
            labels.append(f"{split}, {images.pixel_mm[index]:.2f} mm")
    total = sum(count["images"] for count in manifest["counts"].values())
    title = f"{total} images of {len(manifest['patients'])} patients, {manifest['units']}"
    window = (-1000.0, 600.0) if units == "HU" else (0.0, 1.0)
    sample_grid(folder / PICTURE, np.stack(pictures), window, title, labels)
