"""What people look at and the figures of it: HU for CT, magnitude on the asked-for matrix for MRI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from ..formats.scan import Scan
from ..modality import Modality
from ..operators.attenuation import MU_WATER, hu_from_mu
from ..pretrained.card import Card
from .domain import Figures
from .metrics import WINDOW_HU, ct_slices, data_residual, mri_slices
from .problem import Problem


@dataclass(frozen=True)
class Row:
    """One method's pictures in display units (HU or magnitude), (B, H, W), and its figures.

    Attributes:
        slices: figures of each slice, (B,).
        figures: their means, and what the pictures cost: nfe, seconds a slice.
    """

    name: str
    image: np.ndarray
    slices: Figures
    figures: dict[str, Any]

    def caption(self, index: int) -> str:
        """The figures of one slice."""
        one = {key: values[index] for key, values in self.slices.items()}
        if "psnr" not in one:
            return f"residual {one['residual']:.4f}"
        return f"{one['psnr']:.2f} dB · SSIM {one['ssim']:.3f}"


class Display:
    """Physical units -> display units, and the figures.

    Attributes:
        water: attenuation of water [1/mm] that HU are made with.
        water_origin: who says so.
        truth: (B, H, W) in display units, or None.
    """

    def __init__(self, scan: Scan, problem: Problem, card: Card | None) -> None:
        self.scan, self.problem = scan, problem
        known = (card.intensity if card else {}).get("mu_water")
        self.water = float(problem.water or known or MU_WATER)
        stated = problem.facts.get("mu_water", "the scan") if problem.water else None
        self.water_origin = stated or (f"the prior {card.name}" if card and known else "the usual for CT")
        self.units: Literal["HU", "magnitude"] = "HU" if scan.modality is Modality.CT else "magnitude"
        self.truth = None if scan.truth is None else self.image(torch.from_numpy(np.asarray(scan.truth)))

    def image(self, x: torch.Tensor) -> np.ndarray:
        """(B, H, W) physical -> display."""
        if self.scan.modality is Modality.CT:
            return np.asarray(hu_from_mu(x.cpu().numpy(), self.water), np.float32)
        return self.crop(x.abs().cpu().numpy())

    def spread(self, std: torch.Tensor) -> np.ndarray:
        """A standard deviation -> display units."""
        return (
            std.cpu().numpy() * (1000 / self.water)
            if self.scan.modality is Modality.CT
            else self.crop(std.cpu().numpy())
        )

    def crop(self, x: np.ndarray) -> np.ndarray:
        """The centre of the k-space's matrix that was asked for."""
        H, W = self.scan.matrix
        top, left = (x.shape[-2] - H) // 2, (x.shape[-1] - W) // 2
        return x[..., top : top + H, left : left + W]

    def row(self, name: str, x: torch.Tensor, nfe: int | str, seconds: float) -> Row:
        """The pictures and figures of one method."""
        image, slices = self.image(x), {}
        if self.truth is not None:
            slices = (ct_slices if self.scan.modality is Modality.CT else mri_slices)(image, self.truth)
        residual = data_residual(self.problem.operator, x.to(self.problem.y.device), self.problem.y)
        slices |= {"residual": residual}
        means = {key: float(values.mean()) for key, values in slices.items()}
        return Row(name, image, slices, means | {"nfe": nfe, "seconds": seconds / len(image)})

    @property
    def window(self) -> tuple[float, float]:
        """Grey values of the pictures."""
        if self.scan.modality is Modality.CT:
            return WINDOW_HU
        reference = (
            self.truth
            if self.truth is not None
            else self.image(self.problem.operator.adjoint(self.problem.y))
        )
        return 0.0, float(np.quantile(reference, 0.998))
