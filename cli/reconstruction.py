"""What `scanprior reconstruct` and `scanprior demo` do: scan -> problem -> methods -> files.

The output folder holds `reconstruction.h5` (mean, standard deviation, samples), `dicom/`, `report.png`, `report.html`
and `report.json` (settings, seed, hashes, versions, figures).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from .. import __version__
from ..formats.dicom_write import write_dicom
from ..formats.read import read
from ..formats.scan import FormatError, Scan, Volume
from ..formats.store import write_reconstruction
from ..operators.attenuation import MU_WATER, hu_from_mu
from ..pretrained.card import Card
from ..pretrained.load import default_for, load, load_supervised
from ..recon.baselines.methods import Baseline
from ..recon.baselines.supervised import Supervised, differences, measurement_of
from ..recon.bench.presets import settled
from ..recon.methods import method_of
from ..recon.metrics import WINDOW_HU, ct_metrics, data_residual, mri_metrics
from ..recon.posterior.base import PosteriorMethod
from ..recon.problem import Problem, Reconstruction
from ..recon.study import problem_of
from .figures import overview, save
from .output import whole_folder
from .report import write_report, write_sidecar
from .simulate import scan_of_image, slice_list
from .spec import device_of, dtype_of

Method = PosteriorMethod | Baseline | Supervised
CLASSICAL = {  # shown beside the method asked for
    "ct": ("fbp", "fista-tv"),
    "mri": ("zero-filled", "cg-sense", "l1-wavelet"),
}


@dataclass(frozen=True)
class Request:
    """What the user asked for; see `scanprior reconstruct --help`."""

    prior: str | None = None
    method: str = "dds"
    options: str = ""
    samples: int = 8
    seed: int = 0
    baselines: bool = True
    mu_water: float | None = None
    device: str = "auto"
    dtype: str = "auto"
    batch: int = 8


@dataclass(frozen=True)
class Row:
    """One method's pictures in display units (HU or magnitude), (B, H, W), and its figures."""

    name: str
    image: np.ndarray
    figures: dict[str, Any]


def reconstruct_file(
    path: Path,
    output: Path,
    request: Request,
    simulate: str | None = None,
    slices: str | None = None,
    overwrite: bool = False,
    reader: dict[str, Any] | None = None,
) -> list[Row]:
    """Read (or simulate), reconstruct, write everything into `output`; returns the table's rows."""
    if request.mu_water is not None and not 0 < request.mu_water < float("inf"):
        raise ValueError(f"--mu-water: got {request.mu_water}, expected an attenuation in 1/mm, about 0.02")
    method = method_of(request.method, request.options)
    volume: Volume | None = None
    if simulate is not None:
        scan, volume = scan_of_image(path, simulate, slices, request.seed, **(reader or {}))
    else:
        item = read(path, slices=slice_list(slices), **(reader or {}))
        if isinstance(item, Volume):
            raise FormatError(
                f"{path.name}: holds images, not measured data; add --simulate ct:views=23 (or mri:accel=4) for a "
                "retrospective study"
            )
        scan = item
    return reconstruct_scan(scan, volume, method, output, request, overwrite, title=scan.source)


def reconstruct_scan(
    scan: Scan,
    volume: Volume | None,
    method: Method,
    output: Path,
    request: Request,
    overwrite: bool,
    title: str,
) -> list[Row]:
    """Reconstruct a scan and write the output folder. `volume` gives the DICOM headers, where there are any."""
    device = device_of(request.device)
    run, card = _ready(method, "CT" if scan.kind == "ct" else "MR", request, device)
    problem = problem_of(scan, device)
    method, preset = settled(request.method, request.options, problem)
    if preset is not None and preset.settings:
        place = f"{preset.found['suite']}: {preset.found['task']}"
        print(f"settings tuned on {place}: {', '.join(f'{k}={v:g}' for k, v in preset.settings.items())}")
    if request.mu_water is not None:
        problem = replace(problem, water=request.mu_water)
    display = Display(scan, problem, card)
    rows = []
    for name in CLASSICAL[scan.kind] if request.baselines else ():
        if name != request.method:
            baseline, _ = settled(name, "", problem)
            found = baseline(problem)
            rows.append(display.row(baseline.title, found.mean, 0, found.seconds))
    result = run(method, problem)
    samples = result.samples.shape[1]
    one = "scanprior, one sample" if isinstance(method, PosteriorMethod) else result.provenance["method"]
    rows.append(display.row(one, result.samples[:, 0], result.nfe, result.seconds / samples))
    if samples > 1:
        nfe = f"{samples} x {result.nfe}"
        rows.append(display.row(f"scanprior, mean of {samples}", result.mean, nfe, result.seconds))
    _print_table(rows)
    with whole_folder(output, overwrite) as folder:
        _write(folder, scan, volume, display, result, rows, card, request, title)
    print(
        f"\nwrote {output}/: report.html, report.png, reconstruction.h5, dicom/  (research use only, not for diagnosis)"
    )
    return rows


