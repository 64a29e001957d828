"""From whole images to training crops: which image, which window, which augmentation.

Few patients make a prior memorise them, so images are drawn patient by patient (weights ~ (images of the patient)^½,
so that one patient with hundreds of slices does not drown the others); every crop is shifted and mirrored, and half of
them are turned by a few degrees and zoomed, in one interpolation (the other half keep the scanner's own noise texture,
which interpolation would smooth). Each batch is a function of (seed, step) alone: a resumed run sees
exactly the batches an uninterrupted one would have seen. All of a batch's random numbers are drawn before its first
image is read, so that a process which trains on a part of the batch reads and turns that part only.

A network may be told where a crop lies in its image, and learn from crops of several sizes, so that it knows whole
images too (Wang et al. 2023, Patch Diffusion; Hu et al. 2024, PaDIS). The size is drawn for a batch, whose number of
pixels stays.

Images that are parts of larger ones (a field of view cut around a knee) end where the body goes on: a crop that left
one would teach an edge that no body has. Crops stay inside of such a part; what turned or zoomed would leave it is
neither, and where a crop is larger than the part, another image is taken.

Pictures in colour are (C, H, W), their channels cropped as one.

Complex (MRI) priors learn from complex images, whose own phase stays, or from magnitudes; both are multiplied by a
random smooth phase with a random constant, which gives magnitudes a phase and turns and varies that of complex images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .settings import Augmentation

_KERNEL = 4  # pixels that bicubic interpolation sees beyond a window, both sides together


class Images(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Window:
    """What is random about one crop."""

    zoom: float
    angle: float  # [radians]
    mirror: float  # columns: 1, or -1 reversed
    turn: float  # rows: the same
    plain: bool  # neither turned nor zoomed
    place: tuple[float, float]  # of the centre, 0 to 1 over the room it has (rows, columns)

    def reach(self, size: int) -> float:
        """The side of what a crop takes its values from, turned and zoomed [pixels]."""
        if self.plain:
            return size
        return size / self.zoom * (abs(math.cos(self.angle)) + abs(math.sin(self.angle))) + _KERNEL

    def inside(self, part: np.ndarray, size: int) -> Window:
        """The same, unturned where it would leave a `part` of so many rows and columns; 0: no part."""
        return replace(self, plain=True) if 0 < part.min() < self.reach(size) else self

    @staticmethod
    def draw(a: Augmentation, rng: np.random.Generator) -> Window:
        zoom = rng.uniform(*a.zoom)
        angle = math.radians(rng.uniform(-a.degrees, a.degrees))
        mirror = rng.choice((-1.0, 1.0))
        turn = rng.choice((-1.0, 1.0)) if a.flip_rows else 1.0
        plain = rng.random() < 0.5 or (zoom, angle) == (1, 0)  # what changes nothing needs no interpolation
        return Window(zoom, angle, mirror, turn, plain, (rng.random(), rng.random()))


def shape_of(step: int, seed: int, sizes: Sequence[int], batch: int) -> tuple[int, int]:
    """Number and side of the crops of a step: of the first size `batch`, of another one as many as have its pixels."""
    size = sizes[int(np.random.default_rng((seed, step, 1)).integers(len(sizes)))]
    return max(1, round(batch * (sizes[0] / size) ** 2)), size


class Crops:
    """Random crops of a set of images: `crops(step)` is the batch of that step.

    Args:
        images: (N, H, W) in network units, real or (2 channels) complex; anything with a length that gives one array
            (H, W), or (C, H, W) for 3 channels and more, per index. Sizes may differ; a crop
            beyond the edge is filled with the least value (complex: 0). Crops stay inside of those that are parts of
            larger images, which an attribute `parts` says, (N, 2): their rows and columns, 0 of whole images.
        groups: (N,) patient of each image.
        channels: 1 real; 2 complex (real images are magnitudes); more: pictures in colour.
        size: side of the square crop [pixels]; of several, one is drawn each step.
        batch: images a step, of the first size; of smaller crops more, of larger ones fewer, for as many pixels.
        position: two more channels say where each pixel lies in the whole image (turned and zoomed as the crop is):
            row and column from its centre, in halves of its longer side.
        seed: of everything random here.
    """

    def __init__(
        self,
        images: Images,
        groups: Sequence[str] | np.ndarray,
        *,
        channels: int,
        size: int | Sequence[int],
        batch: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        position: bool = False,
    ) -> None:
        if len(images) != len(groups) or len(images) == 0:
            raise ValueError(
                f"got {len(images)} images and {len(groups)} patients' names; expected as many, at least one"
            )
        self.images = images
        self.channels, self.batch, self.seed, self.position = channels, batch, seed, position
        self.sizes = [size] if isinstance(size, int) else list(size)
        self.augmentation = augmentation or Augmentation()
        self.groups = np.asarray(groups)
        self.parts = np.asarray(getattr(images, "parts", np.zeros((len(images), 2), int)))
        self.members = {size: self._members(size) for size in self.sizes}

    def _members(self, size: int) -> list[np.ndarray]:
        """Of each patient the images that crops of a size fit into. Raises ValueError where there are none."""
        least = self.parts.min(1)
        usable = np.flatnonzero((least == 0) | (least >= size))
        if not len(usable):
            raise ValueError(
                f"crops of {size} pixels fit into none of the {len(self.parts)} images, of which the largest is "
                f"{int(least.max())} pixels wide; take smaller crops"
            )
        _, index, counts = np.unique(self.groups[usable], return_inverse=True, return_counts=True)
        return [usable[own] for own in np.split(np.argsort(index, kind="stable"), np.cumsum(counts)[:-1])]

    def shape(self, step: int) -> tuple[int, int]:
        """Number and side of the crops of a step."""
        return shape_of(step, self.seed, self.sizes, self.batch)

    def __call__(self, step: int, part: slice = slice(None)) -> Tensor:
        """The batch of `step`, or the same `part` of it: (batch, C, size, size) in network units; C + 2 channels
        where they say the position.

        Raises ValueError for complex images where channels is 1.
        """
        rng = np.random.default_rng((self.seed, step))
        batch, size = self.shape(step)
        members = self.members[size]
        weight = np.sqrt([len(own) for own in members])
        patients = rng.choice(len(members), batch, p=weight / weight.sum())
        chosen = [int(rng.choice(members[k])) for k in patients]
        windows = [Window.draw(self.augmentation, rng) for _ in chosen]
        cut = [
            self._crop(self.image(i), size, window.inside(self.parts[i], size), bool(self.parts[i].all()))
            for i, window in zip(chosen[part], windows[part], strict=True)
        ]
        crops = [crop for crop, _ in cut]
        if any(crop.is_complex() for crop in crops):
            crops = [crop.to(torch.complex64) for crop in crops]
        x = torch.stack(crops)  # (B, size, size), or (B, C, size, size)
        a = self.augmentation
        if a.gain or a.offset:
            u = torch.from_numpy(rng.uniform(-1, 1, (2, batch)).astype(np.float32))[:, part]
            u = u.view(2, -1, *[1] * (x.ndim - 1))
            x = x * (1 + a.gain * u[0]) + a.offset * u[1]
        if self.channels == 1:
            x = x[:, None]
        elif self.channels == 2:
            x = torch.view_as_real(x * smooth_phase(batch, size, rng)[part]).movedim(-1, 1)
        return torch.cat([x, torch.stack([where for _, where in cut])], 1) if self.position else x

    def image(self, index: int) -> np.ndarray:
        """One image, (H, W) float32 or complex64, or (C, H, W) float32."""
        image = np.asarray(self.images[index])
        if image.shape[:-2] != ((self.channels,) if self.channels > 2 else ()):
            raise ValueError(f"got an image of shape {image.shape} for a prior of {self.channels} channel(s)")
        if not np.iscomplexobj(image):
            return image.astype(np.float32, copy=False)
        if self.channels == 1:
            raise ValueError(
                "got complex images for a prior of 1 channel, expected magnitudes; or use 2 channels"
            )
        return image.astype(np.complex64, copy=False)

    @staticmethod
    def _crop(image: np.ndarray, size: int, window: Window, is_part: bool = False) -> tuple[Tensor, Tensor]:
        """One window of one image, turned and zoomed: (..., size, size); and where its pixels lie, (2, size, size)."""
        zoom, angle = (1.0, 0.0) if window.plain else (window.zoom, window.angle)
        mirror, turn = window.mirror, window.turn
        side = size if window.plain else math.ceil(1.5 * size / zoom) + 2  # only what the window can touch
        shape = image.shape[-2:]
        needed = window.reach(size) if is_part else size / zoom
        room = [max(0.0, n - needed) for n in shape]
        corner = [
            round((n - side) / 2 + r * (u - 0.5)) for n, r, u in zip(shape, room, window.place, strict=True)
        ]
        fill = 0.0 if np.iscomplexobj(image) else float(image.min())
        around = _cut(image, corner, side, fill)
        shift = [c - (n - side) / 2 for c, n in zip(corner, shape, strict=True)]  # of the centres
        cos, sin = math.cos(angle), math.sin(angle)
        offset = (
            zoom * turn * (cos * shift[0] - sin * shift[1]),
            zoom * mirror * (sin * shift[0] + cos * shift[1]),
        )
        half = max(shape) / 2
        axis = (torch.arange(size) - (size - 1) / 2) / half
        where = torch.stack(torch.meshgrid(axis + offset[0] / half, axis + offset[1] / half, indexing="ij"))
        if window.plain:
            return torch.from_numpy(around[..., :: int(turn), :: int(mirror)].copy()), where
        k = size / (zoom * side)
        theta = k * torch.tensor([[[mirror * cos, -sin * turn, 0.0], [mirror * sin, cos * turn, 0.0]]])
        grid = F.affine_grid(theta, [1, 1, size, size], align_corners=False)
        source = torch.from_numpy(around - fill).view(1, -1, side, side)
        if source.is_complex():
            parts = torch.view_as_real(source[0]).movedim(-1, 1)  # (1, 2, side, side)
            parts = F.grid_sample(parts, grid.float(), mode="bicubic", align_corners=False)
            return torch.complex(parts[0, 0], parts[0, 1]), where
        turned = F.grid_sample(source, grid.float(), mode="bicubic", align_corners=False)
        return turned.view(*image.shape[:-2], size, size) + fill, where


def _cut(image: np.ndarray, corner: Sequence[int], side: int, fill: float) -> np.ndarray:
    """The side x side window from a corner on, filled where it leaves the image."""
    out = np.full((*image.shape[:-2], side, side), fill, image.dtype)
    top, left = corner
    r0, r1 = max(top, 0), min(top + side, image.shape[-2])
    c0, c1 = max(left, 0), min(left + side, image.shape[-1])
    if r1 > r0 and c1 > c0:
        out[..., r0 - top : r1 - top, c0 - left : c1 - left] = image[..., r0:r1, c0:c1]
    return out


def smooth_phase(
    batch: int, size: int, rng: np.random.Generator, degree: int = 3, turns: float = 0.6
) -> Tensor:
    """exp(i phi), phi a random low-order polynomial of position plus a constant: (batch, size, size) complex64.

    Stands in for the phase of a real scan (field inhomogeneity, coil and flow phase), which magnitude images lost.
    """
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    basis = [
        np.outer(axis**i, axis**j) for i in range(degree + 1) for j in range(degree + 1 - i) if i + j > 0
    ]
    strength = rng.uniform(0, turns, (batch, 1))
    coefficients = (rng.standard_normal((batch, len(basis))) * strength * np.pi).astype(np.float32)
    phase = np.tensordot(coefficients, np.stack(basis), 1) + rng.uniform(-np.pi, np.pi, (batch, 1, 1))
    return torch.polar(torch.ones(batch, size, size), torch.from_numpy(phase.astype(np.float32)))
