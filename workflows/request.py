"""What a reconstruction was asked for, in the forms in which it is needed: what the report says, what the result is a
function of, and the command line and the configuration that give it again.

A file's name may be a patient's: results know an input by the hash of its content, and by its name only where that is
asked for.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from .. import __version__
from ..formats.read import files_of
from ..formats.scan import Scan, Volume
from ..named import is_named, source_hash
from ..pretrained.cache import sha256_of
from ..pretrained.card import Card
from ..recon.methods import settings_text
from ..recon.posterior.method import PosteriorMethod
from .settings import Request

NOT_OF_THE_RESULT = {"device", "batch"}  # a result is no function of them
OF_SAMPLES = {"samples", "batch", "dtype", "interval"}


def fingerprint(item: Path | Scan | Volume) -> str:
    """The SHA-256 of a file; of several (a folder, BART's pair, an array with its sidecar) that of their hashes in
    order, whatever the files are called; of data in memory that of the numbers."""
    if isinstance(item, Scan | Volume):
        return hashlib.sha256(np.ascontiguousarray(item.data).data).hexdigest()
    hashes = sorted(sha256_of(one) for one in files_of(item))
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


def repeating(request: Request, method: Any, card: Card | None) -> dict[str, Any]:
    """The options that repeat a request, as the command line names them, whatever presets there are where it is given:
    with every setting of the method."""
    said = asked(request, method, card)
    said |= {"options": settings_text(method), **said.pop("reader")}
    if not isinstance(slices := said["slices"], str | None):
        said["slices"] = ",".join(map(str, slices))
    for switch in ("baselines", "presets"):
        if not said.pop(switch):
            said[f"no_{switch}"] = True
    said = {key.replace("_", "-"): value for key, value in said.items()}
    return {
        key: value for key, value in said.items() if value is not None and value is not False and value != ""
    }


def command(options: dict[str, Any], name: str, unnamed: str = "") -> str:
    """The command line of such options for the input `name`; `unnamed`: why there is none (objects.py)."""
    if unnamed:
        return f"# {unnamed}"
    words = ["scanprior", "reconstruct", name, "-o", "OUTPUT"]
    for key, value in options.items():
        words += [f"--{key}", *([] if value is True else [str(value)])]
    return shlex.join(words)


def configuration(
    options: dict[str, Any], request: Request, digest: str, path: Path | None, unnamed: str = ""
) -> str:
    """The same options as a file for `--config`. `path`: of the input; None leaves it to the command line, for the name
    of a file may be a patient's. A prior that is a file is named by its path. `unnamed`: why it
    does not repeat the run; it says so, and is refused for the name of its method or prior."""
    scan = {} if path is None else {"scan": str(path.resolve())}
    if request.prior is not None and not unnamed and Path(request.prior).exists():
        options = options | {"prior": str(Path(request.prior).resolve())}
    repeated = f"scanprior reconstruct {'' if scan else 'SCAN '}--config run.toml -o OUTPUT repeats this"
    head = f"# scanprior {__version__}: {unnamed or repeated}.\n# sha256 of the input: {digest}\n"
    return head + tomli_w.dumps(scan | options)


def _prior_name(request: Request, card: Card | None) -> str | None:
    return None if card is None else Path(request.prior or card.name).name
