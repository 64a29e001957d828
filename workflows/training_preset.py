"""Training presets: TOML files that say how a prior is trained (docs/priors.md)."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

PRESETS = Path(__file__).parent / "presets"


def read_preset(name: str) -> dict[str, Any]:
    """A shipped preset or a TOML file. Raises ValueError with the known names."""
    path = PRESETS / f"{name}.toml"
    path = path if path.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in PRESETS.glob("*.toml")))
        raise ValueError(f"no preset {name!r}: neither a TOML file nor one of {known}")
    table = tomllib.loads(path.read_text())
    for section in ("prior", "network", "crops", "training"):
        if section not in table:
            raise ValueError(f"{path}: the preset lacks its [{section}] table")
    return {**table, "name": path.stem}
