"""Card + weights -> a prior ready to denoise, and back. Weights are safetensors, never pickles."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..modality import Modality
from ..named import import_named, is_named, source_hash
from ..priors.checkpoint import write_tensors
from ..priors.intensity import Attenuation, GreyLevels, Intensity, RobustMaximum
from ..priors.nets.build import build
from ..priors.own import OwnPrior
from ..priors.published import PublishedPrior, noise_law
from ..priors.score import NetworkPrior, Prior
from ..priors.settings import check_coarse
from ..priors.subspace import SubspacePrior
from ..priors.supervised import SupervisedNetwork
from .cache import find, header_card, sha256_of
from .card import Card, bundled

_FLOATS = {"F16", "BF16", "F32", "F64"}
INTENSITIES = {"attenuation": Attenuation, "robust-maximum": RobustMaximum, "grey-levels": GreyLevels}


Network = TypeVar("Network", NetworkPrior, SupervisedNetwork)


def intensity_of(card: Card) -> Intensity:
    """The map to network units that the card describes. Raises ValueError for an unknown kind or field, and for a value
    that cannot be."""
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
    if strange := [key for key, value in options.items() if type(value) not in (int, float)]:
        raise ValueError(f"prior {card.name!r}: the intensity map's {', '.join(strange)} must be numbers")
    return INTENSITIES[kind](**options)


def from_card(card: Card) -> NetworkPrior:
    """The untrained prior that a card describes, in float32: a `PublishedPrior` where its network has a noise law, a
    `SubspacePrior` where it has a coarse one beside it. Raises ValueError for the card of a supervised network."""
    if card.measurement:
        raise ValueError(
            f"{card.name!r} is no prior but a supervised network, trained for {card.measurement.get('spec')}; "
            "use it with --method supervised"
        )
    table = dict(card.network)
    law, small = table.pop("noise", None), table.pop("coarse", None)
    what = build({**table, "channels": card.channels}), card.channels
    if law is not None:
        if small is not None:
            raise ValueError(
                f"prior {card.name!r}: a network of a noise law with a coarse one, expected either"
            )
        return PublishedPrior(*what, noise_law(law), card.sigma_data, intensity_of(card))
    if small is None:
        return NetworkPrior(*what, card.sigma_data, intensity_of(card))
    return SubspacePrior(*what, card.sigma_data, intensity_of(card), **coarse_of(card, small))


def coarse_of(card: Card, table: dict[str, Any]) -> dict[str, Any]:
    """The coarse prior, which may have one of its own, factor and level of a card's [network.coarse].

    Raises:
        ValueError: a table that lacks factor or level, or has an impossible one.
    """
    options = dict(table)
    factor, above = (options.pop(key, None) for key in ("factor", "above"))
    check_coarse(f"prior {card.name!r}, network.coarse", factor, above)
    return {"coarse": from_card(replace(card, network=options)), "factor": factor, "above": above}


def supervised_from_card(card: Card) -> SupervisedNetwork:
    """The untrained supervised network that a card describes, in float32. Raises ValueError for the card of a prior."""
    if not card.measurement:
        raise ValueError(
            f"{card.name!r} is a prior, not a supervised network; train one with `scanprior train --supervised`, or "
            "choose another --method"
        )
    network = build({**card.network, "channels": card.channels})
    return SupervisedNetwork(network, card.channels, intensity_of(card))


def default_for(modality: str) -> str:
    """The bundled prior of a modality. Raises ValueError where there is none."""
    names = [name for name, card in bundled().items() if card.modality == modality]
    if not names:
        raise ValueError(
            f"no bundled prior for {modality}; train one with `scanprior train` and pass it with --prior"
        )
    return names[0]


def load_prior(
    name: str | Path | Prior, device: torch.device | str = "cpu", dtype: torch.dtype | None = None
) -> NetworkPrior | OwnPrior:
    """A prior ready to denoise on `device`, by bundled or cached name (`scanprior priors`), from a .safetensors file or
    a run folder of `scanprior train`, or your own by `package.module:Name` or as an object, which is moved; in `dtype`,
    or the one that is fast there (priors/precision.py). Raises as `load_any`."""
    return load_any(name)[0].for_inference(device, dtype)


def load_any(name: str | Path | Prior) -> tuple[NetworkPrior | OwnPrior, Card]:
    """As `load`; a prior of the user's own too, by `package.module:Name` or as an object, with a card that says what is
    known of it. Raises as `load`, and ValueError for an object that is no prior."""
    if not isinstance(name, str | Path):
        kind = type(name)
        return _own(name, kind.__name__, source_hash(f"{kind.__module__}:{kind.__name__}"))
    if not is_named(name) or Path(name).exists():
        return load(name)
    text = str(name)
    found = import_named(text, "the prior")
    prior = found if hasattr(found, "denoise") and not isinstance(found, type) else _made(found, text)
    return _own(prior, text, source_hash(text))


def _own(prior: Any, name: str, source: str) -> tuple[NetworkPrior | OwnPrior, Card]:
    """The prior, checked, and its card; `source`: the hash of its class's module."""
    own = prior if isinstance(prior, NetworkPrior) else OwnPrior(prior, name)
    return own, replace(_own_card(own, name), sha256=source)


