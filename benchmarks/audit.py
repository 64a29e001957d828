"""Does the audit flag what went wrong? In-family scans make the reference, a grid of wrong ones the test: other
anatomy, contrast and noise, metal, motion, wrong angles, axis, detector, mask, coil maps and noise level.

    python benchmarks/audit.py -o audit.jsonl             # runs what is not there yet, then the table; 45 min of a core
    python benchmarks/audit.py -o audit.jsonl --table     # only the table
    python benchmarks/audit.py -o audit.jsonl --keep      # the references that come with the package

A slice a patient, `auto` with 10 evaluations, one sample, and once more without some of the data. Reference:
validation patients; the grid: test patients, and images of no prior's family. Needs the full sets ($SCANPRIOR_DATA).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import DATA
from scanprior.formats.scan import Scan, Volume
from scanprior.recon.audit.checks import findings
from scanprior.recon.audit.reference import Family, Usual, scores, usual_of
from scanprior.recon.baselines.supervised import measurement_of
from scanprior.recon.display import Display
from scanprior.recon.metal import metal_discs
from scanprior.recon.regions import ct_regions, mr_regions
from scanprior.recon.simulate import simulate, simulation_of
from scanprior.workflows.audit import audit_of, predicted
from scanprior.workflows.plan import plan_of
from scanprior.workflows.progress import SILENT
from scanprior.workflows.references import SHIPPED, keep
from scanprior.workflows.settings import AuditRequest
from scanprior.workflows.simulate import given
from scipy.stats import mannwhitneyu

CT, MRI = "ct:views=23,photons=1e5", "mri:accel=4"
METAL_HU = 12_000.0  # titanium, about
Change = Callable[[Volume, str], Scan]


# --- what goes wrong
def sound(volume: Volume, spec: str) -> Scan:
    return simulate(volume, simulation_of(spec, "spec"))


def measured_as(said: str) -> Change:
    """Measured by another spec than the usual one, and said so."""
    return lambda volume, spec: sound(volume, said)


def noise_said(true: str) -> Change:
    """Measured as `true` says, stated to have the usual noise."""

    def change(volume: Volume, spec: str) -> Scan:
        return replace(sound(volume, true), noise=sound(volume, spec).noise)

    return change


def geometry(**changed: Callable[[Any], Any]) -> Change:
    """A geometry that is not the one that measured: its attributes changed."""

    def change(volume: Volume, spec: str) -> Scan:
        scan = sound(volume, spec)
        true: Any = scan.geometry
        return replace(scan, geometry=replace(true, **{k: f(getattr(true, k)) for k, f in changed.items()}))

    return change


def jitter(degrees: float) -> Callable[[Any], Any]:
    def angles(given: Any) -> Any:
        off = np.random.default_rng(0).normal(0, np.radians(degrees), len(given))
        return tuple(np.asarray(given) + off)

    return angles


def moving(pixels: int, axis: int = -1) -> Change:
    """The second half of the views, or of the lines on one side of the centre, sees the object elsewhere."""

    def change(volume: Volume, spec: str) -> Scan:
        moved = replace(volume, data=np.roll(volume.data, pixels, axis))
        scan, other = sound(volume, spec), sound(moved, spec)
        data = scan.data.copy()
        if scan.kind == "ct":
            half = data.shape[1] // 2
            data[:, half:] = other.data[:, half:]
        else:
            part = slice(data.shape[-1] * 9 // 16, None)
            data[..., part] = other.data[..., part]
        return replace(scan, data=data)

    return change


def metal(discs: int) -> Change:
    """Metal that nobody segmented. The truth is the image without it."""

    def change(volume: Volume, spec: str) -> Scan:
        scan = sound(volume, spec)
        pixel, data = volume.spacing[2], volume.data.copy()
        H, W = data.shape[1:]
        y, x = ((H - 1) / 2 - np.arange(H))[:, None] * pixel, (np.arange(W) - (W - 1) / 2) * pixel
        for disc in metal_discs(data[0] > -200, pixel, discs, 0):
            data[:, (x - disc.x) ** 2 + (y - disc.y) ** 2 < disc.radius**2] = METAL_HU
        return replace(sound(replace(volume, data=data), spec), truth=scan.truth)

    return change


def image(f: Callable[[np.ndarray], np.ndarray]) -> Change:
    """Another object: f of the image."""
    return lambda volume, spec: sound(replace(volume, data=f(volume.data).astype(np.float32)), spec)


def shifted_mask(volume: Volume, spec: str) -> Scan:
    """The mask is said a line off."""
    scan = sound(volume, spec)
    return replace(scan, mask=np.roll(np.asarray(scan.mask), 1, -1))


def shifted_lines(volume: Volume, spec: str) -> Scan:
    """The lines on one side of the centre are stored a line off, and so is the mask."""
    scan = sound(volume, spec)
    data, mask = scan.data.copy(), np.asarray(scan.mask).copy()
    part = slice(data.shape[-1] * 9 // 16, None)
    data[..., part], mask[..., part] = (np.roll(a[..., part], 1, -1) for a in (data, mask))
    return replace(scan, data=data, mask=mask)


def wrong_maps(volume: Volume, spec: str) -> Scan:
    """Coil maps of another position: 24 pixels off."""
    scan = sound(volume, spec)
    return replace(scan, maps=np.roll(np.asarray(scan.maps), 24, -1))


# --- the grid
@dataclass(frozen=True)
class Case:
    """A scan: `kind` in words, the images' file and index, and what is done to it. `role`: reference, sound or grid."""

    kind: str
    file: str
    index: int
    change: Change = sound
    role: str = "grid"

    @property
    def name(self) -> str:
        return f"{self.kind} | {self.file} {self.index}"

    @property
    def spec(self) -> str:
        return CT if self.file.startswith("ct/") else MRI


