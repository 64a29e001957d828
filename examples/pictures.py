"""What the pictures of docs/ share: grey images side by side, a prior in the plane, small PNGs."""

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


def side_by_side(path: Path, window: tuple[float, float], **images: np.ndarray) -> Path:
    """Images (H, W) in rows of three and one grey window, their names above them; `spread` has a scale of its own."""
    from matplotlib.figure import Figure

    rows = -(-len(images) // 3)
    figure = Figure(figsize=(9, 3.25 * rows))
    places = figure.subplots(rows, 3, squeeze=False).ravel()
    for place in places:
        place.set_axis_off()
    for place, (name, image) in zip(places, images.items(), strict=False):
        own = name == "spread"
        low, high = (0.0, float(np.quantile(image, 0.995))) if own else window
        shown = place.imshow(image, cmap="viridis" if own else "gray", vmin=low, vmax=high)
        place.set_title(name.replace("_", " "))
        if own:
            figure.colorbar(shown, ax=place, location="right", fraction=0.046, pad=0.03)
    return save(figure, path, colours=128)


def save(figure, path: Path, colours: int = 64) -> Path:
    """A PNG of few colours: a fifth of the bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(buffer) as picture:
        picture.convert("RGB").quantize(
            colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        ).save(path, optimize=True)
    print(f"wrote {path} ({path.stat().st_size / 1000:.0f} kB)")
    return path
