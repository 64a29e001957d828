"""`scanprior priors`: what priors there are, what their cards say, whether they are sound, and how to get more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

priors = typer.Typer(add_completion=False)


@priors.callback(invoke_without_command=True)
def of_priors(context: typer.Context) -> None:
    """List, show, check, fetch and import priors; without a verb, list them.

    Priors come with scanprior or lie in a cache: $SCANPRIOR_HOME, or the platform's folder for user data.
    Fetching needs a network; everything else does not.

    \b
    Examples:
      scanprior priors
      scanprior priors show ct-256
      scanprior priors verify
    """
    if context.invoked_subcommand is None:
        list_priors()


@priors.command("list")
def list_priors(as_json: Annotated[bool, typer.Option("--json", help="JSON, for scripts.")] = False) -> None:
    """List what is bundled and what is in the cache.

    \b
    Examples:
      scanprior priors list
      scanprior priors list --json
    """
    from ..workflows.priors import listing, listing_json

    typer.echo(listing_json() if as_json else listing())


@priors.command()
def show(
    name: Annotated[
        str, typer.Argument(help="A bundled or cached prior, a run folder or a .safetensors file.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="JSON, for scripts.")] = False,
) -> None:
    """Show the whole card of a prior.

    \b
    Examples:
      scanprior priors show ct-256
      scanprior priors show run/ --json
    """
    from ..report.words import lines, to_json
    from ..workflows.priors import card_of

    card = card_of(name).to_dict()
    told = {key: value for key, value in card.items() if value not in ("", [], {})}
    typer.echo(to_json(card) if as_json else "\n".join(lines(told)))


@priors.command()
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Priors by name, file or run folder; all by default.")
    ] = None,
) -> None:
    """Check priors: hash, cards, weights, and whether they denoise. Exit code 0: all sound; 1: one is not.

    \b
    Examples:
      scanprior priors verify
      scanprior priors verify ct-256 my-prior
    """
    names = tuple(names or ())
    from ..workflows.priors import verify_priors

    if not verify_priors(names):
        raise typer.Exit(1)


@priors.command()
def fetch(
    source: Annotated[
        str, typer.Argument(help="An http(s) address of a .safetensors file, or such a file or run folder.")
    ],
    sha256: Annotated[
        str | None, typer.Option(help="Of the file, from whoever offers it; another file is refused.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="In the cache; the card's own by default.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a cached prior of this name.")
    ] = False,
) -> None:
    """Put a prior into the cache, where every command finds it by name, without a network from then on.

    \b
    Examples:
      scanprior priors fetch https://example.org/chest.safetensors --sha256 67bd8713…
      scanprior priors fetch run/ --name my-chest-ct
    """
    from ..workflows.priors import fetch_prior

    fetch_prior(source, sha256, name, overwrite)


@priors.command("import")
def import_(
    checkpoint: Annotated[
        Path, typer.Argument(help="Of another project; .safetensors or a PyTorch state dict.")
    ],
    kind: Annotated[
        Literal["score-sde", "edm", "adm", "diffusers", "ncsnv2"],
        typer.Option(help="The code that it is of."),
    ],
    name: Annotated[str, typer.Option(help="Of the prior.")],
    modality: Annotated[Literal["CT", "MR", "RGB"], typer.Option(help="Of its images.")],
    intensity: Annotated[
        str,
        typer.Option(
            help="How its images were scaled: attenuation:hu_per_unit=1000,hu_at_zero=0 (CT), "
            "robust-maximum:quantile=0.99,factor=1 (MR), grey-levels:per_unit=255,at_zero=0 (RGB)."
        ),
    ],
    window: Annotated[tuple[float, float], typer.Option(help="Least and greatest value; CT: HU.")],
    options: Annotated[
        str, typer.Option(help="What shapes cannot tell; see above.", show_default=False)
    ] = "",
    sigma_data: Annotated[
        float, typer.Option(help="Standard deviation of its images, in network units.")
    ] = 0.5,
    pixel_mm: Annotated[
        tuple[float, float] | None, typer.Option(help="Smallest and largest pixel of its images [mm].")
    ] = None,
    matrix: Annotated[tuple[int, int] | None, typer.Option(help="Rows and columns of its images.")] = None,
    description: Annotated[str, typer.Option(help="What it is, in a sentence.", show_default=False)] = "",
    licence: Annotated[str, typer.Option(help="Of the weights.", show_default=False)] = "",
    data: Annotated[
        list[str] | None,
        typer.Option(help="What it was trained on; repeatable.", metavar="NAME;LICENCE;ATTRIBUTION"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .safetensors file, instead of the cache.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a prior of this name, or the file.")
    ] = False,
) -> None:
    """Make a prior of a published checkpoint. The network is read from the shapes of its weights; how its images
    were scaled, no checkpoint says: ask whoever trained it.

    \b
    --options, e.g. sde=sub-vp,centered=false:
      score-sde       sde, fir, skip_rescale, centered, sigma_min, sigma_max
      edm             preconditioning
      adm, diffusers  num_heads, num_head_channels, use_new_attention_order, schedule, towards, labels
      ncsnv2          centered, sigma_max, sigma_min

    \b
    Examples:
      scanprior priors import checkpoint_95.pth --kind score-sde --name knee --modality MR \\
        --intensity robust-maximum:quantile=1,factor=1 --window 0 1
      scanprior priors import ema.pt --kind adm --options num_heads=4 --name chest --modality CT \\
        --intensity attenuation:hu_per_unit=1000,hu_at_zero=0 --window -1000 1000 -o chest.safetensors
    """
    from ..workflows.priors import import_prior

    facts = {
        "modality": modality,
        "window": window,
        "sigma_data": sigma_data,
        "pixel_mm": pixel_mm,
        "matrix": matrix,
        "description": description,
        "licence": licence,
        "data": [source_of(text) for text in data or ()],
    }
    import_prior(checkpoint, kind, name, intensity, options, facts, output, overwrite)


def source_of(text: str) -> dict[str, str]:
    """`RIDER;CC BY 3.0;who made it` -> an entry of a card's `data`. Raises ValueError."""
    entries = [part.strip() for part in text.split(";")]
    if len(entries) != 3 or not entries[0]:
        raise ValueError(f"--data: got {text!r}, expected NAME;LICENCE;ATTRIBUTION, two semicolons")
    return dict(zip(("name", "licence", "attribution"), entries, strict=True))
