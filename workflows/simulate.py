"""The run behind `scanprior simulate`: images -> measured data."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def scan_of_image(path: Path, spec: str, slices: str | None, seed: int, **options: Any) -> tuple[Any, Any]:
    """The simulated scan of an image file, and the images; spec as `ct:views=23,photons=1e5` or `mri:accel=4`."""
    from ..formats.read import read
    from ..formats.scan import FormatError, Scan
    from ..recon.simulate import simulate as run
    from ..recon.simulate import simulation_of

    settings = simulation_of(spec, "--simulate")
    volume = read(path, slices=slice_list(slices), **options)
    if isinstance(volume, Scan):
        raise FormatError(
            f"{path.name}: holds measured data, expected images; reconstruct it without --simulate"
        )
    return run(volume, settings, seed), volume


def slice_list(text: str | None) -> list[int] | None:
    """`0,3,8` or `4-9` or a mixture -> indices; None for None. Raises ValueError for anything else."""
    if text is None:
        return None
    out: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ValueError(f"--slices: got {text!r}, expected indices like 0,3,8 or a range like 4-9")
        out += range(int(first), int(last) + 1) if dash else [int(first)]
    return out
