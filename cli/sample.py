"""`scanprior sample`: its options."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option(
    "--prior", help="Bundled, in the cache, a run folder or a file; by default the bundled CT prior."
)
@click.option("--output", "-o", type=Path, required=True, help="Folder of the results.")
@click.option("--images", "-n", default=16, help="How many.")
@click.option(
    "--size", type=int, help="Rows and columns, any number; the prior's own, at most 256, by default."
)
@click.option("--steps", type=int, help="Network evaluations an image; by default 41, with --sampler pc 500.")
@click.option(
    "--sampler",
    type=click.Choice(["flow", "ancestral", "pc"]),
    default="flow",
    help="flow: the probability flow by Heun's method, noise at the start only; ancestral: fresh noise at each level, "
    "which needs more --steps; pc: reverse diffusion and Langevin (Song et al. 2021), which leaves noise in the images "
    "under some hundred.",
)
@click.option("--seed", default=0, help="Of the first image; the others have the next ones.")
@click.option("--class", "class_name", help="Draw images of this class only.")
@click.option("--classifier", type=Path, help="The classifier that knows the class (.safetensors).")
@click.option("--strength", default=1.0, help="Of the guidance by the classifier; above 1 exaggerates.")
@click.option("--batch", default=4, help="Images drawn at once; fewer take less memory.")
@click.option("--tile", type=int, help="Denoise in overlapping tiles of this side; for large images.")
@click.option("--device", default="auto", help="cpu, cuda or auto.")
@click.option("--overwrite/--no-overwrite", help="Replace an existing output folder.")
def sample(
    prior: str | None,
    output: Path,
    images: int,
    size: int | None,
    steps: int | None,
    sampler: str,
    seed: int,
    class_name: str | None,
    classifier: Path | None,
    strength: float,
    batch: int,
    tile: int | None,
    device: str,
    overwrite: bool,
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
