"""Can a reconstruction be trusted here? The checks of recon/audit, against what is usual for the prior.

`audit_of` is what a `reconstruct` asks of its own result, at little cost. `audit` reconstructs a scan itself, with few
samples, and once more without some of its data, to see how well it predicts them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..formats.scan import Scan, Volume
from ..recon.audit.checks import Finding, findings, table
from ..recon.audit.clusters import LEAST
from ..recon.audit.figures import Slice, measure
from ..recon.audit.held_out import held_out_samples, held_out_views, missed
from ..recon.audit.reference import Usual
from ..recon.audit.sampling import contradictions
from ..recon.baselines.method import Baseline
from ..recon.baselines.supervised import Supervised
from ..recon.posterior.method import PosteriorMethod
from ..recon.problem import Problem, Reconstruction
from ..recon.study import problem_of
from .lesion_scan import lesions_in_scan
from .plan import Plan, plan_of
from .progress import Progress, told
from .settings import AuditRequest, Request

ENOUGH = 200  # network evaluations a slice, of which the data's share costs less than a tenth


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    Attributes:
        slices: what was measured of each, with its maps.
        numbers: of the slices, in the input.
        findings: a check of a slice each; those that are flagged say what was seen and what to check.
        usual: what they are compared with; None: the limits of theory.
        notes: what must be known of the checks here.
        mean: of the samples, (B, H, W) in the units of the scan.
        lesions: what became of lesions that were put into the data, a line a kind (lesion_scan.py); None: none were.
    """

    slices: list[Slice]
    numbers: list[int]
    findings: list[Finding]
    usual: Usual | None
    notes: list[str]
    mean: torch.Tensor
    lesions: list[dict[str, Any]] | None = None

    @property
    def flags(self) -> list[str]:
        """A sentence each."""
        return [one.said for one in self.findings if one.flagged]

    @property
    def table(self) -> list[dict[str, Any]]:
        """A line a check, of the slice that is furthest from what is usual."""
        return table(self.findings)

    @property
    def share(self) -> np.ndarray | None:
        """The data's share of each pixel, (slices, H, W)."""
        found = [one.share for one in self.slices if one.share is not None]
        return np.stack(found) if found else None

    @property
    def residual(self) -> np.ndarray:
        """The residual's power back in the image, over that of the noise, (slices, H, W)."""
        return np.stack([one.fit_map for one in self.slices])

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able: all of it but the maps."""
        by_slice = [
            {"slice": number} | {k: v for k, v in (one.figures | one.facts).items() if math.isfinite(v)}
            for number, one in zip(self.numbers, self.slices, strict=True)
        ]
        compared: dict[str, Any] = {"with": ["the limits of theory"]}
        if self.usual is not None:
            rate, same = self.usual.rate, self.usual.own and self.usual.like  # nobody counted those of others
            compared = {"with": self.usual.families, "patients": self.usual.patients}
            compared["false_flags"] = round(rate, 3) if same and math.isfinite(rate) else None
        return {
            "flags": self.flags,
            "table": self.table,
            "by_slice": by_slice,
            "compared": compared,
            "notes": self.notes,
            "data_share": None if self.share is None else float(self.share.mean()),
            **({} if self.lesions is None else {"lesions": self.lesions}),
        }


def audit_of(
    plan: Plan,
    found: Reconstruction,
    numbers: list[int],
    unseen: list[float] | None = None,
    split: bool | None = None,
) -> Audit:
    """The checks of a reconstruction.

    Args:
        numbers: of the slices.
        unseen: the errors in data that were held out, where they were measured (`predicted`).
        split: whether to compute the data's share of each pixel; by default where it costs less than a tenth of the
            sampling.
    """
    prior = plan.network if isinstance(plan.method, PosteriorMethod) else None
    if split is None:
        split = found.nfe * found.samples.shape[1] >= ENOUGH
    slices = measure(plan.problem, found.samples, prior, plan.scan.noise is not None, split)
    usual = plan.usual
    ranges = {} if usual is None else usual.ranges
    for b, one in enumerate(slices):
        if plan.scan.kind == "mri":
            one.figures["mask"] = contradictions(plan.scan.data[b], _mask(plan.scan, b))
        if unseen is not None:
            one.figures["unseen"] = unseen[b]
        for name in _unjudged(plan, prior is not None, ranges) & one.figures.keys():
            one.facts[name] = one.figures.pop(name)
    checked = [
        finding
        for one, number in zip(slices, numbers, strict=True)
        for finding in findings(one.figures, one.where, ranges, number)
    ]
    return Audit(slices, numbers, checked, usual, _notes(plan, found, usual), found.mean)


def _unjudged(plan: Plan, posterior: bool, ranges: Mapping[str, Any]) -> set[str]:
    """Figures that are told and flag nothing: one image does not claim to fit the data to their noise, and where
    nobody says how large that is, nobody says how closely they must be met."""
    if not posterior:
        return {"fit", "noise", "part", "place"}
    return {"fit", "noise"} if plan.problem.noise is None and "fit" not in ranges else set()


def audit(
    scan: Scan | Volume | Path | str,
    *,
    lesions: bool = False,
    progress: Progress | None = None,
    **settings: Any,
) -> Audit:
    """Reconstruct a scan and audit it.

    Args:
        scan: a scan, or a file of any known format; images with `simulate`.
        lesions: put lesions into the data too, and look for them; costs a reconstruction more.
        settings: prior, simulate, slices, …: the fields of `workflows.settings.AuditRequest`.

    Raises:
        FormatError: what cannot be read, or lacks what a reconstruction needs.
        UsageError: an unknown method or setting, a prior of another modality.
    """
    request = AuditRequest.of(**settings)
    given = scan if isinstance(scan, Scan | Volume) else Path(scan)
    tell = told(progress)
    try:
        return audited(plan_of(given, request, tell), request, tell, lesions)
    finally:
        tell.close()


def audited(plan: Plan, request: Request, tell: Progress, lesions: bool = False) -> Audit:
    """The same of a plan."""
    found = _sampled(plan, request, request.samples, "sampling", tell)
    unseen = predicted(plan, request, tell)
    tell.stage("checks")
    numbers = list(plan.problem.numbers)
    result = audit_of(plan, found, numbers, unseen, split=True)
    for line in result.flags:
        tell.warn(line)
    if not lesions:
        return result

    def again(problem: Problem) -> Reconstruction:
        return _sampled(replace(plan, problem=problem), request, request.samples, "with lesions", tell)

    return replace(result, lesions=lesions_in_scan(plan.scan, plan.problem, found, again, plan.card))


def predicted(plan: Plan, request: Request, tell: Progress) -> list[float] | None:
    """How far data that were held out are from what the rest predicts, slice by slice; None where none can be spared.
    One sample of half as many."""
    held = _held_out(plan.scan)
    if held is None:
        return None
    scan = plan.scan
    kept = ~held if scan.mask is None else np.asarray(scan.mask, bool) & ~held
    problem = problem_of(replace(scan, mask=kept, truth=None), plan.problem.y.device)
    less = replace(plan, problem=replace(problem, water=plan.problem.water))
    found = _sampled(less, request, max(1, request.samples // 2), "without some data", tell)
    where = torch.from_numpy(held if scan.kind == "ct" or held.ndim == 2 else held[:, None])
    return missed(plan.problem, found.mean, where.to(plan.problem.y.device))


def _held_out(scan: Scan) -> np.ndarray | None:
    """Of the mask's shape."""
    if scan.kind == "ct":
        views = held_out_views(scan.data.shape[1])
        return None if views is None else np.broadcast_to(views[:, None], scan.data.shape[1:]).copy()
    mask = np.ones(scan.data.shape[-2:], bool) if scan.mask is None else np.asarray(scan.mask, bool)
    if mask.ndim == 2:
        return held_out_samples(mask)
    each = [held_out_samples(one) for one in mask]
    return None if any(one is None for one in each) else np.stack([one for one in each if one is not None])


