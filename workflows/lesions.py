"""Which lesions survive? Lesions are put into a suite's slices before these are measured, and looked for afterwards.

The output folder holds `rows/` (a file a method and slice: a run that was stopped goes on), `lesions.csv` (every lesion
in every reconstruction), `kinds.csv` (a line a kind), `lesions.json` (all tables, and what was run) and `smallest.png`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..report.curves import smallest_lesions
from ..report.page import write_sidecar
from .benchmark.results import Selection, run_suite
from .benchmark.rows import Row
from .benchmark.suite import Suite, read_suite
from .benchmark.table import refusals
from .lesion_rows import FALSE_MM, FALSE_THRESHOLD, Insertion, lesion_jobs
from .lesion_table import by_class, by_kind, by_size, false_of, lesions_of, smallest, write_csv
from .progress import Progress, told


@dataclass(frozen=True)
class LesionsResult:
    """Lesions that were looked for.

    Attributes:
        suite: what was run of it.
        kinds, classes, sizes, false: tables, a dict a line (lesion_table.py): by kind of lesion, by the ideal
            observer's d', what an observer of the pictures sees, and the lesions that were made up.
        rows: one a task, method and slice.
        errors: methods that refused, and why.
        folder: where all of it lies.
    """

    suite: Suite
    kinds: list[dict[str, Any]]
    classes: list[dict[str, Any]]
    sizes: list[dict[str, Any]]
    false: list[dict[str, Any]]
    rows: list[Row]
    errors: list[str]
    folder: Path


def lesions(
    suite: str | Suite,
    output: Path | str,
    selection: Selection | None = None,
    insertion: Insertion | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    presets: bool = True,
    progress: Progress | None = None,
) -> LesionsResult:
    """Run the methods of a suite on its slices with lesions and without, and write the output folder.

    Args:
        suite: shipped, a TOML file, or one put together in Python.
        selection: what of it, as `benchmark`.
        insertion: which lesions, and how many a slice.

    Raises:
        ValueError: an unknown suite, task or method; slices without room for any lesion.
        FileNotFoundError: images that are not there.
        FileExistsError: a folder with anything else in it.
    """
    selection, output = selection or Selection(), Path(output)
    insertion = insertion or Insertion()
    whole = read_suite(suite) if isinstance(suite, str) else suite
    chosen = selection.of(whole)
    make = lesion_jobs(insertion)
    rows, facts = run_suite(chosen, output, selection.prior, seed, device, presets, told(progress), make)
    found = lesions_of(rows)
    kinds, classes, false = by_kind(rows), by_class(rows), false_of(rows)
    sizes = by_size(rows, _patches(output, rows))
    errors = refusals(rows)
    write_csv(output / "lesions.csv", found)
    write_csv(output / "kinds.csv", kinds)
    facts |= {
        "insertion": asdict(insertion),
        "false_lesions": {"diameter_mm": FALSE_MM, "threshold": FALSE_THRESHOLD},
    }
    write_sidecar(
        output / "lesions.json",
        {**facts, "errors": errors, "kinds": kinds, "classes": classes, "sizes": sizes, "false": false},
    )
    survivors = {figure: smallest(kinds, figure) for figure in ("kept", "kept_or_told")}
    smallest_lesions(output / "smallest.png", survivors["kept"], survivors["kept_or_told"])
    return LesionsResult(chosen, kinds, classes, sizes, false, rows, errors, output)


def _patches(folder: Path, rows: list[Row]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A row's key -> pictures around its lesions, with and without."""
    out = {}
    for row in rows:
        if "lesions" in row:
            with np.load(folder / "rows" / f"{row['key']}.npz", allow_pickle=False) as stored:
                out[row["key"]] = (stored["present"], stored["absent"])
    return out
