"""`scanprior sample`: images of a prior."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from . import choices
from .console import Console
from .verb import HIDDEN, verb

GUIDANCE: dict[str, Any] = {"rich_help_panel": "Class"}
WORK: dict[str, Any] = {"rich_help_panel": "Work"}


@verb
def sample(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.", metavar="FOLDER")],
    prior: Annotated[
        str | None,
        typer.Option(
            help="Bundled, in the cache, a run folder or a file; by default the bundled CT prior.",
            metavar="NAME",
            **choices.PRIOR,
        ),
    ] = None,
    images: Annotated[int, typer.Option("--images", "-n", help="How many.", metavar="N")] = 16,
    size: Annotated[
        int | None,
        typer.Option(
            help="Rows and columns, any number; the prior's own, at most 256, by default.", metavar="N"
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Network evaluations an image; by default 41, with --sampler pc 500.", metavar="N"),
    ] = None,
    sampler: Annotated[
        Literal["flow", "ancestral", "pc"],
        typer.Option(
            help="flow: the probability flow by Heun's method, noise at the start only; ancestral: fresh noise at "
            "each level, which needs more --steps; pc: reverse diffusion and Langevin (Song et al. 2021), "
            "which leaves noise in the images under some hundred.",
            metavar="NAME",
        ),
    ] = "flow",
    seed: Annotated[
        int, typer.Option(help="Of the first image; the others have the next ones.", metavar="N")
    ] = 0,
    class_name: Annotated[
        str | None,
        typer.Option("--class", help="Draw images of this class only.", metavar="NAME", **GUIDANCE),
    ] = None,
    classifier: Annotated[
        Path | None,
        typer.Option(help="The classifier that knows the class (.safetensors).", metavar="FILE", **GUIDANCE),
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            help="Of the guidance by the classifier; above 1 exaggerates.", metavar="NUMBER", **GUIDANCE
        ),
    ] = 1.0,
    batch: Annotated[
        int, typer.Option(help="Images drawn at once; fewer take less memory.", metavar="N", **WORK)
    ] = 4,
    tile: Annotated[
        int | None,
        typer.Option(
            help="Denoise in overlapping tiles of this side; for large images.", metavar="N", **WORK
        ),
    ] = None,
    device: Annotated[
        str, typer.Option(help="cpu, cuda or auto.", metavar="NAME", **WORK, **choices.DEVICE)
    ] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--no-overwrite", help="Replace an existing output folder.")
    ] = False,
    console: Console = HIDDEN,
) -> None:
    """Draw images from a prior, without any measurement: what it believes scans look like.

    The folder holds samples.png (the first 64 at most), samples.h5 (an image set: HU for CT, grey levels of pictures in
    colour; MR images in the prior's own scale) and samples.json (settings, the prior's hash, seconds). An image is a
    function of its seed alone, never of how many are drawn or how many at once. The images are synthetic and show no
    patient.

    \b
    Examples:
      scanprior sample -o out/
      scanprior sample --prior run/ -n 64 --seed 100 -o out/
      scanprior sample --sampler pc -o out/
      scanprior sample --class thorax --classifier bodyparts.safetensors -o out/
      scanprior sample -n 1 --size 1024 --tile 256 -o out/
    """
    from ..workflows.sample import SampleSettings
    from ..workflows.sample import sample as run

    settings = SampleSettings(
        images, size, steps, sampler, seed, class_name, classifier, strength, batch, tile, device
    )
    drawn = run(prior, output, settings, overwrite, console)
    facts = {"folder": str(output), "images": images, "units": drawn.units, "prior": drawn.card.name}
    what = "1 image" if images == 1 else f"{images} images"
    shown = f"{what}, {drawn.nfe} network evaluations each, {drawn.seconds:.1f} s; wrote {output}"
    console.give(facts | {"nfe": drawn.nfe, "seconds": round(drawn.seconds, 3)}, shown)
