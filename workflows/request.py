"""What a reconstruction was asked for, in the three forms in which it is needed: what the report says, what the result
is a function of, and the command line that gives it again.

A file's name may be a patient's: the report knows an input by the hash of its content, and by its name only where that
is asked for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..formats.read import files_of
from ..named import is_named, source_hash
from ..pretrained.cache import sha256_of
from ..pretrained.card import Card
from ..recon.posterior.method import PosteriorMethod

NOT_OF_THE_RESULT = {"device", "batch"}  # a result is no function of them
OF_SAMPLES = {"samples", "batch", "dtype"}


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `scanprior reconstruct --help`."""

    prior: str | None = None
    method: str = "dds"
    options: str = ""
    samples: int = 8
    seed: int = 0
    simulate: str | None = None
    slices: str | None = None
    reader: dict[str, Any] = field(default_factory=dict)
    baselines: bool = True
    presets: bool = True
    mu_water: float | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch: int = 8
    name_in_report: bool = False

    def __post_init__(self) -> None:
        if self.mu_water is not None and not 0 < self.mu_water < float("inf"):
            raise ValueError(f"--mu-water: got {self.mu_water}, expected an attenuation in 1/mm, about 0.02")


def fingerprint(path: Path) -> str:
    """The SHA-256 of a file; of several (a folder, BART's pair, an array with its sidecar) that of their hashes in
    order, whatever the files are called."""
    hashes = sorted(sha256_of(item) for item in files_of(path))
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def asked(request: Request, method: Any, card: Card | None) -> dict[str, Any]:
    """The request as the report has it: with the prior's name for the path to it, without what does not matter."""
    out = dataclasses.asdict(request) | {"prior": _prior_name(request, card)}
    hidden = {"name_in_report"} | (set() if isinstance(method, PosteriorMethod) else OF_SAMPLES)
    return {key: value for key, value in out.items() if key not in hidden}


def result_of(
    request: Request, method: Any, card: Card | None, digest: str, settings: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """What the result is a function of: two requests that agree in it have the same result. `settings`: of each method
    by its name, as they are used."""
    out = {key: value for key, value in asked(request, method, card).items() if key not in NOT_OF_THE_RESULT}
    prior = None if card is None else card.sha256
    if is_named(request.method):
        out["method_source"] = source_hash(request.method)
    return {**out, "input": digest, "prior": prior, "settings": settings, "scanprior": __version__}


def command(request: Request, method: Any, card: Card | None, name: str) -> str:
    """The command line that repeats a request for the input `name`, whatever presets there are where it is given: with
    every setting of the method."""
    said = asked(request, method, card)
    settings = {
        f.name: getattr(method, f.name)
        for f in dataclasses.fields(method)
        if isinstance(f.default, bool | int | float | str)
    }
    said |= {"options": ",".join(f"{key}={value}" for key, value in settings.items()), **said.pop("reader")}
    for switch in ("baselines", "presets"):
        if not said.pop(switch):
            said[f"no-{switch}"] = True
    words = ["scanprior", "reconstruct", name, "-o", "OUTPUT"]
    for key, value in said.items():
        if value is not None and value is not False and value != "":
            words += [f"--{key.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)


def _prior_name(request: Request, card: Card | None) -> str | None:
    return None if card is None else Path(request.prior or card.name).name
