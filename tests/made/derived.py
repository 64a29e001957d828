"""What the methods' classes say of themselves, written where it must be written down: the names in the stubs, which
type checkers read, and the table of docs/methods.md.

    python tests/made/derived.py        # after adding a method or a baseline; then look at `git diff`

`tests/test_public.py` compares what stands there with what this writes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from scanprior.recon.methods import BASELINES, METHODS, PUBLISHED, Entry, class_of

ROOT = Path(__file__).parents[2]
STUBS = {  # stub -> the methods that it names
    ROOT / "recon/__init__.pyi": METHODS | BASELINES,
    ROOT / "recon/posterior/__init__.pyi": METHODS,
    ROOT / "recon/baselines/__init__.pyi": BASELINES,
}
PAGE, BEGIN, END = (
    ROOT / "docs/methods.md",
    "<!-- python tests/made/derived.py -->\n",
    "<!-- until here -->\n",
)


def missing(stub: Path) -> list[str]:
    """The lines that a stub lacks. `DDS.paper()` is the way to a published setting, which no stub names."""
    there = {
        alias.name for node in ast.walk(ast.parse(stub.read_text())) for alias in getattr(node, "names", ())
    }
    return [
        f"from {_within(entry, stub)} import {entry.kind} as {entry.kind}"
        for name, entry in STUBS[stub].items()
        if not name.endswith(PUBLISHED) and entry.kind not in there
    ]


def _within(entry: Entry, stub: Path) -> str:
    """The entry's module, as `recon/__init__.pyi` or one of a folder below it imports it."""
    inside = entry.module.removeprefix(f".{stub.parent.name}")
    return inside if stub.parent.name != "recon" else entry.module


def page() -> str:
    """docs/methods.md with its table as the classes have it."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n".join(_rows()) + "\n" + END + after


def _rows() -> list[str]:
    rows = ["| `--method` | | evaluations | VJPs | its spread |", "|---|---|---|---|---|"]
    for name, entry in METHODS.items():
        if not name.endswith(PUBLISHED):
            kind = class_of(name)
            method = kind()
            said = f"{entry.line} ({entry.reference})"
            rows.append(f"| `{name}` | {said} | {method.nfe} | {method.vjps or '–'} | {kind.uncertainty} |")
    return rows


if __name__ == "__main__":
    for path in STUBS:
        text = path.read_text() + "".join(f"{line}\n" for line in missing(path))
        path.write_text("".join(sorted(re.findall(r"^from .*\n(?:[ )].*\n)*", text, re.M))))
    PAGE.write_text(page(), encoding="utf-8")
