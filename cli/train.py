"""`scanprior train`: a prior from a lab's own scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..workflows.signals import listening
from . import choices
from .console import Console
from .verb import HIDDEN, DryRun, verb


@verb
def train(
    data: Annotated[
        list[Path],
        typer.Option(
            help="Training images: HDF5 image sets or folders of DICOM; repeatable.", metavar="PATH"
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Run folder; an existing one is resumed.", metavar="FOLDER"),
    ],
    preset: Annotated[
        str,
        typer.Option(
            help="ct-256, mri-256, or a TOML file of your own.", metavar="NAME", **choices.TRAINING_PRESET
        ),
    ] = "ct-256",
    validation: Annotated[
        list[Path] | None, typer.Option(help="Images of other patients; repeatable.", metavar="PATH")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Optimiser steps in all, instead of the preset's.", metavar="N")
    ] = None,
    start_from: Annotated[
        str | None,
        typer.Option(help="Start from the weights of this prior.", metavar="NAME", **choices.PRIOR),
    ] = None,
    supervised: Annotated[
        str | None,
        typer.Option(
            help="A supervised network for this measurement instead: ct:views=23,photons=1e5",
            metavar="TEXT",
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or auto.", metavar="NAME", **choices.DEVICE)
    ] = "auto",
    checkpoint_minutes: Annotated[
        float, typer.Option(help="Minutes between checkpoints.", metavar="MINUTES")
    ] = 5.0,
    force: Annotated[
        bool, typer.Option("--force", help="Go on with other data, seed or settings than the run began with.")
    ] = False,
    dry_run: DryRun = False,
    console: Console = HIDDEN,
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
    with listening():  # from here on: a signal while torch is imported must not end the process
        from ..priors.parallel import is_first
        from ..workflows.train_folder import TrainSettings

        settings = TrainSettings(steps, start_from, device, checkpoint_minutes, force)
        what: tuple[Any, ...] = (preset, validation or (), settings, console)
        if dry_run:
            _say_plan(console, supervised, data, output, *what[:3])
            return
        if supervised is None:
            from ..workflows.train import train as run

            done = run(data, output, *what)
        else:
            from ..workflows.supervised import train_supervised

            done = train_supervised(data, output, supervised, *what)
    if is_first():
        facts = {"folder": str(done.folder), "weights": str(done.weights), "steps": done.step}
        figures = "".join(f", {name.replace('_', ' ')} {value}" for name, value in done.figures.items())
        shown = f"{done.folder}: {done.step} steps{figures}; use it with --prior {done.folder}"
        console.give(facts | {"figures": done.figures}, shown)


def _say_plan(console: Console, supervised: str | None, *what: Any) -> None:
    from ..report.words import lines
    from ..workflows import supervised as network
    from ..workflows import train as prior

    plan = prior.planned(*what) if supervised is None else network.planned(supervised, *what)
    console.give(plan, "\n".join([*lines(plan), "nothing was written"]))
