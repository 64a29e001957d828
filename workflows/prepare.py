"""The run behind `scanprior prepare`: folders of scans -> a training pack, with a report of what was left out.

Two passes: headers first (formats/collect.py), then series by series the pixels, by all cores (series.py), appended to
the pack (formats/pack.py) by one process. Memory holds one series a core; finished ones wait on the disk. Twice the
same files and options are twice the same pack, byte by byte.
"""

from __future__ import annotations

from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..formats.collect import KSPACE, LeftOut, Source, collect, find_files
from ..formats.image_set import read_images
from ..formats.pack import LEFT_OUT, MANIFEST, SPLITS, PackWriter, place_of, secret_of, split_of
from ..report.figures import sample_grid
from ..report.progress import counting
from .output import check_output, whole_folder
from .series import Prepared, Settings, prepare_all

PICTURE = "pack.png"
OURS = {f"{split}.h5" for split in SPLITS} | {MANIFEST, LEFT_OUT, PICTURE}
SHOWN = {"train": 8, "val": 4, "test": 4}  # slices on the picture


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
        secret = secret_of(path for path, _ in files)
        found = sorted(found, key=lambda source: place_of(source.patient, secret))
        task = progress.add_task("images", total=sum(len(s.files) for s in found))
        with (
            TemporaryDirectory(dir=folder) as waiting,
            PackWriter(folder, units, settings.matrix, secret) as pack,
        ):
            writer = _Writer(pack, settings, left)
            with closing(prepare_all(found, prior, settings, units, Path(waiting))) as images:
                for source, own in zip(found, images, strict=True):
                    writer.add(source, own)
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


class _Writer:
    """Source after source into a pack, each image once."""

    def __init__(self, pack: PackWriter, settings: Settings, left: list[LeftOut]) -> None:
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
            s, (_, sizes, extents) = self.settings, zip(*(found.images[k] for k in keep), strict=True)
            split = split_of(source.patient, s.seed, s.val, s.test)
            self.pack.add(source.patient, split, pixels[keep], list(sizes), list(extents), source.format)


def _is_complex(source: Source) -> bool:
    return source.format == "image-set" and read_images(source.files[0]).units == "complex"


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
