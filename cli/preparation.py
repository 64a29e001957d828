"""The run behind `scanprior prepare`: folders of scans -> a training pack, with a report of what was left out.

Two passes: headers first (formats/collect.py), then series by series the pixels (cli/sources.py), brought to one grid
(formats/grid.py) and appended to the pack (formats/pack.py). Memory holds one series at a time.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..formats.collect import KSPACE, LeftOut, Source, collect, find_files
from ..formats.grid import to_grid
from ..formats.pack import LEFT_OUT, MANIFEST, SPLITS, PackWriter, split_of
from ..formats.scan import FormatError
from ..formats.store import read_images
from .figures import sample_grid
from .output import check_output, whole_folder
from .progress import counting
from .sources import Picture, pictures

PICTURE = "pack.png"
OURS = {f"{split}.h5" for split in SPLITS} | {MANIFEST, LEFT_OUT, PICTURE}
AIR, BODY = -500.0, 0.01  # HU; the least part of a CT slice that is not air
FAINT = 0.1  # an MR slice whose brightest parts are fainter than this part of its series' holds noise
SHOWN = {"train": 8, "val": 4, "test": 4}  # slices on the picture


@dataclass(frozen=True)
class Settings:
    """What `scanprior prepare` can be told: side of the matrix [pixels], side of the pixels [mm] (None: the finest
    with which the field of view fits, never finer than measured), parts of the patients for validation and test, the
    seed of the split."""

    matrix: int
    pixel_mm: float | None = None
    val: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.matrix < 16:
            raise ValueError(f"--matrix: got {self.matrix}, expected at least 16")
        if self.pixel_mm is not None and not self.pixel_mm > 0:
            raise ValueError(f"--pixel-mm: got {self.pixel_mm}, expected a positive length")
        if min(self.val, self.test) < 0 or self.val + self.test >= 1:
            raise ValueError(
                f"--val {self.val} --test {self.test}: expected parts of 1 that leave some to train on"
            )


def run_preparation(
    sources: list[Path],
    output: Path,
    preset: dict[str, Any],
    settings: Settings,
    overwrite: bool = False,
    told: str | None = None,
) -> None:
    """Write the pack `output` and print its summary. `told`: the modality of files that do not say it.

    Raises:
        ValueError: nothing usable in the sources (with the reasons), or no patient left to train on.
        FileExistsError, NotADirectoryError, FileNotFoundError: as `check_output`.
        FormatError: a source that does not exist.
    """
    check_output(output, overwrite, OURS)
    console = Console()
    prior = preset["prior"]
    modality = prior["modality"]
    with whole_folder(output, overwrite, OURS) as folder, counting() as progress:
        files = find_files(sources, skip=output.resolve())
        task = progress.add_task("headers", total=len(files))
        found, left = collect(files, modality, lambda: progress.advance(task), told)
        units = "HU" if modality == "CT" else "magnitude"
        if prior["channels"] == 2 and any(
            s.format in (*KSPACE, "scanprior-scan") or _is_complex(s) for s in found
        ):
            units = "complex"
        task = progress.add_task("images", total=sum(len(s.files) for s in found))
        with PackWriter(folder, units, settings.matrix) as pack:
            series = _Series(pack, prior, settings, left)
            for source in _by_patient(found):
                series.add(source)
                progress.advance(task, len(source.files))
            about = {
                "scanprior": __version__,
                "preset": preset["name"],
                "modality": modality,
                "window": prior["window"] if modality == "CT" else None,
                "pixel_mm_asked": settings.pixel_mm,
                "split": {"val": settings.val, "test": settings.test, "seed": settings.seed},
            }
            manifest = pack.finish(about, left)
        _refuse_useless(manifest)
        _draw(folder, manifest, units)
    _report(console, output, manifest)


class _Series:
    """Series after series into a pack."""

    def __init__(
        self, pack: PackWriter, prior: dict[str, Any], settings: Settings, left: list[LeftOut]
    ) -> None:
        self.pack, self.prior, self.settings, self.left = pack, prior, settings, left
        self.is_ct = prior["modality"] == "CT"
        self.seen: set[bytes] = set()

    def add(self, source: Source) -> None:
        """Read, check and append one series."""
        taken: list[tuple[np.ndarray, float, tuple[int, int], str]] = []
        levels = []
        for item in pictures(source, self.prior["modality"]):
            if isinstance(item, LeftOut):
                self.left.append(item)
                continue
            reason, detail = _flaw(item.image, self.is_ct), ""
            try:
                if not reason:
                    taken.append((*self._on_grid(item), item.name))
                    levels.append(float(np.quantile(np.abs(taken[-1][0]), 0.998)))
            except FormatError as error:
                reason, _, detail = str(error).partition(": ")
            if reason:
                self.left.append(LeftOut(item.name, reason, detail))
        keep = []
        for entry, level in zip(taken, levels, strict=True):
            digest = blake2b(entry[0].tobytes(), digest_size=16).digest()
            if not self.is_ct and level < FAINT * max(levels):
                self.left.append(LeftOut(entry[3], "empty"))
            elif digest in self.seen:
                self.left.append(LeftOut(entry[3], "duplicate"))
            else:
                self.seen.add(digest)
                keep.append(entry)
        if keep:
            images, sizes, extents, _ = zip(*keep, strict=True)
            s = self.settings
            split = split_of(source.patient, s.seed, s.val, s.test)
            self.pack.add(source.patient, split, np.stack(images), list(sizes), list(extents), source.format)

    def _on_grid(self, picture: Picture) -> tuple[np.ndarray, float, tuple[int, int]]:
        """As it is stored, its pixels' side [mm], its extent."""
        image, fill = picture.image, 0.0
        if self.is_ct:
            low, high = self.prior["window"]
            image, fill = np.clip(image, low, high), low
        elif self.pack.units == "complex":
            image = image.astype(np.complex64)
        settings = self.settings
        image, side, extent = to_grid(image, picture.spacing, settings.matrix, fill, settings.pixel_mm)
        return self.pack.stored(image), side, extent


