"""`scanprior priors`: what priors there are, what their cards say, whether they are sound, and how to get more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..workflows.settings import ImportSettings
from . import choices
from .console import Console
from .options import Overwrite, argument, into, option, settings_options
from .verb import HIDDEN, verb

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
    said = {where: [p.words() for p in found if p.where == where] for where in ("bundled", "cache")}
    lines = [
        "Bundled with scanprior:",
        *(said["bundled"] or ["none; train one with `scanprior train`"]),
        f"In the cache, {shelf()}:",
        *(said["cache"] or ["none; `scanprior priors fetch` and `scanprior priors import` put some there"]),
    ]
    console.give({p.name: p.facts() for p in found}, "\n\n".join(lines))


@priors.command()
@verb
def show(
    name: Annotated[
        str,
        argument("A bundled or cached prior, a run folder or a .safetensors file.", "NAME", **choices.PRIOR),
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
        argument("Priors by name, file or run folder; all by default.", "[NAME]...", **choices.PRIOR),
    ] = None,
    console: Console = HIDDEN,
) -> None:
    """Check priors: hash, cards, weights, and whether they denoise. Exit code 0: all sound; 1: one is not.

    
    Examples:
      scanprior priors verify
      scanprior priors verify ct-256 my-prior
    """
    from ..report.terminal import table
    from ..workflows.priors import verify as run

    found = run(names or (), console)
    rows = [(prior.name, prior.where, prior.sha256, prior.fault or "OK") for prior in found]
    facts = {p.name: {"where": p.where, "sha256": p.sha256, "fault": p.fault} for p in found}
    console.give(facts, table(("prior", "where", "sha256", "result"), rows, left=4))
    if any(prior.fault for prior in found):
        raise typer.Exit(1)


@priors.command()
@verb
def fetch(
    source: Annotated[
        str, argument("An http(s) address of a .safetensors file, or such a file or run folder.", "SOURCE")
    ],
    sha256: Annotated[
        str | None, option("Of the file, from whoever offers it; another file is refused.", "DIGITS")
    ] = None,
    name: Annotated[str | None, option("In the cache; the card's own by default.", "NAME")] = None,
    overwrite: Overwrite = False,
    console: Console = HIDDEN,
) -> None:
    """Put a prior into the cache, where every command finds it by name, without a network from then on.

    
    Examples:
      scanprior priors fetch https://example.org/a.safetensors --sha256 67bd…
      scanprior priors fetch run/ --name my-chest-ct
    """
    from ..workflows.priors import fetch as run

    kept = run(source, sha256, name, overwrite, console)
    checked = "as asked for" if sha256 else "not held against anything: no --sha256"
    shown = f"{kept.card.name}: in the cache, {kept.path}\nsha256 {kept.card.sha256} ({checked})"
    console.give({"name": kept.card.name, "file": str(kept.path), "sha256": kept.card.sha256}, shown)


@priors.command("import")
@verb
@settings_options(
    ImportSettings,
    intensity={"show_default": False},
    pixel_mm={"metavar": None},
    data={"metavar": "NAME;LICENCE;ATTRIBUTION"},
)
def import_(
    checkpoint: Annotated[
        Path, typer.Argument(help="Of another project; .safetensors or a PyTorch state dict.")
    ],
    settings: ImportSettings,
    output: Annotated[Path | None, into("A .safetensors file, instead of the cache.", "FILE")] = None,
    overwrite: Overwrite = False,
    console: Console = HIDDEN,
) -> None:
    """Make a prior of a published checkpoint. The network is read from the shapes of its weights; how its images
    were scaled, no checkpoint says: ask whoever trained it.

    \b
    --options, e.g. sde=sub-vp,centered=false:
      score-sde       sde, fir, skip_rescale, centered, sigma_min, sigma_max
      edm             preconditioning
      adm, diffusers  num_heads, num_head_channels, use_new_attention_order,
                      schedule, towards, labels
      ncsnv2          centered, sigma_max, sigma_min

    \b
    --intensity, of CT, MR and pictures in colour:
      attenuation:hu_per_unit=1000,hu_at_zero=0
      robust-maximum:quantile=0.99,factor=1
      grey-levels:per_unit=255,at_zero=0

    \b
    Examples:
      scanprior priors import checkpoint.pth --kind score-sde --name knee \\
        --modality MR --intensity robust-maximum:quantile=1,factor=1 --window 0 1
      scanprior priors import ema.pt --kind adm --name chest \\
        --options num_heads=4 --modality CT \\
        --intensity attenuation:hu_per_unit=1000,hu_at_zero=0 \\
        --window -1000 1000 -o chest.safetensors
    """
    from ..workflows.priors import import_prior

    made = import_prior(checkpoint, settings, output, overwrite, console)
    what = f"{made.parameters / 1e6:.1f} million weights, {made.card.channels} channel(s)"
    shown = (
        f"{settings.name}: {settings.kind} network, {what} -> {made.path}\nsha256 {made.card.sha256}\n"
        "no checkpoint says how its images were scaled: look at a sample before you trust it"
    )
    console.give({"name": settings.name, "file": str(made.path), "sha256": made.card.sha256}, shown)
