"""What the methods are and which settings they take, as their classes say it."""

from __future__ import annotations

import inspect
from typing import Any

from ..recon.methods import BASELINES, METHODS, class_of
from ..recon.options import settings_of
from ..recon.simulate import SIMULATIONS


def method_facts(name: str) -> dict[str, Any]:
    """A method: "method", "line", "reference" (its paper), "file", "about" (that file's own words: its equations),
    "settings" (name, kind, default, doc), and of a posterior method "uncertainty", what its spread is worth. Raises
    UsageError for an unknown name."""
    kind = class_of(name)
    entry = (METHODS | BASELINES).get(name)
    return {
        "method": name,
        "line": entry.line if entry else "",
        "reference": entry.reference if entry else "",
        "file": inspect.getfile(kind),
        "about": inspect.getdoc(inspect.getmodule(kind)) or "",
        "settings": [one._asdict() for one in settings_of(kind)],
        **({"uncertainty": kind.uncertainty} if hasattr(kind, "uncertainty") else {}),
    }


def simulation_facts() -> dict[str, list[dict[str, Any]]]:
    """The settings of `--simulate`, by modality."""
    return {name: [one._asdict() for one in settings_of(kind)] for name, kind in SIMULATIONS.items()}
