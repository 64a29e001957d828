"""Training crops made where the network trains: the images lie on the device, a batch costs one interpolation there.

The crops are `crops.Crops`' own, of the same windows, augmentation and sampling by patient, but all of a batch at once
and with no number leaving the device: a GPU never waits for its host. Half of the crops lie on whole pixels, unturned
and unzoomed, where bicubic interpolation gives each pixel back, so that one `grid_sample` serves both kinds. Images are
kept in 16 bits between the least and the greatest value of each. Random numbers are the device's, a function of (seed,
step): a run goes on exactly where it was, on the same kind of device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .crops import _KERNEL, Crops

_DEGREE, _TURNS = 3, 0.6  # of the random phase, as `crops.smooth_phase`


@dataclass(frozen=True)
class Windows:
    """What is random about B crops, each (B,): as `crops.Window`, where a plain one has zoom 1 and angle 0; `place` is
    (B, 2)."""

    zoom: Tensor
    angle: Tensor
    mirror: Tensor
    turn: Tensor
    place: Tensor

    def reach(self, size: int) -> Tensor:
        """`crops.Window.reach` of each."""
        turned = (self.zoom != 1) | (self.angle != 0)
        return size / self.zoom * (self.angle.cos().abs() + self.angle.sin().abs()) + _KERNEL * turned

    def inside(self, parts: Tensor, size: int) -> Windows:
        """`crops.Window.inside` of each; parts (B, 2)."""
        least = parts.amin(1)
        leaves = (least > 0) & (least < self.reach(size))
        return replace(
            self, zoom=self.zoom.masked_fill(leaves, 1.0), angle=self.angle.masked_fill(leaves, 0.0)
        )


class DeviceCrops:
    """The crops of a `Crops` on a device: `crops(step)` is the batch of that step.

    Args:
        crops: whose images are read, all of them, and whose settings are taken.
        device: where the images lie and the crops are made.

    Raises:
        ValueError: complex images, or channels other than 1 and 2 (of magnitudes, which get a random smooth phase).
    """

    def __init__(self, crops: Crops, device: torch.device | str = "cpu") -> None:
        if crops.channels not in (1, 2):
            raise ValueError(
                f"got {crops.channels} channels, expected 1 (real) or 2 (complex); use Crops for others"
            )
        self.crops, self.device = crops, torch.device(device)
        kept = _sixteen_bits(crops)
        self.images, self.scale, self.offset, self.boxes = (value.to(self.device) for value in kept)
        self.parts = torch.from_numpy(crops.parts).to(self.device)
        self.drawn = {size: self._patients(size) for size in crops.sizes}

    def _patients(self, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The images that crops of a size are taken from, patient by patient; of each patient the first of them, their
        number and its root."""
        members = self.crops.members[size]
        counts = np.array([len(own) for own in members])
        tables = np.concatenate(members), np.cumsum(counts) - counts, counts, np.sqrt(counts)
        order, first, counts, weight = (torch.from_numpy(table).to(self.device) for table in tables)
        return order, first, counts, weight

    def shape(self, step: int) -> tuple[int, int]:
        """Number and side of the crops of a step: `Crops`' own."""
        return self.crops.shape(step)

    def __call__(self, step: int, part: slice = slice(None)) -> Tensor:
        """The batch of `step`, or the same `part` of it: (batch, C, size, size) float32 in network units; C + 2
        channels with the position."""
        generator = torch.Generator(self.device).manual_seed(self.crops.seed * 1_000_003 + step)
        batch, size = self.shape(step)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=self.device)

        order, first, counts, weight = self.drawn[size]
        patient = torch.multinomial(weight, batch, replacement=True, generator=generator)
        chosen = order[first[patient] + (uniform(batch) * counts[patient]).long()]
        parts = self.parts[chosen]
        windows = self.draw(uniform, batch).inside(parts, size)
        x, where = cut(self._network_units(chosen), windows, size, self.boxes[chosen], parts.amin(1) > 0)
        a, jitter = self.crops.augmentation, 2 * uniform(2, batch, 1, 1) - 1
        x = x * (1 + a.gain * jitter[0]) + a.offset * jitter[1]
        if self.crops.channels == 1:
            x = x[:, None]
        else:
            noise = torch.randn(batch, _DEGREE * (_DEGREE + 3) // 2, generator=generator, device=self.device)
            phase = smooth_phase(uniform(batch, 2), noise, size)
            x = torch.stack([x * phase.cos(), x * phase.sin()], 1)
        return (torch.cat([x, where], 1) if self.crops.position else x)[part]

    def draw(self, uniform: Callable[..., Tensor], batch: int) -> Windows:
        """The windows of a batch, as `crops.Window.draw` draws one."""
        a = self.crops.augmentation
        u = uniform(6, batch)
        plain = u[0] < 0.5
        zoom = torch.where(plain, 1.0, a.zoom[0] + (a.zoom[1] - a.zoom[0]) * u[1])
        angle = torch.where(plain, 0.0, math.radians(a.degrees) * (2 * u[2] - 1))
        mirror = 1.0 - 2.0 * (u[3] < 0.5)
        turn = 1.0 - 2.0 * (u[4] < 0.5) * a.flip_rows
        return Windows(zoom, angle, mirror, turn, uniform(batch, 2))

    def _network_units(self, chosen: Tensor) -> Tensor:
        scale, offset = (v[chosen][:, None, None] for v in (self.scale, self.offset))
        return self.images[chosen].float() * scale + offset


def _sixteen_bits(crops: Crops) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All images in the middle of one array (N, H, W) int16, their least value around them; scale and offset (N,) to
    network units; row, column, height and width of each (N, 4)."""
    shapes = np.array([crops.image(k).shape for k in range(len(crops.images))])
    height, width = shapes.max(0)
    corners = (shapes.max(0) - shapes) // 2
    stack = np.full((len(shapes), height, width), -32768, np.int16)  # GPUs index signed numbers only
    limits = np.zeros((len(shapes), 2))
    for k, ((top, left), (rows, columns)) in enumerate(zip(corners, shapes, strict=True)):
        image = crops.image(k)
        if np.iscomplexobj(image):
            raise ValueError("got complex images, expected magnitudes; use Crops for others")
        low, high = limits[k] = float(image.min()), float(image.max())
        levels = np.rint((image.astype(np.float64) - low) * (65535 / max(high - low, 1e-30)))
        stack[k, top : top + rows, left : left + columns] = levels - 32768
    scale = (limits[:, 1] - limits[:, 0]) / 65535
    offset = limits[:, 0] + 32768 * scale
    boxes = np.concatenate([corners, shapes], 1)
    return (
        torch.from_numpy(stack),
        torch.from_numpy(scale).float(),
        torch.from_numpy(offset).float(),
        torch.from_numpy(boxes),
    )


def cut(
    images: Tensor, windows: Windows, size: int, boxes: Tensor | None = None, is_part: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One window of each image, turned and zoomed, (B, size, size), and where its pixels lie, (B, 2, size, size).
    Beyond the edge is the image's least value.

    Args:
        images: (B, H, W), of which `boxes` (B, 4) say row, column, height and width; by default all of it.
        is_part: (B,) whether a window must stay inside; see `crops.py`.
    """
    height, width = images.shape[-2:]
    if boxes is None:
        boxes = torch.tensor([[0, 0, height, width]], device=images.device).expand(len(images), 4)
    corner, n = boxes[:, :2].float(), boxes[:, 2:].float()
    zoom, cos, sin = (
        windows.zoom[:, None, None],
        windows.angle.cos()[:, None, None],
        windows.angle.sin()[:, None, None],
    )
    mirror, turn = windows.mirror[:, None, None], windows.turn[:, None, None]
    base, needed = (n - size) / 2, size / windows.zoom
    if is_part is not None:
        needed = torch.where(is_part, windows.reach(size), needed)
    room = (n - needed[:, None]).clamp_min(0)
    shift = (base + room * (windows.place - 0.5)).round() - base  # of the centres, on whole pixels
    down, across = shift[:, 0, None, None], shift[:, 1, None, None]
    middle = corner + (n - torch.tensor([height, width], device=n.device)) / 2  # of a box, from the array's

    axis = torch.arange(size, device=images.device) - (size - 1) / 2
    i, j = axis[:, None], axis[None, :]
    row = middle[:, 0, None, None] + down + (mirror * sin * j + turn * cos * i) / zoom
    column = middle[:, 1, None, None] + across + (mirror * cos * j - turn * sin * i) / zoom
    grid = torch.stack([column / (width / 2), row / (height / 2)], -1)  # (B, size, size, 2): x, y
    least = images.amin((1, 2), keepdim=True)
    x = F.grid_sample((images - least)[:, None], grid, mode="bicubic", align_corners=False)[:, 0] + least

    half = n.amax(1)[:, None, None, None] / 2
    place = torch.stack(
        [
            (i + zoom * turn * (cos * down - sin * across)).expand(-1, size, size),
            (j + zoom * mirror * (sin * down + cos * across)).expand(-1, size, size),
        ],
        1,
    )
    return x, place / half


def smooth_phase(uniform: Tensor, normal: Tensor, size: int) -> Tensor:
    """The random phases of `crops.smooth_phase` [radians], (B, size, size), of uniform numbers (B, 2) in [0, 1]
    and normal ones (B, K)."""
    axis = torch.linspace(-1, 1, size, device=uniform.device)
    terms = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i) if i + j > 0]
    basis = torch.stack([axis[:, None] ** i * axis[None, :] ** j for i, j in terms])
    strength = _TURNS * math.pi * uniform[:, :1]
    constant = math.pi * (2 * uniform[:, 1] - 1)
    return torch.einsum("bk,kij->bij", strength * normal, basis) + constant[:, None, None]
