"""What the verbs of `scanprior priors` do. Listing and showing read cards only: no torch, no weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, field, make_dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click

from ..pretrained import cache
from ..pretrained.card import Card, bundled
from ..report.words import lines, to_json
from .output import check_file

if TYPE_CHECKING:
    from ..pretrained.fetch import Bar

SHORT = 12  # digits of a hash that are shown
SIDE = 64  # of the noise that `verify` denoises, pixels
LEVELS = tuple(0.1 * 2**k for k in range(10))  # and its levels: each network of a prior has its own
NUMBERS = (
    "modality",
    "channels",
    "sigma_data",
    "network",
    "window",
)  # entries on which both cards must agree


# --- list, show
def listing() -> str:
    """What is bundled and what is in the cache, as text."""
    kept = [_summary(card) for card in cache.cached().values()]
    kept += [f"{name}  (damaged)\n  {fault}" for name, fault in cache.damaged().items()]
    return "\n\n".join(
        [
            "Bundled with scanprior:",
            *([_summary(card) for card in bundled().values()] or ["none; train one with `scanprior train`"]),
            f"In the cache, {cache.shelf()}:",
            *(kept or ["none; `scanprior priors fetch` and `scanprior priors import` put some there"]),
        ]
    )


def listing_json() -> str:
    """The same as JSON: name -> card, with `where` it is and, instead of the card, how it is `damaged`."""
    table = {name: {"where": "bundled", **card.to_dict()} for name, card in bundled().items()}
    table |= {name: {"where": "cache", **card.to_dict()} for name, card in cache.cached().items()}
    table |= {name: {"where": "cache", "damaged": fault} for name, fault in cache.damaged().items()}
    return to_json(table)


def card_of(name: str) -> Card:
    """The card of a prior by name, file or run folder. Raises FileNotFoundError and ValueError."""
    found = cache.find(name)
    return found.card or cache.header_card(found.path)


def _summary(card: Card) -> str:
    """A prior in a few lines."""
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


# --- verify
def verify_priors(names: tuple[str, ...]) -> bool:
    """Check priors and print a table; whether all are sound. Raises FileNotFoundError for an unknown one."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    known = [*bundled(), *sorted({**cache.cached(), **cache.damaged()})]
    for name in names:
        if name not in known:
            cache.find(name)
    table, sound = Table("prior", "where", "sha256", "result"), True
    for name in names or known:
        where, digest, fault = _checked(name)
        table.add_row(Text(name), where, digest, Text(fault or "OK"))
        sound = sound and not fault
    Console().print(table)
    return sound


def _checked(name: str) -> tuple[str, str, str]:
    """(where a prior is, the first digits of its hash, what is wrong with it or "")."""
    import torch

    from ..pretrained.load import intensity_of, load_file

    where, digest = "cache", ""
    try:
        found = cache.find(name)
        where = found.where
        found.check()
        digest = cache.sha256_of(found.path)[:SHORT]
        inside = cache.header_card(found.path)
        card = found.card or inside
        unlike = [entry for entry in NUMBERS if getattr(card, entry) != getattr(inside, entry)]
        unlike += ["intensity"] if intensity_of(card) != intensity_of(inside) else []
        if unlike:
            return where, digest, f"card and header of the weights do not agree on {', '.join(unlike)}"
        prior, _ = load_file(found.path, card)
        prior.for_inference()
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(1, card.channels, SIDE, SIDE, generator=generator)
        if not all(prior.denoise(sigma * noise, sigma).isfinite().all() for sigma in LEVELS):
            return where, digest, "denoises to infinite or undefined numbers"
    except (ValueError, OSError, RuntimeError) as error:
        return where, digest, " ".join(str(error).split())
    return where, digest, ""


# --- fetch
def fetch_prior(source: str, sha256: str | None, name: str | None, overwrite: bool) -> None:
    """Into the cache, with a progress bar where someone is looking."""
    from ..pretrained.fetch import fetch

    with _bar() as bar:
        card = fetch(source, sha256, name, overwrite, bar)
    checked = "as asked for" if sha256 else "not held against anything: no --sha256"
    click.echo(f"{card.name}: in the cache, {cache.shelf() / card.file}\nsha256 {card.sha256} ({checked})")


