"""`scanprior evaluate`: FID, IS and bits/dim of a prior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..workflows.output import check_file
from ..workflows.settings import EvaluateSettings
from .console import Console
from .options import Overwrite, argument, into, prior_option, settings_options
from .verb import HIDDEN, verb

DRAWING: dict[str, Any] = {"rich_help_panel": "Drawing"}


def _images(help: str, metavar: str = "PATH") -> Any:
    return typer.Option(help=help, metavar=metavar)


@verb
@settings_options(
    EvaluateSettings,
    draw=DRAWING,
    sampler=DRAWING,
    steps=DRAWING,
    seed=DRAWING,
    window={"metavar": "BLACK WHITE"},
)
def evaluate(
    settings: EvaluateSettings,
    images: Annotated[Path | None, argument("Drawn images: samples.h5, any image set.", "IMAGES")] = None,
    prior: Annotated[
        str | None, prior_option("Judge this prior: draw its images where none are given; its bits/dim.")
    ] = None,
    reference: Annotated[Path | None, _images("Real images, for the FID: usually the training set.")] = None,
    features: Annotated[
        Path | None, _images("The network of FID and IS: Inception's weights, or TorchScript.", "FILE")
    ] = None,
    held_out: Annotated[Path | None, _images("Images that the prior has not seen, for its bits/dim.")] = None,
    output: Annotated[Path | None, into("JSON file of the figures.", "FILE")] = None,
    overwrite: Overwrite = False,
    console: Console = HIDDEN,
) -> None:
    """Figures of a prior: FID and IS of its images, bits/dim of images that it has not seen.

    FID and IS are of a network's features: with --features weights-inception-2015-12-05-6726825d.pth and
    scanprior[evaluate] installed they are torch-fidelity's; any other network as TorchScript (docs/priors.md) gives
    figures that compare with its own only. They depend on the number of images: the papers take 50,000. Memory does
    not.

    \b
    Examples:
      scanprior evaluate samples.h5 --reference cifar/ --features inception.pth
      scanprior evaluate --prior run/ --reference cifar/ --features inception.pth
      scanprior evaluate --prior run/ --held-out test.h5 --limit 100 -o bits.json
    """
    if output is not None:
        check_file(output, overwrite, *filter(None, (images, reference, held_out, features)))
    from ..report.terminal import table
    from ..workflows.evaluate import evaluate as run

    found = run(images, prior, reference, features, held_out, settings, console)
    if output is not None:
        found.write_json(output)
        console.say(f"wrote {output}")
    shown = table(("figure", "value", "of"), found.rows(), "evaluation", left=3)
    console.give(found.facts(), shown, *found.remarks())
