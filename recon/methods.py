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
    from .baselines import Baseline, Supervised
    from .posterior import PosteriorMethod

    Method = PosteriorMethod | Baseline | Supervised

DEFAULT, PUBLISHED = "draws", "-paper"


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
                _check_said(said, found, f"{path.name}:{node.lineno} {node.name}")
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
    """The class attributes that are literals."""
    out = {}
    for item in node.body:
        target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, "target", None)
        value = getattr(item, "value", None)
        if isinstance(target, ast.Name) and value is not None:
            try:
                out[target.id] = ast.literal_eval(value)
            except ValueError:
                continue
    return out


def _check_said(said: dict[str, Any], found: dict[str, Entry], where: str) -> None:
    """Refuse a class that does not say what the command line needs: a slip in one file would be all methods'."""
    if said["name"] in found:
        raise TypeError(f"{where}: the name {said['name']!r} is {found[said['name']].kind}'s; choose another")
    if not isinstance(said.get("line"), str):
        raise TypeError(f"{where}: has no `line`, expected its line in --help, a literal")
    if not isinstance(said.get("suite", ()), tuple):
        raise TypeError(f"{where}: got suite = {said['suite']!r}, expected a tuple: ({said['suite']!r},)")


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


def in_words(method: Method) -> tuple[str, str] | None:
    """The name and the options of which `method_of` makes the same method; None where there are none: a class that
    cannot be imported, settings that no text can say."""
    kind = type(method)
    own = getattr(kind, "name", "")
    listed = own in METHODS | BASELINES and class_of(own) is kind
    name, options = own if listed else f"{kind.__module__}:{kind.__qualname__}", settings_text(method)
    try:
        same = method_of(name, options) == method
    except ValueError:
        return None
    return (name, options) if same and kind.__module__ != "__main__" else None


def settings_text(method: Method) -> str:
    """Every setting of a method that `--options` can set, as it is written there."""
    from .options import settings_of, written

    return ",".join(f"{one.name}={written(getattr(method, one.name))}" for one in settings_of(type(method)))


def _own(name: str) -> type[PosteriorMethod] | type[Baseline]:
    """The user's own class of settings. Raises ValueError for anything else."""
    from .baselines import Baseline
    from .posterior import Descent, PosteriorMethod

    kind = import_named(name, "--method")
    if not (isinstance(kind, type) and issubclass(kind, PosteriorMethod | Baseline)):
        raise ValueError(
            f"--method: {name!r} is {kind!r}, expected a class derived from scanprior.recon's PosteriorMethod, Descent "
            "or Baseline (docs/howto/own-method.md)"
        )
    if getattr(kind, "trajectory", None) is PosteriorMethod.trajectory:
        raise ValueError(f"--method: {name!r} writes no `trajectory` (docs/howto/own-method.md)")
    if issubclass(kind, Descent) and kind.step is Descent.step and kind.trajectory is Descent.trajectory:
        raise ValueError(f"--method: {name!r} writes no `step` (docs/howto/own-method.md)")
    if vars(kind).get("__annotations__") and "__dataclass_params__" not in vars(kind):
        raise ValueError(
            f"--method: {name!r} has settings of its own but is no dataclass, so that they would be ignored; write "
            "@dataclass(frozen=True) above the class"
        )
    return kind
