"""`scanprior evaluate`: its options."""

from __future__ import annotations

from pathlib import Path

import click

from ..workflows.output import check_file


@click.command()
@click.argument("images", type=Path, required=False, help="Drawn images: samples.h5, any image set.")
@click.option("--prior", help="Judge this prior: draw its images where none are given; its bits/dim.")
@click.option("--reference", type=Path, help="Real images, for the FID: usually the training set.")
@click.option("--features", type=Path, help="The network of FID and IS: Inception's weights, or TorchScript.")
@click.option("--held-out", type=Path, help="Images that the prior has not seen, for its bits/dim.")
@click.option("--limit", type=int, help="So many of them, spread evenly; all by default.")
@click.option("--draw", default=50_000, help="How many images to draw.")
@click.option("--sampler", type=click.Choice(["flow", "ancestral", "pc"]), default="flow", help="See sample.")
@click.option("--steps", default=41, help="Network evaluations an image.")
@click.option("--seed", default=0, help="Of the first image; the others have the next ones.")
@click.option(
    "--window", type=(float, float), help="Black and white of grey images; CT: -1000 1000 by default."
)
@click.option("--batch", default=64, help="Images at once; fewer take less memory.")
@click.option("--device", default="auto", help="cpu, cuda or auto.")
@click.option("--output", "-o", type=Path, help="JSON file of the figures.")
@click.option("--overwrite", is_flag=True, help="Replace an existing JSON file.")
def evaluate(
    images: Path | None,
    prior: str | None,
    reference: Path | None,
    features: Path | None,
    held_out: Path | None,
    limit: int | None,
    draw: int,
    sampler: str,
    steps: int,
    seed: int,
    window: tuple[float, float] | None,
    batch: int,
    device: str,
    output: Path | None,
    overwrite: bool,
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
    least = {"--draw": (draw, 2), "--steps": (steps, 1), "--batch": (batch, 1), "--seed": (seed, 0)}
    least |= {"--limit": (1 if limit is None else limit, 1)}
    for option, (value, limit_) in least.items():
        if value < limit_:
            raise ValueError(f"{option}: got {value}, expected at least {limit_}")
    if images is None and prior is None:
        raise ValueError("nothing to judge: give IMAGES, or a --prior to draw them from")
    if held_out is not None and prior is None:
        raise ValueError("--held-out: bits/dim are a prior's; add --prior")
    if features is None and (images is not None or reference is not None):
        raise ValueError("FID and IS need a network: add --features (docs/priors.md)")
    if features is None and held_out is None:
        raise ValueError("nothing to judge: add --features for FID and IS, --held-out for bits/dim")
    if window is not None and not window[0] < window[1]:
        raise ValueError(f"--window: got {window[0]:g} {window[1]:g}, expected black, then white")
    if output is not None:
        check_file(output, overwrite, *filter(None, (images, reference, held_out, features)))
    from ..workflows.evaluate import Request, run

    run(
        Request(
            images,
            prior,
            reference,
            features,
            held_out,
            limit,
            draw,
            sampler,
            steps,
            seed,
            window,
            batch,
            device,
            output,
        )
    )
