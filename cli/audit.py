"""`scanprior audit`: can a reconstruction be trusted here?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from ..workflows.settings import Request
from .console import Console
from .options import argument, settings_options
from .reading import Reader, reading_options
from .reconstruct import OWN
from .verb import HIDDEN, verb

__all__ = ["audit"]
# A few quick samples, and no classical methods beside (workflows/audit.py).
OTHER: dict[str, Any] = {"method": "auto", "options": "steps=10", "samples": 4}
NOT_ASKED = ("interval", "baselines", "presets", "dtype", "batch", "name_in_report", "reader")


@verb
@reading_options
@settings_options(
    Request,
    "request",
    without=NOT_ASKED,
    **{name: own | {"default": OTHER[name]} if name in OTHER else own for name, own in OWN.items()},
)
def audit(
    scan: Annotated[Path, argument("Raw data of any known format, or images with --simulate.", "SCAN")],
    request: Request,
    reader: Reader = None,
    console: Console = HIDDEN,
) -> None:
    """Reconstruct a scan and ask whether to trust it: does the image fit the data, does it predict data that were held
    out, is it of the prior's kind, do the samples agree, are angles, axis, mask and noise as stated.

    \b
    Examples:
      scanprior audit sinogram.h5
      scanprior audit dicom/ --simulate ct:views=23 --slices 4
    """
    from ..report.audit import lines, verdict
    from ..report.terminal import table
    from ..workflows.audit import audit as run

    asked = {name: value for name, value in vars(request).items() if name not in NOT_ASKED}
    result = run(scan, **asked, reader=reader or {}, progress=console)
    notes = [f"note: {line}" for line in result.notes]
    shown = table(("check", "found", "usual", ""), lines(result.table))
    console.give(result.facts, shown, verdict(result.facts), *notes)
