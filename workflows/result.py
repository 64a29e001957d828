"""A reconstruction and all that is said of it: in memory, as a picture, and as a folder.

The folder: `reconstruction.h5` (mean, standard deviation, samples), `dicom/` and, where slices lie evenly,
`reconstruction.nii.gz` (the mean), `report.png`, `audit.png` (the data's share, the residual), `report.html` and
`report.json` (all that is needed to do it again, and the figures), and `run.toml`, which repeats it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from .. import __version__
from ..formats.dicom_write import write_dicom
from ..formats.nifti import evenly_spaced, write_nifti
from ..formats.scan import Scan, Volume
from ..formats.store import write_reconstruction
from ..formats.write import atomic
from ..pretrained.card import Card
from ..recon.display import Display, Row
from ..recon.intervals import Intervals
from ..recon.problem import Reconstruction
from ..report.figures import interval_maps, overview, save
from ..report.page import COLUMNS, cell, write_report, write_sidecar
from .audit import Audit
from .audit_folder import draw, maps_of
from .intervals import Spread, spread_facts
from .output import whole_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A reconstruction, in HU for CT and as magnitudes for MRI.

    Attributes:
        scan: what was measured.
        warnings: what speaks against the result, a sentence each.
        assumptions: what was assumed, dropped, repaired or estimated, a sentence each.
        card: of the prior; None for classical methods.
        found: mean, spread and samples in physical units (1/mm; units of k-space), with provenance and time.
        volume: what a simulation started from; gives the DICOM headers.
        display: physical units -> `units`.
        rows: the methods beside each other, the result's own last.
        audit: whether it can be trusted here.
        slices: the numbers of the slices in the input.
        title: of the report.
        kind: of the method: "posterior", "supervised" or "classical".
        remarks: those of the assumptions that the reading made.
        given: facts about the input besides what `scan` says: its hash, what kind of measurement it is.
        asked: the request (request.py).
        beside: settings of the methods that it is compared with, by their titles.
        presets: where settings came from, by the method's name.
        spread: whether the spread is calibrated, and the intervals; None without samples of a posterior.
        command, config: the command line and the run.toml that repeat it.
    """

    scan: Scan
    warnings: list[str]
    assumptions: list[str]
    card: Card | None
    found: Reconstruction
    volume: Volume | None
    display: Display
    rows: list[Row]
    audit: Audit
    slices: list[int]
    title: str
    kind: str
    remarks: list[str]
    given: dict[str, Any]
    asked: dict[str, Any]
    beside: dict[str, dict[str, Any]]
    presets: dict[str, dict[str, Any]]
    spread: Spread | None
    command: str
    config: str

    @cached_property
    def mean(self) -> np.ndarray:
        """(slices, H, W) float32."""
        return self.display.image(self.found.mean)

    @cached_property
    def std(self) -> np.ndarray | None:
        """Standard deviation over the samples, (slices, H, W); None of one sample."""
        return None if self.found.std is None else self.display.spread(self.found.std)

    @cached_property
    def samples(self) -> np.ndarray:
        """(samples, slices, H, W); `found.samples`, a `Reconstruction`'s, has the slices first."""
        drawn = self.found.samples
        return np.stack([self.display.image(drawn[:, s]) for s in range(drawn.shape[1])])

    @property
    def intervals(self) -> Intervals | None:
        """Lower and upper ends that hold the truth as often as was asked for (`interval`), in `maps["pixels"]`, and of
        means over 5 mm; bounds of SSIM and PSNR. None where `spread` says why there are none."""
        return None if self.spread is None else self.spread.shown

    @property
    def units(self) -> str:
        """ "HU" or "magnitude"."""
        return self.display.units

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(dz, dy, dx) of a voxel [mm]; `assumptions` says where it is a guess."""
        return self.scan.voxel

    @property
    def table(self) -> list[dict[str, Any]]:
        """A row a method: its name and figures, means over the slices."""
        return [{"method": row.name, **_rounded(row.figures)} for row in self.rows]

    def plot(self, index: int | None = None) -> Figure:
        """One slice by each method, under its own figures; with the error where the truth is known, and the spread.

        Args:
            index: which of the slices; the middle one by default.
        """
        return _figure(self, len(self.slices) // 2 if index is None else range(len(self.slices))[index])

    def save(self, folder: Path | str, overwrite: bool = False) -> Path:
        """Write everything into a folder, whole or not at all: pictures, HDF5, DICOM, NIfTI, report.

        Raises:
            FileExistsError: a folder that is not empty (without `overwrite`), or holds what scanprior did not write.
        """
        folder = Path(folder)
        with whole_folder(folder, overwrite) as place:
            write_results(place, self)
        return folder

    def __repr__(self) -> str:
        samples, *shape = self.samples.shape
        name = f", prior {self.card.name}" if self.card else ""
        drawn = f", {samples} samples" if samples > 1 else ""
        sizes = " x ".join(map(str, shape))
        warned = f", warnings: {len(self.warnings)}" if self.warnings else ""
        return f"<Result: {sizes} {self.units} by {self.found.provenance['method']}{name}{drawn}{warned}>"

    def _repr_html_(self) -> str:
        from html import escape

        keys = [key for key in COLUMNS if key in self.table[-1]]
        head = "".join(f"<th>{escape(COLUMNS[key][0])}</th>" for key in keys)
        lines = [
            "".join(f"<td>{escape(cell(row.get(key), COLUMNS[key][1]))}</td>" for key in keys)
            for row in self.table
        ]
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        said = "".join(f"<p>warning: {escape(line)}</p>" for line in self.warnings)
        return f"<table><tr>{head}</tr>{body}</table>{said}"

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.plot().savefig(file, format="png")
        return file.getvalue()


def write_results(folder: Path, result: Result) -> None:
    """Fill the output folder."""
    provenance = provenance_of(result)
    scan, units, spacing = result.scan, result.display.units, result.spacing
    mean, images = result.mean, (result.mean, result.std, result.samples)
    shown = result.intervals
    ends = {} if shown is None else {f"intervals/{kind}": np.stack(both) for kind, both in shown.maps.items()}
    maps = ends | maps_of(result.audit, result.display)
    write_reconstruction(folder / "reconstruction.h5", *images, units, spacing, provenance, maps)
    told = ("scanprior", "method", "prior", "seed", "samples", "nfe")
    derivation = {key: provenance[key] for key in told if key in provenance}
    volume = Volume(
        mean,
        units,
        scan.modality,
        spacing,
        {"slice_thickness_mm": scan.thickness} if scan.thickness else {},
        dicom=None if result.volume is None else result.volume.dicom,
        slice_assumed=scan.spacing is None,
        pixel_assumed=scan.pixel_assumed,
    )
    write_dicom(mean, result.volume or volume, folder / "dicom", "scanprior", derivation)
    if evenly_spaced(volume):
        write_nifti(folder / "reconstruction.nii.gz", volume)
    save(result.plot(), folder / "report.png")
    draw(folder / "audit.png", result.audit, result.display, result.title)
    if shown is not None:
        save(_interval_figure(result, shown), folder / "intervals.png")
    facts = facts_of(result, provenance)
    write_report(folder, facts)
    write_sidecar(folder / "report.json", facts)
    with atomic(folder / "run.toml") as temporary:
        temporary.write_text(result.config, encoding="utf-8")


def provenance_of(result: Result) -> dict[str, Any]:
    """What the result came from; it stands in `reconstruction.h5` and in `report.json`."""
    card, found = result.card, result.found
    return {
        **found.provenance,
        "scanprior": __version__,
        "torch": torch.__version__,
        **({"prior": card.name, "prior_sha256": card.sha256} if card else {}),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "request": result.asked,
        "input_sha256": result.given["sha256"],
        "pixel_assumed": result.scan.pixel_assumed,
        "presets": result.presets,
        "device": str(result.display.problem.y.device),
        "nfe": found.nfe,
        "seconds": round(found.seconds, 3),
    }


def facts_of(result: Result, provenance: dict[str, Any]) -> dict[str, Any]:
    """The facts of the report (report.py)."""
    scan, display = result.scan, result.display
    given = {
        "kind": scan.kind,
        "data": list(scan.data.shape),
        "matrix": list(scan.matrix),
        "voxel_mm": list(scan.voxel),
        "pixel_size": _origin_of_pixel(result),
        "slices": result.slices,
        **result.given,
        **display.problem.facts,
    }
    if scan.kind == "ct":
        given["mu_water"] = {"per_mm": display.water, "from": display.water_origin}
    return {
        "title": result.title,
        "kind": result.kind,
        "warnings": result.warnings,
        "remarks": result.remarks,
        "input": given,
        "table": result.table,
        "audit": result.audit.facts,
        "by_slice": [
            {"slice": number, "method": row.name, **_rounded({k: float(v[i]) for k, v in row.slices.items()})}
            for i, number in enumerate(result.slices)
            for row in result.rows
        ],
        "pictures": ["report.png"],
        "pictured_slice": result.slices[len(result.slices) // 2],
        "settings": result.found.provenance,
        "compared_with": result.beside,
        "provenance": provenance,
        "prior": result.card.to_dict() if result.card else {},
        "command": result.command,
        "spread": None if result.spread is None else spread_facts(result.spread, result.slices),
    }


def _origin_of_pixel(result: Result) -> str:
    if result.asked["reader"].get("pixel_mm") is not None:
        return "--pixel-mm"
    return "assumed, the file does not say it" if result.scan.pixel_assumed else "as the file says"


def _figure(result: Result, index: int) -> Figure:
    display = result.display
    which = f", slice {result.slices[index]}" if len(result.slices) > 1 else ""
    return overview(
        {row.name: row.image[index] for row in result.rows},
        truth=None if display.truth is None else display.truth[index],
        std=None if result.std is None else result.std[index],
        window=display.window,
        units=display.units,
        title=result.title + which,
        captions={row.name: row.caption(index) for row in result.rows},
    )


def _interval_figure(result: Result, shown: Intervals) -> Figure:
    """Of the middle slice."""
    index = len(result.slices) // 2
    low, high = (end[index] for end in shown.maps["pixels"])
    which = f", slice {result.slices[index]}" if len(result.slices) > 1 else ""
    title = f"{shown.level} % intervals: {result.title}{which}"
    return interval_maps(low, result.mean[index], high, result.display.window, result.display.units, title)


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
