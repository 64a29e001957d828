"""Lesions put into images before they are measured: what they look like, and where there is room for one.

A lesion is an ellipsoid with a soft edge. What a pixel gets of it is the mean over the pixel's own volume, side x side
x slice thickness, so that a nodule of 2 mm in pixels of 1.4 mm has the contrast that a scanner would give it. With the
density f(r) = clip((R - r) / edge + 1/2, 0, 1) of a sphere of radius R and h the slice's thickness, a slice holds

    pi h (R² + edge²/12 - h²/12)    of it for h < 2 R - edge,
    4/3 pi (R³ + R edge²/4)         where it holds all of it.

Contrast adds to HU. To a magnitude it is a part of the tissue's own signal, which leaves the phase as it was. So image
and lesion are known apart, and whatever a reconstruction makes of the lesion can be told from the rest.

Places are drawn by seed where the tissue is homogeneous: such a lesion is the easiest of its size and contrast, for a
reader and for an algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .calibration import discs
from .regions import ct_regions, mr_regions

Array = NDArray[Any]
EDGE_MM = 0.5  # from all to nothing of the density
SUBPIXELS = 9  # a side of a pixel, and the slice's thickness; odd, so that one is the centre
MARGIN_MM = 2.0  # of the same tissue around a lesion
APART_MM = 25.0  # between the centres of two: what one does to an image does not reach the other
BRIGHTEST = 0.4  # part of a brain without its skull that is white matter, on T1


@dataclass(frozen=True)
class Kind:
    """What is put in.

    Attributes:
        site: the tissue: "lung" or "soft tissue" (CT), "white matter" (T1 of a brain without its skull).
        diameter_mm: of the sphere with the ellipsoid's volume.
        contrast: HU that are added, or parts of the tissue's signal: -0.3 is 30 % darker.
        elongation: the longest axis in the slice over the shortest; 1 is a sphere.
    """

    site: str
    diameter_mm: float
    contrast: float
    elongation: float = 1.0

    def __post_init__(self) -> None:
        if self.site not in (*CT_SITES, *MR_SITES):
            raise ValueError(f"got site {self.site!r}, expected one of {', '.join((*CT_SITES, *MR_SITES))}")
        if not (self.diameter_mm > EDGE_MM and self.elongation >= 1 and self.contrast):
            raise ValueError(
                f"got {self}, expected a diameter above {EDGE_MM} mm, a contrast other than 0, elongation >= 1"
            )


CT_SITES, MR_SITES = ("lung", "soft tissue"), ("white matter",)
KINDS = {  # what is tried where nothing else is asked for
    "HU": tuple(
        Kind(site, mm, contrast)
        for site, contrasts in (("lung", (800.0, 300.0)), ("soft tissue", (150.0, 60.0, 30.0, -60.0)))
        for contrast in contrasts
        for mm in (3.0, 5.0, 8.0)
    ),
    "magnitude": tuple(
        Kind("white matter", mm, contrast, 1.5) for contrast in (-0.4, -0.2, 0.2) for mm in (3.0, 5.0, 8.0)
    ),
}


@dataclass(frozen=True)
class Lesion:
    """A kind of lesion, at its place.

    Attributes:
        row, column: of the centre, in pixels.
        angle: of the longest axis against the rows [radians].
    """

    kind: Kind
    row: float
    column: float
    angle: float = 0.0

    def binned(self, factor: int) -> Lesion:
        """In an image whose pixels are means of factor x factor of this one's."""
        row, column = ((place + 0.5) / factor - 0.5 for place in (self.row, self.column))
        return replace(self, row=row, column=column)

    def fraction(self, shape: tuple[int, int], pixel_mm: float, thickness_mm: float = 1.0) -> Array:
        """How much of each pixel of a slice through the centre is lesion, 0 to 1: (H, W)."""
        R, stretch = self.kind.diameter_mm / 2, math.sqrt(self.kind.elongation)
        reach = math.ceil((R * stretch + EDGE_MM) / pixel_mm) + 1
        out = np.zeros(shape)
        top, left = (max(0, round(place) - reach) for place in (self.row, self.column))
        part = out[top : round(self.row) + reach + 1, left : round(self.column) + reach + 1]
        within = (np.arange(SUBPIXELS) + 0.5) / SUBPIXELS - 0.5
        y, x = (
            ((np.arange(start, start + n)[:, None] + within).ravel() - place) * pixel_mm
            for start, n, place in ((top, part.shape[0], self.row), (left, part.shape[1], self.column))
        )
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        along, across = x * cos + y[:, None] * sin, y[:, None] * cos - x * sin
        r2 = (along / stretch) ** 2 + (across * stretch) ** 2
        height = min(thickness_mm, 2 * R + EDGE_MM)  # a thicker slice has nothing of it above and below
        for z in within * height:
            density = np.clip((R - np.sqrt(r2 + z * z)) / EDGE_MM + 0.5, 0, 1)
            part += density.reshape(part.shape[0], SUBPIXELS, part.shape[1], SUBPIXELS).mean((1, 3))
        out *= height / thickness_mm / SUBPIXELS
        return out


