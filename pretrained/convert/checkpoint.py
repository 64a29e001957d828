"""A published checkpoint file -> card and weights, ready for `pretrained.load.save`.

Files are read without running anything in them: safetensors, or `torch.load(weights_only=True)`. A file that needs
more is refused, with what to do about it.
"""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ...modality import Modality
from ..card import Card
from ..load import intensity_of
from . import adm, edm, ncsnv2, score_sde

FAMILIES: dict[str, ModuleType] = {
    "score-sde": score_sde,
    "edm": edm,
    "adm": adm,
    "diffusers": adm,
    "ncsnv2": ncsnv2,
}
FACTS = {
    "modality",
    "window",
    "sigma_data",
    "description",
    "licence",
    "data",
    "pixel_mm",
    "matrix",
}  # of a card
EXPORT = (
    "export the weights where its code is installed, once, with torch.save(network.state_dict(), 'weights.pt'); for "
    'NVIDIA\'s .pkl: torch.save(pickle.load(open(pkl, "rb"))["ema"].state_dict(), "weights.pt")'
)


def read_checkpoint(path: str | Path) -> Any:
    """The contents of a checkpoint file: tensors in dictionaries and lists, on the CPU.

    Raises FileNotFoundError, and ValueError for a file that holds Python objects (never unpickled), is damaged or of
    another kind.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint file {path}")
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:9] == b"{":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f"{path}: damaged safetensors file ({error}); fetch it again") from error
    refusal = f"{path}: holds Python objects, which scanprior never loads; {EXPORT}"
    if (
        start[:1] == b"\x80" and start[1:2] != b"\x02"
    ):  # a bare pickle, of a protocol that PyTorch never wrote
        raise ValueError(refusal)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(refusal) from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: neither safetensors nor a PyTorch checkpoint, or cut off") from error


def import_checkpoint(
    path: str | Path,
    kind: str,
    name: str,
    intensity: dict[str, Any],
    **facts: Any,
) -> tuple[Card, dict[str, Tensor]]:
    """The card and weights of a published checkpoint; `load.save(path, weights, card, torch.float32)` writes them, and
    `load.load` gives the prior back.

    Args:
        path: the checkpoint.
        kind: its family, a key of `FAMILIES`.
        name: of the prior.
        intensity: the card's table, e.g. {"kind": "robust-maximum", "quantile": 0.99, "factor": 1.0}: how the images it
            was trained on were scaled. No checkpoint says, and nothing is more important.
        facts: what else the card says: `modality` ("CT", "MR" or "RGB") and `window` (for display), which no checkpoint
            does without, `sigma_data` (standard deviation of the training images in network units, 0.5 as EDM's),
            `description`, `licence`, `data`, `pixel_mm`, `matrix`; and what shapes cannot tell: the keywords of the
            family's `convert`.

    Raises FileNotFoundError; ValueError for an unreadable file, keys missing or unknown, an unknown kind or option.
    """
    if kind not in FAMILIES:
        raise ValueError(f"kind {kind!r}: expected one of {', '.join(FAMILIES)}")
    family = FAMILIES[kind]
    known = [option for option in inspect.signature(family.convert).parameters if option != "state"]
    options = {key: facts.pop(key) for key in known if key in facts}
    if unknown := sorted(set(facts) - FACTS):
        raise ValueError(f"{kind} has no option {', '.join(unknown)}; known: {', '.join(known)}")
    network, weights = family.convert(_state(path, kind), **options)
    card = Card(
        name=name,
        channels=network.pop("channels"),
        intensity=intensity,
        network=network,
        training={"imported": Path(path).name, "kind": kind, **options},
        **{"sigma_data": 0.5, **facts, "modality": Modality(facts["modality"])},
    )
    intensity_of(card)  # raises for an unknown map
    return card, {f"network.{key}": tensor for key, tensor in weights.items()}


def _state(path: str | Path, kind: str) -> dict[str, Tensor]:
    """The state dict of a checkpoint of a family. FileNotFoundError, ValueError."""
    family = FAMILIES[kind]
    checkpoint = read_checkpoint(path)
    if not isinstance(checkpoint, dict | list | tuple) or not checkpoint:
        raise ValueError(f"{path}: holds a {type(checkpoint).__name__}, expected a state dict")
    try:
        state = family.unwrap(checkpoint)
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        raise ValueError(f"{path}: not laid out as a checkpoint of {kind}") from error
    if strange := [key for key, value in state.items() if not isinstance(value, Tensor)]:
        raise ValueError(
            f"{path}: entries {', '.join(map(str, strange[:5]))} are no tensors; not a checkpoint of {kind}"
        )
    return state
