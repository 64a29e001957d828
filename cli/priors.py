"""`scanprior priors`: what priors there are, what their cards say, whether they are sound, and how to get more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import UsageError
from .console import Console
from .verb import HIDDEN, verb

if TYPE_CHECKING:
    from ..pretrained.card import Card

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
        list_priors(context=context)


@priors.command("list")
@verb
def list_priors(console: Console = HIDDEN) -> None:
    """List what is bundled and what is in the cache.

    
    Examples:
      scanprior priors list
      scanprior priors list --json
    """
    from ..pretrained.cache import shelf
    from ..workflows.priors import listed

    found = listed()
    parts = {where: [p for p in found if p.where == where] for where in ("bundled", "cache")}
    said = {
        where: [
            f"{p.name}  (damaged)\n  {p.damaged}" if p.card is None else _summary(p.card)
            for p in parts[where]
        ]
        for where in parts
    }
    lines = [
        "Bundled with scanprior:",
        *(said["bundled"] or ["none; train one with `scanprior train`"]),
        f"In the cache, {shelf()}:",
        *(said["cache"] or ["none; `scanprior priors fetch` and `scanprior priors import` put some there"]),
    ]
    console.give({p.name: p.facts() for p in found}, "\n\n".join(lines))


def _summary(card: Card) -> str:
    """A prior in a few lines."""
    from ..report.words import lines
    from ..workflows.priors import SHORT

    facts = {
        "what": card.description or f"{card.modality} images",
        "channels": card.channels,
        "matrix": " x ".join(map(str, card.matrix)) if card.matrix else "any",
        "pixel": f"{card.pixel_mm[0]:.3g} to {card.pixel_mm[1]:.3g} mm" if card.pixel_mm else "not stated",
        "data": "; ".join(f"{d.get('name', '?')} ({d.get('licence', '?')})" for d in card.data)
        or "not stated",
        "weights": card.licence or "licence not stated",
        **{key.replace("_", " "): _figures(value) for key, value in card.validation.items()},
        "sha256": f"{card.sha256[:SHORT]}…",
    }
    return "\n".join([f"{card.name}  ({card.modality})", *lines(facts, 2)])


def _figures(value: object) -> object:
    """Validation figures on one line."""
    return ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value


@priors.command()
@verb
def show(
    name: Annotated[
        str,
        typer.Argument(
            help="A bundled or cached prior, a run folder or a .safetensors file.", metavar="NAME"
        ),
    ],
    console: Console = HIDDEN,
) -> None:
    """Show the whole card of a prior.

    
    Examples:
      scanprior priors show ct-256
      scanprior priors show run/ --json
    """
    from ..report.words import lines
    from ..workflows.priors import card_of

    card = card_of(name).to_dict()
    told = {key: value for key, value in card.items() if value not in ("", [], {})}
    console.give(card, "\n".join(lines(told)))


@priors.command()
@verb
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Priors by name, file or run folder; all by default.", metavar="[NAME]..."),
    ] = None,
    console: Console = HIDDEN,
) -> None:
    """Check priors: hash, cards, weights, and whether they denoise. Exit code 0: all sound; 1: one is not.

    
    Examples:
      scanprior priors verify
      scanprior priors verify ct-256 my-prior
    """
    from rich.table import Table
    from rich.text import Text

    from ..workflows.priors import verify as run

    found, table = run(names or (), console), Table("prior", "where", "sha256", "result")
    for prior in found:
        table.add_row(Text(prior.name), prior.where, prior.sha256, Text(prior.fault or "OK"))
    facts = {p.name: {"where": p.where, "sha256": p.sha256, "fault": p.fault} for p in found}
    console.give(facts, table)
    if any(prior.fault for prior in found):
        raise typer.Exit(1)


@priors.command()
@verb
def fetch(
    source: Annotated[
        str,
        typer.Argument(
            help="An http(s) address of a .safetensors file, or such a file or run folder.", metavar="SOURCE"
        ),
    ],
    sha256: Annotated[
        str | None,
        typer.Option(help="Of the file, from whoever offers it; another file is refused.", metavar="DIGITS"),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="In the cache; the card's own by default.", metavar="NAME")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a cached prior of this name.")
    ] = False,
    console: Console = HIDDEN,
) -> None:
    """Put a prior into the cache, where every command finds it by name, without a network from then on.

    
    Examples:
      scanprior priors fetch https://example.org/chest.safetensors --sha256 67bd8713…
      scanprior priors fetch run/ --name my-chest-ct
    """
    from ..workflows.priors import fetch as run

    kept = run(source, sha256, name, overwrite, console)
    checked = "as asked for" if sha256 else "not held against anything: no --sha256"
    shown = f"{kept.card.name}: in the cache, {kept.path}\nsha256 {kept.card.sha256} ({checked})"
    console.give({"name": kept.card.name, "file": str(kept.path), "sha256": kept.card.sha256}, shown)


@priors.command("import")
@verb
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
        typer.Option(help="How its images were scaled; see above.", metavar="TEXT"),
    ],
    window: Annotated[tuple[float, float], typer.Option(help="Least and greatest value; CT: HU.")],
    options: Annotated[
        str, typer.Option(help="What shapes cannot tell; see above.", show_default=False)
    ] = "",
    sigma_data: Annotated[
        float, typer.Option(help="Standard deviation of its images, in network units.")
    ] = 0.5,
    pixel_mm: Annotated[
        tuple[float, float] | None, typer.Option(help="Smallest and largest pixel of its images, in mm.")
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
    console: Console = HIDDEN,
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
    --intensity, of CT, MR and pictures in colour:
      attenuation:hu_per_unit=1000,hu_at_zero=0
      robust-maximum:quantile=0.99,factor=1
      grey-levels:per_unit=255,at_zero=0

    \b
    Examples:
      scanprior priors import checkpoint_95.pth --kind score-sde --name knee --modality MR \\
        --intensity robust-maximum:quantile=1,factor=1 --window 0 1
      scanprior priors import ema.pt --kind adm --options num_heads=4 --name chest --modality CT \\
        --intensity attenuation:hu_per_unit=1000,hu_at_zero=0 --window -1000 1000 -o chest.safetensors
    """
    from ..workflows.priors import ImportSettings, import_prior

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
    settings = ImportSettings(kind, name, intensity, options, facts)
    made = import_prior(checkpoint, settings, output, overwrite, console)
    shown = (
        f"{name}: {kind} network, {made.parameters / 1e6:.1f} million weights, {made.card.channels} channel(s) -> "
        f"{made.path}\nsha256 {made.card.sha256}\n"
        "no checkpoint says how its images were scaled: look at a sample before you trust it"
    )
    console.give({"name": name, "file": str(made.path), "sha256": made.card.sha256}, shown)


def source_of(text: str) -> dict[str, str]:
    """`RIDER;CC BY 3.0;who made it` -> an entry of a card's `data`. Raises ValueError."""
    entries = [part.strip() for part in text.split(";")]
    if len(entries) != 3 or not entries[0]:
        raise UsageError(f"--data: got {text!r}, expected NAME;LICENCE;ATTRIBUTION, two semicolons")
    return dict(zip(("name", "licence", "attribution"), entries, strict=True))