@contextmanager
def _bar() -> Iterator[Bar]:
    """A download's progress on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:

        class Shown:
            """As pooch drives a bar."""

            def __init__(self) -> None:
                self.total, self.task = 0, progress.add_task("", total=None)

            def update(self, n: int) -> None:
                progress.update(self.task, total=self.total or None, advance=n)

            def reset(self) -> None:
                progress.update(self.task, completed=0)

            def close(self) -> None:
                progress.stop_task(self.task)

        yield Shown()


# --- import
def import_prior(
    checkpoint: Path,
    kind: str,
    name: str,
    intensity: str,
    options: str,
    facts: dict[str, Any],
    output: Path | None,
    overwrite: bool,
) -> None:
    """A published checkpoint -> a prior in the cache, or in the file `output`. `facts` are keywords of
    `import_checkpoint`."""
    import torch
    from rich.console import Console

    from ..formats.write import atomic
    from ..pretrained.convert import import_checkpoint
    from ..pretrained.fetch import check_name, install, staging
    from ..pretrained.load import load_file, save

    if output is None:
        check_name(name)
    else:
        check_file(output, overwrite, checkpoint)
    scaling, more = intensity_table(intensity), options_of(kind, options)
    console = Console(stderr=True)
    with console.status(f"reading {checkpoint.name}"):
        card, weights = import_checkpoint(checkpoint, kind, name, scaling, **facts, **more)
    Card.from_dict(card.to_dict())  # raises for facts that cannot be
    size = sum(tensor.numel() for tensor in weights.values()) / 1e6
    with console.status(f"writing and checking {size:.0f} million weights"):
        if output is None:
            with staging() as folder:
                save(folder / "prior.safetensors", weights, card, torch.float32)
                card = install(folder / "prior.safetensors", overwrite=overwrite)
            path = cache.shelf() / card.file
        else:
            with atomic(output) as path:
                save(path, weights, card, torch.float32)
                _, card = load_file(path)
            path = output
    click.echo(
        f"{name}: {kind} network, {size:.1f} million weights, {card.channels} channel(s) -> {path}\n"
        f"sha256 {card.sha256}\n"
        "no checkpoint says how its images were scaled: look at a sample before you trust it"
    )


def intensity_table(text: str) -> dict[str, Any]:
    """`attenuation:hu_per_unit=1000,hu_at_zero=0` -> a card's table. Raises ValueError."""
    from ..pretrained.load import INTENSITIES
    from ..recon.options import parse

    kind, _, fields = text.partition(":")
    if kind not in INTENSITIES:
        raise ValueError(
            f"--intensity: got {text!r}, expected attenuation:hu_per_unit=1000,hu_at_zero=0, "
            "robust-maximum:quantile=0.99,factor=1 or grey-levels:per_unit=255,at_zero=0"
        )
    return {"kind": kind, **asdict(parse(fields, INTENSITIES[kind], f"--intensity {kind}"))}


def options_of(kind: str, text: str) -> dict[str, Any]:
    """`sde=sub-vp,centered` -> keywords of the family's `convert`, of the types it says. Raises ValueError."""
    from ..pretrained.convert.checkpoint import FAMILIES
    from ..recon.options import parse

    hints = get_type_hints(FAMILIES[kind].convert)
    types = {name: _one_type(hint) for name, hint in hints.items() if name not in ("state", "return")}
    settings = make_dataclass(
        "Options", [(name, type_, field(default=type_())) for name, type_ in types.items()]
    )
    values = asdict(parse(text, settings, f"--options of {kind}"))
    given = {part.partition("=")[0].strip() for part in text.split(",")}
    return {name: value for name, value in values.items() if name in given}


def _one_type(hint: Any) -> Callable[[], Any]:
    """bool of `bool | None`."""
    return next((kind for kind in get_args(hint) if kind is not NoneType), hint)
