"""`scanprior evaluate`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..workflows.output import check_file


def evaluate(
    images: Annotated[Path | None, typer.Argument(help="Drawn images: samples.h5, any image set.")] = None,
    prior: Annotated[
        str | None, typer.Option(help="Judge this prior: draw its images where none are given; its bits/dim.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Real images, for the FID: usually the training set.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(help="The network of FID and IS: Inception's weights, or TorchScript.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option(help="Images that the prior has not seen, for its bits/dim.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="So many of them, spread evenly; all by default.")] = None,
    draw: Annotated[int, typer.Option(help="How many images to draw.")] = 50000,
    sampler: Annotated[Literal["flow", "ancestral", "pc"], typer.Option(help="See sample.")] = "flow",
    steps: Annotated[int, typer.Option(help="Network evaluations an image.")] = 41,
    seed: Annotated[int, typer.Option(help="Of the first image; the others have the next ones.")] = 0,
    window: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Black and white of grey images; CT: -1000 1000 by default."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Images at once; fewer take less memory.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file of the figures.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing JSON file.")] = False,
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
