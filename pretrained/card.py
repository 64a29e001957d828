"""A card says what a set of weights is: what it was trained on and under which licence, which intensities it expects,
its network, its measured figures. Bundled and cached weights have a TOML card beside them; weights written by
`scanprior train` or `priors import` carry the same card as JSON in the safetensors header. A header may come from
anywhere, so every entry is checked.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..modality import Modality

CARDS = Path(__file__).parent / "cards"
WEIGHTS = Path(__file__).parent / "weights"
_LARGEST = 1e30
_DEEPEST = 3  # coarse priors, each within the other
_LONGEST = 16  # levels of a network, and whatever else it has a list of
_WIDEST = 8192  # the most of anything that has no line here
_MOST = {"blocks": 64, "stem": 64, "multipliers": 64, "channels": 64, "factor": 64}


@dataclass(frozen=True, repr=False)
class Card:
    """What a prior is. `intensity`, `network` and `training` are the tables of the preset it was trained with; an
    imported network's table has an entry `noise`, the law it was trained under (`priors.published`)."""

    name: str
    modality: Modality  # CT, MR or RGB (pictures in colour)
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
    measurement: dict[str, Any] = field(default_factory=dict)  # what a supervised network was trained for
    file: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "modality", Modality(self.modality))

    def __repr__(self) -> str:
        what = "supervised network" if self.measurement else "prior"
        network = self.network.get("name", "network")
        return f"Card({self.name!r}, {self.modality} {what}, {network}, channels={self.channels})"

    @staticmethod
    def from_dict(table: dict[str, Any]) -> Card:
        """A card from its TOML or JSON table. Raises ValueError for an entry unknown, missing or of the wrong kind."""
        known = {f.name: f for f in dataclasses.fields(Card)}
        if unknown := set(table) - set(known):
            raise ValueError(
                f"a prior's card has no entry {', '.join(sorted(unknown))}; known: {', '.join(known)}"
            )
        needed = [n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING]
        if missing := [name for name in needed if name not in table]:
            raise ValueError(f"the card lacks {', '.join(missing)}")
        entries: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) and k != "data" else v for k, v in table.items()
        }
        for name, value in entries.items():
            right, expected = ENTRIES[name]
            if not right(value) and not (value is None and name in {"pixel_mm", "matrix"}):
                raise ValueError(f"the card's {name}: got {repr(value)[:80]}, expected {expected}")
        _check_network(entries["network"])
        return Card(**entries)

    @staticmethod
    def read(path: Path) -> Card:
        """The card in a TOML file. Raises ValueError, with the file's name, where there is none."""
        try:
            return Card.from_dict(tomllib.loads(path.read_text(encoding="utf-8")))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: no card of a prior ({error})") from error

    @staticmethod
    def from_json(text: str) -> Card:
        """The card in a safetensors header. Raises ValueError where it is none."""
        try:
            table = json.loads(text)
        except RecursionError as error:
            raise ValueError("tables within tables without end") from error
        if not isinstance(table, dict):
            raise ValueError(f"a card is a table, got {type(table).__name__}")
        return Card.from_dict(table)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able table."""
        return {k: v for k, v in dataclasses.asdict(self).items() if v is not None}

    def to_toml(self) -> str:
        """The card as a TOML file says it; what a JSON header leaves as null is left out."""
        import tomli_w

        return tomli_w.dumps(_without_none(self.to_dict()))


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in table.items() if v is not None}


def _number(value: Any) -> bool:
    """A finite one; a whole number too large for a float is none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def _numbers(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_number, value)) and value[0] <= value[1]


def _check_network(table: dict[str, Any], depth: int = 0) -> None:
    """Raise ValueError for a network that nobody trains, before building it takes a day or all memory: numbers that
    are not finite, negative or beyond `_MOST`, long lists, a prior within a prior within a prior and so on."""
    if depth > _DEEPEST:
        raise ValueError(f"the card's network: more than {_DEEPEST} coarse priors, each within the other")
    for key, value in table.items():
        if isinstance(value, dict):
            if key == "coarse":
                _check_network(value, depth + 1)
            elif not _finite(value, 1e6):
                raise ValueError(
                    f"the card's network.{key}: got a number that is not finite, or beyond a million"
                )
            continue
        entries = value if isinstance(value, list | tuple) else [value]
        most = _MOST.get(key, _WIDEST)
        for entry in entries:
            if isinstance(entry, int | float) and not 0 <= entry <= most:
                raise ValueError(f"the card's network: got {key} = {str(value)[:80]}, expected 0 to {most}")
        if len(entries) > _LONGEST:
            raise ValueError(
                f"the card's network: got {len(entries)} entries of {key}, expected at most {_LONGEST}"
            )


def _finite(value: Any, most: float = _LARGEST) -> bool:
    """A table of which the numbers are finite, and at most `most`."""
    if not isinstance(value, dict):
        return False
    numbers = [v for v in value.values() if isinstance(v, int | float) and not isinstance(v, bool)]
    return all(_number(number) and abs(number) <= most for number in numbers)


def _count(value: Any) -> bool:
    return type(value) is int and 0 < value < 1 << 20


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _table(value: Any) -> bool:
    return isinstance(value, dict)


ENTRIES: dict[str, tuple[Callable[[Any], bool], str]] = {  # entry -> what it may be, in code and in words
    "name": (_text, "a name"),
    "modality": (lambda v: v in list(Modality), "CT, MR or RGB"),
    "channels": (
        lambda v: _count(v) and v <= _MOST["channels"],
        f"a whole number from 1 to {_MOST['channels']}",
    ),
    "sigma_data": (lambda v: _number(v) and v > 0, "a positive number"),
    "intensity": (_finite, "a table of finite numbers"),
    "network": (_table, "a table"),
    "window": (_numbers, "two numbers, the lower one first"),
    "pixel_mm": (lambda v: _numbers(v) and v[0] > 0, "two lengths above 0, the lower one first"),
    "matrix": (lambda v: isinstance(v, tuple) and all(map(_count, v)), "whole numbers above 0"),
    "description": (_text, "text"),
    "data": (lambda v: isinstance(v, list) and all(map(_table, v)), "tables"),
    "licence": (_text, "text"),
    "training": (_table, "a table"),
    "validation": (_table, "a table"),
    "measurement": (_table, "a table"),
    "file": (_text, "a file's name"),
    "sha256": (_text, "a hash"),
}


def bundled() -> dict[str, Card]:
    """The priors that come with the package: name -> card."""
    return {path.stem: Card.read(path) for path in sorted(CARDS.glob("*.toml"))}
