"""What people see of a benchmark: the table on the terminal, the worst slices, the HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ... import __version__
from ...recon.metrics import WINDOW_HU
from ...report.figures import overview, save
from ...report.page import BANNERS, cell, embedded, sections_of, write_page
from .run import Row, picture
from .suite import Suite
from .table import FLOOR, final, ranked

HEADS = {  # key of a line -> head of the column, format
    "method": ("method", "{}"),
    "psnr": ("PSNR [dB]", "{:.2f}"),
    "interval": ("95 %", "{}"),
    "ssim": ("SSIM", "{:.3f}"),
    "nrmse": ("NRMSE", "{:.3f}"),
    "vif": ("VIF", "{:.3f}"),
    "residual": ("data residual", "{:.4f}"),
    "nfe": ("NFE", "{}"),
    "seconds": ("s / slice", "{:.2f}"),
    "memory_mib": ("MiB", "{:.0f}"),
}


def cells(line: dict[str, Any]) -> list[str]:
    """A line of the table in words; ▼ where it is below FBP or zero-filling."""
    low, high = line["psnr_low"], line["psnr_high"]
    shown = {**line, "interval": "–" if low is None else f"{low:.2f} – {high:.2f}"}
    out = [cell(shown[key], form) for key, (_, form) in HEADS.items()]
    return [out[0] + (" ▼" if line.get("floor") == "below" else ""), *out[1:]]


def show(suite: Suite, lines: Sequence[dict[str, Any]]) -> None:
    """The table of each task on the terminal."""
    console = Console(width=max(Console().width, 120))
    for task in suite.tasks:
        own = [line for line in lines if line["task"] == task.name]
        table = Table(title=f"{task.name} ({task.spec})", title_justify="left")
        for key, (head, _) in HEADS.items():
            table.add_column(head, justify="left" if key == "method" else "right", no_wrap=True)
        for line in own:
            if "error" not in line:
                table.add_row(*cells(line))
        console.print(table)
        for line in own:
            if "error" in line:
                console.print(f"{line['method']}: {line['error']}", markup=False)


def worst_slices(folder: Path, suite: Suite, rows: Sequence[Row]) -> dict[str, Path]:
    """A picture a task: the slice where the best method does worst, by FBP or zero-filling and the four best. Returns
    task -> file."""
    (folder / "worst").mkdir(exist_ok=True)
    out = {}
    for task in suite.tasks:
        found = ranked(rows, task.name)
        if not found:
            continue
        floor = [row for row in found if row["label"] == FLOOR[task.modality]]
        shown = floor + [row for row in found if row not in floor][: 5 - len(floor)]
        ct = task.modality == "ct"
        out[task.name] = folder / "worst" / f"{len(out) + 1}.png"
        figure = overview(
            {row["label"]: picture(folder, row) for row in shown},
            truth=picture(folder, shown[0], "truth"),
            std=None,
            window=WINDOW_HU if ct else (0.0, 1.0),
            units="HU" if ct else "of the largest magnitude",
            title=f"{task.name}: patient {found[0]['patient']}, slice {found[0]['slice']}",
            captions={
                row["label"]: f"{final(row)['psnr']:.2f} dB · SSIM {final(row)['ssim']:.3f}" for row in shown
            },
        )
        save(figure, out[task.name])
    return out


def write_benchmark_report(
    folder: Path,
    suite: Suite,
    lines: Sequence[dict[str, Any]],
    pictures: dict[str, Path],
    facts: dict[str, Any],
    command: str,
) -> None:
    """`report.html`."""
    tables = []
    for task in suite.tasks:
        own = [line for line in lines if line["task"] == task.name]
        good = [line for line in own if "error" not in line]
        best = max((line["psnr"] for line in good), default=None)
        tables.append(
            {
                "task": task.name,
                "spec": task.spec,
                "slices": good[0]["slices"] if good else 0,
                "patients": good[0]["patients"] if good else 0,
                "rows": [{"cells": cells(line), "best": line["psnr"] == best} for line in good],
                "errors": [f"{line['method']}: {line['error']}" for line in own if "error" in line],
                "picture": embedded(pictures[task.name]) if task.name in pictures else None,
            }
        )
    low, high = WINDOW_HU
    shown = {
        "title": suite.title,
        "banner": BANNERS["posterior"],
        "subtitle": f"benchmark {suite.name} · scanprior {__version__}",
        "pareto": embedded(folder / "pareto.png"),
        "tables": tables,
        "columns": [head for head, _ in HEADS.values()],
        "conventions": f"PSNR, SSIM (7 x 7 uniform windows) and VIF of images clipped to {low:g} to {high:g} HU, or of "
        "magnitudes with the largest of the truth as range.",
        "floors": "FBP or zero-filling",
        "sections": sections_of(
            {
                "Run": {key: facts[key] for key in ("seed", "samples", "device", "threads", "torch")},
                "Priors": facts["priors"],
                "Settings": facts["settings"],
            }
        ),
        "command": command,
    }
    write_page(folder / "report.html", "benchmark.html", shown)
