"""`scanprior sample`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def sample(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")],
    prior: Annotated[
        str | None,
        typer.Option(help="Bundled, in the cache, a run folder or a file; by default the bundled CT prior."),
    ] = None,
    images: Annotated[int, typer.Option("--images", "-n", help="How many.")] = 16,
    size: Annotated[
        int | None,
        typer.Option(help="Rows and columns, any number; the prior's own, at most 256, by default."),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Network evaluations an image; by default 41, with --sampler pc 500.")
    ] = None,
    sampler: Annotated[
        Literal["flow", "ancestral", "pc"],
        typer.Option(
            help="flow: the probability flow by Heun's method, noise at the start only; ancestral: fresh noise at "
            "each level, which needs more --steps; pc: reverse diffusion and Langevin (Song et al. 2021), "
            "which leaves noise in the images under some hundred."
        ),
    ] = "flow",
    seed: Annotated[int, typer.Option(help="Of the first image; the others have the next ones.")] = 0,
    class_name: Annotated[str | None, typer.Option("--class", help="Draw images of this class only.")] = None,
    classifier: Annotated[
        Path | None, typer.Option(help="The classifier that knows the class (.safetensors).")
    ] = None,
    strength: Annotated[
        float, typer.Option(help="Of the guidance by the classifier; above 1 exaggerates.")
    ] = 1.0,
    batch: Annotated[int, typer.Option(help="Images drawn at once; fewer take less memory.")] = 4,
    tile: Annotated[
        int | None, typer.Option(help="Denoise in overlapping tiles of this side; for large images.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite/--no-overwrite", help="Replace an existing output folder.")
    ] = False,
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
    from ..workflows.output import check_output

    steps = (500 if sampler == "pc" else 41) if steps is None else steps
    least = {
        "--images": (images, 1),
        "--size": (1 if size is None else size, 1),
        "--steps": (steps, 1),
        "--batch": (batch, 1),
    }
    least |= {"--seed": (seed, 0), "--tile": (32 if tile is None else tile, 32)}
    for option, (value, limit) in least.items():
        if value < limit:
            raise ValueError(f"{option}: got {value}, expected at least {limit}")
    if (class_name is None) != (classifier is None):
        raise ValueError(
            "--class and --classifier belong together: a class by name, and the file that knows it"
        )
    from ..workflows.sample import FILES, Request, draw

    check_output(output, overwrite, FILES)
    draw(
        Request(
            output,
            prior,
            images,
            size,
            steps,
            seed,
            class_name,
            classifier,
            strength,
            batch,
            tile,
            sampler,
            device,
            overwrite,
        )
    )