class Display:
    """Physical units -> what people look at: HU for CT, magnitude on the asked-for matrix for MRI; and the figures."""

    def __init__(self, scan: Scan, problem: Problem, card: Card | None) -> None:
        self.scan, self.problem = scan, problem
        known = card.intensity if card else {}
        self.water: float = problem.water or float(known.get("mu_water", MU_WATER))
        self.units = "HU" if scan.kind == "ct" else "magnitude"
        self.truth = None if scan.truth is None else self.image(torch.from_numpy(np.asarray(scan.truth)))

    def image(self, x: torch.Tensor) -> np.ndarray:
        """(B, H, W) physical -> display."""
        if self.scan.kind == "ct":
            return np.asarray(hu_from_mu(x.cpu().numpy(), self.water), np.float32)
        return self.crop(x.abs().cpu().numpy())

    def spread(self, std: torch.Tensor) -> np.ndarray:
        """A standard deviation -> display units."""
        return (
            std.cpu().numpy() * (1000 / self.water)
            if self.scan.kind == "ct"
            else self.crop(std.cpu().numpy())
        )

    def crop(self, x: np.ndarray) -> np.ndarray:
        """The centre of the k-space's matrix that was asked for."""
        H, W = self.scan.matrix
        top, left = (x.shape[-2] - H) // 2, (x.shape[-1] - W) // 2
        return x[..., top : top + H, left : left + W]

    def row(self, name: str, x: torch.Tensor, nfe: int | str, seconds: float) -> Row:
        """The pictures and figures of one method."""
        image, figures = self.image(x), {}
        if self.truth is not None:
            measure = ct_metrics if self.scan.kind == "ct" else mri_metrics
            figures = measure(image, self.truth)
        residual = data_residual(self.problem.operator, x.to(self.problem.y.device), self.problem.y)
        figures |= {"residual": float(np.mean(residual)), "nfe": nfe, "seconds": seconds / len(image)}
        return Row(name, image, figures)

    @property
    def window(self) -> tuple[float, float]:
        """Grey values of the pictures."""
        if self.scan.kind == "ct":
            return WINDOW_HU
        reference = (
            self.truth
            if self.truth is not None
            else self.image(self.problem.operator.adjoint(self.problem.y))
        )
        return 0.0, float(np.quantile(reference, 0.998))


def _ready(
    method: Method, modality: str, request: Request, device: str
) -> tuple[Callable[[Any, Problem], Reconstruction], Card | None]:
    """What runs such a method, with its network, on a problem, and the network's card; None without a network."""
    if isinstance(method, Baseline):
        return lambda method, problem: method(problem), None
    if isinstance(method, Supervised):
        if request.prior is None:
            raise ValueError(
                "--method supervised needs the run of a `scanprior train --supervised` as --prior"
            )
        network, card = load_supervised(request.prior)
        network.to(device).eval()
        run = partial(_supervised, network=network, card=card, request=request)
    else:
        prior, card = load(request.prior or default_for(modality))
        prior.for_inference(device, dtype_of(request.dtype))
        run = partial(_posterior, prior=prior, request=request)
    if card.modality != modality:
        raise ValueError(
            f"prior {card.name!r} is of {card.modality} images, the scan is {modality}; choose another --prior"
        )
    return run, card