CT_VAL, CT_TEST = "ct/ct256_val.h5", "ct/ct256_test.h5"
T1_VAL, T1_TEST, MISC, HEADS = "mri/t1_val.h5", "mri/t1_test.h5", "mri/anatomy_misc.h5", "mri/heads_calib.h5"
CROPS, CT_CALIB = "ct/ct_extremity_crops_train.h5", "ct/ct256_calib.h5"
ON_CT: dict[str, Change] = {
    "angles, 2 degrees of jitter": geometry(angles=jitter(2.0)),
    "angles of 170 for 180 degrees": geometry(angles=lambda a: tuple(np.asarray(a) * 170 / 180)),
    "axis, 2 elements off": geometry(offset=lambda o: o + 2),
    "axis, half an element off": geometry(offset=lambda o: o + 0.5),
    "detector elements, 20 % too large": geometry(spacing=lambda s: 1.2 * s),
    "motion, 6 pixels": moving(6),
    "motion, 2 pixels": moving(2),
    "metal, not segmented": metal(2),
    "noise of 5e3 photons said to be of 1e5": noise_said("ct:views=23,photons=5e3"),
    "noise of 1e5 photons said to be of 5e3": lambda v, s: replace(
        sound(v, s), noise=sound(v, "ct:views=23,photons=5e3").noise
    ),
    "5e3 photons, and said so": measured_as("ct:views=23,photons=5e3"),
    "9 views": measured_as("ct:views=9,photons=1e5"),
    "HU of tissue inverted": image(lambda x: np.where(x > -300, 80 - x, x)),
}
ON_MRI: dict[str, Change] = {
    "motion, 4 pixels": moving(4),
    "motion, 1 pixel": moving(1),
    "mask said a line off": shifted_mask,
    "half of the lines stored a line off": shifted_lines,
    "coil maps 24 pixels off": wrong_maps,
    "noise of 10 dB said to be of 30 dB": noise_said("mri:accel=4,snr=10"),
    "10 dB, and said so": measured_as("mri:accel=4,snr=10"),
    "contrast inverted": image(lambda x: np.where(x > 0.05 * x.max(), 1.1 * x.max() - x, x)),
    "16-fold": measured_as("mri:accel=16"),
}


def grid() -> Iterator[Case]:
    for role, file, indices in (
        ("reference", CT_VAL, (0, 2, 4, 5, 6, 8, 10, 19, 27, 38, 52, 57)),
        ("reference", T1_VAL, (4, 12, 20, 28, 36, 44, 52)),
        ("reference", "mri/ms_val.h5", (18, 48)),
        ("sound", CT_TEST, (0, 1, 5, 8, 13, 20)),
        ("sound", T1_TEST, (4, 20, 36, 52)),
    ):
        yield from (Case("in-family", file, index, role=role) for index in indices)
    for repeat in range(2):
        for kind, change in ON_CT.items():
            yield Case(kind, CT_TEST, (10, 18)[repeat], change)
        for kind, change in ON_MRI.items():
            yield Case(kind, T1_TEST, (12, 28)[repeat], change)
        if not repeat:
            yield from (Case("thigh or knee", CROPS, index) for index in (10, 200))
            yield Case("head and neck, with metal in it", CT_CALIB, 6)
            yield Case("shoulder", CT_CALIB, 0)
            yield from (Case("whole head, other scanner", HEADS, index) for index in (2, 19))
            yield Case("head with gadolinium", HEADS, 8)
            yield Case("abdomen, HASTE", MISC, 10)
            yield Case("knee", MISC, 41)
            yield Case("prostate", MISC, 42)
            yield Case("cervical cord", MISC, 33)
            yield Case("brain, diffusion", MISC, 43)


