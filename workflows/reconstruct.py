"""What `scanprior reconstruct` and `scanprior demo` do: scan -> problem -> methods -> files (results.py).

Slices are kept as they are finished (finished.py), and the output folder is filled when all are (output.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ..formats.read import read
from ..formats.scan import FormatError, Scan, Volume
from ..pretrained.card import Card
from ..pretrained.load import default_for, load_any, load_supervised
from ..recon.baselines.methods import Baseline
from ..recon.baselines.supervised import Supervised, differences, measurement_of
from ..recon.display import Display, Row
from ..recon.domain import beyond, noise_residual, outside, worse
from ..recon.methods import method_of
from ..recon.posterior.method import PosteriorMethod
from ..recon.presets import tuned_method
from ..recon.problem import Problem, Reconstruction
from ..recon.study import problem_of
from ..report.page import COLUMNS
from .benchmark.table import FLOOR
from .device import device_of, dtype_of
from .finished import Solver, by_slices
from .output import done_so_far, whole_folder
from .remarks import remarks
from .request import Request, asked, command, fingerprint, result_of
from .results import Study, write_results
from .simulate import scan_of_image, slice_list

Method = PosteriorMethod | Baseline | Supervised
CLASSICAL = {  # shown beside the method asked for
    "ct": ("fbp", "fista-tv"),
    "mri": ("zero-filled", "cg-sense", "l1-wavelet"),
}
KINDS = {PosteriorMethod: "posterior", Supervised: "supervised", Baseline: "classical"}


@dataclass(frozen=True)
class Ready:
    """A scan and what will reconstruct it.

    Attributes:
        volume: what a simulation started from.
        method: with its settings; `name` is what `--method` calls it.
        network: of the method, and `card` its card; None for classical methods.
        beside: the classical methods to compare with, by their names.
        presets: where settings came from, or why no preset was used, by the method's name.
    """

    scan: Scan
    volume: Volume | None
    problem: Problem
    name: str
    method: Method
    network: Any
    card: Card | None
    beside: dict[str, Baseline]
    presets: dict[str, dict[str, Any]]

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Of each method, by its name."""
        methods = {self.name: self.method, **self.beside}
        return {name: dict(getattr(method, "settings", {})) for name, method in methods.items()}


def reconstruct_file(path: Path, output: Path, request: Request, overwrite: bool = False) -> list[Row]:
    """Read (or simulate), reconstruct, write everything into `output`; returns the table's rows."""
    ready = make_ready(path, request)
    request = replace(request, dtype=_dtype(ready.network))  # what `auto` is depends on the machine
    early = _warned(_beforehand(ready))
    digest = fingerprint(path)
    run = result_of(request, ready.method, ready.card, digest, ready.settings)
    with whole_folder(output, overwrite, run=run) as folder:
        found = _solved(ready, request, done_so_far(folder))
        study = _study(ready, request, found, early, path.resolve().name, digest)
        print_table(study.rows)
        write_results(folder, study)
    nifti = " and .nii.gz" if (output / "reconstruction.nii.gz").exists() else ""
    print(
        f"\nwrote {output}/: report.html, report.png, reconstruction.h5{nifti}, dicom/ "
        "(research use only, not for diagnosis)"
    )
    return study.rows


def _study(
    ready: Ready,
    request: Request,
    found: dict[str, Reconstruction],
    warnings: list[str],
    name: str,
    digest: str,
) -> Study:
    """The methods beside each other, with all that is said of them. `name`, `digest`: of the input."""
    scan, method, card = ready.scan, ready.method, ready.card
    slices = slice_list(request.slices) or list(range(scan.slices))
    display = Display(scan, ready.problem, card)
    result = found[ready.name]
    beside = {ready.beside[key].title: one for key, one in found.items() if key != ready.name}
    rows = _rows(display, method, result, beside)
    late = _warned(_not_finite(rows, slices) + _afterwards(ready, display, rows, slices))
    named = request.name_in_report
    return Study(
        scan=scan,
        volume=ready.volume,
        display=display,
        result=result,
        rows=rows,
        card=card,
        slices=slices,
        title=name if named else f"{scan.kind.upper()} scan {digest[:12]}",
        kind=next(word for base, word in KINDS.items() if isinstance(method, base)),
        warnings=warnings + late,
        remarks=[line if named else line.replace(name, "INPUT") for line in remarks(scan)],
        given={"sha256": digest, "measurement": measurement_of(ready.problem)},
        asked=asked(request, method, card),
        beside={title: one.provenance for title, one in beside.items()},
        presets=ready.presets,
        command=command(request, method, card, name if named else "INPUT"),
    )


