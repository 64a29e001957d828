"""Scan -> problem (plan.py) -> methods -> mean, spread and samples (result.py).

`reconstruct` gives them to Python and keeps nothing. `reconstruct_file`, the command line's, fills a folder: slices are
kept as they are finished (finished.py), and the folder is there when all is written (output.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..formats.scan import Scan, Volume
from ..modality import Modality
from ..priors.precision import dtype_name
from ..recon.baselines.method import Baseline
from ..recon.baselines.supervised import Supervised, measurement_of
from ..recon.display import Display, Row
from ..recon.domain import beyond, noise_residual, worse
from ..recon.methods import DEFAULT, method_of
from ..recon.posterior.method import PosteriorMethod
from ..recon.problem import Problem, Reconstruction
from .audit import audit_of
from .benchmark.table import FLOOR
from .finished import Solver, by_slices
from .intervals import spread_of
from .objects import Method, spoken
from .output import done_so_far, whole_folder
from .plan import Plan, cost, plan_of
from .progress import Progress, told
from .remarks import nameless, remarks
from .request import Request, asked, command, configuration, fingerprint, repeating, result_of
from .result import Result, write_results

KINDS = {PosteriorMethod: "posterior", Supervised: "supervised", Baseline: "classical"}


def reconstruct(
    scan: Scan | Volume | Path | str,
    method: str | Method = DEFAULT,
    samples: int = 8,
    *,
    interval: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Result:
    """Mean, standard deviation and samples of the posterior of a scan.

    Args:
        scan: a scan, or a file of any known format; images with `simulate`.
        method: a name of `scanprior methods`, or an object: `DDS(steps=20)`, `FBP()`, one of your own class.
        samples: posterior samples a slice.
        interval: 50, 80, 90 or 95: lower and upper ends that hold the truth in so many percent of the pixels
            (`Result.intervals`), where a calibration of such scans promises it; `Result.spread` says where none does.
        progress: who is told what is being done; a bar by default.
        settings: prior, options, seed, simulate, slices, device, …: the fields of `workflows.request.Request`. A prior
            may be a name, a file, or an object with `denoise`.

    Raises:
        FormatError: what cannot be read, or lacks what a reconstruction needs.
        UsageError: an unknown method or setting, a prior of another modality.
    """
    said, objects = spoken({"method": method, "samples": samples, "interval": interval, **settings})
    request = Request.of(**said)
    given = scan if isinstance(scan, Scan | Volume) else Path(scan)
    tell = told(progress)
    try:
        plan = plan_of(given, request, tell, objects)
        request = replace(request, dtype=_dtype(plan.network))
        return _result(plan, request, _solved(plan, request, None, tell), given, tell, objects.words)
    finally:
        tell.close()


def reconstruct_file(
    path: Path, output: Path, request: Request, overwrite: bool = False, progress: Progress | None = None
) -> Result:
    """The same into a folder, slice by slice: a run that was stopped goes on where it was. Raises as `reconstruct`, and
    FileExistsError for a folder that cannot be written."""
    tell = told(progress)
    try:
        plan = plan_of(path, request, tell)
        request = replace(request, dtype=_dtype(plan.network))  # what `auto` is depends on the machine
        run = result_of(request, plan.method, plan.card, fingerprint(path), plan.settings)
        with whole_folder(output, overwrite, run=run, progress=tell) as folder:
            result = _result(plan, request, _solved(plan, request, done_so_far(folder), tell), path, tell)
            tell.stage("writing")
            write_results(folder, result)
    finally:
        tell.close()
    return result


def planned(path: Path, request: Request, progress: Progress | None = None) -> dict[str, Any]:
    """What `reconstruct_file` would do, JSON-able: "method", "prior", "options" that repeat it, "scan", "assumptions",
    "warnings", and "estimate" (`plan.cost`)."""
    tell = told(progress)
    try:
        plan = plan_of(path, request, tell)
        request = replace(request, dtype=_dtype(plan.network))
        tell.stage("estimating")
        scan = plan.scan
        return {
            "method": request.method,
            "prior": None if plan.card is None else plan.card.name,
            "options": repeating(request, plan.method, plan.card),
            "scan": {"kind": scan.kind, "data": list(scan.data.shape), "matrix": list(scan.matrix)},
            "compared_with": [one.title for one in plan.beside.values()],
            "assumptions": plan.assumptions,
            "warnings": plan.warnings,
            "estimate": cost(plan, request),
        }
    finally:
        tell.close()


def _result(
    plan: Plan,
    request: Request,
    found: dict[str, Reconstruction],
    given: Scan | Volume | Path,
    tell: Progress,
    unnamed: str = "",
) -> Result:
    """The methods beside each other, with all that is said of them. `unnamed`: why no command repeats it."""
    scan, method, card, digest = plan.scan, plan.method, plan.card, fingerprint(given)
    slices = list(plan.problem.numbers)
    display = Display(scan, plan.problem, card)
    beside = {plan.beside[key].title: one for key, one in found.items() if key != plan.name}
    rows = _rows(display, plan, found[plan.name], beside)
    spread = None
    if card is not None and isinstance(method, PosteriorMethod) and found[plan.name].std is not None:
        spread = spread_of(card.sha256, found[plan.name], plan.kind, request.interval, display)
    tell.stage("audit")
    audit = audit_of(plan, found[plan.name], slices)
    late = audit.flags + _not_finite(rows, slices) + _afterwards(plan, display, rows, slices)
    if request.interval is not None and spread is not None and spread.shown is None:
        late += [line for line in [f"no intervals: {spread.line}"] if line not in plan.warnings]
    for line in late:
        tell.warn(line)
    path, named = (given if isinstance(given, Path) else None), request.name_in_report
    name = path.resolve().name if path else scan.source
    options = repeating(request, method, card)
    return Result(
        scan=scan,
        warnings=plan.warnings + late,
        assumptions=plan.assumptions,
        card=card,
        found=found[plan.name],
        volume=plan.volume,
        display=display,
        rows=rows,
        audit=audit,
        slices=slices,
        title=name if named else f"{scan.kind.upper()} scan {digest[:12]}",
        kind=next(word for base, word in KINDS.items() if isinstance(method, base)),
        remarks=[line if named else nameless(line, name) for line in remarks(scan)],
        given={"sha256": digest, "measurement": measurement_of(plan.problem)},
        asked=asked(request, method, card),
        beside={title: one.provenance for title, one in beside.items()},
        presets=plan.presets,
        spread=spread,
        command=command(options, name if named else "INPUT", unnamed),
        config=configuration(options, request, digest, path if named else None, unnamed),
    )


def _solved(plan: Plan, request: Request, folder: Path | None, tell: Progress) -> dict[str, Reconstruction]:
    """What each method gives, by its name; a posterior method is called here (recon/posterior/method.py, `__call__`).
    `folder`: of what is finished, and will be."""
    method, network, slices = plan.method, plan.network, len(plan.problem.y)
    samples = request.samples if isinstance(method, PosteriorMethod) else 1
    size = max(1, request.batch // samples)
    if folder is not None and any(folder.iterdir()):
        tell.say("note: goes on with the slices that an earlier run has finished")
    steps = method.steps if isinstance(method, PosteriorMethod) else 1  # of a slice
    tell.stage("sampling" if isinstance(method, PosteriorMethod) else request.method, steps * slices)

    def asked_for(part: Problem, first: int) -> Reconstruction:
        where = f"slice {part.numbers[0]}, {first + 1} of {slices}"

        def step(done: int, total: int) -> None:
            if done < total:
                tell.update(int(steps * (first + len(part.y) * done / total)), where)

        if isinstance(method, Baseline):
            return method(part)
        if isinstance(method, Supervised):
            return method(part, network, request.batch)
        found = method(part, network, samples, request.seed, request.batch, step)
        return replace(found, provenance=found.provenance | {"network_dtype": _dtype(network)})

    solvers: dict[str, Solver] = {
        name: lambda part, first, baseline=baseline: baseline(part) for name, baseline in plan.beside.items()
    }
    solvers[plan.name] = asked_for
    return by_slices(plan.problem, solvers, size, folder, lambda done: tell.update(steps * done))


def _dtype(network: Any) -> str:
    """What the network computes in."""
    return dtype_name(getattr(network, "dtype", "float32"))


def _rows(
    display: Display, plan: Plan, result: Reconstruction, beside: dict[str, Reconstruction]
) -> list[Row]:
    """The classical methods, one sample, and the mean of several."""
    rows = [display.row(title, one.mean, 0, one.seconds) for title, one in beside.items()]
    samples = result.samples.shape[1]
    posterior = isinstance(plan.method, PosteriorMethod)
    name = plan.name if posterior else result.provenance["method"]
    one = f"{name}, one sample" if posterior else name
    rows.append(display.row(one, result.samples[:, 0], result.nfe, result.seconds / samples))
    if samples > 1:
        nfe = f"{samples} x {result.nfe}"
        rows.append(display.row(f"{name}, mean of {samples}", result.mean, nfe, result.seconds))
    return rows


def _afterwards(plan: Plan, display: Display, rows: list[Row], slices: list[int]) -> list[str]:
    """What can be said against a network's reconstruction: against its range, and beside FBP or zero-filling."""
    if plan.card is None:
        return []
    ours = rows[-1]
    floor: Any = plan.beside.get(FLOOR[plan.scan.modality])
    found = beyond(plan.card.to_dict(), ours.image, "HU") if plan.scan.modality is Modality.CT else []
    if floor is None:
        floor = method_of(FLOOR[plan.scan.modality], "")
        rows = [display.row(floor.title, floor(plan.problem).mean, 0, 0.0)]
    bottom = next(row for row in rows if row.name == floor.title)
    return found + worse(ours.slices, bottom.slices, floor.title, noise_residual(plan.problem), slices)


def _not_finite(rows: list[Row], slices: list[int]) -> list[str]:
    """Figures that are no numbers: JSON has none for them, and a dash on the page says too little."""
    return [
        f"{row.name}: {key} is {value} in slice {number}"
        for row in rows
        for key, values in row.slices.items()
        for number, value in zip(slices, values, strict=True)
        if not np.isfinite(value)
    ]
