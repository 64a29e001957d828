"""Calibration records: for which scans which promises hold (promises.py), as JSON files.

A record belongs to

    a prior      the sha256 of its weights;
    a method     with all settings, those that are left to it as it took them, and the number of samples;
    a family     of scans (family.py).

One that fits in all of these is used, and nothing is promised where none does. Those of the bundled priors come with
the package (`recon/records/`); the user's own, in $SCANPRIOR_HOME/intervals, go first.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from ..errors import unknown
from ..formats.write import atomic
from ..pretrained.cache import home
from .calibration import LEVELS
from .conformal import coverage_band
from .family import Facts, Family, unlike
from .intervals import BOUNDS, KINDS
from .promises import Promises, percent

SHIPPED = Path(__file__).with_name("records")
FORMAT = "scanprior intervals 1"
SETTING = 0.05  # how far a number that a method found for itself may be from the calibration's, relative


@dataclass(frozen=True)
class Record:
    """A calibration.

    Attributes:
        prior: sha256 of the weights.
        method: name and settings, as they were used.
        samples: of each slice.
        family: of the scans.
        patients, slices: how many of them.
        promises: kind -> level -> numbers (promises.py).
        made: how: prior's name, suite, task, spec, command, date, version.
    """

    prior: str
    method: dict[str, Any]
    samples: int
    family: Family
    patients: int
    slices: int
    promises: Promises
    made: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its file, without the suffix."""
        words = (
            self.made.get("prior"),
            self.made.get("task"),
            self.method["method"],
            f"{self.samples} samples",
        )
        return re.sub("[^a-z0-9]+", "-", " ".join(map(str, words)).lower()).strip("-")

    def band(self, level: int) -> tuple[float, float]:
        """Where a coverage that is promised from so few patients lies in nine of ten choices of them: of what is inside
        or not as a whole; parts of pixels vary less (conformal.coverage_band)."""
        return coverage_band(self.patients, 1 - level / 100)

    def differences(self, method: dict[str, Any], samples: int, facts: Facts) -> list[str]:
        """Where a scan, or its reconstruction with the same prior and method, is not as in the calibration, in words. A
        setting that is None is not known yet."""
        found = [
            f"{key}: calibrated with {self.method.get(key)}, used with {value}"
            for key, value in method.items()
            if value is not None and not _alike(self.method.get(key), value)
        ]
        if samples != self.samples:
            found.append(f"samples: calibrated with {self.samples}, used with {samples}")
        return found + unlike(self.family, facts)


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=SETTING)
    return one == other


# --- files
def write_record(path: Path, record: Record) -> None:
    """As JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        temporary.write_text(
            json.dumps({"format": FORMAT, **asdict(record)}, indent=1, allow_nan=False) + "\n"
        )


def read_record(path: Path) -> Record:
    """What `write_record` wrote. Raises ValueError for a damaged file, or one of another scanprior."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if (got := facts.pop("format", None)) != FORMAT:
            raise ValueError(f"got format {got!r}, expected {FORMAT!r}")
        record = Record(**facts)
        _check(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: is no calibration record, or damaged ({error}); take it away with `scanprior intervals remove "
            f"{path.stem}`, or make it again with `scanprior calibrate --on calibration`"
        ) from None
    return record


def _check(record: Record) -> None:
    """Refuse what would fail, or promise nonsense, where it is used."""
    if not (record.patients >= 1 and record.samples >= 2 and isinstance(record.method["method"], str)):
        raise ValueError("it has no patients, samples or method")
    if not all(isinstance(known, list) and known for known in record.family.values()):
        raise ValueError("its family has no values")
    for kind, level in product((*KINDS, *BOUNDS, "certain"), LEVELS):
        promise = record.promises[kind][percent(level)]
        if not any(math.isfinite(promise.get(key, math.nan)) for key in ("factor", "shift", "needed")):
            raise ValueError(f"its promise of {percent(level)} % for {kind} has no number")


def own_records() -> Path:
    """The folder of the user's own records; it need not be there yet."""
    return home() / "intervals"


def every_record() -> Iterator[tuple[Path, Record]]:
    """All records with their files, the user's own first. Raises ValueError for a damaged one."""
    for folder in (own_records(), SHIPPED):
        yield from ((path, read_record(path)) for path in sorted(folder.glob("*.json")))


def remove(name: str) -> None:
    """Delete one of the user's own records, damaged or not. Raises ValueError for a name that is none of theirs."""
    known = {path.stem: path for path in own_records().glob("*.json")}
    if name not in known:
        raise unknown("intervals remove", name, sorted(known))
    known[name].unlink()


def record_for(
    prior: str, method: dict[str, Any], samples: int, facts: Facts
) -> tuple[Record | None, list[str]]:
    """The record of a scan; or None, and why there is none: where the one that comes nearest differs.

    Args:
        prior: sha256 of the weights.
        method: its name and settings; None for those that are not known yet.

    Raises ValueError for a damaged file.
    """
    known = [record for _, record in every_record() if record.prior == prior]
    if not known:
        return None, ["no calibration of this prior"]
    known = [record for record in known if record.method["method"] == method["method"]]
    if not known:
        return None, [f"no calibration of {method['method']} with this prior"]
    found = [(record, record.differences(method, samples, facts)) for record in known]
    record, reasons = min(found, key=lambda one: len(one[1]))  # of two the first, the user's own
    return (None, reasons) if reasons else (record, [])
