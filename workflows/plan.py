"""What a reconstruction will do, before it does it: the scan, the problem posed, the methods with their settings, and
what that will cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..formats.read import describe
from ..formats.scan import FormatError, Scan, Volume
from ..modality import Modality
from ..pretrained.card import Card
from ..pretrained.load import default_for, load_any, load_supervised
from ..priors.score import Prior
from ..recon.audit.reference import Usual
from ..recon.baselines.method import Baseline
from ..recon.baselines.supervised import Supervised, differences, measurement_of
from ..recon.domain import outside
from ..recon.family import Facts, facts_of
from ..recon.methods import method_of
from ..recon.posterior.method import PosteriorMethod
from ..recon.presets import tuned_method
from ..recon.problem import Problem
from ..recon.records import record_for
from ..recon.study import assumptions, problem_of
from .device import device_of, dtype_of
from .estimate import tried
from .intervals import promised
from .objects import Method, Objects
from .progress import Progress
from .references import usual_for
from .remarks import remarks
from .request import Request
from .simulate import given, measured, slice_list
from .views import of_views

CLASSICAL = {  # shown beside the method asked for
    Modality.CT: ("fbp", "fista-tv"),
    Modality.MR: ("zero-filled", "cg-sense", "l1-wavelet", "fista-tv"),
}
OBJECTS = Objects()
TRIED = 10.0  # seconds that an estimate may take


@dataclass(frozen=True)
class Plan:
    """A scan and what will reconstruct it.

    Attributes:
        volume: what a simulation started from.
        method: with its settings; `name` is what `--method` calls it.
        network: of the method, and `card` its card; None for classical methods.
        beside: the classical methods to compare with, by their names.
        presets: where settings came from, or why no preset was used, by the method's name.
        assumptions: what was assumed, dropped, repaired or estimated, a sentence each.
        kind: of scan (recon/family.py); {} for methods without samples.
        warnings: what speaks against the network here, or against the intervals that were asked for.
        usual: what the audit will compare with (references.py); None: the limits of theory.
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
    assumptions: list[str]
    kind: Facts
    warnings: list[str]
    usual: Usual | None = None

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Of each method, by its name."""
        methods = {self.name: self.method, **self.beside}
        return {name: dict(getattr(method, "settings", {})) for name, method in methods.items()}


def plan_of(item: Scan | Volume | Path, request: Request, tell: Progress, objects: Objects = OBJECTS) -> Plan:
    """Read (or simulate) the scan, pose the problem, settle the methods; tells what was assumed on the way. `objects`:
    what the request only names.

    Raises:
        FormatError: images without a simulation, or what a reader refuses.
        UsageError: an unknown method or setting, a prior of another modality, intervals of a method without samples.
        ValueError: a damaged calibration record, file of presets, or reference of audits.
    """
    method = _asked_method(request, objects)  # refused before anything is read
    _check_kind(method, item, request)
    tell.stage("reading")
    scan, volume = _scan_of(item, request)
    said = remarks(scan)
    for line in said:
        tell.say(f"note: {line}")
    device = device_of(request.device)
    network, card = _network_of(method, scan.modality, request, device, objects.prior)
    problem, estimated = _posed(scan, request, device, tell)
    methods, presets = _settled(method, problem, card, request, tell, objects)
    plan = Plan(
        scan=scan,
        volume=volume,
        problem=problem,
        name=request.method,
        method=methods.pop(request.method),
        network=network,
        card=card,
        beside=methods,
        presets=presets,
        assumptions=said + estimated,
        kind=_kind_of(scan, problem) if isinstance(method, PosteriorMethod) else {},
        warnings=[],
    )
    plan = replace(plan, warnings=_beforehand(plan, request), usual=_usual(plan))
    for line in plan.warnings:
        tell.warn(line)
    return plan


def _asked_method(request: Request, objects: Objects) -> Method:
    method = objects.method or method_of(request.method, request.options)
    if request.interval is not None and not isinstance(method, PosteriorMethod):
        raise UsageError(
            f"--interval: {request.method} gives one image and no samples; take a posterior method"
        )
    return method


def _check_kind(method: Method, item: Scan | Volume | Path, request: Request) -> None:
    """Refuse a classical method for scans of another kind when headers are read, and nothing else."""
    if not isinstance(method, Baseline) or len(method.scans) > 1:
        return
    if request.simulate is not None:
        kind = request.simulate.partition(":")[0]
    elif isinstance(item, Path):
        kind = describe(item, **request.reader).get("kind")
    else:
        kind = item.modality.kind
    if kind in ("ct", "mri"):
        method.check(Modality(kind))


def _settled(
    method: Method,
    problem: Problem,
    card: Card | None,
    request: Request,
    tell: Progress,
    objects: Objects,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The method that was asked for and those beside it, with their settings; and where these came from, of each that
    somebody tuned. An object has its own."""
    beside = CLASSICAL[problem.modality] if request.baselines else ()
    methods, presets = {}, {}
    for name in dict.fromkeys((request.method, *beside)):
        asked = name == request.method
        if asked and objects.method is not None:
            methods[name] = method
            continue
        weights = card.sha256 if card and asked else ""
        tuned = tuned_method(name, request.options if asked else "", problem, weights, request.presets)
        methods[name] = tuned.method
        if tuned.facts:
            presets[name] = tuned.facts
        if tuned.preset is not None:
            tell.say(f"{name}: {tuned.line}")
    return methods, presets


