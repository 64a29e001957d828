"""CT geometry in the plane: where the pixels and the rays lie. Values only; millimetres and radians.

Axes. x points right, y points up, the rotation axis is the origin and lies at pixel ((H-1)/2, (W-1)/2): pixel
(i, j) has its centre at x = (j - (W-1)/2) pixel, y = ((H-1)/2 - i) pixel.

Views turn counter-clockwise. At view angle theta the detector axis is u = (cos theta, sin theta) and the beam
travels along d = (-sin theta, cos theta). Element k of n has the detector coordinate

    s_k = (k - (n-1)/2 - offset) spacing,

so the rotation axis is seen at element (n-1)/2 + offset.

    parallel     the line along d through s_k u:  x cos theta + y sin theta = s_k
    fan, flat    from the source at -source_origin d to its point source_detector d + s_k u further
    fan, curved  elements on the circle of radius source_detector around the source, s_k is the arc length:
                 from the source along cos(gamma) d + sin(gamma) u, gamma = s_k / source_detector

A fan beam with a far source becomes the parallel beam of the same angles (up to the magnification).

The ground floor: a `Scan` holds one of these values, operators take one. A value that cannot be is never made:
`GeometryError` names everything that is wrong with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np


class GeometryError(ValueError):
    """Numbers that make no geometry. `faults`: all that is wrong, a sentence each: what was got, what was expected."""

    def __init__(self, owner: str, faults: Sequence[str]) -> None:
        super().__init__(owner, tuple(faults))
        self.owner, self.faults = owner, tuple(faults)

    def __str__(self) -> str:
        return f"{self.owner}: {'; '.join(self.faults)}"


@dataclass(frozen=True)
class Grid:
    """The pixels of one slice, centred on the rotation axis.

    Attributes:
        matrix: (H, W), rows and columns.
        pixel: edge of a square pixel [mm].
    """

    matrix: tuple[int, int]
    pixel: float

    def __post_init__(self) -> None:
        matrix = tuple(int(n) for n in self.matrix)
        if len(matrix) != 2 or min(matrix) < 1:
            raise GeometryError(
                "Grid", [f"got matrix {self.matrix}, expected (rows, columns), both at least 1"]
            )
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "pixel", _positive("Grid", "pixel", self.pixel))

    @property
    def radius(self) -> float:
        """Half the diagonal [mm]: no ray further from the axis meets the grid."""
        return 0.5 * self.pixel * math.hypot(*self.matrix)

    def refine(self, factor: int) -> Grid:
        """The same square of space with every pixel cut into factor x factor."""
        return Grid((self.matrix[0] * factor, self.matrix[1] * factor), self.pixel / factor)


@dataclass(frozen=True, repr=False)
class _Beam:
    """What parallel and fan beams share.

    Attributes:
        angles: view angles [rad]; any iterable of numbers is accepted and kept as a tuple.
        detectors: elements in a view.
        spacing: distance between elements [mm], measured on the detector (along the arc where it is curved).
        offset: the rotation axis is seen at element (n-1)/2 + offset [elements]; by keyword.
    """

    angles: tuple[float, ...]
    detectors: int
    spacing: float
    offset: float = field(default=0.0, kw_only=True)

    def __post_init__(self) -> None:
        angles = self.angles if isinstance(self.angles, np.ndarray) else tuple(self.angles)
        object.__setattr__(self, "angles", np.asarray(angles, dtype=np.float64))
        if faults := list(self._faults()):
            raise GeometryError(type(self).__name__, faults)
        object.__setattr__(self, "angles", tuple(np.asarray(self.angles).tolist()))
        object.__setattr__(self, "detectors", int(self.detectors))
        for name in ("spacing", "offset"):
            object.__setattr__(self, name, float(getattr(self, name)))

    def _faults(self) -> Iterator[str]:
        """All that is wrong, in words; `angles` are an array still."""
        yield from _angle_faults(np.asarray(self.angles))
        if not _is_number(self.detectors) or int(self.detectors) != self.detectors or self.detectors < 1:
            yield f"got detectors={self.detectors!r}, expected a whole number of at least 1"
            return
        yield from _length_faults("detector spacing", self.spacing)
        if not _is_number(self.offset):
            yield f"got detector offset {self.offset!r}, expected a finite number of elements"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._words())})"

    def _words(self) -> Iterator[str]:
        """What a short repr says; hundreds of angles are their number and the arc from the first to the last."""
        arc = math.degrees(max(self.angles) - min(self.angles))
        yield f"{self.views} views over {arc:.4g}°, {self.detectors} elements of {self.spacing:.4g} mm"
        if self.offset:
            yield f"offset {self.offset:g}"

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.angles)

    @property
    def shape(self) -> tuple[int, int]:
        """(views, detectors): the shape of one sinogram."""
        return self.views, self.detectors

    def coordinates(self) -> np.ndarray:
        """s_k on the detector [mm], along the arc where it is curved: (detectors,)."""
        return (np.arange(self.detectors) - 0.5 * (self.detectors - 1) - self.offset) * self.spacing

    def subset(self, index: slice | Sequence[int] | np.ndarray) -> Self:
        """The beam with only these views (slice, integers or a boolean mask)."""
        chosen = index if isinstance(index, slice) else np.asarray(index)
        return replace(self, angles=tuple(np.asarray(self.angles)[chosen]))

    def refine(self, factor: int) -> Self:
        """The same detector with every element cut into `factor`."""
        return replace(
            self,
            detectors=self.detectors * factor,
            spacing=self.spacing / factor,
            offset=self.offset * factor,
        )

    def check_outside(self, grid: Grid) -> None:
        """ValueError where a source lies inside the circle around the grid; parallel rays come from afar."""

    def _axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Detector axis u and beam axis d of every view: (views, 1, 2) each."""
        theta = np.asarray(self.angles)[:, None]
        u = np.stack([np.cos(theta), np.sin(theta)], axis=-1)
        return u, np.stack([-u[..., 1], u[..., 0]], axis=-1)


