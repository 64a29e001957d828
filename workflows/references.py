"""What is usual of an audit's figures, by prior: files of families (recon/audit/reference.py). Those of the bundled
priors lie in `references/`, a lab's own in $SCANPRIOR_HOME/audit and go first."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..formats.write import atomic
from ..pretrained.cache import home
from ..recon.audit.checks import check_of
from ..recon.audit.reference import LEAST_PATIENTS, Family, Usual, usual_of
from ..recon.baselines.supervised import differences

SHIPPED = Path(__file__).with_name("references")


def read_reference(sha256: str) -> list[Family]:
    """The families of a prior, a lab's own first; none for a prior without. Raises UsageError for a damaged file."""
    return [family for folder in (_own(), SHIPPED) for family in _read(_file(folder, sha256), sha256)]


def keep(sha256: str, family: Family, folder: Path | None = None) -> Path:
    """Add a family's patients to those of the same measurement and method in a lab's own reference (or that of a
    folder). Returns its file."""
    path = _file(folder or _own(), sha256)
    kept = _read(path, sha256)
    same = (family.measurement, family.method)
    before = [one for one in kept if (one.measurement, one.method) == same]
    others = [one for one in kept if (one.measurement, one.method) != same]
    patients = {name: figures for one in before for name, figures in one.patients.items()} | family.patients
    joined = replace(family, patients=patients)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as temporary:
        facts = {"prior": sha256, "families": [vars(one) for one in (joined, *others)]}
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path


def usual_for(sha256: str, measurement: dict[str, Any], method: str) -> Usual | None:
    """What is usual for a scan of such a measurement, reconstructed by a method: of the prior's family that is like it,
    the method's own before others', which is said. How far from it is unusual is found on the patients of all
    references, whatever their prior: scores are standardised, and one prior has too few. None for a prior without."""
    families = [family for family in read_reference(sha256) if len(family.patients) >= LEAST_PATIENTS]
    if not families:
        return None
    by_method = [family for family in families if family.method == method]
    known = by_method or families
    same = [family for family in known if not differences(family.measurement, measurement)]
    everyone = [family for family in every_family() if family.method == known[0].method]
    return usual_of(everyone, same[:1] or known, own=bool(same), like=bool(by_method))


def every_family() -> list[Family]:
    """The families of all priors. Raises UsageError for a damaged file."""
    paths = [path for folder in (_own(), SHIPPED) for path in sorted(folder.glob("*.json"))]
    return [family for path in paths for family in _read(path)]


def _own() -> Path:
    return home() / "audit"


def _file(folder: Path, sha256: str) -> Path:
    return folder / f"{sha256[:16]}.json"


def _read(path: Path, sha256: str | None = None) -> list[Family]:
    """The families of a file; none of another prior's."""
    if not path.is_file():
        return []
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        found = [_checked(Family(**family)) for family in stored["families"]]
        return found if sha256 in (None, stored["prior"]) else []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path}: got no reference of an audit ({error}); remove it") from None


def _checked(family: Family) -> Family:
    """Refuse what would fail where it is used."""
    if not (isinstance(family.measurement, dict) and isinstance(family.method, str)):
        raise TypeError("a family without a measurement or a method")
    for slices in family.patients.values():
        if not slices:
            raise ValueError("a patient without slices")
        for name, value in (figure for one in slices for figure in one.items()):
            check_of(name)
            math.isfinite(value)  # no number: TypeError
    return family
