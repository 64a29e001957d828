"""Where priors lie: those that come with the package, those in the user's cache, files and run folders. No torch, no
network.

The cache is the folder `home()/priors`. A prior there is NAME.safetensors and NAME.toml, its card with the sha256 of
the weights, which is written last: without its card a prior is not there. `fetch.py` fills the cache.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs
from safetensors import SafetensorError, safe_open

from ..errors import UsageError
from .card import WEIGHTS, Card, bundled

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(?<!\.safetensors)(?<!\.toml)")


def home() -> Path:
    """The folder of what scanprior keeps for its user: `$SCANPRIOR_HOME`, or the platform's place for user data."""
    chosen = os.environ.get("SCANPRIOR_HOME", "")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("scanprior", appauthor=False)


def shelf() -> Path:
    """The folder of the cached priors; it need not be there yet."""
    return home() / "priors"


def cached() -> dict[str, Card]:
    """The priors in the cache: name -> card. Those of which the card is damaged are in `damaged()`."""
    return _read_cards()[0]


def damaged() -> dict[str, str]:
    """The cached priors of which the card cannot be read: name -> what is wrong."""
    return _read_cards()[1]


def _read_cards() -> tuple[dict[str, Card], dict[str, str]]:
    cards, faults = {}, {}
    for path in sorted(shelf().glob("*.toml")):
        try:
            cards[path.stem] = Card.read(path)
        except (ValueError, OSError) as error:
            faults[path.stem] = str(error)
    return cards, faults


@dataclass(frozen=True)
class Found:
    """A prior's weights file, and its TOML card; a file or run folder of the user's has its card in the header only."""

    name: str
    where: Literal["bundled", "cache", "file"]
    path: Path
    card: Card | None

    def check(self) -> None:
        """Hold the weights against the hash on the TOML card, where there is one.

        Raises FileNotFoundError (no weights) and ValueError (others than the card's).
        """
        if self.card is None:
            return
        advice = "reinstall scanprior" if self.where == "bundled" else "fetch or import it again"
        if not self.path.is_file():
            raise FileNotFoundError(f"prior {self.name!r}: its weights {self.path} are missing; {advice}")
        if (got := sha256_of(self.path)) != self.card.sha256:
            raise ValueError(
                f"{self.path}: sha256 is {got[:16]}…, its card says {self.card.sha256[:16]}…; {advice}"
            )


def find(name: str | Path) -> Found:
    """A prior by bundled name, by cached name, or a .safetensors file or run folder; the first of these.

    Raises FileNotFoundError (with the known names), and ValueError for a damaged card in the cache.
    """
    known, name = bundled(), str(name)
    if not name.strip():
        raise UsageError(
            "got an empty name of a prior, expected one that `scanprior priors` lists, or a file"
        )
    if name in known:
        return Found(name, "bundled", WEIGHTS / known[name].file, known[name])
    card = shelf() / f"{name}.toml"
    if NAME.fullmatch(name) and card.is_file():
        try:
            return Found(name, "cache", card.with_name(f"{name}.safetensors"), Card.read(card))
        except ValueError as error:
            raise ValueError(f"{error}; fetch or import it again with --overwrite") from error
    path = Path(name)
    path = path / "prior.safetensors" if path.is_dir() else path
    if not path.is_file():
        kept = ", ".join([*cached(), *damaged()]) or "none"
        raise FileNotFoundError(
            f"no prior {name!r}: neither a file nor a bundled prior ({', '.join(known) or 'none'}) nor one in the "
            f"cache {shelf()} ({kept}); `scanprior priors` lists them"
        )
    return Found(name, "file", path, None)


def header_card(path: Path) -> Card:
    """The card in the header of a .safetensors file. Raises ValueError for other files, and for a card missing or
    wrong."""
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(
            f"{path}: not a safetensors file, or cut off ({error}); train or fetch it again, or make a prior of a "
            "published checkpoint with `scanprior priors import`"
        ) from error
    if "card" not in metadata:
        raise ValueError(
            f"{path}: no card in its header; only weights written by `scanprior train` have one, and published "
            "checkpoints that went through `scanprior priors import`"
        )
    try:
        return Card.from_json(metadata["card"])
    except ValueError as error:
        raise ValueError(f"{path}: the card in its header is damaged ({error})") from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