def _supervised(
    method: Supervised, problem: Problem, network: Any, card: Card, request: Request
) -> Reconstruction:
    outside = differences(card.measurement, measurement_of(problem))
    for line in outside:
        print(f"warning: outside of the network's training: {line}", file=sys.stderr)
    result = method(problem, network, request.batch)
    return replace(result, provenance={**result.provenance, "outside_of_training": outside})


def _posterior(method: PosteriorMethod, problem: Problem, prior: Any, request: Request) -> Reconstruction:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as progress:
        task = progress.add_task(f"sampling ({type(method).__name__})", total=None)
        result = method(
            problem,
            prior,
            samples=request.samples,
            seed=request.seed,
            batch=request.batch,
            callback=lambda done, total: progress.update(task, completed=done, total=total),
        )
    network = str(prior.dtype).removeprefix("torch.")
    return replace(result, provenance={**result.provenance, "network_dtype": network})


def _print_table(rows: list[Row]) -> None:
    table = Table()
    names = {
        "psnr": "PSNR [dB]",
        "ssim": "SSIM",
        "residual": "data residual",
        "nfe": "NFE",
        "seconds": "s / slice",
    }
    shown = [key for key in names if key in rows[0].figures]
    table.add_column("method")
    for key in shown:
        table.add_column(names[key], justify="right")
    formats = {"psnr": "{:.2f}", "ssim": "{:.3f}", "residual": "{:.4f}", "nfe": "{}", "seconds": "{:.2f}"}
    for row in rows:
        table.add_row(row.name, *(formats[key].format(row.figures[key]) for key in shown))
    Console().print(table)


def _write(
    folder: Path,
    scan: Scan,
    volume: Volume | None,
    display: Display,
    result: Reconstruction,
    rows: list[Row],
    card: Card | None,
    request: Request,
    title: str,
) -> None:
    provenance = {
        **result.provenance,
        "scanprior": __version__,
        "torch": torch.__version__,
        **({"prior": card.name, "prior_sha256": card.sha256} if card else {}),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "request": asdict(request),
        "nfe": result.nfe,
        "seconds": round(result.seconds, 3),
    }
    samples = np.stack([display.image(result.samples[:, s]) for s in range(result.samples.shape[1])])
    mean = display.image(result.mean)
    std = None if result.std is None else display.spread(result.std)
    spacing = scan.voxel
    write_reconstruction(folder / "reconstruction.h5", mean, std, samples, display.units, spacing, provenance)
    told = ("scanprior", "method", "prior", "seed", "samples", "nfe")
    derivation = {key: provenance[key] for key in told if key in provenance}
    modality = "CT" if scan.kind == "ct" else "MR"
    write_dicom(
        mean,
        volume,
        folder / "dicom",
        "scanprior",
        derivation,
        modality=modality,
        spacing=spacing,
        thickness=scan.thickness,
        pixel_assumed=scan.pixel_assumed,
    )
    middle = len(mean) // 2
    captions = {row.name: _caption(row) for row in rows}
    figure = overview(
        {row.name: row.image[middle] for row in rows},
        truth=None if display.truth is None else display.truth[middle],
        std=None if std is None else std[middle],
        window=display.window,
        units=display.units,
        title=title,
        captions=captions,
    )
    save(figure, folder / "report.png")
    facts = {
        "title": title,
        "input": {
            "kind": scan.kind,
            "data": list(scan.data.shape),
            "matrix": list(scan.matrix),
            "slices": len(mean),
        },
        "table": [{"method": row.name, **_rounded(row.figures)} for row in rows],
        "pictures": ["report.png"],
        "settings": result.provenance,
        "provenance": provenance,
        "prior": card.to_dict() if card else {},
    }
    write_report(folder, facts)
    write_sidecar(folder / "report.json", facts)


def _caption(row: Row) -> str:
    if "psnr" not in row.figures:
        return f"residual {row.figures['residual']:.4f}"
    return f"{row.figures['psnr']:.2f} dB · SSIM {row.figures['ssim']:.3f}"


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}
