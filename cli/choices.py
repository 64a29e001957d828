"""Values that an option knows: completed in the shell, and refused with the nearest of them before any work.

prior: Annotated[str | None, typer.Option(help="…", **choices.PRIOR)] = None
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from ..errors import UsageError, unknown
from ..named import is_named

Known = Callable[[], dict[str, str]]  # value -> what it is


def methods() -> dict[str, str]:
    """The methods of `reconstruct`."""
    from ..recon.methods import BASELINES, METHODS

    return {
        name: entry.line + (f" ({entry.reference})" if entry.reference else "")
        for name, entry in (METHODS | BASELINES).items()
    }


def priors() -> dict[str, str]:
    """The bundled priors and the cached ones."""
    from ..pretrained.cache import bundled, cached

    return {name: card.description for name, card in (bundled() | cached()).items()}


def suites() -> dict[str, str]:
    """The shipped suites of `benchmark`."""
    import tomllib

    from ..workflows import benchmark  # not its suite.py, which needs torch

    files = sorted((Path(benchmark.__file__).parent / "suites").glob("*.toml"))
    return {path.stem: tomllib.loads(path.read_text(encoding="utf-8"))["title"] for path in files}


def training_presets() -> dict[str, str]:
    """The shipped presets of `train`."""
    from ..workflows.training_preset import PRESETS

    return {path.stem: "" for path in sorted(PRESETS.glob("*.toml"))}


def devices() -> dict[str, str]:
    """Where a network may run."""
    return {"auto": "a GPU where there is one", "cpu": "", "cuda": "the first GPU"}


def _may_be_own(value: str) -> bool:
    """A file, or an object of the user's own."""
    return is_named(value) or Path(value).exists() or "/" in value or bool(Path(value).suffix)


def _is_method(value: str) -> bool:
    """A method with its settings (dds:steps=20), or one of the user's own (package.module:Name)."""
    return is_named(value) or value.partition(":")[0] in methods()


def known(values: Known, what: str, others: Callable[[str], bool] | None = None) -> dict[str, Any]:
    """Keywords of `typer.Option` or `typer.Argument` for an option that takes one of `values`.

    Args:
        what: the option, in the words of its error.
        others: what it takes, too. None: files and objects of the user's own, and a value that is like none of `values`
            is left to whoever reads it.
    """

    def complete(incomplete: str) -> list[tuple[str, str]]:
        return [(name, line) for name, line in values().items() if name.startswith(incomplete)]

    def check(context: typer.Context, value: Any) -> Any:
        if not context.resilient_parsing:
            for one in value if isinstance(value, list | tuple) else [value]:
                if one is not None and not str(one).strip():
                    raise UsageError(f"{what}: got an empty text, expected one of {', '.join(values())}")
                if one is None or (others or _may_be_own)(one) or one in (names := values()):
                    continue
                if others is not None or get_close_matches(one, names, 1):
                    raise unknown(what, one, names)
        return value

    return {"autocompletion": complete, "callback": check}


METHOD = known(methods, "--method", _is_method)
PRIOR = known(priors, "--prior")
SUITE = known(suites, "suite")
TRAINING_PRESET = known(training_presets, "--preset")
DEVICE = known(devices, "--device", lambda value: value.startswith(("cuda:", "cpu:")))
DTYPE = known(lambda: dict.fromkeys(("auto", "float32", "bfloat16"), ""), "--dtype", lambda value: False)