def _flaw(image: np.ndarray, is_ct: bool) -> str:
    """What is wrong with an image by itself."""
    if not np.isfinite(image).all():
        return "not finite"
    if np.ptp(np.abs(image)) == 0:
        return "constant"
    if is_ct:
        return "air only" if np.mean(image > AIR) < BODY else ""
    return "" if np.quantile(np.abs(image), 0.998) > 0 else "empty"


def _is_complex(source: Source) -> bool:
    return source.format == "image-set" and read_images(source.files[0]).units == "complex"


def _by_patient(found: list[Source]) -> list[Source]:
    """The sources patient by patient, the patients in an order that says nothing of their names."""
    patients = list({source.patient for source in found})
    random.SystemRandom().shuffle(patients)
    place = {patient: k for k, patient in enumerate(patients)}
    return sorted(found, key=lambda source: place[source.patient])


def _refuse_useless(manifest: dict[str, Any]) -> None:
    patients = len(manifest["patients"])
    if not patients:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in manifest["left_out"].items()) or "no files"
        raise ValueError(f"nothing to learn from was found ({reasons}); check the sources and the preset")
    if not manifest["counts"]["train"]["patients"]:
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


def _report(console: Console, output: Path, manifest: dict[str, Any]) -> None:
    """The summary on the screen."""
    console.print(f"{output}: {manifest['units']}", soft_wrap=True, highlight=False)
    table = Table("", "patients", "images")
    for split, count in manifest["counts"].items():
        table.add_row(split, str(count["patients"]), str(count["images"]))
    console.print(table)
    if manifest["left_out"]:
        table = Table("left out", "images")
        for reason, count in manifest["left_out"].items():
            table.add_row(reason, str(count))
        console.print(table)
    for split in SPLITS[1:]:
        if manifest["split"][split] and not manifest["counts"][split]["patients"]:
            console.print(f"no patient fell into {split}: add patients, or choose another --seed")
    console.print(
        f"look at {output / PICTURE}; {LEFT_OUT} names your files, all else is anonymous", soft_wrap=True
    )
