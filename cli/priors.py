"""`scanprior priors`: what priors there are and what their cards say. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..pretrained.card import Card


@click.command()
@click.argument("name", required=False, help="A bundled prior, or a run folder or file of yours.")
@click.option("--json", "as_json", is_flag=True, help="JSON, for scripts.")
def priors(name: str | None, as_json: bool) -> None:
    """List the bundled priors; with a name, show the whole card.

    \b
    Examples:
      scanprior priors
      scanprior priors run/
    """
    from ..pretrained.card import bundled
    from .info import lines, to_json

    cards = bundled()
    if name is None:
        if as_json:
            click.echo(to_json({key: card.to_dict() for key, card in cards.items()}))
        else:
            click.echo("\n\n".join(_summary(card) for card in cards.values()) or _NONE)
        return
    card = (cards[name] if name in cards else card_of_weights(Path(name))).to_dict()
    click.echo(
        to_json(card)
        if as_json
        else "\n".join(lines({k: v for k, v in card.items() if v not in ("", [], {})}))
    )


_NONE = "no priors are bundled with this installation; train one with `scanprior train`"


def card_of_weights(path: Path) -> Card:
    """The card in the header of a .safetensors file, or of a run folder of `scanprior train`. Raises
    FileNotFoundError (missing) and ValueError (no card in it)."""
    import json

    from safetensors import SafetensorError, safe_open

    from ..pretrained.card import Card, bundled

    file = path / "prior.safetensors" if path.is_dir() else path
    if not file.is_file():
        known = ", ".join(bundled()) or "none"
        raise FileNotFoundError(
            f"no prior {str(path)!r}: neither a bundled one ({known}) nor a file or run folder"
        )
    try:
        with safe_open(file, "np") as opened:
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{file}: not a safetensors file, or cut off ({error})") from error
    if "card" not in metadata:
        raise ValueError(f"{file}: no card in its header; only weights written by `scanprior train` have one")
    return Card.from_dict(json.loads(metadata["card"]))


def _summary(card: Card) -> str:
    """A bundled prior in a few lines."""
    from .info import lines

    facts = {
        "what": card.description or f"{card.modality} images",
        "matrix": " x ".join(map(str, card.matrix)) if card.matrix else "any",
        "pixel": f"{card.pixel_mm[0]:.3g} to {card.pixel_mm[1]:.3g} mm" if card.pixel_mm else "not stated",
        "data": "; ".join(f"{d.get('name', '?')} ({d.get('licence', '?')})" for d in card.data)
        or "not stated",
        "weights": card.licence or "licence not stated",
        **{key.replace("_", " "): _figures(value) for key, value in card.validation.items()},
    }
    return "\n".join([f"{card.name}  ({card.modality})", *lines(facts, 2)])


def _figures(value: object) -> object:
    """Validation figures on one line."""
    return ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else value
