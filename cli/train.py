"""`scanprior train`: a prior from a lab's own scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..workflows.signals import listening


def train(
    data: Annotated[
        list[Path], typer.Option(help="Training images: HDF5 image sets or folders of DICOM; repeatable.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder; an existing one is resumed.")],
    preset: Annotated[str, typer.Option(help="ct-256, mri-256, or a TOML file of your own.")] = "ct-256",
    validation: Annotated[
        list[Path] | None, typer.Option(help="Images of other patients; repeatable.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps in all, instead of the preset's.")
    ] = None,
    start_from: Annotated[str | None, typer.Option(help="Start from the weights of this prior.")] = None,
    supervised: Annotated[
        str | None,
        typer.Option(help="A supervised network for this measurement instead: ct:views=23,photons=1e5"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    checkpoint_minutes: Annotated[float, typer.Option(help="Minutes between checkpoints.")] = 5.0,
    force: Annotated[
        bool, typer.Option("--force", help="Go on with other data, seed or settings than the run began with.")
    ] = False,
) -> None:
    """Train a prior on your own scans; kill it and run it again, and it goes on where it was.

    SIGTERM and Ctrl-C save a checkpoint at the end of the step and leave (exit codes 143 and 130), SIGUSR1 saves one
    and goes on: nothing is lost.

    With --supervised: a network that turns filtered backprojections or zero-filled images of one kind of measurement
    into images, for `reconstruct --method supervised`.

    \b
    Examples:
      scanprior train --data scans.h5 --validation other_patients.h5 --preset ct-256 -o run/
      scanprior train --data dicom_folder/ --preset ct-256 --steps 5000 -o run/
      scanprior train --data scans.h5 --preset ct-256 --supervised ct:views=23,photons=1e5 -o run/
    """
    data = tuple(data)
    validation = tuple(validation or ())
    from ..workflows.training_preset import read_preset

    run = list(data), output, read_preset(preset), list(validation)
    if supervised is not None and start_from is not None:
        raise ValueError("--start-from is for priors; a --supervised network starts from nothing")
    with listening() as request:
        how = device, checkpoint_minutes, force, request
        if supervised is None:
            from ..workflows.train import run_training

            run_training(*run, steps, start_from, *how)
        else:
            from ..workflows.supervised import run_supervised

            run_supervised(*run, supervised, steps, *how)
