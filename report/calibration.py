"""The page of a calibration: a table a task with a line a method, the ranks, and each method's figures place by place.

`facts`:

    title, suite, on    of the suite; which patients, or "prior"
    tasks           task -> spec
    lines           one dict a task, method and place (workflows/calibrate.py)
    pictures        task -> PNGs of the folder
    intervals       task -> tables of what is promised or held: title, heads, rows of words
    errors          methods that refused, and why
    run, priors, settings, presets      tables of facts
    command         the command line
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import __version__
from ..recon.places import WHOLE
from .page import BANNERS, embedded, sections_of, write_page
from .table import cells, columns_of, heads

KEYS = [*(f"coverage_{level}" for level in (50, 80, 90, 95)), "width", "spread_skill", "crps", "energy"]
PLACES = [*KEYS, "grain", "grain_of_mean", "uniformity"]  # of a method's figures place by place


def write_calibration_page(folder: Path, facts: dict[str, Any]) -> None:
    """`report.html`. Raises FileNotFoundError for a picture that is not in the folder."""
    keys, more = (columns_of(facts["lines"], some) for some in (KEYS, PLACES))
    truths = "images drawn from the prior" if facts["on"] == "prior" else f"{facts['on']} patients"
    shown = {
        "title": f"Calibration: {facts['title']}",
        "banner": BANNERS["posterior"],
        "subtitle": f"suite {facts['suite']}, {truths} · scanprior {__version__}",
        "of_the_prior": facts["on"] == "prior",
        "tables": [_tables(folder, task, facts, keys, more) for task in facts["tasks"]],
        "columns": heads(keys),
        "more_columns": heads(more),
        "errors": facts["errors"],
        "sections": sections_of(
            {name.capitalize(): facts[name] for name in ("run", "priors", "presets", "settings")}
        ),
        "command": facts["command"],
    }
    write_page(folder / "report.html", "calibration.html", shown)


def _tables(
    folder: Path, task: str, facts: dict[str, Any], keys: list[str], more: list[str]
) -> dict[str, Any]:
    own = [line for line in facts["lines"] if line["task"] == task]
    whole = [line for line in own if line["place"] == WHOLE]
    return {
        "task": task,
        "spec": facts["tasks"][task],
        "patients": max((line["patients"] for line in whole), default=0),
        "slices": max((line["slices"] for line in whole), default=0),
        "samples": max((line["samples"] for line in whole), default=0),
        "rows": [[line["label"], *cells(line, keys)] for line in whole],
        "pictures": [embedded(folder / name) for name in facts["pictures"].get(task, ())],
        "intervals": facts["intervals"][task],
        "methods": {
            line["label"]: [[one["place"], *cells(one, more)] for one in own if one["label"] == line["label"]]
            for line in whole
        },
    }