def run(case: Case) -> dict[str, Any]:
    """The figures and the error of a case."""
    volume = given(DATA / case.file, [case.index], {})
    assert isinstance(volume, Volume)
    scan = case.change(volume, case.spec)
    request = AuditRequest(samples=1)
    plan = plan_of(scan, request, SILENT)
    found = plan.method(plan.problem, plan.network)
    audit = audit_of(plan, found, [0], predicted(plan, request, SILENT), split=False)
    display = Display(scan, plan.problem, plan.card)
    ours, truth = display.image(found.mean)[0], display.truth
    assert truth is not None and plan.card is not None
    inside = (ct_regions if scan.kind == "ct" else mr_regions)(truth[0])["inside"]
    rms = float(np.sqrt(np.mean((ours - truth[0])[inside] ** 2)))
    size = 1.0 if scan.kind == "ct" else float(np.sqrt(np.mean(truth[0][inside] ** 2)))
    return {
        "name": case.name,
        "kind": case.kind,
        "role": case.role,
        "modality": scan.kind,
        "file": case.file,
        "error": rms / size,
        "figures": audit.slices[0].figures,
        "where": audit.slices[0].where,
        "warnings": plan.warnings,
        "measurement": measurement_of(plan.problem),
        "prior": plan.card.sha256,
    }


# --- the table
def families(rows: list[dict[str, Any]]) -> dict[str, Family]:
    """The reference of each modality."""
    out = {}
    for modality in ("ct", "mri"):
        own = [row for row in rows if row["role"] == "reference" and row["modality"] == modality]
        if own:
            files = sorted({row["file"] for row in own})
            patients: dict[str, list[dict[str, float]]] = {}
            for row in own:
                figures = {name: float(f"{value:.4g}") for name, value in row["figures"].items()}
                patients.setdefault(_patient(row), []).append(figures)
            out[modality] = Family(own[0]["measurement"], AuditRequest.method, patients, ", ".join(files))
    return out


def _patient(row: dict[str, Any]) -> str:
    """A number; both slices of ms_val are of one."""
    return "ms" if "ms_val" in row["file"] else row["name"].split()[-1]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: a line a case, and what the flags are worth."""
    lines = ["| case | error / in-family median | flagged by |", "|---|---|---|"]
    known, judged = families(rows), []
    for row in rows:
        family = known[row["modality"]]
        usual: Usual = usual_of(list(known.values()), [family])
        errors = [r["error"] for r in rows if r["role"] == "reference" and r["modality"] == row["modality"]]
        ratio = row["error"] / float(np.median(errors))
        flags = [f.name for f in findings(row["figures"], row["where"], usual.ranges, 0) if f.flagged]
        score = max(scores([row["figures"]], [s for own in family.patients.values() for s in own]))
        judged.append((row, ratio, flags, score))
        if row["role"] != "reference":
            said = ", ".join(flags) or ("–" if row["role"] == "sound" or ratio < 3 else "**nothing**")
            name = row["kind"] if row["role"] == "grid" else f"sound ({row['name'].split('| ')[1]})"
            lines.append(f"| {row['modality'].upper()}: {name} | {ratio:.1f} | {said} |")
    test = [one for one in judged if one[0]["role"] != "reference"]
    bad = [one for one in test if one[1] > 3]
    fine = [one for one in test if one[0]["role"] == "sound"]
    lines += ["", f"error above 3 x the in-family median: {len(bad)}, flagged {sum(bool(o[2]) for o in bad)}"]
    lines += [f"sound test scans: {len(fine)}, flagged {sum(bool(o[2]) for o in fine)}"]
    lines += [
        f"area under the ROC curve of the largest score, error above {limit} x: "
        f"{under_roc([o[3] for o in test if o[1] > limit], [o[3] for o in test if o[1] <= limit]):.3f}, "
        f"n = {len(test)}"
        for limit in (2, 3)
        if 0 < sum(o[1] > limit for o in test) < len(test)
    ]
    return "\n".join(lines)


def under_roc(wrong: list[float], right: list[float]) -> float:
    """The area: how often a wrong case scores above a right one."""
    return float(mannwhitneyu(wrong, right).statistic) / (len(wrong) * len(right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    lines = options.output.read_text().splitlines() if options.output.exists() else []
    rows = [json.loads(line) for line in lines]
    if not (options.table or options.keep):
        done = {row["name"] for row in rows}
        for case in grid():
            if case.name not in done:
                rows.append(run(case))
                with options.output.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    if options.keep:
        for modality, family in families(rows).items():
            sha256 = next(row["prior"] for row in rows if row["modality"] == modality)
            keep(sha256, family, SHIPPED)
    print(table(rows))


if __name__ == "__main__":
    main()