def cost(plan: Plan, request: Request) -> dict[str, Any]:
    """What the sampling will take, tried on the first slices for at most TRIED seconds: "seconds" and "memory_mib";
    "whole" is False where what was tried did not end, and the rest was taken to be as quick. {} for classical
    methods."""
    if not isinstance(plan.method, PosteriorMethod):
        return {}
    count, slices = max(1, request.batch // request.samples), len(plan.problem.y)
    part, how = plan.problem.items(slice(0, count)), (request.samples, request.seed, request.batch)
    found = tried(plan.method, part, plan.network, *how, TRIED)
    return {**found, "seconds": found["seconds"] * slices / min(count, slices)}


def _scan_of(item: Scan | Volume | Path, request: Request) -> tuple[Scan, Volume | None]:
    """The scan that was given, or that of images in simulation, and these images."""
    if request.simulate is not None:
        if request.views is not None or request.arc is not None:
            raise UsageError("--views and --arc are for measured scans; --simulate has views= and arc=")
        return measured(item, request.simulate, request.slices, request.seed, request.reader)
    found = given(item, request.slices, request.reader)
    if isinstance(found, Volume):
        raise FormatError(
            f"{found.source}: holds images, not measured data; add --simulate ct:views=23 (or mri:accel=4) for a "
            "retrospective study"
        )
    return of_views(found, request.views, request.arc), None


def _network_of(
    method: Method, modality: Modality, request: Request, device: str, prior: Prior | None
) -> tuple[Any, Card | None]:
    """The network of a method, ready to run, and its card. Raises UsageError for one of another modality."""
    if isinstance(method, Baseline):
        return None, None
    if isinstance(method, Supervised):
        if request.prior is None:
            raise UsageError(
                "--method supervised needs the run of a `scanprior train --supervised` as --prior"
            )
        network, card = load_supervised(request.prior)
        network.to(device).eval()
    else:
        asked = default_for(modality) if request.prior is None else request.prior
        network, card = load_any(asked if prior is None else prior)
        network.for_inference(device, dtype_of(request.dtype))
    if card.modality != modality:
        raise UsageError(
            f"prior {card.name!r} is of {card.modality} images, the scan is {modality}; choose another --prior"
        )
    return network, card


def _posed(scan: Scan, request: Request, device: str, tell: Progress) -> tuple[Problem, list[str]]:
    """The problem, its slices by their numbers in the scan, and what was estimated for it."""
    tell.stage("system matrix" if scan.modality is Modality.CT else "coil maps")
    problem = problem_of(scan, device)
    problem = replace(problem, numbers=tuple(slice_list(request.slices) or problem.numbers))
    estimated = assumptions(scan, problem)
    for line in estimated:
        tell.say(f"note: {line}")
    if request.mu_water is not None:
        problem = replace(problem, water=request.mu_water, facts=problem.facts | {"mu_water": "--mu-water"})
    return problem, estimated


def _pixel(scan: Scan) -> tuple[float, float] | None:
    """(dy, dx) [mm]; None where it is a guess."""
    return None if scan.pixel_assumed else scan.voxel[1:]


def _kind_of(scan: Scan, problem: Problem) -> Facts:
    """What kind of scan it is, for intervals."""
    return facts_of(problem, _pixel(scan))


def _usual(plan: Plan) -> Usual | None:
    """What is usual for samples of the prior."""
    if plan.card is None or not isinstance(plan.method, PosteriorMethod):
        return None
    return usual_for(plan.card.sha256, measurement_of(plan.problem), plan.name)


def _beforehand(plan: Plan, request: Request) -> list[str]:
    """What can be said against a network before it is run, and against intervals."""
    if plan.card is None:
        return []
    known, scan = plan.card.to_dict(), plan.scan
    found = outside(known, plan.problem.operator.domain[-2:], _pixel(scan))
    if isinstance(plan.method, Supervised):
        found += differences(known["measurement"], measurement_of(plan.problem))
    said = [f"outside of the network's training: {line}" for line in found]
    if not plan.kind or request.samples == 1:
        return said
    found = record_for(plan.card.sha256, plan.settings[plan.name], request.samples, plan.kind)
    spread = promised(*found, request.interval)
    wanting = request.interval is not None and spread.reasons
    return [*said, f"no intervals: {spread.line}"] if wanting else said
