"""Zero-filled reconstruction: x = A^H y, what the scanner shows when the missing k-space is taken as zero.

No density compensation: with maps normalised to sum_c |S_c|^2 = 1 and full sampling it is the image itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...modality import Modality
from ..problem import Problem
from .method import Baseline


@torch.no_grad()
def zero_filled(problem: Problem) -> Tensor:
    """A^H y: (B, H, W) complex, in the units of k-space."""
    return problem.operator.adjoint(problem.y)


@dataclass(frozen=True)
class ZeroFilled(Baseline):
    """A^H y."""

    name = "zero-filled"
    line = "MRI: missing k-space taken as zero"
    title, scans = "zero-filled", (Modality.MR,)

    def image(self, problem: Problem) -> Tensor:
        return zero_filled(problem)
