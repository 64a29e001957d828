"""The small evaluation set that comes with the package: one slice of each test and calibration patient, with its source
and licence. The middle slice, as a suite with `slices = 1` takes it.

    SCANPRIOR_DATA=/data/full python benchmarks/make_small_set.py          # writes workflows/benchmark/data/

The files have the names of the full sets, so that the suites find them in their place, and are image sets
(docs/formats.md). Patients are numbered: neither their labels nor positions, dates or scanners go along. They are for
evaluation: no prior is trained or tuned on them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from scanprior.formats.image_set import ImageSet, read_images
from scanprior.workflows.benchmark.suite import PACKAGED, data_root

LIMIT = 2_000_000  # bytes, of all files together
USE = "evaluation only: never train or tune a prior, a method or a weight on these images"
TCIA = "The Cancer Imaging Archive, collection {}"
CT = {  # collection -> licence, where the full set has no such column
    "TCGA-LUAD": "CC BY 3.0",
    "TCGA-LUSC": "CC BY 3.0",
    "COVID-19-NY-SBU": "CC BY 4.0",
}
ELSEWHERE = {"dicompyler-core test data": "dicompyler-core (A. Panchal), test data"}  # not in that archive
SETS = {  # file of the full set -> attribution and licence of all its images, or None: of each
    "ct/ct256_test.h5": None,
    "ct/ct256_calib.h5": None,
    "mri/t1_test.h5": ("OpenNeuro ds002748", "CC0"),
    "mri/ms_test.h5": (
        "Laboratory of Imaging Technologies, University of Ljubljana: longitudinal multiple sclerosis data set",
        "CC BY",
    ),
    "mri/heads_calib.h5": None,
}


def middles(images: ImageSet) -> Iterator[tuple[int, int]]:
    """(patient's number from 1, index of the slice) of one slice of each patient, and of each contrast of one."""
    contrasts = images.columns.get("contrast", np.full(len(images), ""))
    for number, patient in enumerate(dict.fromkeys(images.groups), 1):
        for contrast in dict.fromkeys(contrasts[images.groups == patient]):
            own = np.flatnonzero((images.groups == patient) & (contrasts == contrast))
            yield number, int(own[int(np.linspace(0, len(own) - 1, 3)[1].round())])


def source_of(images: ImageSet, index: int) -> tuple[str, str]:
    """Attribution and licence of one image, from its columns."""
    licence = str(images.columns["licence"][index]) if "licence" in images.columns else ""
    if "collection" in images.columns:
        collection = str(images.columns["collection"][index])
        return ELSEWHERE.get(collection, TCIA.format(collection)), licence or CT[collection]
    name, _, where = licence.partition(" (")
    return where.rstrip(")"), name


def make(source: Path, target: Path, attribution: tuple[str, str] | None) -> int:
    """Write one small file; returns its bytes."""
    images = read_images(source)
    chosen = list(middles(images))
    index = [k for _, k in chosen]
    sources = [attribution or source_of(images, k) for k in index]
    with h5py.File(source) as file:
        stored = np.stack([file["images"][k] for k in index])
        units = file["images"].attrs["units"]
    target.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(target, "w") as file:
        file.attrs["about"] = f"one slice a patient of {source.name}, for evaluation"
        file.attrs["use"] = USE
        options = {"chunks": (1, *stored.shape[1:]), "compression": "gzip", "compression_opts": 9}
        file.create_dataset("images", data=stored, shuffle=True, **options).attrs["units"] = units
        file["px_mm"] = images.pixel_mm[index]
        file["patient"] = [f"{target.stem.split('_')[0]}-{number:02d}" for number, _ in chosen]
        file["attribution"] = [name for name, _ in sources]
        file["licence"] = [licence for _, licence in sources]
        if "contrast" in images.columns:
            file["contrast"] = [str(images.columns["contrast"][k]) for k in index]
    return target.stat().st_size


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=PACKAGED)
    arguments = parser.parse_args()
    sizes = {name: make(data_root() / name, arguments.output / name, source) for name, source in SETS.items()}
    for name, size in sizes.items():
        print(f"{name:<20} {size / 1e3:>7.0f} kB")
    if sum(sizes.values()) > LIMIT:
        raise SystemExit(f"{sum(sizes.values())} bytes, expected at most {LIMIT}")
