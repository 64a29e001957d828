"""`scanprior evaluate`: FID, IS and bits/dim of a prior."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..workflows.output import check_file
from . import choices
from .console import Console
from .verb import HIDDEN, verb

if TYPE_CHECKING:
    from rich.table import Table

    from ..workflows.evaluate import Figures

DRAWING: dict[str, Any] = {"rich_help_panel": "Drawing"}


@verb
def evaluate(
    images: Annotated[
        Path | None, typer.Argument(help="Drawn images: samples.h5, any image set.", metavar="IMAGES")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            help="Judge this prior: draw its images where none are given; its bits/dim.",
            metavar="NAME",
            **choices.PRIOR,
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Real images, for the FID: usually the training set.", metavar="PATH"),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(help="The network of FID and IS: Inception's weights, or TorchScript.", metavar="FILE"),
    ] = None,
    held_out: Annotated[
        Path | None,
        typer.Option(help="Images that the prior has not seen, for its bits/dim.", metavar="PATH"),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="So many of them, spread evenly; all by default.", metavar="N")
    ] = None,
    draw: Annotated[int, typer.Option(help="How many images to draw.", metavar="N", **DRAWING)] = 50000,
    sampler: Annotated[
        Literal["flow", "ancestral", "pc"], typer.Option(help="See sample.", metavar="NAME", **DRAWING)
    ] = "flow",
    steps: Annotated[int, typer.Option(help="Network evaluations an image.", metavar="N", **DRAWING)] = 41,
    seed: Annotated[
        int,
        typer.Option(help="Of the first image; the others have the next ones.", metavar="N", **DRAWING),
    ] = 0,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(
            help="Black and white of grey images; CT: -1000 1000 by default.", metavar="BLACK WHITE"
        ),
    ] = None,
    batch: Annotated[int, typer.Option(help="Images at once; fewer take less memory.", metavar="N")] = 64,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or auto.", metavar="NAME", **choices.DEVICE)
    ] = "auto",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON file of the figures.", metavar="FILE")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing JSON file.")] = False,
    console: Console = HIDDEN,
) -> None:
    """Figures of a prior: FID and IS of its images, bits/dim of images that it has not seen.

    FID and IS are of a network's features: with --features weights-inception-2015-12-05-6726825d.pth and
    scanprior[evaluate] installed they are torch-fidelity's; any other network as TorchScript (docs/priors.md) gives
    figures that compare with its own only. They depend on the number of images: the papers take 50,000. Memory does
    not.

    \b
    Examples:
      scanprior evaluate samples/samples.h5 --reference cifar-10-batches-bin/ --features inception.pth
      scanprior evaluate --prior run/ --sampler pc --steps 2000 --reference data/ --features inception.pth
      scanprior evaluate --prior run/ --held-out cifar-10-batches-bin/test_batch.bin --limit 100 -o bits.json
    """
    if output is not None:
        check_file(output, overwrite, *filter(None, (images, reference, held_out, features)))
    from ..workflows.evaluate import EvaluateSettings
    from ..workflows.evaluate import evaluate as run

    settings = EvaluateSettings(limit, draw, sampler, steps, seed, window, batch, device)
    found = run(images, prior, reference, features, held_out, settings, console)
    if output is not None:
        found.write_json(output)
        console.say(f"wrote {output}")
    console.give(found.facts(), _table(found))


def _table(found: Figures) -> Table:
    """The figures, of what each is."""
    from rich.table import Table

    table = Table("figure", "value", "of", title="evaluation")
    few = min(found.images_judged, found.reference_images)
    judged = f"{found.images_judged} images"
    if found.is_mean is not None:
        table.add_row("IS", f"{found.is_mean:.3f} ± {found.is_std:.3f}", f"{judged}, {found.splits} splits")
    if found.fid is not None:
        table.add_row("FID", f"{found.fid:.3f}", f"{judged} against {found.reference_images}")
        if few <= found.feature_count:
            what = f"{few} images for {found.feature_count} features"
            table.caption = f"{what}: this FID compares with no other number of images"
    if found.bits_per_dim is not None:
        error = "" if found.bits_per_dim_error is None else f" ± {found.bits_per_dim_error:.3f}"
        of = "1 held-out image" if found.held_out_images == 1 else f"{found.held_out_images} held-out images"
        table.add_row("bits/dim", f"{found.bits_per_dim:.3f}{error}", of)
    return table
