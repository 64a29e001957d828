"""The report of a reconstruction: one self-contained HTML page, and the same facts as JSON.

`facts`:

    title       what was reconstructed
    table       one dict a method: method, psnr [dB], ssim, residual, nfe, seconds (a slice), and any others: means
    kind        of the method: posterior, supervised or classical    (optional, as all below; posterior)
    warnings    what speaks against the result, a sentence each; they come first
    remarks     what was assumed, dropped or repaired when the input was read
    input       facts about the data; its list `slices` holds their numbers
    pictures    PNG files in the folder, embedded in the page
    by_slice    one dict a slice and method: slice, method, and its figures
    pictured_slice  the number of the slice in the pictures
    audit       its checks (report/audit.py); their picture is `audit.png`
    spread      whether the spread is calibrated: `line`; with intervals `sentences` and `by_slice`, a dict a slice
    settings    of the method
    compared_with  settings of the other methods in the table
    provenance  versions, seed, date, …
    prior       its card
    command     the command line
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..formats.write import atomic
from .table import COLUMNS, cell, cells, heads
from .verdict import block
from .words import plain, words

TEMPLATES = Path(__file__).parent / "templates"
BANNERS = {  # kind of the method -> what must be known of its pictures
    "posterior": "These pictures contain structure that comes from a learned prior, not from the measurement.",
    "supervised": "These pictures contain structure that comes from a network's training, not from the measurement.",
    "classical": "These pictures come from the measurement alone, by a classical method without a network: where it "
    "says too little, streaks, aliasing and blur can look like structure.",
}
ON_THE_PAGE = (
    "name",
    "description",
    "modality",
    "licence",
    "data",
    "matrix",
    "pixel_mm",
    "window",
    "validation",
)


def write_report(folder: Path, facts: dict[str, Any]) -> None:
    """Write `report.html` into `folder`.

    Raises:
        ValueError: facts without a title or a table.
        FileNotFoundError: a picture that is not in the folder.
    """
    if missing := [key for key in ("title", "table") if not facts.get(key)]:
        raise ValueError(f"a report needs {' and '.join(missing)}; got the facts {', '.join(sorted(facts))}")
    write_page(folder / "report.html", "report.html", contents(folder, facts))


def write_page(path: Path, template: str, shown: dict[str, Any]) -> None:
    """A page of `templates/`, whole or not at all; a name that the template needs and `shown` lacks is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(shown)
    with atomic(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def write_sidecar(path: Path, facts: dict[str, Any]) -> None:
    """Write facts as JSON with sorted keys; numpy numbers become plain ones. JSON has none that are not finite: they
    become words, "nan" or "inf", and a warning says where."""
    strange: list[str] = []
    shown = plain(facts, "", strange)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(shown, indent=2, sort_keys=True, allow_nan=False) + "\n")
    for line in strange:
        print(f"warning: {path.name}: {line}", file=sys.stderr)


def contents(folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """What the template shows."""
    table: list[dict[str, Any]] = facts["table"]
    keys = sorted({key for row in table for key in row}, key=_place)
    settings = facts.get("settings", {})
    provenance = {key: value for key, value in facts.get("provenance", {}).items() if key not in settings}
    samples = settings.get("samples", provenance.get("samples"))
    prior = facts.get("prior", {})
    card = {key: prior[key] for key in ON_THE_PAGE if prior.get(key)}
    if prior.get("sha256"):
        card["sha256"] = f"{prior['sha256'][:16]}…"
    given = facts.get("input", {})
    sections = {
        "Input": given,
        "Method": settings,
        "Compared with": facts.get("compared_with"),
        "Prior": card,
        "Provenance": provenance,
    }
    return {
        "title": facts["title"],
        "banner": BANNERS[facts.get("kind", "posterior")],
        "warnings": facts.get("warnings", []),
        "remarks": facts.get("remarks", []),
        "count": len(given.get("slices", [0])),
        "pictured": facts.get("pictured_slice"),
        "by_slice": by_slice(facts.get("by_slice", [])),
        "subtitle": " · ".join(
            str(word) for word in (settings.get("method"), prior.get("name"), "scanprior") if word
        ),
        "pictures": [embedded(folder / name) for name in facts.get("pictures", ())],
        "columns": heads(keys),
        "rows": [cells(row, keys) for row in table],
        "narrow": settings.get("method") == "DDS"
        and settings.get("eta") == 1
        and not settings.get("ancestral"),
        "audit": block(facts.get("audit")),
        "audit_picture": embedded(folder / "audit.png") if (folder / "audit.png").is_file() else None,
        "has_truth": any("psnr" in row for row in table),
        "samples": samples,
        "spread": facts.get("spread"),
        "intervals": interval_table(facts.get("spread")),
        "interval_picture": embedded(folder / "intervals.png")
        if (folder / "intervals.png").is_file()
        else None,
        "uncertainty": round(100 / math.sqrt(2 * samples - 2)) if samples and samples > 1 else None,
        "sections": sections_of(sections),
        "command": facts.get("command"),
        "command_note": "INPUT is the file or folder whose content has the sha256 above, OUTPUT any new folder.",
    }


def by_slice(entries: list[dict[str, Any]]) -> dict[str, Any] | None:
    """A table with a line a slice and a column a method, of PSNR, or without a truth of data residuals; None for less
    than two slices."""
    slices = list(dict.fromkeys(entry["slice"] for entry in entries))
    methods = list(dict.fromkeys(entry["method"] for entry in entries))
    if len(slices) < 2:
        return None
    key = "psnr" if "psnr" in entries[0] else "residual"
    cells = {(e["slice"], e["method"]): cell(e.get(key), COLUMNS[key][1]) for e in entries}
    rows = [[str(number), *(cells[number, method] for method in methods)] for number in slices]
    return {"what": COLUMNS[key][0], "columns": ["slice", *methods], "rows": rows}


def interval_table(spread: dict[str, Any] | None) -> dict[str, Any] | None:
    """The bounds slice by slice, and what the intervals held where the truth is known; None without intervals."""
    entries = (spread or {}).get("by_slice", [])
    if not entries:
        return None
    forms = {"ssim": ("SSIM at least", "{:.3f}"), "psnr": ("PSNR at least [dB]", "{:.1f}")}
    forms |= {
        "held pixels": ("truth in: pixels", "{:.0%}"),
        "held 5 mm": ("truth in: means over 5 mm", "{:.0%}"),
    }
    keys = [key for key in forms if key in entries[0]]
    rows = [[str(e["slice"]), *(cell(e[key], forms[key][1]) for key in keys)] for e in entries]
    return {"columns": ["slice", *(forms[key][0] for key in keys)], "rows": rows}


def sections_of(parts: dict[str, Any]) -> list[dict[str, Any]]:
    """Tables of facts below the page, without the empty ones."""
    return [{"title": title, "facts": list(_flat(part))} for title, part in parts.items() if part]


def _place(key: str) -> tuple[int, str]:
    """Known columns in their order, others after them."""
    return (list(COLUMNS).index(key) if key in COLUMNS else len(COLUMNS), key)


def embedded(path: Path) -> dict[str, str]:
    """A PNG as a page holds it. Raises FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the report's picture is missing; write it before the report")
    return {"name": path.stem, "data": base64.b64encode(path.read_bytes()).decode()}


def _flat(table: dict[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts as (name, words), leaving out what is empty."""
    for key, value in table.items():
        name = f"{above}{key}".replace("_", " ")
        if isinstance(value, dict):
            yield from _flat(value, f"{name} ")
        elif value not in (None, "", [], ()):
            yield name, words(value)
