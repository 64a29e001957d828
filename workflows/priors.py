"""What there is of priors: listed, verified, fetched, imported. Listing and showing read cards only: no torch, no
weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, make_dataclass
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from ..errors import UsageError
from ..pretrained import cache
from ..pretrained.card import Card, bundled
from ..report.words import lines
from .output import check_file
from .progress import Progress, told
from .settings import ImportSettings

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
@dataclass(frozen=True)
class Listed:
    """A prior that is there: `where` is "bundled" or "cache"; its card, or how it is damaged."""

    name: str
    where: str
    card: Card | None = None
    damaged: str = ""

    def facts(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "where": self.where,
            **({"damaged": self.damaged} if self.card is None else self.card.to_dict()),
        }

    def words(self) -> str:
        """In a few lines."""
        return f"{self.name}  (damaged)\n  {self.damaged}" if self.card is None else _summary(self.card)


def listed() -> list[Listed]:
    """What is bundled and what is in the cache."""
    found = [Listed(name, "bundled", card) for name, card in bundled().items()]
    found += [Listed(name, "cache", card) for name, card in cache.cached().items()]
    return found + [Listed(name, "cache", damaged=fault) for name, fault in cache.damaged().items()]


def card_of(name: str | Path) -> Card:
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
@dataclass(frozen=True)
class Verified:
    """A prior that was checked: where it is, the first digits of its hash, what is wrong with it ("" for nothing)."""

    name: str
    where: str
    sha256: str
    fault: str


def verify(names: Sequence[str] = (), progress: Progress | None = None) -> list[Verified]:
    """Check priors, all by default: hash, cards, weights, and whether they denoise. Raises FileNotFoundError for an
    unknown one."""
    known = [*bundled(), *sorted({**cache.cached(), **cache.damaged()})]
    for name in names:
        if name not in known:
            cache.find(name)
    found, names = [], names or known
    with closing(told(progress)) as telling:
        telling.stage("checking priors", len(names))
        for name in names:
            found.append(_verified(name))
            telling.update(len(found), name)
    return found


def _verified(name: str) -> Verified:
    where, digest = "cache", ""
    try:
        found = cache.find(name)
        where = found.where
        found.check()
        digest = cache.sha256_of(found.path)[:SHORT]
        inside = cache.header_card(found.path)
        return Verified(name, where, digest, _fault(found.path, found.card or inside, inside))
    except (ValueError, OSError, RuntimeError) as error:
        return Verified(name, where, digest, " ".join(str(error).split()))


def _fault(path: Path, card: Card, inside: Card) -> str:
    """What is wrong with weights under a card, and under the one `inside` of their file; "" for nothing."""
    import torch

    from ..pretrained.load import intensity_of, load_file

    unlike = [entry for entry in NUMBERS if getattr(card, entry) != getattr(inside, entry)]
    unlike += ["intensity"] if intensity_of(card) != intensity_of(inside) else []
    if unlike:
        return f"card and header of the weights do not agree on {', '.join(unlike)}"
    prior, _ = load_file(path, card)
    prior.for_inference()
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, card.channels, SIDE, SIDE, generator=generator)
    if not all(prior.denoise(sigma * noise, sigma).isfinite().all() for sigma in LEVELS):
        return "denoises to infinite or undefined numbers"
    return ""


# --- fetch
@dataclass(frozen=True)
class Kept:
    """A prior that was put somewhere: its card, with the hash of its weights, and their file."""

    card: Card
    path: Path


def fetch(
    source: str | Path,
    sha256: str | None = None,
    name: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Kept:
    """Put a prior into the cache; see `pretrained.fetch.fetch`, whose arguments and errors these are."""
    from ..pretrained.fetch import fetch as into_the_cache

    with closing(told(progress)) as telling:
        card = into_the_cache(source, sha256, name, overwrite, _Downloading(telling))
    return Kept(card, cache.shelf() / card.file)


class _Downloading:
    """A download's progress as pooch drives it, in kB."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.total, self.done = progress, 0, 0

    def update(self, n: int) -> None:
        if not self.done:
            self.progress.stage("downloading, kB", self.total // 1000 or None)
        self.done += n
        self.progress.update(self.done // 1000)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


# --- import
@dataclass(frozen=True)
class Imported(Kept):
    """A prior made of a checkpoint; `parameters`: how many numbers its weights are."""

    parameters: int


def import_prior(
    checkpoint: Path | str,
    settings: ImportSettings,
    output: Path | str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Make a prior of a published checkpoint.

    Args:
        checkpoint: of another project; .safetensors or a PyTorch state dict. Nothing is unpickled.
        settings: what it does not say of itself.
        output: a .safetensors file; None: the cache.
        overwrite: replace a prior of this name, or the file.
        progress: hears of the stages.

    Raises:
        FileNotFoundError, FileExistsError, ValueError: no such checkpoint, one that is damaged or of other code, a
            name or a file that is taken, facts that cannot be.
    """
    from ..pretrained.convert import import_checkpoint
    from ..pretrained.fetch import check_name

    checkpoint, output = Path(checkpoint), None if output is None else Path(output)
    if output is None:
        check_name(settings.name)
    else:
        check_file(output, overwrite, checkpoint)
    scaling = intensity_table(settings.intensity)
    more = _facts(settings) | options_of(settings.kind, settings.options)
    with closing(told(progress)) as telling:
        telling.stage(f"reading {checkpoint.name}")
        card, weights = import_checkpoint(checkpoint, settings.kind, settings.name, scaling, **more)
        Card.from_dict(card.to_dict())  # raises for facts that cannot be
        size = sum(tensor.numel() for tensor in weights.values())
        telling.stage(f"writing and checking {size / 1e6:.0f} million weights")
        kept = _kept(card, weights, output, overwrite)
    return Imported(kept.card, kept.path, size)


def _facts(settings: ImportSettings) -> dict[str, Any]:
    """The entries of the card that a checkpoint does not say."""
    own = ("modality", "window", "sigma_data", "pixel_mm", "matrix", "description", "licence")
    return {key: getattr(settings, key) for key in own} | {
        "data": [source_of(text) for text in settings.data]
    }


def source_of(text: str) -> dict[str, str]:
    """`RIDER;CC BY 3.0;who made it` -> an entry of a card's `data`. Raises UsageError."""
    entries = [part.strip() for part in text.split(";")]
    if len(entries) != 3 or not entries[0]:
        raise UsageError(f"--data: got {text!r}, expected NAME;LICENCE;ATTRIBUTION, two semicolons")
    return dict(zip(("name", "licence", "attribution"), entries, strict=True))


def _kept(card: Card, weights: dict[str, Any], output: Path | None, overwrite: bool) -> Kept:
    """Weights written, read again and, where there is no output, put into the cache."""
    import torch

    from ..formats.write import atomic
    from ..pretrained.fetch import install, staging
    from ..pretrained.load import load_file, save

    if output is None:
        with staging() as folder:
            save(folder / "prior.safetensors", weights, card, torch.float32)
            card = install(folder / "prior.safetensors", overwrite=overwrite)
        return Kept(card, cache.shelf() / card.file)
    with atomic(output) as path:
        save(path, weights, card, torch.float32)
        _, card = load_file(path)
    return Kept(card, output)


def intensity_table(text: str) -> dict[str, Any]:
    """`attenuation:hu_per_unit=1000,hu_at_zero=0` -> a card's table. Raises ValueError."""
    from ..pretrained.load import INTENSITIES
    from ..recon.options import parse

    kind, _, fields = text.partition(":")
    if kind not in INTENSITIES:
        raise UsageError(
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
