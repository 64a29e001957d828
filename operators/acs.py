"""The autocalibration lines of a mask: its fully sampled centre. No torch: `scanprior validate` stays quick."""

from __future__ import annotations

from typing import Any, Protocol

KERNEL = 6  # width of ESPIRiT's k-space kernels: the least that it can be calibrated on
CALIBRATION = 24  # width of the square that is enough


class Mask(Protocol):
    """(ky, kx) bool, a NumPy array or a tensor."""

    @property
    def shape(self) -> Any: ...

    def __getitem__(self, index: Any, /) -> Any: ...


def acs_size(mask: Mask) -> tuple[int, int]:
    """(ny, nx) of the fully sampled centre: the largest centred square, then extended along ky and along kx
    as far as it stays fully sampled. A block of n begins at floor(N/2) - floor(n/2). (0, 0) if the centre was
    not measured."""
    H, W = mask.shape

    def full(ny: int, nx: int) -> bool:
        top, left = H // 2 - ny // 2, W // 2 - nx // 2
        return ny <= H and nx <= W and bool(mask[top : top + ny, left : left + nx].all())

    n = 0
    while full(n + 1, n + 1):
        n += 1
    ny = nx = n
    while n and full(ny + 1, nx):
        ny += 1
    while n and full(ny, nx + 1):
        nx += 1
    return ny, nx