def _mask(scan: Scan, b: int) -> np.ndarray | None:
    return scan.mask if scan.mask is None or np.ndim(scan.mask) == 2 else scan.mask[b]


def _sampled(plan: Plan, request: Request, samples: int, stage: str, tell: Progress) -> Reconstruction:
    method = plan.method
    if isinstance(method, Supervised):
        return method(plan.problem, plan.network, request.batch)
    if isinstance(method, Baseline):
        return method(plan.problem)
    tell.stage(stage, method.steps)

    def step(done: int, total: int) -> None:
        tell.update(int(method.steps * done / total))

    return method(plan.problem, plan.network, samples, request.seed, request.batch, step)


def _notes(plan: Plan, found: Reconstruction, usual: Usual | None) -> list[str]:
    notes = []
    if plan.scan.noise is None:
        notes.append("the noise level was estimated from the data: whether it is right was not checked")
    elif plan.problem.noise is None:
        notes.append(
            "the data are said to be noise-free: their residual is compared with a model error of 0.04 % of the data"
        )
    if not isinstance(plan.method, PosteriorMethod):
        return [*notes, "a method without a prior: only the data were looked at"]
    if usual is None:
        notes.append(
            "this prior has no reference, and the limits are wide ones of theory; `scanprior audit --as-reference` "
            "makes one from scans that are known to be sound"
        )
    elif not usual.own:
        notes.append("no reference is of such a measurement: compared with all that there are for this prior")
    if usual is not None and not usual.like:
        notes.append("no reference is of this method: what depends on it goes by wide limits of theory")
    if found.samples.shape[1] < LEAST:
        notes.append(f"fewer than {LEAST} samples: whether they fall into groups was not looked at")
    return notes