@dataclass(frozen=True, repr=False)
class ParallelBeam(_Beam):
    """Parallel rays (module docstring). `angles` [rad], `detectors`, `spacing` [mm], `offset` [elements]."""

    kind: ClassVar = "parallel"

    @classmethod
    def covering(
        cls,
        grid: Grid,
        views: int,
        *,
        arc: float = math.pi,
        spacing: float | None = None,
        offset: float = 0.0,
    ) -> ParallelBeam:
        """A beam that sees the whole grid from `views` angles over `arc` [rad].

        Elements are one pixel apart unless `spacing` [mm] says otherwise, and as many as the diagonal needs.
        """
        spacing = grid.pixel if spacing is None else _positive("ParallelBeam", "spacing", spacing)
        return cls(
            parallel_views(views, arc), _elements(grid.radius, spacing, offset), spacing, offset=offset
        )

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """A point on each ray [mm] and its unit direction, x and y: (views, detectors, 2) each."""
        u, d = self._axes()
        origin = self.coordinates()[None, :, None] * u
        return origin, np.broadcast_to(d, origin.shape)


@dataclass(frozen=True, repr=False)
class FanBeam(_Beam):
    """Rays from a point source (module docstring).

    Attributes:
        angles, detectors, spacing, offset: see ParallelBeam; `spacing` is measured on the detector.
        source_origin: source to rotation axis [mm].
        source_detector: source to detector [mm].
        curved: elements on an arc around the source (clinical CT) instead of a straight line.
    """

    kind: ClassVar = "fan"
    source_origin: float
    source_detector: float
    curved: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("source_origin", "source_detector"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "curved", bool(self.curved))

    def _faults(self) -> Iterator[str]:
        faults = [*super()._faults()]
        yield from faults
        named = {name: getattr(self, name) for name in ("source_origin", "source_detector")}
        lengths = [fault for name, value in named.items() for fault in _length_faults(name, value)]
        yield from lengths
        if faults or lengths or not self.curved:
            return
        reach = np.abs(self.coordinates()).max()
        if reach >= 0.5 * math.pi * self.source_detector:
            yield (
                f"got a curved detector that reaches {reach:.4g} mm along an arc of radius "
                f"{self.source_detector:.4g} mm, a fan of over 180 degrees; spacing is a length [mm]"
            )

    def _words(self) -> Iterator[str]:
        yield from super()._words()
        yield f"source {self.source_origin:.4g} mm before the axis, {self.source_detector:.4g} before the detector"
        if self.curved:
            yield "curved"

    @classmethod
    def covering(
        cls,
        grid: Grid,
        views: int,
        *,
        source_origin: float,
        source_detector: float,
        curved: bool = False,
        arc: float = 2 * math.pi,
        spacing: float | None = None,
        offset: float = 0.0,
    ) -> FanBeam:
        """A fan that sees the whole grid from `views` angles over `arc` [rad].

        Elements are one pixel apart at the rotation axis unless `spacing` [mm, on the detector] says
        otherwise. Raises ValueError where the source would lie inside the circle around the grid.
        """
        R = _positive("FanBeam", "source_origin", source_origin)
        D = _positive("FanBeam", "source_detector", source_detector)
        cls((0.0,), 1, 1.0, R, D).check_outside(grid)
        spacing = grid.pixel * D / R if spacing is None else _positive("FanBeam", "spacing", spacing)
        gamma = math.asin(grid.radius / R)
        detectors = _elements(D * (gamma if curved else math.tan(gamma)), spacing, offset)
        return cls(parallel_views(views, arc), detectors, spacing, R, D, curved, offset=offset)

    def fan_angles(self) -> np.ndarray:
        """gamma_k, between the ray and the central ray [rad]: (detectors,)."""
        s = self.coordinates() / self.source_detector
        return s if self.curved else np.arctan(s)

    def check_outside(self, grid: Grid) -> None:
        """ValueError where the source lies inside the circle around the grid."""
        if self.source_origin <= grid.radius:
            raise ValueError(
                f"FanBeam: got source_origin={self.source_origin:.4g} mm, inside the grid's circle of radius "
                f"{grid.radius:.4g} mm; move the source out or make the grid smaller"
            )

    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """The source [mm] of each ray and its unit direction, x and y: (views, detectors, 2) each."""
        u, d = self._axes()
        gamma = self.fan_angles()[None, :, None]
        direction = np.cos(gamma) * d + np.sin(gamma) * u
        return np.broadcast_to(-self.source_origin * d, direction.shape), direction


