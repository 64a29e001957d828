"""What the pictures of docs/score-models.md share: a prior in the plane, its score, small PNGs."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image
from scanprior.priors.analytic import MixturePrior
from torch import Tensor

matplotlib.use("Agg")
DOCS = Path(__file__).parents[1] / "docs"
BLUE, ORANGE, GREY, INK = "#2b6cb0", "#dd6b20", "#8a929c", "#1c1f24"
matplotlib.rcParams |= {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "figure.constrained_layout.use": True,
}


def two_modes() -> MixturePrior:
    """A prior of "images" of two numbers, (B, 1, 1, 2): one fifth of its mass at (-4, -4), four fifths at (4, 4); both
    modes have standard deviation 0.5."""
    means = torch.tensor([[-4.0, -4.0], [4.0, 4.0]]).view(2, 1, 1, 2)
    return MixturePrior(torch.tensor([0.2, 0.8]), means, torch.tensor([0.5, 0.5]))


class OneNoise:
    """Standard normal noise of one generator for the whole batch: thousands of points at once."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def like(self, x: Tensor) -> Tensor:
        return torch.randn(x.shape, generator=self.generator)


def plane(x: Tensor) -> np.ndarray:
    """(B, 1, 1, 2) -> (B, 2)."""
    return x.flatten(1).numpy()


def save(figure, path: Path) -> Path:
    """A PNG of 64 colours: a fifth of the bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(buffer) as picture:
        picture.convert("RGB").quantize(64, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            path, optimize=True
        )
    print(f"wrote {path} ({path.stat().st_size / 1000:.0f} kB)")
    return path
