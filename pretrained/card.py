"""A card says what a set of weights is: what it was trained on and under which licence, which intensities it expects,
its network, its measured figures. Bundled weights have a TOML card beside them; weights written by `scanprior train`
carry the same card as JSON in the safetensors header.
"""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CARDS = Path(__file__).parent / "cards"
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Card:
    """What a prior is. `intensity`, `network` and `training` are the tables of the preset it was trained with; an
    imported network's table has an entry `noise`, the law it was trained under (`priors.published`)."""

    name: str
    modality: str  # "CT" or "MR"
    channels: int
    sigma_data: float
    intensity: dict[str, Any]
    network: dict[str, Any]
    window: tuple[float, float]
    pixel_mm: tuple[float, float] | None = None  # range of the training images' pixel sizes
    matrix: tuple[int, ...] | None = None  # of the training images
    description: str = ""
    data: list[dict[str, str]] = field(default_factory=list)  # name, licence, attribution
    licence: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    sha256: str = ""

    @staticmethod
    def from_dict(table: dict[str, Any]) -> Card:
        """A card from its TOML or JSON table. Raises ValueError for an unknown or missing entry."""
        known = {f.name: f for f in dataclasses.fields(Card)}
        if unknown := set(table) - set(known):
            raise ValueError(
                f"a prior's card has no entry {', '.join(sorted(unknown))}; known: {', '.join(known)}"
            )
        needed = [n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING]
        if missing := [name for name in needed if name not in table]:
            raise ValueError(f"the card lacks {', '.join(missing)}")
        pairs = {"window", "pixel_mm", "matrix"}
        entries: dict[str, Any] = {
            k: tuple(v) if k in pairs and v is not None else v for k, v in table.items()
        }
        return Card(**entries)

    @staticmethod
    def read(path: Path) -> Card:
        """The card in a TOML file."""
        return Card.from_dict(tomllib.loads(path.read_text()))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able table."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}


def bundled() -> dict[str, Card]:
    """The priors that come with the package: name -> card."""
    return {path.stem: Card.read(path) for path in sorted(CARDS.glob("*.toml"))}
