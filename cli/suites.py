"""The options of the verbs that run a suite, the same for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ..workflows.settings import Selection
from . import choices
from .options import USUAL, argument, into, option, settings_options

PANEL: dict[str, Any] = {"rich_help_panel": "Suite"}
SuiteName = Annotated[str, argument("One of those below, or a TOML file.", "SUITE", **choices.SUITE)]
Output = Annotated[Path, into("Folder of the results; an existing one goes on. --dry-run needs none.")]
Presets = Annotated[
    bool, option("Settings tuned for measurements like these.", None, "--presets/--no-presets")
]
Seed = Annotated[int, option("Of the samples.", "N")]
SELECTION: dict[str, Any] = {
    "data": {"metavar": "IMAGES", **PANEL},
    "methods": {"names": ("--method",), **USUAL["method"], **PANEL},
    "tasks": {"names": ("--task",), "metavar": "TASK", **PANEL},
    "patients": PANEL,
    "slices": PANEL,
    "samples": PANEL,
}
selected = settings_options(Selection, "selection", **SELECTION)


def suites_epilog() -> str:
    """The shipped suites for --help, one a line."""
    lines = [f"{name}: {title}" for name, title in choices.suites().items()]
    return "\n\n".join(["Suites, or a TOML file of your own (docs/benchmarks.md):", *lines])
