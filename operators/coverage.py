"""What the views of a CT scan cover: the angle that each stands for, arcs that nobody measured, and the weight of each
ray among those that measure the same line. Values only, no torch: `scanprior validate` asks too.

Views repeat after 360 degrees, the directions of lines after 180. A view stands for half the gaps to its two
neighbours. Views much closer than a step (further turns, both ends of a turn, opposed views of parallel beams, up to
the jitter of an encoder) share their angles evenly, so that every turn counts alike. The step is the gap at a typical
place: the median of the gaps, each counted by its length. An arc that was not measured is one of the few widest gaps,
four times wider than all others and twice wider than the gaps beside it; it counts as the wider of these.

A line is met twice in a full turn, by the ray at the fan angle gamma in the view beta and by the one at -gamma in the
view beta + pi - 2 gamma; once or twice in a shorter arc; and once where the detector is displaced and lacks the
opposite side. The weights of the two sum to one and are smooth along the detector, as the ramp filter demands:
c / (c + c of the other ray), where c is one on measured views and elements, and falls to zero at the ends of an arc
and where the side that the detector lacks begins, over half of what it sees on both sides of the axis.

    arcs                 Parker, Med. Phys. 9, 254, 1982, for any arc: Noo, Defrise, Clackdoyle & Kudo, Phys. Med.
                         Biol. 47, 2525, 2002
    displaced detectors  Wang, Med. Phys. 29, 1634, 2002
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..geometry import FanBeam, Geometry

_TAPER = math.radians(10)  # of c at the ends of an arc
_SAME = 1e-6  # rad; views closer than this are one, however many


@dataclass(frozen=True, eq=False)
class Coverage:
    """Of a circle by views.

    Attributes:
        angle: that each view stands for [rad], (views,).
        missing: arcs that nobody measured, (arcs, 2): start, width [rad].
        step: the typical gap between neighbours [rad].
        directions: number of views that are further apart than a quarter of it.
    """

    angle: np.ndarray
    missing: np.ndarray
    step: float
    directions: int

    @property
    def covered(self) -> float:
        """The angle that all views stand for together [rad]."""
        return float(self.angle.sum())


def coverage(angles: Sequence[float] | np.ndarray, period: float) -> Coverage:
    """How views at `angles` [rad], in any order, cover a circle that ends after `period`: 2 pi, or pi for the
    directions of lines."""
    phi = np.mod(np.asarray(angles, dtype=np.float64), period)
    order = np.argsort(phi, kind="stable")
    gaps = np.diff(phi[order], append=phi[order[0]] + period)  # gaps[i] follows view order[i]
    few = min(1 + len(gaps) // 8, 4) if len(gaps) > 2 else 0
    others = np.sort(gaps)[: len(gaps) - few]
    length = np.cumsum(others)
    step = max(float(others[np.searchsorted(length, length[-1] / 2)]), _SAME)
    apart = np.flatnonzero(gaps >= step / 4)
    wide = gaps[apart]
    beside = np.maximum(np.roll(wide, 1), np.roll(wide, -1))
    unseen = (wide > 4 * max(others[-1], step)) & (wide > 2 * beside)
    missing = np.stack([phi[order[apart]] + beside / 2, wide - beside], axis=1)[unseen]
    gaps[apart] = np.where(unseen, beside, wide)
    group = np.searchsorted(apart, np.arange(len(gaps))) % len(apart)  # of views closer than step / 4
    own = (gaps + np.roll(gaps, 1)) / 2
    angle = np.empty_like(own)
    angle[order] = (np.bincount(group, own) / np.bincount(group))[group]
    return Coverage(angle, missing, step, len(apart))


def covered_arc(geometry: Geometry) -> float:
    """The angle that all views stand for together [rad], of the half circle (parallel) or the full one (fan)."""
    period = 2 * math.pi if isinstance(geometry, FanBeam) else math.pi
    return coverage(geometry.angles, period).covered


def ray_weights(geometry: Geometry) -> np.ndarray:
    """The angle that each ray stands for [rad], its view's times its part of its line: (views, detectors). A line
    through the axis that turns through all directions collects pi.

    Parallel beams have no arcs to smooth: a line is shared by all views along it. Where opposed views were measured
    and one side of a displaced detector sees more of it (`lead`), that part is left to the views with this side.
    """
    beta, s = np.asarray(geometry.angles)[:, None], geometry.coordinates()
    low, high = s[0] - geometry.spacing / 2, s[-1] + geometry.spacing / 2
    overlap = max(min(-low, high), geometry.spacing / 2)

    def on_detector(s: np.ndarray) -> np.ndarray:
        return _smooth(np.minimum(s - low, high - s) / overlap)

    around = coverage(geometry.angles, 2 * math.pi)

    def inside(phi: np.ndarray) -> np.ndarray:  # the measured arcs [rad], positive; not more than _TAPER
        found = np.full(phi.shape, _TAPER)
        for start, width in around.missing:
            after = np.mod(phi - start, 2 * math.pi)
            found = np.minimum(found, np.minimum(after - width, 2 * math.pi - after))
        return found

    own, other = on_detector(s), on_detector(-s)
    if isinstance(geometry, FanBeam):
        own = own * _smooth(inside(beta) / _TAPER)
        other = other * _smooth(inside(beta + math.pi - 2 * geometry.fan_angles()) / _TAPER)
        return around.angle[:, None] * own / (own + other)
    lead = (own - other) / (own + other) * (inside(beta + math.pi) > 0)
    folded = coverage(geometry.angles, math.pi)
    return folded.angle[:, None] * (1 - abs(lead)) + around.angle[:, None] * lead.clip(0)


def _smooth(inside: np.ndarray) -> np.ndarray:
    """From 0 to 1 while `inside` does."""
    return np.sin(0.5 * math.pi * np.clip(inside, 0, 1)) ** 2
