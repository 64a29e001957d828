"""Training crops made where the network trains: the pack lies on the device, a batch costs one interpolation there.

The crops are `crops.Crops`' own, of the same windows, augmentation and sampling by patient, but all of a batch at once
and with no number leaving the device: a GPU never waits for its host. Half of the crops lie on whole pixels, unturned
and unzoomed, where bicubic interpolation gives each pixel back, so that one `grid_sample` serves both kinds. Random
numbers are the device's, a function of (seed, step): a run goes on exactly where it was, on the same kind of device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .crops import Augmentation, shape_of

_DEGREE, _TURNS = 3, 0.6  # of the random phase, as `crops.smooth_phase`


@dataclass(frozen=True)
class Windows:
    """What is random about B crops, each (B,): as `crops.Window`; `place` is (B, 2)."""

    zoom: Tensor
    angle: Tensor
    mirror: Tensor
    turn: Tensor
    place: Tensor


class DeviceCrops:
    """Random crops of images on a device: `crops(step)` is the batch of that step.

    Args:
        images: (N, H, W) real, of any type; uint16 takes the least room.
        scale, offset: (N,), to network units: scale * image + offset.
        groups: (N,) patient of each image.
        channels: 1, or 2: magnitudes that get a random smooth phase.
        size, batch, seed, augmentation, position: as of `Crops`.
        device: where the images lie and the crops are made.

    Raises:
        ValueError: other channels, or not as many scales, offsets and patients' names as images.
    """

    def __init__(
        self,
        images: Tensor,
        scale: Tensor,
        offset: Tensor,
        groups: Sequence[str] | np.ndarray,
        *,
        channels: int,
        size: int | Sequence[int],
        batch: int,
        seed: int = 0,
        augmentation: Augmentation | None = None,
        position: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        if channels not in (1, 2):
            raise ValueError(
                f"got {channels} channels, expected 1 (real) or 2 (complex); use Crops for others"
            )
        if not len(images) == len(scale) == len(offset) == len(groups) > 0:
            raise ValueError(
                f"got {len(images)} images, {len(scale)} scales, {len(offset)} offsets, {len(groups)} patients' names; "
                "expected as many of each, at least one"
            )
        if images.dtype == torch.uint16:  # GPUs index signed numbers only
            images, offset = (images.int() - 32768).to(torch.int16), offset + 32768 * scale
        self.images, self.device = images.to(device), torch.device(device)
        self.scale, self.offset = scale.float().to(device), offset.float().to(device)
        self.channels, self.batch, self.seed, self.position = channels, batch, seed, position
        self.sizes = [size] if isinstance(size, int) else list(size)
        self.augmentation = augmentation or Augmentation()
        _, index, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
        self.order = torch.from_numpy(np.argsort(index, kind="stable")).to(device)  # patient by patient
        self.counts = torch.from_numpy(counts).to(device)
        self.first = torch.from_numpy(np.cumsum(counts) - counts).to(device)
        self.weight = torch.from_numpy(np.sqrt(counts)).to(device)

    def shape(self, step: int) -> tuple[int, int]:
        """Number and side of the crops of a step: `Crops`' own."""
        return shape_of(step, self.seed, self.sizes, self.batch)

    def __call__(self, step: int) -> Tensor:
        """The batch of `step`: (batch, C, size, size) float32 in network units; C + 2 channels with the position."""
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + step)
        batch, size = self.shape(step)

        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=self.device)

        patient = torch.multinomial(self.weight, batch, replacement=True, generator=generator)
        chosen = self.order[self.first[patient] + (uniform(batch) * self.counts[patient]).long()]
        windows = self.draw(uniform, batch)
        x, where = cut(self._network_units(chosen), windows, size)
        a, jitter = self.augmentation, 2 * uniform(2, batch, 1, 1) - 1
        x = x * (1 + a.gain * jitter[0]) + a.offset * jitter[1]
        if self.channels == 1:
            x = x[:, None]
        else:
            noise = torch.randn(batch, _DEGREE * (_DEGREE + 3) // 2, generator=generator, device=self.device)
            phase = smooth_phase(uniform(batch, 2), noise, size)
            x = torch.stack([x * phase.cos(), x * phase.sin()], 1)
        return torch.cat([x, where], 1) if self.position else x

    def draw(self, uniform: Callable[..., Tensor], batch: int) -> Windows:
        """The windows of a batch, as `crops.Window.draw` draws one."""
        a = self.augmentation
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


def cut(images: Tensor, windows: Windows, size: int) -> tuple[Tensor, Tensor]:
    """One window of each image, turned and zoomed, (B, size, size), and where its pixels lie, (B, 2, size, size).
    Beyond the edge is the image's least value."""
    height, width = images.shape[-2:]
    n = torch.tensor([height, width], device=images.device, dtype=torch.float32)
    zoom, cos, sin = (
        windows.zoom[:, None, None],
        windows.angle.cos()[:, None, None],
        windows.angle.sin()[:, None, None],
    )
    mirror, turn = windows.mirror[:, None, None], windows.turn[:, None, None]
    base = (n - size) / 2
    room = (n - size / windows.zoom[:, None]).clamp_min(0)
    shift = (base + room * (windows.place - 0.5)).round() - base  # of the centres, on whole pixels
    down, across = shift[:, 0, None, None], shift[:, 1, None, None]

    axis = torch.arange(size, device=images.device) - (size - 1) / 2
    i, j = axis[:, None], axis[None, :]
    row = down + (mirror * sin * j + turn * cos * i) / zoom  # from the image's centre [pixels]
    column = across + (mirror * cos * j - turn * sin * i) / zoom
    grid = torch.stack([column / (width / 2), row / (height / 2)], -1)  # (B, size, size, 2): x, y
    least = images.amin((1, 2), keepdim=True)
    x = F.grid_sample((images - least)[:, None], grid, mode="bicubic", align_corners=False)[:, 0] + least

    half = max(height, width) / 2
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
