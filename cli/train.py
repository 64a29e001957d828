"""`scanprior train`: a prior from a lab's own scans."""

from __future__ import annotations

from pathlib import Path

import click

from ..workflows.signals import listening


@click.command()
@click.option(
    "--data",
    type=Path,
    required=True,
    multiple=True,
    help="Training images: HDF5 image sets or folders of DICOM; repeatable.",
)
@click.option("--output", "-o", type=Path, required=True, help="Run folder; an existing one is resumed.")
@click.option("--preset", default="ct-256", help="ct-256, mri-256, or a TOML file of your own.")
@click.option("--validation", type=Path, multiple=True, help="Images of other patients; repeatable.")
@click.option("--steps", type=int, help="Optimiser steps in all, instead of the preset's.")
@click.option("--start-from", help="Start from the weights of this prior.")
@click.option(
    "--supervised", help="A supervised network for this measurement instead: ct:views=23,photons=1e5"
)
@click.option("--device", default="auto", help="cpu, cuda or auto.")
@click.option("--checkpoint-minutes", default=5.0, help="Minutes between checkpoints.")
@click.option(
    "--force", is_flag=True, help="Go on with other data, seed or settings than the run began with."
)
def train(
    data: tuple[Path, ...],
    output: Path,
    preset: str,
    validation: tuple[Path, ...],
    steps: int | None,
    start_from: str | None,
    supervised: str | None,
    device: str,
    checkpoint_minutes: float,
    force: bool,
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
