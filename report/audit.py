"""The page of an audit.

`facts` (workflows/audit.py):

    title, method   of the page
    flags           what was seen and what to check, a sentence each
    table           one dict a check: check, value, usual, slice, flagged
    compared        with what: `with`, and of a reference `patients` and `false_flags`
    notes           what must be known of the checks here
    data_share      the data's share of the image, the mean over pixels and slices; None where it was not computed
    by_slice, lesions   in audit.json only
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .page import BANNERS, embedded, sections_of, write_page
from .verdict import block


def write_audit_page(folder: Path, facts: dict[str, Any]) -> None:
    """`audit.html`. Raises FileNotFoundError for a picture that is not in the folder."""
    shown = {
        "title": f"Audit: {facts['title']}",
        "banner": BANNERS["posterior"],
        "subtitle": " · ".join(facts["method"]),
        "warnings": facts["flags"],
        "picture": embedded(folder / "audit.png"),
        "audit": block(facts),
        "sections": sections_of({"Compared with": facts["compared"]}),
        "command": None,
    }
    write_page(folder / "audit.html", "audit.html", shown)