def insert(
    image: Array, lesions: Sequence[Lesion], units: str, pixel_mm: float, thickness_mm: float = 1.0
) -> Array:
    """A slice (H, W) in HU, or of magnitudes, with lesions in it; float32."""
    out = np.asarray(image, np.float64)
    for lesion in lesions:
        part = lesion.kind.contrast * lesion.fraction(out.shape, pixel_mm, thickness_mm)
        out = out + part if units == "HU" else out * (1 + part)
    return out.astype(np.float32)


def tissues(image: Array, units: str) -> dict[str, NDArray[np.bool_]]:
    """Where in a slice (H, W) the sites are: name -> mask."""
    if units == "HU":
        regions = ct_regions(image)
        return {site: regions[site] for site in CT_SITES}
    regions = mr_regions(image)
    if not regions["inside"].any():
        return {"white matter": regions["inside"]}
    bright = image > np.quantile(image[regions["inside"]], 1 - BRIGHTEST)
    return {"white matter": bright & regions["flat"]}


def placed(
    image: Array, kinds: Sequence[Kind], units: str, pixel_mm: float, count: int, seed: int = 0
) -> list[Lesion]:
    """At most `count` lesions for a slice (H, W), APART_MM from each other, each where nearly all of the tissue around
    is its site's and varies less than in half of such places. The kinds take turns, in an order drawn by seed; one that
    finds no place is left out. The same seed gives the same lesions.

    Args:
        units: "HU", or anything else for magnitudes.
    """
    g, sites = np.random.default_rng(seed), tissues(image, units)
    found: list[Lesion] = []
    rows, columns = np.indices(image.shape)
    free = np.ones(image.shape, bool)
    tried = [kinds[i] for _ in range(count) for i in g.permutation(len(kinds))]
    lost: set[Kind] = set()  # places only get fewer
    for kind in tried:
        if len(found) == count or len(lost) == len(set(kinds)):
            break
        where = (
            None if kind in lost or kind.site not in sites else _room(image, sites[kind.site], kind, pixel_mm)
        )
        places = np.flatnonzero(where & free) if where is not None else np.zeros(0, int)
        if not len(places):
            lost.add(kind)
            continue
        row, column = divmod(int(g.choice(places)), image.shape[1])
        free &= np.hypot(rows - row, columns - column) * pixel_mm >= APART_MM
        down, right, turn = g.uniform(-0.5, 0.5, 3)  # no lesion knows of pixels
        found.append(Lesion(kind, row + float(down), column + float(right), math.pi * float(turn)))
    return found


def _room(image: Array, tissue: NDArray[np.bool_], kind: Kind, pixel_mm: float) -> NDArray[np.bool_]:
    """Centres around which a lesion has nearly only tissue, of the more homogeneous half."""
    across = kind.diameter_mm * math.sqrt(kind.elongation) + 2 * MARGIN_MM
    fits = tissue & (discs(tissue.astype(float), across, pixel_mm) > 0.95)
    to_border: Any = ndimage.distance_transform_edt(np.pad(np.ones(image.shape), 1))
    fits &= to_border[1:-1, 1:-1] > across / pixel_mm
    if not fits.any():
        return fits
    mean, square = (discs(a, across, pixel_mm) for a in (image, np.square(image, dtype=np.float64)))
    variance = square - mean**2
    return fits & (variance <= np.median(variance[fits]))
