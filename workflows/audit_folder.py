"""An audit as a folder (`audit.html`, `audit.json`, `audit.png`, `audit.h5` with the maps), of a scan or of what
`reconstruct` left behind; and scans kept as a reference."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..formats.scan import FormatError, Scan, Volume
from ..formats.store import add_maps, write_reconstruction
from ..recon.audit.reference import Family
from ..recon.baselines.supervised import measurement_of
from ..recon.display import Display
from ..report.audit import write_audit_page
from ..report.figures import save
from ..report.maps import audit_maps
from ..report.page import write_sidecar
from ..report.verdict import block
from .audit import Audit, audited
from .output import whole_folder
from .plan import Plan, plan_of
from .progress import Progress, told
from .references import keep
from .request import fingerprint
from .settings import AuditRequest, Request

MAPS = {  # as HDF5 and as pictures call them
    "data_share": "the data's share; the rest is the prior's",
    "residual_over_noise": "residual over that of the noise; 1 is expected",
}
HERE = ("device", "batch")  # of a request: nothing that a result is a function of
OURS = {"audit.html", "audit.json", "audit.png", "audit.h5"}


def audit_file(
    path: Path,
    request: Request,
    output: Path | None = None,
    *,
    overwrite: bool = False,
    as_reference: bool = False,
    lesions: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Audit a scan; the facts of `Audit`, and `reference`, the file that the scan was kept in.

    Args:
        output: a folder for the page and the maps; None: nothing is written.
        as_reference: keep the figures as what is usual for this prior: the scan is known to be sound.
        lesions: as of `audit`.

    Raises:
        FormatError: what cannot be read, or lacks what a reconstruction needs.
        UsageError: an unknown method or setting, a prior of another modality, a reference without a prior.
        FileExistsError: a folder that cannot be written.
    """
    tell = told(progress)
    try:
        plan = plan_of(path, request, tell)
        if as_reference and plan.card is None:
            raise UsageError(f"--as-reference: {request.method} has no prior that the reference could be of")
        result = audited(plan, request, tell, lesions)
        facts = result.facts
        if as_reference:
            facts["reference"] = str(_kept(plan, result, path))
        if output is not None:
            with whole_folder(output, overwrite, OURS, progress=tell) as folder:
                _write(folder, result, plan, f"{plan.scan.kind.upper()} scan {fingerprint(path)[:12]}")
        return facts
    finally:
        tell.close()


def audit_of_folder(folder: Path, request: Request) -> dict[str, Any]:
    """What `reconstruct` found when it wrote a folder. Raises FormatError for a folder without an audit, UsageError for
    a request that asks for anything."""
    try:
        facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        found = facts["audit"]
        if block(found) is None:  # nothing of what is shown is missing
            raise TypeError("no audit")
    except (ValueError, KeyError, TypeError):
        raise FormatError(
            f"{folder}/report.json holds no audit; audit the scan itself: scanprior audit SCAN"
        ) from None
    _check_nothing_asked(request, folder)
    return found


def request_of_folder(folder: Path, scan: Path, request: Request) -> Request:
    """What a folder was reconstructed by, to do it again with some of the data held out.

    Args:
        request: where it computes, and where the prior is, for one that the folder names and is in no cache.

    Raises:
        FormatError: a folder that `reconstruct` did not write.
        UsageError: another scan than the folder's, or a request of more.
    """
    try:
        facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        asked, digest = facts["provenance"]["request"], facts["input"]["sha256"]
        here = {name: getattr(request, name) for name in HERE}
        found = Request(**asked | here | {"baselines": False, "prior": request.prior or asked["prior"]})
    except (ValueError, KeyError, TypeError):
        raise FormatError(f"{folder}/report.json is no report of a reconstruction") from None
    _check_nothing_asked(request, folder, {"prior", *HERE})
    if fingerprint(scan) != digest:
        raise UsageError(
            f"--scan: got {scan.resolve().name}, but {folder} was made from another file (sha256 {digest[:12]}…)"
        )
    return found


def _check_nothing_asked(request: Request, folder: Path, free: Collection[str] = ()) -> None:
    """Refuse settings beside a folder, which has its own: they would be ignored."""
    usual = vars(AuditRequest(method=request.method)) | {"method": AuditRequest.method}
    said = [name for name, value in vars(request).items() if name not in free and value != usual[name]]
    if said:
        words = ", ".join(
            f"--{name}".replace("_", "-")
            for one in said
            for name in (request.reader if one == "reader" else [one])
        )
        raise UsageError(
            f"got {words} with {folder}, which was made by settings of its own; to choose them audit the scan itself: "
            "scanprior audit SCAN"
        )


def _kept(plan: Plan, result: Audit, scan: Path | Scan | Volume) -> Path:
    assert plan.card is not None
    figures = {fingerprint(scan)[:16]: [one.figures for one in result.slices]}
    family = Family(measurement_of(plan.problem), plan.name, figures, "this laboratory")
    return keep(plan.card.sha256, family)


def _write(folder: Path, result: Audit, plan: Plan, title: str) -> None:
    display = Display(plan.scan, plan.problem, plan.card)
    mean = display.image(result.mean)
    provenance = {
        "title": title,
        "method": plan.name,
        "prior": None if plan.card is None else plan.card.sha256,
    }
    path = folder / "audit.h5"
    write_reconstruction(path, mean, None, None, display.units, plan.scan.voxel, provenance)
    add_maps(path, maps_of(result, display))
    draw(folder / "audit.png", result, display, title)
    facts = result.facts | {
        "title": title,
        "method": [plan.name, plan.card.name if plan.card else "no prior"],
    }
    write_sidecar(folder / "audit.json", facts)
    write_audit_page(folder, facts)


def maps_of(result: Audit, display: Display) -> dict[str, Any]:
    """The maps on the pictures' matrix, (slices, H, W)."""
    maps = {"residual_over_noise": display.crop(result.residual)}
    return maps if result.share is None else {"data_share": display.crop(result.share), **maps}


def draw(path: Path, result: Audit, display: Display, title: str) -> None:
    """The maps of the slice with most flags, the middle one where none has any."""
    flags = [sum(f.flagged for f in result.findings if f.slice == number) for number in result.numbers]
    at = flags.index(max(flags)) if any(flags) else len(flags) // 2
    maps = {MAPS[name]: values[at] for name, values in maps_of(result, display).items()}
    where = f"{title}, slice {result.numbers[at]}"
    save(audit_maps(display.image(result.mean)[at], maps, display.window, where), path)
