"""What the methods are and which settings they take, read from their classes: fields, defaults, and what the docstring
says of each."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from ..recon.methods import BASELINES, METHODS, method_of
from ..recon.simulate import CTSimulation, MRISimulation

SIMULATIONS = {"ct": CTSimulation, "mri": MRISimulation}


def listing() -> list[dict[str, Any]]:
    """Every method: "method", "prior" (whether it needs one), "what"."""
    tables = ((METHODS, True), (BASELINES, False))
    return [
        {"method": name, "prior": needed, "what": line}
        for table, needed in tables
        for name, (_, _, line) in table.items()
    ]


def method_facts(name: str) -> dict[str, Any]:
    """A method: "method", "what", "about" (the paper and the equations), "settings" (`settings_of`). Raises ValueError
    for an unknown name."""
    kind = type(method_of(name, ""))
    line = next((one["what"] for one in listing() if one["method"] == name), "")
    about = inspect.getdoc(inspect.getmodule(kind)) or ""
    return {"method": name, "what": line, "about": about, "settings": settings_of(kind)}


def simulation_facts() -> dict[str, list[dict[str, Any]]]:
    """The settings of `--simulate`, by modality."""
    return {name: settings_of(kind) for name, kind in SIMULATIONS.items()}


def settings_of(kind: type) -> list[dict[str, Any]]:
    """The settings of a dataclass: "name", "default", "what"."""
    said = _attributes(inspect.getdoc(kind) or "")
    return [
        {"name": f.name, "default": f.default, "what": said.get(f.name, "")}
        for f in dataclasses.fields(kind)
        if f.init and (f.default is None or isinstance(f.default, bool | int | float | str))
    ]


def _attributes(docstring: str) -> dict[str, str]:
    """name -> what the docstring's section Attributes says of it."""
    _, _, section = docstring.partition("\nAttributes:\n")
    said: dict[str, str] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):
            break  # another section
        if found := re.match(r"    (\w+(?:, \w+)*): (.*)", line):
            names = found[1].split(", ")
            said |= dict.fromkeys(names, found[2])
        elif line.strip():
            said |= {name: f"{said[name]} {line.strip()}" for name in names}
    return said