def _made(make: Any, name: str) -> Any:
    """What a class or a function without arguments makes."""
    try:
        return make()
    except Exception as error:
        raise ValueError(
            f"the prior {name!r}: {type(error).__name__}: {error}; expected a prior, or a class or function that makes "
            "one without arguments"
        ) from error


def _own_card(prior: NetworkPrior | OwnPrior, name: str) -> Card:
    """What is known of it: its units."""
    modality = {1: Modality.CT, 2: Modality.MR}.get(prior.channels, Modality.RGB)
    window = {Modality.CT: (-1024.0, 3071.0), Modality.RGB: (0.0, 255.0)}.get(modality, (0.0, 1.0))
    intensity, network = _table(prior.intensity), {"name": name}
    return Card(name, modality, prior.channels, 0.5, intensity, network, window, description="your own")


def _table(intensity: Intensity | None) -> dict[str, Any]:
    """A card's table of a known map, of which `intensity_of` is the way back; empty for any other."""
    kinds = {kind: name for name, kind in INTENSITIES.items()}
    return {"kind": kinds[type(intensity)], **vars(intensity)} if type(intensity) in kinds else {}


def load(name: str | Path) -> tuple[NetworkPrior, Card]:
    """A prior and its card (with the sha256 of its weights file), by bundled name, by name in the cache, or from a
    .safetensors file or a run folder of `scanprior train`. The weights of the named are held against their card's hash.

    Raises FileNotFoundError (missing, with the known names) and ValueError (damaged, hash or card wrong).
    """
    found = find(name)
    found.check()
    return load_file(found.path, found.card)


def load_supervised(name: str | Path) -> tuple[SupervisedNetwork, Card]:
    """A supervised network and its card, from where `load` finds priors, and with its errors."""
    found = find(name)
    found.check()
    return _load_file(found.path, found.card, supervised_from_card)


def load_file(path: Path, card: Card | None = None) -> tuple[NetworkPrior, Card]:
    """A prior from a .safetensors file, with `card` or the one in its header, and this card. Raises ValueError."""
    return _load_file(path, card, from_card)


def _load_file(path: Path, card: Card | None, make: Callable[[Card], Network]) -> tuple[Network, Card]:
    if card is None:
        card = replace(header_card(path), sha256=sha256_of(path))
    shapes = _stored(path)
    try:
        with torch.device(
            "meta"
        ):  # a card may describe any size: first the names and shapes, then the memory
            wanted = {key: tuple(tensor.shape) for key, tensor in make(card).state_dict().items()}
        if wanted != shapes:
            raise ValueError(f"{path}: its weights do not fit the network on its card")
        prior = make(card)
    except (TypeError, RuntimeError, ArithmeticError, LookupError) as error:
        raise ValueError(f"{path}: no network can be built from its card ({error})") from error
    with safe_open(path, "pt") as file:
        weights = {key: file.get_tensor(key).float() for key in shapes}
    if broken := [key for key, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise ValueError(
            f"{path}: its weights hold NaN or Inf (first in {broken[0]}); train or fetch it again"
        )
    prior.load_state_dict(weights)
    return prior, card


def _stored(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights in a .safetensors file. Raises ValueError for a file that is none, and for whole
    numbers or truth values among them."""
    try:
        with safe_open(path, "pt") as file:
            parts = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            shapes = {key: tuple(part.get_shape()) for key, part in parts.items()}
            types = {part.get_dtype() for part in parts.values()}
    except SafetensorError as error:
        raise ValueError(
            f"{path}: not a safetensors file, or cut off ({error}); train or fetch it again"
        ) from error
    if types - _FLOATS:
        raise ValueError(
            f"{path}: holds weights of type {', '.join(sorted(types - _FLOATS))}, expected floating point numbers; it "
            "is no prior of scanprior, or damaged: fetch it again"
        )
    return shapes


def save(path: Path, weights: dict[str, Tensor], card: Card, dtype: torch.dtype = torch.float16) -> str:
    """Write weights as safetensors with the card in the header (temporary name, then renamed); returns sha256.

    float16 halves the file; imported weights keep float32, which Fourier features of large frequency need.
    """
    write_tensors(path, {k: v.to(dtype) for k, v in weights.items()}, {"card": json.dumps(card.to_dict())})
    return sha256_of(path)
