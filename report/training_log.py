"""The log of a training run as numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_log(log: Path) -> tuple[list[tuple[int, float]], list[tuple[int, dict[str, float]]]]:
    """(step, loss) and (step, {noise level: PSNR}) of a log, each step once, the last word counting; a line
    cut off by a kill is left out."""
    losses: dict[int, float] = {}
    validation: dict[int, dict[str, float]] = {}
    for line in log.read_text().splitlines():
        try:
            entry: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            continue
        if "loss" in entry:
            losses[entry["step"]] = entry["loss"]
        if "validation" in entry:
            validation[entry["step"]] = entry["validation"]
    return sorted(losses.items()), sorted(validation.items(), key=lambda item: item[0])
