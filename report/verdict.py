"""An audit in words: the lines of its table, its verdict, and what a template shows of it. Facts as in audit.py."""

from __future__ import annotations

from typing import Any

HEADS = ("check", "found", "usual", "")


def lines(table: list[dict[str, Any]]) -> list[list[str]]:
    """check, value, what is usual, and the slices in which it is flagged."""
    out = []
    for line in table:
        low, high = line["usual"]
        usual = "–" if high is None else f"{low:.3g} – {high:.3g}" if low else f"up to {high:.3g}"
        flagged = ", ".join(map(str, line["flagged"]))
        out.append(
            [line["check"], f"{line['value']:.3g}", usual, f"flagged: slice {flagged}" if flagged else ""]
        )
    return out


def verdict(facts: dict[str, Any]) -> str:
    """One sentence, and what it rests on."""
    flags, compared = len(facts["flags"]), facts["compared"]
    if "patients" not in compared:
        basis = "by limits of theory, for there is no reference"
    else:
        basis = f"by a reference of {compared['patients']} patients"
        if compared["false_flags"] is not None:
            basis += f", which flags about {compared['false_flags']:.0%} of such scans where nothing is wrong"
    if not flags:
        return f"Nothing unusual was seen, {basis}. That is no proof that the picture is right."
    return f"{flags} flag{'s' * (flags > 1)}, {basis}: look at what they say before you believe the picture."


def block(facts: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a template shows of an audit."""
    if facts is None:
        return None
    share = facts["data_share"]
    return {
        "verdict": verdict(facts),
        "heads": HEADS,
        "rows": lines(facts["table"]),
        "notes": facts["notes"],
        "share": None if share is None else f"{share:.0%}",
    }
