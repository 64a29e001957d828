"""`scanprior audit`: can a reconstruction be trusted here?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from ..errors import UsageError
from ..workflows.settings import QUICK, AuditRequest
from .console import Console
from .options import Overwrite, argument, into, option, settings_options
from .reading import Reader, reading_options
from .reconstruct import OWN, epilog
from .verb import HIDDEN, verb

__all__ = ["audit", "epilog"]
HIDES = ("reader", "interval", "baselines", "name_in_report")
SHOWN: dict[str, Any] = {name: more for name, more in OWN.items() if name not in HIDES}
SHOWN["options"] = SHOWN["options"] | {"show_default": f"{QUICK} of auto"}


@verb
@reading_options
@settings_options(AuditRequest, "request", without=HIDES, **SHOWN)
def audit(
    path: Annotated[
        Path,
        argument("Raw data, images with --simulate, or what `reconstruct` wrote.", "SCAN|FOLDER"),
    ],
    request: AuditRequest,
    scan: Annotated[
        Path | None, option("What the FOLDER was made from: hold some of it out.", "SCAN")
    ] = None,
    output: Annotated[Path | None, into("Folder for a page and maps.")] = None,
    overwrite: Overwrite = False,
    as_reference: Annotated[
        bool,
        option(
            "The scan is sound: keep it as what is usual.", None, "--as-reference", rich_help_panel="Output"
        ),
    ] = False,
    lesions: Annotated[
        bool, option("Put lesions into the data too, and look for them.", None, "--lesions")
    ] = False,
    reader: Reader = None,
    console: Console = HIDDEN,
) -> None:
    """Ask whether to trust a reconstruction: does it fit the data, does it predict data that were held out, is the
    image of the prior's kind, do the samples agree, are angles, axis, mask and noise as stated. How much of each pixel
    the data say, and how much the prior.

    \b
    Examples:
      scanprior audit sinogram.h5 -o audit/
      scanprior audit dicom/ --simulate ct:views=23 --slices 4
      scanprior audit out/                     # what the report there says
      scanprior audit out/ --scan sinogram.h5  # and with some data held out
    """
    if output is not None:
        from ..workflows.audit_folder import OURS
        from ..workflows.output import check_output

        check_output(output, overwrite, OURS)
    from ..workflows.audit_folder import audit_file, audit_of_folder, request_of_folder

    asked, made = replace(request, reader=reader or {}), (path / "report.json").is_file()
    if scan is not None and not made:
        raise UsageError(f"--scan: {path} is no folder that `reconstruct` wrote")
    if (path / "audit.json").is_file() and not made:
        raise UsageError(f"{path} is what `audit` wrote: look at audit.html there, or audit the scan again")
    if made and scan is None:
        if output is not None or as_reference or lesions:
            raise UsageError(f"{path} needs its scan for that: add --scan SCAN")
        give(console, audit_of_folder(path, asked), None)
        return
    if scan is not None:
        asked = request_of_folder(path, scan, asked)
    how: dict[str, Any] = {"overwrite": overwrite, "as_reference": as_reference, "lesions": lesions}
    how["progress"] = console
    give(console, audit_file(path if scan is None else scan, asked, output, **how), output)


def give(console: Console, facts: dict[str, Any], output: Path | None) -> None:
    """The table, the verdict, and what was written."""
    from ..report.terminal import table
    from ..report.verdict import HEADS, lines, verdict

    said = [verdict(facts), *(f"note: {line}" for line in facts["notes"])]
    if facts["data_share"] is not None:
        said.append(f"the data say {facts['data_share']:.0%} of the image, the prior the rest")
    if "lesions" in facts:
        said += lesion_words(facts["lesions"])
    if "reference" in facts:
        said.append(f"kept as a sound scan in {facts['reference']}")
    if output is not None:
        said.append(f"wrote {output}/: audit.html, audit.json, audit.png, audit.h5")
    value = facts | ({} if output is None else {"output": str(output)})
    console.give(value, table(list(HEADS), lines(facts["table"])), *said)


def lesion_words(kinds: list[dict[str, Any]]) -> list[str]:
    """The table of lesions that were put into the data (docs/lesions.md)."""
    from ..report.table import cells, heads
    from ..report.terminal import wide

    if not kinds:
        return ["lesions: no slice has room for one in lung, soft tissue or white matter"]
    keys = [
        "site",
        "contrast",
        "diameter_mm",
        "lesions",
        "detectability",
        "recovery",
        "found",
        "open",
        "denied",
        "off",
    ]
    rows = [cells(line, keys, intervals=()) for line in kinds]
    return [wide(heads(keys), rows, "lesions put into the data, and what became of them")]
