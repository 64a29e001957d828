"""Images -> measured data."""

from __future__ import annotations

import operator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from ..formats.read import read
from ..formats.reader import choose
from ..formats.scan import FormatError, Scan, Volume
from ..recon.simulate import simulate as measure
from ..recon.simulate import simulation_of
from .progress import Progress, told
from .settings import Slices


def simulate(
    images: Volume | Path | str,
    measurement: str,
    slices: Slices = None,
    seed: int = 0,
    progress: Progress | None = None,
    **reader: Any,
) -> Scan:
    """A simulated scan of real images, with its truth.

    Args:
        images: HU for CT, magnitudes for MRI; a file or folder of any known format.
        measurement: "ct:views=23,photons=1e5" or "mri:accel=4,coils=8"; `scanprior methods simulate` lists the
            settings.
        slices: which slices.
        seed: of the noise, the phase and the mask.
        reader: how a file is to be read (formats/read.py).

    Raises:
        UsageError: an unknown measurement or setting.
        FormatError: images of another kind than the measurement's, and whatever a reader refuses.
    """
    tell = told(progress)
    try:
        tell.stage("simulating")
        return measured(images, measurement, slices, seed, reader)[0]
    finally:
        tell.close()


def measured(
    images: Scan | Volume | Path | str, spec: str, slices: Slices, seed: int, reader: dict[str, Any]
) -> tuple[Scan, Volume]:
    """The simulated scan, and the images that it is of."""
    settings = simulation_of(spec, "--simulate")
    volume = given(images, slices, reader)
    if isinstance(volume, Scan):
        raise FormatError(
            f"{volume.source}: holds measured data, expected images; reconstruct it without --simulate"
        )
    return measure(volume, settings, seed), volume


def given(item: Scan | Volume | Path | str, slices: Slices, reader: dict[str, Any]) -> Scan | Volume:
    """What was given in memory, or what a file holds, with the slices that were asked for."""
    chosen = slice_list(slices)
    if isinstance(item, Scan | Volume):
        if chosen is None:
            return item
        index = choose(len(item.data), chosen, item.source)
        return _of_volume(item, index) if isinstance(item, Volume) else _of_scan(item, index)
    return read(Path(item), slices=chosen, **reader)


def _of_volume(item: Volume, index: np.ndarray) -> Volume:
    headers = None if item.dicom is None else tuple(item.dicom[k] for k in index)
    return replace(item, data=item.data[index], dicom=headers)


def _of_scan(item: Scan, index: np.ndarray) -> Scan:
    names = ["data", "counts", "truth", "maps", "calibration"]
    if item.kind == "mri" and item.mask is not None and np.ndim(item.mask) == 3:
        names.append("mask")
    arrays = {name: getattr(item, name) for name in names}
    count = item.slices
    parts = {k: a[index] for k, a in arrays.items() if a is not None and len(a) == count}
    return replace(item, **parts)


def slice_list(said: Slices) -> list[int] | None:
    """`0,3,8` or `4-9` or a mixture, or numbers -> indices, each once; None for None. Raises UsageError for anything
    else."""
    if said is None:
        return None
    wrong = UsageError(f"--slices: got {said!r}, expected indices from 0, like 0,3,8 or a range like 4-9")
    if isinstance(said, str):
        parts = [part.strip().partition("-") for part in said.split(",")]
        if not all(_is_number(first) and (_is_number(last) or not dash) for first, dash, last in parts):
            raise wrong
        out = [k for first, dash, last in parts for k in range(int(first), int(last if dash else first) + 1)]
    else:
        try:
            out = [operator.index(k) for k in said]
        except TypeError:
            raise wrong from None
    if not out or min(out) < 0:
        raise wrong
    if len(set(out)) < len(out):
        twice = next(k for k in out if out.count(k) > 1)
        raise UsageError(f"--slices: got {said!r}, in which {twice} stands twice; expected each slice once")
    return out


def _is_number(text: str) -> bool:
    """Of a slice: no scan has a million."""
    return text.isdecimal() and len(text) <= 6
