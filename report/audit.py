"""An audit in words: the lines of its table, and its verdict.

`facts` (workflows/audit.py): flags, table, by_slice, compared, notes.
"""

from __future__ import annotations

from typing import Any

FLAGGED = "flagged"


def lines(table: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """check, value, what is usual, and whether it is flagged."""
    out = []
    for line in table:
        low, high = line["usual"]
        usual = f"{low:.3g} – {high:.3g}" if low > 0 else "–" if high == float("inf") else f"up to {high:.3g}"
        out.append((line["check"], f"{line['value']:.3g}", usual, FLAGGED if line["flagged"] else ""))
    return out


def verdict(facts: dict[str, Any]) -> str:
    """One sentence, and what it rests on."""
    flags, compared = len(facts["flags"]), facts["compared"]
    if "patients" not in compared:
        basis = "by limits of theory, for this prior has no reference"
    else:
        basis = f"by a reference of {compared['patients']} scans in-family"
        if compared["false_flags"] is not None:
            basis += f", of which about {compared['false_flags']:.0%} would be flagged too"
    if not flags:
        return f"nothing unusual was seen, {basis}; that is no proof that the picture is right"
    return f"{flags} flag{'s' * (flags > 1)}, {basis}: look at what they say before you believe the picture"
