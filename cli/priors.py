"""`scanprior priors`: what priors there are, what their cards say, whether they are sound, and how to get more."""

from __future__ import annotations

from pathlib import Path

import click

KINDS = ("score-sde", "edm", "adm", "diffusers", "ncsnv2")  # of pretrained.convert, which imports torch


@click.group(invoke_without_command=True)
@click.pass_context
def priors(context: click.Context) -> None:
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
        context.invoke(list_priors)


@priors.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON, for scripts.")
def list_priors(as_json: bool = False) -> None:
    """List what is bundled and what is in the cache.

    \b
    Examples:
      scanprior priors list
      scanprior priors list --json
    """
    from ..workflows.priors import listing, listing_json

    click.echo(listing_json() if as_json else listing())


@priors.command()
@click.argument("name", help="A bundled or cached prior, a run folder or a .safetensors file.")
@click.option("--json", "as_json", is_flag=True, help="JSON, for scripts.")
def show(name: str, as_json: bool) -> None:
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
    click.echo(to_json(card) if as_json else "\n".join(lines(told)))


@priors.command()
@click.argument("names", nargs=-1, help="Priors by name, file or run folder; all by default.")
def verify(names: tuple[str, ...]) -> None:
    """Check priors: hash, cards, weights, and whether they denoise. Exit code 0: all sound; 1: one is not.

    \b
    Examples:
      scanprior priors verify
      scanprior priors verify ct-256 my-prior
    """
    from ..workflows.priors import verify_priors

    if not verify_priors(names):
        raise click.exceptions.Exit(1)


@priors.command()
@click.argument("source", help="An http(s) address of a .safetensors file, or such a file or run folder.")
@click.option("--sha256", help="Of the file, from whoever offers it; another file is refused.")
@click.option("--name", help="In the cache; the card's own by default.")
@click.option("--overwrite", is_flag=True, help="Replace a cached prior of this name.")
def fetch(source: str, sha256: str | None, name: str | None, overwrite: bool) -> None:
    """Put a prior into the cache, where every command finds it by name, without a network from then on.

    \b
    Examples:
      scanprior priors fetch https://example.org/chest.safetensors --sha256 67bd8713…
      scanprior priors fetch run/ --name my-chest-ct
    """
    from ..workflows.priors import fetch_prior

    fetch_prior(source, sha256, name, overwrite)


@priors.command("import")
@click.argument("checkpoint", type=Path, help="Of another project; .safetensors or a PyTorch state dict.")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="The code that it is of.")
@click.option("--name", required=True, help="Of the prior.")
@click.option("--modality", type=click.Choice(["CT", "MR", "RGB"]), required=True, help="Of its images.")
@click.option(
    "--intensity",
    required=True,
    help="How its images were scaled: attenuation:hu_per_unit=1000,hu_at_zero=0 (CT), "
    "robust-maximum:quantile=0.99,factor=1 (MR), grey-levels:per_unit=255,at_zero=0 (RGB).",
)
@click.option("--window", type=(float, float), required=True, help="Least and greatest value; CT: HU.")
@click.option("--options", default="", show_default=False, help="What shapes cannot tell; see above.")
@click.option("--sigma-data", default=0.5, help="Standard deviation of its images, in network units.")
@click.option("--pixel-mm", type=(float, float), help="Smallest and largest pixel of its images [mm].")
@click.option("--matrix", type=(int, int), help="Rows and columns of its images.")
@click.option("--description", default="", show_default=False, help="What it is, in a sentence.")
@click.option("--licence", default="", show_default=False, help="Of the weights.")
@click.option(
    "--data",
    type=(str, str, str),
    multiple=True,
    metavar="NAME LICENCE ATTRIBUTION",
    help="What it was trained on; repeatable.",
)
@click.option("--output", "-o", type=Path, help="A .safetensors file, instead of the cache.")
@click.option("--overwrite", is_flag=True, help="Replace a prior of this name, or the file.")
def import_(
    checkpoint: Path,
    kind: str,
    name: str,
    modality: str,
    intensity: str,
    window: tuple[float, float],
    options: str,
    sigma_data: float,
    pixel_mm: tuple[float, float] | None,
    matrix: tuple[int, int] | None,
    description: str,
    licence: str,
    data: tuple[tuple[str, str, str], ...],
    output: Path | None,
    overwrite: bool,
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
        "data": [dict(zip(("name", "licence", "attribution"), source, strict=True)) for source in data],
    }
    import_prior(checkpoint, kind, name, intensity, options, facts, output, overwrite)
