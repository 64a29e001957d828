"""Card + weights -> a prior ready to denoise, and back. Weights are safetensors, never pickles."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..priors.intensity import Attenuation, Intensity, RobustMaximum
from ..priors.nets.build import build
from ..priors.published import PublishedPrior, noise_law
from ..priors.score import NetworkPrior
from .card import WEIGHTS, Card, bundled

INTENSITIES = {"attenuation": Attenuation, "robust-maximum": RobustMaximum}


def intensity_of(card: Card) -> Intensity:
    """The map to network units that the card describes. Raises ValueError for an unknown kind or field."""
    options: dict[str, Any] = dict(card.intensity)
    kind = options.pop("kind", None)
    if kind not in INTENSITIES:
        raise ValueError(
            f"prior {card.name!r}: unknown intensity map {kind!r}; known: {', '.join(INTENSITIES)}"
        )
    known = [field.name for field in fields(INTENSITIES[kind])]
    if unknown := sorted(set(options) - set(known)):
        raise ValueError(
            f"prior {card.name!r}: the intensity map {kind!r} has no field {', '.join(unknown)}; "
            f"known: {', '.join(known)}"
        )
    return INTENSITIES[kind](**options)


def from_card(card: Card) -> NetworkPrior:
    """The untrained prior that a card describes, in float32: a `PublishedPrior` where its network has a noise law."""
    table = dict(card.network)
    law = table.pop("noise", None)
    network = build({**table, "channels": card.channels})
    if law is None:
        return NetworkPrior(network, card.channels, card.sigma_data, intensity_of(card))
    return PublishedPrior(network, card.channels, noise_law(law), card.sigma_data, intensity_of(card))


def default_for(modality: str) -> str:
    """The bundled prior of a modality. Raises ValueError where there is none."""
    names = [name for name, card in bundled().items() if card.modality == modality]
    if not names:
        raise ValueError(
            f"no bundled prior for {modality}; train one with `scanprior train` and pass it with --prior"
        )
    return names[0]


def load_prior(name: str | Path, device: torch.device | str = "cpu") -> NetworkPrior:
    """A prior ready to denoise on `device`, by bundled name (`scanprior priors`), or from a .safetensors file or a run
    folder of `scanprior train`. Raises as `load`."""
    prior, _ = load(name)
    prior.for_inference(device)
    return prior


def load(name: str | Path) -> tuple[NetworkPrior, Card]:
    """A prior and its card (with the sha256 of its weights file), by bundled name, or from a .safetensors file or a run
    folder of `scanprior train`.

    Raises FileNotFoundError (missing, with the known names) and ValueError (damaged, hash or card wrong).
    """
    cards = bundled()
    if str(name) in cards:
        card = cards[str(name)]
        path = WEIGHTS / card.file
        if not path.is_file():
            raise FileNotFoundError(f"prior {name!r}: its weights {path} are missing; reinstall scanprior")
        if (got := _sha256(path)) != card.sha256:
            raise ValueError(
                f"{path}: sha256 is {got[:16]}…, its card says {card.sha256[:16]}…; reinstall scanprior"
            )
    else:
        path = Path(name)
        path = path / "prior.safetensors" if path.is_dir() else path
        if not path.is_file():
            raise FileNotFoundError(
                f"no prior {str(name)!r}: neither a file nor a bundled prior ({', '.join(cards) or 'none'}); "
                "`scanprior priors` lists them"
            )
        card = None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{path}: not a safetensors file, or cut off ({error}); train or fetch it again"
        ) from error
    if card is None:
        if "card" not in metadata:
            raise ValueError(
                f"{path}: no card in its header; only weights written by `scanprior train`, or imported from a "
                "published checkpoint, can be loaded"
            )
        card = replace(Card.from_dict(json.loads(metadata["card"])), sha256=_sha256(path))
    prior = from_card(card)
    try:
        prior.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights do not fit the network on its card") from error
    return prior, card


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save(path: Path, weights: dict[str, Tensor], card: Card, dtype: torch.dtype = torch.float16) -> str:
    """Write weights as safetensors with the card in the header (temporary name, then renamed); returns sha256.

    float16 halves the file; imported weights keep float32, which Fourier features of large frequency need.
    """
    tensors = {k: v.detach().cpu().to(dtype).contiguous() for k, v in weights.items()}
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, {"card": json.dumps(card.to_dict())})
    digest = _sha256(temporary)
    temporary.replace(path)
    return digest
