"""`scanprior train`: a prior from a lab's own scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

PRESETS = Path(__file__).parent / "presets"


def train(
    data: Annotated[list[Path], typer.Option(help="Training images: HDF5 image sets or folders of DICOM.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder; an existing one is resumed.")],
    preset: Annotated[str, typer.Option(help="ct-256, mri-256, or a TOML file of your own.")] = "ct-256",
    validation: Annotated[list[Path] | None, typer.Option(help="Images of other patients.")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps in all, instead of the preset's.")
    ] = None,
    start_from: Annotated[str | None, typer.Option(help="Start from the weights of this prior.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between checkpoints.")] = 5.0,
) -> None:
    """Train a prior on your own scans; kill it and run it again, and it goes on where it was.

    \b
    Examples:
      scanprior train --data scans.h5 --validation other_patients.h5 --preset ct-256 -o run/
      scanprior train --data dicom_folder/ --preset ct-256 --steps 5000 -o run/
    """
    from .training import run_training

    run_training(
        data, output, read_preset(preset), validation or [], steps, start_from, device, checkpoint_minutes
    )


def read_preset(name: str) -> dict[str, Any]:
    """A shipped preset or a TOML file. Raises ValueError with the known names."""
    import tomllib

    path = PRESETS / f"{name}.toml"
    path = path if path.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PRESETS.glob("*.toml")))
        raise ValueError(f"no preset {name!r}: neither a TOML file nor one of {known}")
    table = tomllib.loads(path.read_text())
    for section in ("prior", "network", "crops", "training"):
        if section not in table:
            raise ValueError(f"{path}: the preset lacks its [{section}] table")
    return {**table, "name": path.stem}
