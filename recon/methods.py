"""The methods by the name that `--method` takes: those of `posterior/` and `baselines/`, one class each, that say
`name`, `line` (in --help), `reference` and `suite` themselves. These are literals and read from the source, so that
--help imports nothing heavy; a class is imported when it is chosen. A method of your own is `package.module:Class`.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import unknown
from ..named import import_named, is_named

if TYPE_CHECKING:
    from .baselines.methods import Baseline
    from .baselines.supervised import Supervised
    from .posterior.method import PosteriorMethod

    Method = PosteriorMethod | Baseline | Supervised

DEFAULT, PUBLISHED = "dds", "-paper"


class Entry(NamedTuple):
    """A method, not imported: where it is, and what it says of itself."""

    module: str
    kind: str
    line: str
    reference: str
    suite: tuple[str, ...]


def _entries(folder: str) -> dict[str, Entry]:
    """Name -> entry, by name; the default first, published variants last."""
    found = {}
    for path in sorted((Path(__file__).parent / folder).glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and "name" in (said := _literals(node)):
                found[said["name"]] = Entry(
                    f".{folder}.{path.stem}",
                    node.name,
                    said["line"],
                    said.get("reference", ""),
                    tuple(said.get("suite", ("",))),
                )
    return {
        name: found[name]
        for name in sorted(found, key=lambda name: (name != DEFAULT, name.endswith(PUBLISHED), name))
    }


def _literals(node: ast.ClassDef) -> dict[str, Any]:
    """The class attributes that are literals, without an annotation."""
    out = {}
    for item in node.body:
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            try:
                out[item.targets[0].id] = ast.literal_eval(item.value)
            except ValueError:
                continue
    return out


METHODS = _entries("posterior")
BASELINES = _entries("baselines")


def lines() -> str:
    """The methods for --help, one a line."""

    def line(name: str, entry: Entry) -> str:
        return f"  {name:<13} {entry.line}" + (f" ({entry.reference})" if entry.reference else "")

    posterior, baselines = ([line(*item) for item in table.items()] for table in (METHODS, BASELINES))
    return "\n".join([*posterior, "", "\b", "Without a prior of images:", *baselines])


def suite_labels() -> list[str]:
    """What the benchmark suites run where they name no methods: `name` or `name:options`, baselines first."""
    return [
        f"{name}:{options}" if options else name
        for table in (BASELINES, METHODS)
        for name, entry in table.items()
        for options in entry.suite
    ]


@cache
def class_of(name: str) -> type[Any]:
    """The class of a method; one of the user's own by `package.module:Name`. Raises ValueError for an unknown name."""
    if entry := {**METHODS, **BASELINES}.get(name):
        return getattr(import_module(entry.module, __package__), entry.kind)
    if is_named(name):
        return _own(name)
    raise unknown("--method", name, (*METHODS, *BASELINES))


def method_of(name: str, options: str, before: dict[str, Any] | None = None) -> Method:
    """The method `name` with settings such as `steps=50,eta=1`, which overrule those of `before`. Raises ValueError for
    an unknown name or setting."""
    from .options import parse

    return parse(options, class_of(name), "--options", before)


def _own(name: str) -> type[PosteriorMethod] | type[Baseline]:
    """The user's own class of settings. Raises ValueError for anything else."""
    from .baselines import Baseline
    from .posterior import PosteriorMethod

    kind = import_named(name, "--method")
    if not (isinstance(kind, type) and issubclass(kind, PosteriorMethod | Baseline)):
        raise ValueError(
            f"--method: {name!r} is {kind!r}, expected a class derived from scanprior.recon's PosteriorMethod, Descent "
            "or Baseline (docs/howto/own-method.md)"
        )
    return kind