def make_ready(path: Path, request: Request) -> Ready:
    """Read (or simulate) the scan, pose the problem, settle the methods; says what was assumed on the way.

    Raises:
        FormatError: images without a simulation, or what a reader refuses.
        ValueError: an unknown method or setting, a prior of another modality.
    """
    method = method_of(request.method, request.options)  # refused before anything is read
    scan, volume = _measured(path, request)
    for line in remarks(scan):
        print(f"note: {line}")
    device = device_of(request.device)
    network, card = _network_of(method, scan.modality, request, device)
    problem = problem_of(scan, device)
    if request.mu_water is not None:
        problem = replace(problem, water=request.mu_water, facts=problem.facts | {"mu_water": "--mu-water"})
    others = [name for name in CLASSICAL[scan.kind] if request.baselines and name != request.method]
    methods, presets = {}, {}
    for name in (request.method, *others):
        options = request.options if name == request.method else ""
        weights = card.sha256 if card and name == request.method else ""
        tuned = tuned_method(name, options, problem, weights, request.presets)
        methods[name], presets[name] = tuned.method, tuned.facts
        if tuned.preset is not None:
            print(f"{name}: {tuned.line}")
    presets = {name: facts for name, facts in presets.items() if facts}
    method = methods.pop(request.method)
    return Ready(scan, volume, problem, request.method, method, network, card, methods, presets)


def _measured(path: Path, request: Request) -> tuple[Scan, Volume | None]:
    """The scan of a file, or of its images in simulation, and these images."""
    if request.simulate is not None:
        return scan_of_image(path, request.simulate, request.slices, request.seed, **request.reader)
    item = read(path, slices=slice_list(request.slices), **request.reader)
    if isinstance(item, Volume):
        raise FormatError(
            f"{path.name}: holds images, not measured data; add --simulate ct:views=23 (or mri:accel=4) for a "
            "retrospective study"
        )
    return item, None


def _network_of(method: Method, modality: str, request: Request, device: str) -> tuple[Any, Card | None]:
    """The network of a method, ready to run, and its card. Raises ValueError for one of another modality."""
    if isinstance(method, Baseline):
        return None, None
    if isinstance(method, Supervised):
        if request.prior is None:
            raise ValueError(
                "--method supervised needs the run of a `scanprior train --supervised` as --prior"
            )
        network, card = load_supervised(request.prior)
        network.to(device).eval()
    else:
        network, card = load_any(request.prior or default_for(modality))
        network.for_inference(device, dtype_of(request.dtype))
    if card.modality != modality:
        raise ValueError(
            f"prior {card.name!r} is of {card.modality} images, the scan is {modality}; choose another --prior"
        )
    return network, card


