"""Priors into the cache (`cache.py`): by address or from a file, whole and checked, or not at all.

What arrives lies in a temporary folder of the cache until its hash is right and its weights fit the network of the card
in its header. Then weights and TOML card are renamed into place, the card last. Nothing is unpickled.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .cache import NAME, cached, header_card, sha256_of, shelf
from .card import Card, bundled
from .download import Bar, checked_sha256, download, is_address, without_secrets
from .load import load_file


def fetch(
    source: str | Path,
    sha256: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
    progress: Bar | None = None,
) -> Card:
    """Put a prior into the cache; `load_prior(card.name)` gives it from then on, without a network.

    Args:
        source: an http(s) address of a .safetensors file, or such a file or run folder.
        sha256: of the file, as whoever offers it says. A cached prior that has it is taken without asking the network.
        name: in the cache; the card's own by default.
        overwrite: replace a cached prior of the same name and other weights.
        progress: told of the download.

    Returns the card as cached, with the file's hash.

    Raises FileNotFoundError (no such file), OSError (no answer, or an error of the server), FileExistsError (the name
    is taken) and ValueError (wrong hash, not a safetensors file, no card, weights that do not fit it, a name that
    cannot be).
    """
    expected = checked_sha256(sha256)
    if name is not None:
        check_name(name)
    if expected and not overwrite:
        for card in cached().values():
            if card.sha256 == expected and name in (None, card.name) and _is_sound(card):
                return card
    remote = is_address(source)
    words = without_secrets(str(source)) if remote else str(source)
    with staging() as folder:
        file = folder / "prior.safetensors"
        if remote:
            download(str(source), file, progress)
        else:
            _copy(Path(source), file)
        if expected and (got := sha256_of(file)) != expected:
            raise ValueError(
                f"{words}: sha256 is {got[:16]}…, expected {expected[:16]}…; another file or a damaged one, nothing "
                "was installed"
            )
        try:
            return install(file, name, overwrite)
        except ValueError as error:  # the user knows the source, not the temporary file
            raise ValueError(str(error).replace(str(file), words)) from error


@contextmanager
def staging() -> Iterator[Path]:
    """A temporary folder within the cache, gone afterwards."""
    shelf().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=shelf()) as folder:
        yield Path(folder)


def check_name(name: str) -> str:
    """The name, if a cached prior may have it. Raises ValueError."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"prior name {name!r}: expected up to 64 letters, digits, '.', '_' and '-', without the ending "
            ".safetensors or .toml; choose another with --name"
        )
    if name in bundled():
        raise ValueError(f"{name!r} is the name of a bundled prior; choose another with --name")
    return name


def install(file: Path, name: str | None = None, overwrite: bool = False) -> Card:
    """Move a prior's file from a `staging` folder into the cache; returns its card as cached. Raises as `fetch`."""
    card = header_card(file)
    name = check_name(card.name if name is None else name)
    card = replace(card, name=name, file=f"{name}.safetensors", sha256=sha256_of(file))
    weights, toml = shelf() / card.file, shelf() / f"{name}.toml"
    if toml.exists() and not overwrite:
        kept = cached().get(name)
        if kept is None or kept.sha256 != card.sha256:
            raise FileExistsError(
                f"a prior {name!r} with other weights is in the cache ({shelf()}); choose another --name, or add "
                "--overwrite"
            )
        if _is_sound(kept):
            return kept
    load_file(file)
    text = file.with_suffix(".toml")
    text.write_text(card.to_toml(), encoding="utf-8")
    toml.unlink(missing_ok=True)
    file.replace(weights)
    text.replace(toml)
    return card


def _is_sound(card: Card) -> bool:
    """Whether the weights of a cached card lie beside it, undamaged."""
    path = shelf() / f"{card.name}.safetensors"
    return path.is_file() and sha256_of(path) == card.sha256


def _copy(source: Path, file: Path) -> None:
    source = source / "prior.safetensors" if source.is_dir() else source
    if not source.is_file():
        raise FileNotFoundError(f"{source}: neither a file or run folder nor an address (https://…)")
    shutil.copyfile(source, file)
