"""`scanprior train`: a prior from a lab's own scans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..workflows.settings import TrainSettings
from ..workflows.signals import listening
from . import choices
from .console import Console
from .options import Preset, into, option, settings_options
from .verb import HIDDEN, NONE, DryRun, verb


@verb
@settings_options(
    TrainSettings,
    without=("crops_on_device",),
    start_from={"metavar": "NAME", **choices.PRIOR},
    checkpoint_minutes={"metavar": "MINUTES"},
)
def train(
    data: Annotated[
        list[Path], option("Training images: HDF5 image sets or folders of DICOM; repeatable.", "PATH")
    ],
    settings: TrainSettings,
    output: Annotated[Path, into("Run folder; an existing one is resumed. --dry-run needs none.")] = NONE,
    preset: Preset = "ct-256",
    validation: Annotated[list[Path] | None, option("Images of other patients; repeatable.", "PATH")] = None,
    supervised: Annotated[
        str | None,
        option("A supervised network for this measurement instead: ct:views=23,photons=1e5", "TEXT"),
    ] = None,
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
      scanprior train --data scans.h5 --validation others.h5 -o run/
      scanprior train --data dicom_folder/ --preset ct-256 --steps 5000 -o run/
      scanprior train --data scans.h5 --supervised ct:views=23,photons=1e5 -o run/
    """
    with listening():  # from here on: a signal while torch is imported must not end the process
        from ..priors.parallel import is_first
        from ..workflows import supervised as network
        from ..workflows import train as prior

        how = (preset, validation or (), settings)
        if dry_run:
            console.plan(
                prior.planned(data, output, *how)
                if supervised is None
                else network.planned(supervised, data, output, *how)
            )
            return
        if supervised is None:
            done = prior.train(data, output, *how, progress=console)
        else:
            done = network.train_supervised(data, output, supervised, *how, progress=console)
    if is_first():
        facts = {"folder": str(done.folder), "weights": str(done.weights), "steps": done.step}
        figures = "".join(f", {name.replace('_', ' ')} {value}" for name, value in done.figures.items())
        shown = f"{done.folder}: {done.step} steps{figures}; use it with --prior {done.folder}"
        console.give(facts | {"figures": done.figures}, shown)
