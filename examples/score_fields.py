"""The score of a mixture at three noise levels: where the data are, and, with noise, how to get there from anywhere.

Writes docs/score-fields.png and prints how often the score at the lowest level points to the wrong mode.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from pictures import DOCS, INK, save, two_modes
from scanprior.priors.score import score
from scanprior.priors.sde import VE

LEVELS = (0.1, 2.0, 8.0)


def main(folder: Path = DOCS, side: int = 15, fine: int = 161) -> Path:
    prior, sde = two_modes(), VE()
    axis = torch.linspace(-9, 9, side)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 1, 1, 2)
    dense = torch.linspace(-9, 9, fine)
    points = torch.stack(torch.meshgrid(dense, dense, indexing="xy"), -1).view(-1, 2)
    figure = Figure(figsize=(10, 3.95))
    for axes, sigma in zip(figure.subplots(1, 3, sharey=True), LEVELS, strict=True):
        variance = prior.stds**2 + sigma**2
        distance = ((points[:, None] - prior.means.flatten(1)) ** 2).sum(2)
        log_p = torch.logsumexp(prior.weights.log() - 0.5 * distance / variance - variance.log(), 1)
        density = log_p.exp().view(fine, fine).numpy()
        axes.contourf(
            dense, dense, density / density.max(), levels=np.linspace(0.02, 1, 8), cmap="Blues", alpha=0.5
        )
        s = score(prior, grid, sde.time(torch.tensor(sigma)), sde).flatten(1)
        u, v = (s / s.norm(dim=1, keepdim=True).clamp_min(1e-12)).T
        x, y = grid.flatten(1).T
        axes.quiver(x, y, u, v, color=INK, scale=20, width=0.005, pivot="mid")
        axes.set(
            title=f"noise level σ = {sigma:g}",
            xlabel="$x_1$",
            xticks=(-8, -4, 0, 4, 8),
            yticks=(-8, -4, 0, 4, 8),
        )
        axes.set_aspect("equal")
        if axes is figure.axes[0]:
            axes.set_ylabel("$x_2$")
    middle = torch.zeros(1, 1, 1, 2)
    for sigma in LEVELS:
        length = score(prior, middle, sde.time(torch.tensor(sigma)), sde).norm()
        print(f"sigma {sigma:g}: |score| halfway between the modes {length:.3f}")
    return save(figure, folder / "score-fields.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