Geometry = ParallelBeam | FanBeam


def parallel_views(views: int, arc: float = math.pi) -> tuple[float, ...]:
    """`views` equispaced angles on [0, arc) [rad]; the end point would repeat the first view."""
    if views < 1:
        raise ValueError(f"parallel_views: got {views} views, expected at least 1")
    return tuple(float(a) for a in np.linspace(0.0, arc, views, endpoint=False))


def _elements(half_width: float, spacing: float, offset: float) -> int:
    """Elements that reach from -half_width to half_width although the centre is shifted."""
    return math.ceil(2 * (half_width / spacing + abs(offset)) - 1e-9)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _angle_faults(angles: np.ndarray) -> Iterator[str]:
    if angles.ndim != 1:
        yield f"got angles of shape {angles.shape}, expected one a view [rad]"
    elif not angles.size:
        yield "got 0 angles, expected at least one [rad]"
    elif not np.isfinite(angles).all():
        bad = np.count_nonzero(~np.isfinite(angles))
        yield f"got {bad} angles that are not finite; repair or drop these views"


def _length_faults(name: str, value: Any) -> Iterator[str]:
    if not _is_number(value) or value <= 0:
        yield f"got {name} = {value!r}, expected a positive length in mm"


def _positive(owner: str, name: str, value: float) -> float:
    """The length that a `covering` or a grid is given."""
    if faults := list(_length_faults(name, value)):
        raise GeometryError(owner, faults)
    return float(value)
