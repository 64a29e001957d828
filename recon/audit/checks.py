"""The checks of an audit: what each figure is, when it is unusual, and what to say then.

A figure is unusual where it is outside of what in-family scans of the reference have (reference.py), or without one
outside of `limits`, which are wide. Inside of `harmless` it is never unusual, however alike the in-family scans were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Range = tuple[float, float]


class Check(NamedTuple):
    """A figure of an audit.

    Attributes:
        title: in tables.
        limits: what is usual where there is no reference.
        harmless: what is never unusual.
        seen: what was seen, of `value`, `where`.
        advice: what to check.
    """

    title: str
    limits: Range
    harmless: Range
    seen: str
    advice: str


NOISE = "the noise level that the file states, the units, and the operator (geometry or mask, coil maps)"
GEOMETRY = "the angles, the axis of rotation and the size of detector elements"
KIND = (
    "that the prior was trained on such scans (`scanprior priors show`): anatomy, contrast, units, pixel size"
)
CHECKS = {
    "fit": Check(
        "residual of the samples, over the noise",
        (0.2, 3.0),
        (0.8, 1.25),
        "the samples' residual is {value:.3g} times what the noise leaves",
        NOISE,
    ),
    "part": Check(
        "worst view or line, over the median",
        (0.0, 3.0),
        (0.0, 1.3),
        "{where} fits {value:.3g} times worse than the others",
        "for motion, metal, a bad detector or receiver there, and the angles or the mask",
    ),
    "place": Check(
        "worst place of the residual, over the median",
        (0.0, math.inf),
        (0.0, 2.0),
        "the residual points {value:.3g} times more to {where} than elsewhere",
        "what lies there, or moved there: metal, motion, anatomy outside of the image",
    ),
    "noise": Check(
        "noise seen in the data, over that stated",
        (0.6, 2.0),
        (0.85, 1.2),
        "the data look {value:.3g} times as noisy as they state",
        "the noise level that the file states",
    ),
    "centre": Check(
        "axis of rotation, elements off",
        (0.0, 0.5),
        (0.0, 0.1),
        "the axis of rotation seems to be {value:.3g} detector elements from where it is said to be",
        "the axis of rotation (detector offset, --center)",
    ),
    "sway": Check(
        "centre of mass, elements off its path",
        (0.0, 0.5),
        (0.0, 0.1),
        "the views' centres of mass lie {value:.3g} detector elements off the path of any object at rest",
        "the angles, and for motion",
    ),
    "mass": Check(
        "mass of the views, relative spread",
        (0.0, 0.03),
        (0.0, 0.005),
        "the views' mass differs by {value:.2%}",
        "for motion, metal, an object that leaves the field of view, and the detector's correction",
    ),
    "groups": Check(
        "samples in groups, gap over width",
        (0.0, 2.0),
        (0.0, 1.2),
        "the samples fall into groups at {where}: look at them one by one, the mean is none of them",
        "what the data leave open there, with more samples",
    ),
    "mask": Check(
        "lines that contradict the mask",
        (0.0, 0.0),
        (0.0, 0.0),
        "{value:.1%} of the lines of k-space are empty where the mask has them, or filled where it has none",
        "the mask",
    ),
    "unseen": Check(
        "error in data held out, relative",
        (0.0, math.inf),
        (0.0, 0.0),
        "data that the reconstruction did not see are missed by {value:.2%} of their size",
        f"{KIND}; {GEOMETRY}, or the mask and the coil maps; for motion",
    ),
}
SURPRISE = Check(
    "surprise of the prior",
    (0.3, 2.5),
    (0.9, 1.1),
    "the prior's denoiser is {value:.3g} times as wrong on the samples as it believes, at {where}",
    KIND,
)
RATE = 0.1  # of in-family scans that may be flagged


@dataclass(frozen=True)
class Finding:
    """A check of one slice.

    Attributes:
        name: as in `CHECKS`, or surprise_LEVEL.
        slice: its number.
        value: the figure.
        usual: what in-family scans have.
        flagged: whether the value is outside of it.
        said: what was seen and what to check, where it is flagged.
    """

    name: str
    slice: int
    value: float
    usual: Range
    flagged: bool
    said: str

    @property
    def title(self) -> str:
        return title_of(self.name)


def check_of(name: str) -> Check:
    """The check of a figure's name."""
    return SURPRISE if name.startswith("surprise") else CHECKS[name]


def title_of(name: str) -> str:
    """As tables call it."""
    level = name.partition("_")[2]
    return f"{SURPRISE.title}, level {level}" if name.startswith("surprise") else CHECKS[name].title


def findings(
    figures: Mapping[str, float], where: Mapping[str, str], usual: Mapping[str, Range], number: int
) -> list[Finding]:
    """The checks of a slice.

    Args:
        figures: name -> value; those that are not finite are left out.
        where: name -> the place of a figure in words.
        usual: name -> what is usual; a check without goes by its limits.
        number: of the slice.
    """
    found = []
    for name, value in figures.items():
        check = check_of(name)
        if not math.isfinite(value):
            continue
        low, high = usual.get(name, check.limits)
        low, high = min(low, check.harmless[0]), max(high, check.harmless[1])
        flagged = not low <= value <= high
        said = ""
        if flagged:
            seen = check.seen.format(value=value, where=where.get(name, ""))
            least, most = (f"{end:.2%}" if "%}" in check.seen else f"{end:.3g}" for end in (low, high))
            usually = f"{least} to {most}" if low > 0 else f"up to {most}"
            said = f"slice {number}: {seen} (usual: {usually}); check {check.advice}"
        found.append(Finding(name, number, float(value), (low, high), flagged, said))
    return found


def table(found: list[Finding]) -> list[dict[str, Any]]:
    """A line a check, of the slice that is furthest from what is usual; an end that is None is none."""
    out = []
    for name in dict.fromkeys(one.name for one in found):
        own = [one for one in found if one.name == name]
        worst = max(own, key=lambda one: _beyond(one.value, one.usual))
        flags = [one.slice for one in own if one.flagged]
        out.append(
            {
                "check": worst.title,
                "value": worst.value,
                "usual": [end if math.isfinite(end) else None for end in worst.usual],
                "slice": worst.slice,
                "flagged": flags,
            }
        )
    return out


def _beyond(value: float, usual: Range) -> float:
    """How far a value lies from the middle of a range, 1 at its ends."""
    low, high = usual
    if not math.isfinite(high):
        return value
    middle, half = (low + high) / 2, max((high - low) / 2, 1e-12)
    return abs(value - middle) / half if low > 0 else value / max(high, 1e-12)