def _solved(ready: Ready, request: Request, folder: Path) -> dict[str, Reconstruction]:
    """What each method gives, by its name."""
    method, network, slices = ready.method, ready.network, len(ready.problem.y)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(f"{request.method}, {slices} slice{'s' * (slices > 1)}", total=slices)

        def main(part: Problem, first: int) -> Reconstruction:
            def step(done: int, total: int) -> None:
                bar.update(task, completed=first + len(part.y) * done / total)

            if isinstance(method, Baseline):
                return method(part)
            if isinstance(method, Supervised):
                return method(part, network, request.batch)
            found = method(part, network, request.samples, request.seed, request.batch, step, first)
            return replace(found, provenance=found.provenance | {"network_dtype": _dtype(network)})

        solvers: dict[str, Solver] = {
            name: lambda part, first, baseline=baseline: baseline(part)
            for name, baseline in ready.beside.items()
        }
        solvers[ready.name] = main
        if any(folder.iterdir()):
            print("note: goes on with the slices that an earlier run has finished")
        samples = request.samples if isinstance(method, PosteriorMethod) else 1
        size = max(1, request.batch // samples)
        return by_slices(ready.problem, solvers, size, folder, lambda done: bar.update(task, completed=done))


def _dtype(network: Any) -> str:
    """What the network computes in."""
    return str(getattr(network, "dtype", "float32")).removeprefix("torch.")


def _rows(
    display: Display, method: Method, result: Reconstruction, beside: dict[str, Reconstruction]
) -> list[Row]:
    """The classical methods, one sample, and the mean of several."""
    rows = [display.row(title, one.mean, 0, one.seconds) for title, one in beside.items()]
    samples = result.samples.shape[1]
    one = "scanprior, one sample" if isinstance(method, PosteriorMethod) else result.provenance["method"]
    rows.append(display.row(one, result.samples[:, 0], result.nfe, result.seconds / samples))
    if samples > 1:
        nfe = f"{samples} x {result.nfe}"
        rows.append(display.row(f"scanprior, mean of {samples}", result.mean, nfe, result.seconds))
    return rows


def _beforehand(ready: Ready) -> list[str]:
    """What can be said against a network before it is run."""
    if ready.card is None:
        return []
    known, scan = ready.card.to_dict(), ready.scan
    found = outside(known, ready.problem.operator.domain[-2:], None if scan.pixel_assumed else scan.voxel[1:])
    if isinstance(ready.method, Supervised):
        found += differences(known["measurement"], measurement_of(ready.problem))
    return [f"outside of the network's training: {line}" for line in found]


def _afterwards(ready: Ready, display: Display, rows: list[Row], slices: list[int]) -> list[str]:
    """What can be said against its reconstruction: against its range, and beside FBP or zero-filling."""
    if ready.card is None:
        return []
    ours, floor = rows[-1], ready.beside.get(FLOOR[ready.scan.kind])
    found = beyond(ready.card.to_dict(), ours.image, "HU") if ready.scan.kind == "ct" else []
    if floor is None:
        floor: Any = method_of(FLOOR[ready.scan.kind], "")
        rows = [display.row(floor.title, floor(ready.problem).mean, 0, 0.0)]
    bottom = next(row for row in rows if row.name == floor.title)
    return found + worse(ours.slices, bottom.slices, floor.title, noise_residual(ready.problem), slices)


def _not_finite(rows: list[Row], slices: list[int]) -> list[str]:
    """Figures that are no numbers: JSON has none for them, and a dash on the page says too little."""
    return [
        f"{row.name}: {key} is {value} in slice {number}"
        for row in rows
        for key, values in row.slices.items()
        for number, value in zip(slices, values, strict=True)
        if not np.isfinite(value)
    ]


def _warned(lines: list[str]) -> list[str]:
    """The lines, said on stderr."""
    for line in lines:
        print(f"warning: {line}", file=sys.stderr)
    return lines


def print_table(rows: Sequence[Row]) -> None:
    """The means over the slices, one line a method, on stdout."""
    count = len(rows[0].image)
    table = Table(title=f"mean of {count} slices" if count > 1 else None)
    shown = {
        key: COLUMNS[key] for key in ("psnr", "ssim", "residual", "nfe", "seconds") if key in rows[0].figures
    }
    table.add_column("method")
    for head, _ in shown.values():
        table.add_column(head, justify="right")
    for row in rows:
        table.add_row(row.name, *(form.format(row.figures[key]) for key, (_, form) in shown.items()))
    Console().print(table)
