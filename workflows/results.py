"""The output folder of a reconstruction: `reconstruction.h5` (mean, standard deviation, samples), `dicom/` and, where
slices lie evenly, `reconstruction.nii.gz` (the mean), `report.png`, `report.html` and `report.json` (all that is needed
to do it again, and the figures)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..formats.dicom_write import write_dicom
from ..formats.nifti import evenly_spaced, write_nifti
from ..formats.scan import Scan, Volume
from ..formats.store import write_reconstruction
from ..pretrained.card import Card
from ..recon.display import Display, Row
from ..recon.problem import Reconstruction
from ..report.figures import overview, save
from ..report.page import write_report, write_sidecar


@dataclass(frozen=True)
class Study:
    """A reconstruction and all that is said of it.

    Attributes:
        volume: what a simulation started from; gives the DICOM headers.
        slices: the numbers of the slices in the input.
        title: of the report.
        kind: of the method: "posterior", "supervised" or "classical".
        warnings, remarks: a sentence each.
        given: facts about the input besides what `scan` says: its hash, what kind of measurement it is.
        asked: the request (request.py).
        beside: settings of the methods that it is compared with, by their titles.
        presets: where settings came from, by the method's name.
        command: the command line that repeats it.
    """

    scan: Scan
    volume: Volume | None
    display: Display
    result: Reconstruction
    rows: list[Row]
    card: Card | None
    slices: list[int]
    title: str
    kind: str
    warnings: list[str]
    remarks: list[str]
    given: dict[str, Any]
    asked: dict[str, Any]
    beside: dict[str, dict[str, Any]]
    presets: dict[str, dict[str, Any]]
    command: str


def write_results(folder: Path, study: Study) -> None:
    """Fill the output folder."""
    provenance = provenance_of(study)
    scan, display, result = study.scan, study.display, study.result
    samples = np.stack([display.image(result.samples[:, s]) for s in range(result.samples.shape[1])])
    mean = display.image(result.mean)
    std = None if result.std is None else display.spread(result.std)
    spacing = scan.voxel
    write_reconstruction(folder / "reconstruction.h5", mean, std, samples, display.units, spacing, provenance)
    told = ("scanprior", "method", "prior", "seed", "samples", "nfe")
    derivation = {key: provenance[key] for key in told if key in provenance}
    modality = scan.modality
    write_dicom(
        mean,
        study.volume,
        folder / "dicom",
        "scanprior",
        derivation,
        modality=modality,
        spacing=spacing if scan.spacing is not None else (None, *spacing[1:]),
        thickness=scan.thickness,
        pixel_assumed=scan.pixel_assumed,
    )
    headers = study.volume.dicom if study.volume is not None else None
    volume = Volume(mean, display.units, modality, spacing, dicom=headers, pixel_assumed=scan.pixel_assumed)
    if evenly_spaced(volume):
        write_nifti(folder / "reconstruction.nii.gz", volume)
    _draw(folder / "report.png", study, std)
    facts = facts_of(study, provenance)
    write_report(folder, facts)
    write_sidecar(folder / "report.json", facts)


def provenance_of(study: Study) -> dict[str, Any]:
    """What the result came from; it stands in `reconstruction.h5` and in `report.json`."""
    card, result = study.card, study.result
    return {
        **result.provenance,
        "scanprior": __version__,
        "torch": torch.__version__,
        **({"prior": card.name, "prior_sha256": card.sha256} if card else {}),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "request": study.asked,
        "input_sha256": study.given["sha256"],
        "pixel_assumed": study.scan.pixel_assumed,
        "presets": study.presets,
        "device": str(study.display.problem.y.device),
        "nfe": result.nfe,
        "seconds": round(result.seconds, 3),
    }


def facts_of(study: Study, provenance: dict[str, Any]) -> dict[str, Any]:
    """The facts of the report (report.py)."""
    scan, display = study.scan, study.display
    given = {
        "kind": scan.kind,
        "data": list(scan.data.shape),
        "matrix": list(scan.matrix),
        "voxel_mm": list(scan.voxel),
        "pixel_size": _origin_of_pixel(study),
        "slices": study.slices,
        **study.given,
        **display.problem.facts,
    }
    if scan.kind == "ct":
        given["mu_water"] = {"per_mm": display.water, "from": display.water_origin}
    return {
        "title": study.title,
        "kind": study.kind,
        "warnings": study.warnings,
        "remarks": study.remarks,
        "input": given,
        "table": [{"method": row.name, **_rounded(row.figures)} for row in study.rows],
        "by_slice": [
            {"slice": number, "method": row.name, **_rounded({k: float(v[i]) for k, v in row.slices.items()})}
            for i, number in enumerate(study.slices)
            for row in study.rows
        ],
        "pictures": ["report.png"],
        "pictured_slice": study.slices[len(study.slices) // 2],
        "settings": study.result.provenance,
        "compared_with": study.beside,
        "provenance": provenance,
        "prior": study.card.to_dict() if study.card else {},
        "command": study.command,
    }


def _origin_of_pixel(study: Study) -> str:
    if study.asked["reader"].get("pixel_mm") is not None:
        return "--pixel-mm"
    return "assumed, the file does not say it" if study.scan.pixel_assumed else "as the file says"


def _draw(path: Path, study: Study, std: np.ndarray | None) -> None:
    """The middle slice by each method, under its own figures."""
    display, middle = study.display, len(study.slices) // 2
    which = f", slice {study.slices[middle]}" if len(study.slices) > 1 else ""
    figure = overview(
        {row.name: row.image[middle] for row in study.rows},
        truth=None if display.truth is None else display.truth[middle],
        std=None if std is None else std[middle],
        window=display.window,
        units=display.units,
        title=study.title + which,
        captions={row.name: row.caption(middle) for row in study.rows},
    )
    save(figure, path)


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
