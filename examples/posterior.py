"""How an image enters the likelihood: one ray through two pixels, y = x_1 + x_2 + noise.

Writes docs/posterior.png: the prior, what the measurement says, and their product, exact and as samples of DDS. Prints
the share of each mode.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from pictures import DOCS, ORANGE, plane, save, two_modes
from scanprior import DDS, Problem
from scanprior.operators.linear import LinearOperator
from scanprior.operators.noise import Gaussian
from torch import Tensor

Y, SIGMA_Y = -3.0, 5.0


class Ray(LinearOperator):
    """The sum of two pixels: (B, 1, 2) -> (B, 1)."""

    def __init__(self) -> None:
        super().__init__((1, 2), (1,))

    def apply_forward(self, x: Tensor) -> Tensor:
        return x.sum(2)

    def apply_adjoint(self, y: Tensor) -> Tensor:
        return y[:, :, None].expand(-1, 1, 2)


def main(folder: Path = DOCS, samples: int = 1000, steps: int = 200, fine: int = 181) -> Path:
    prior, A = two_modes(), Ray()
    problem = Problem(torch.tensor([[Y]]), A, Gaussian(SIGMA_Y))
    method = DDS(steps=steps, ancestral=True, warm_start=False, gamma=1.0, adaptive=False)
    drawn = plane(method(problem, prior, samples=samples, batch=samples, seed=0).samples[0][:, None])

    axis = torch.linspace(-9, 9, fine)
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2)
    distance = ((points[:, None] - prior.means.flatten(1)) ** 2).sum(2)
    density = (prior.weights * torch.exp(-0.5 * distance / prior.stds**2)).sum(1)
    likelihood = torch.exp(-0.5 * ((Y - points.sum(1)) / SIGMA_Y) ** 2)
    left = points.sum(1) < 0
    panels = {
        "prior $p(x)$": density,
        "likelihood $p(y\\,|\\,x)$": likelihood,
        "posterior $p(x\\,|\\,y)$": density * likelihood,
    }
    figure = Figure(figsize=(10, 3.95))
    for axes, (name, values) in zip(figure.subplots(1, 3, sharey=True), panels.items(), strict=True):
        shares = float(values[left].sum() / values.sum())
        image = (values / values.max()).view(fine, fine)
        axes.contourf(axis, axis, image, levels=np.linspace(0.02, 1, 8), cmap="Blues", alpha=0.6)
        axes.set(title=name, xlabel="$x_1$", xticks=(-8, -4, 0, 4, 8), yticks=(-8, -4, 0, 4, 8))
        axes.set_aspect("equal")
        if "likelihood" not in name:
            axes.text(-3.2, -7.9, f"{shares:.0%}", fontsize=13)
            axes.text(3.2, 6.9, f"{1 - shares:.0%}", fontsize=13, ha="right")
    axes.scatter(*drawn[:400].T, s=4, color=ORANGE, alpha=0.6, linewidths=0)
    figure.axes[0].set_ylabel("$x_2$")
    right = drawn.sum(1) > 0
    print(f"share at (-4, -4): exact {shares:.1%}, of {samples} samples {1 - right.mean():.1%}")
    gain = 0.25 / (2 * 0.25 + SIGMA_Y**2)
    along = np.sqrt(0.25 - 2 * gain * 0.25)  # of (x_1 + x_2) / sqrt(2) in a mode
    turned = drawn[right] @ np.array([[1, 1], [1, -1]]) / np.sqrt(2)
    print(f"spread along the ray, across it: exact {along:.3f}, 0.500; samples {turned.std(0).round(3)}")
    return save(figure, folder / "posterior.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
