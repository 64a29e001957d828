"""Langevin dynamics at the lowest noise level alone, and annealed from a high one: who finds how much of each mode.

One fifth of the law lies at (-4, -4). Both runs start from the same noise and take the same number of steps. Writes
docs/annealing.png and prints the shares and spreads that the runs end with.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from pictures import BLUE, DOCS, GREY, ORANGE, OneNoise, plane, save, two_modes
from scanprior.priors.sampling.correctors import annealed
from scanprior.priors.sampling.loop import log_snr_levels
from scanprior.priors.sde import VE

LOWEST, HIGHEST, SNR = 0.1, 20.0, 0.5


def langevin(levels: list[float], steps: int, samples: int) -> torch.Tensor:
    """Points (samples, 1, 1, 2): as many Langevin steps at each level, from noise of HIGHEST on."""
    prior, sde, noise = two_modes(), VE(), OneNoise(0)
    x = HIGHEST * noise.like(torch.zeros(samples, 1, 1, 2))
    for sigma in levels:
        t = sde.time(torch.tensor(sigma))
        for _ in range(steps // len(levels)):
            x, _ = annealed(prior, x, t, t, sde, snr=SNR, noise=noise)
    return x


def main(folder: Path = DOCS, samples: int = 4000, steps: int = 1000) -> Path:
    prior, noise = two_modes(), OneNoise(1)
    mode = (torch.rand(samples, generator=noise.generator) > prior.weights[0]).long()
    runs = {
        "samples of the law": prior.means[mode] + prior.stds[0] * noise.like(torch.zeros(samples, 1, 1, 2)),
        f"Langevin at σ = {LOWEST:g}": langevin([LOWEST], steps, samples),
        f"annealed, σ = {HIGHEST:g} to {LOWEST:g}": langevin(
            log_snr_levels(20, HIGHEST, LOWEST), steps, samples
        ),
    }
    figure = Figure(figsize=(10, 3.8))
    for axes, (name, x) in zip(figure.subplots(1, 3, sharey=True), runs.items(), strict=True):
        points = plane(x)
        left = points.sum(1) < 0
        share, spread = left.mean(), points[~left].std(0).mean()
        print(f"{name}: {share:.1%} at (-4, -4); spread of the other mode {spread:.3f}")
        for chosen, colour in ((left, ORANGE), (~left, BLUE)):
            axes.scatter(*points[chosen][:1000].T, s=4, color=colour, alpha=0.35, linewidths=0)
        axes.text(-3.2, -7.6, f"{share:.0%}", color=ORANGE, fontsize=14, ha="left")
        axes.text(3.2, 6.6, f"{1 - share:.0%}", color=BLUE, fontsize=14, ha="right")
        axes.axline((0, 0), slope=-1, color=GREY, linewidth=0.8, linestyle=":")
        axes.set(title=name, xlim=(-9, 9), ylim=(-9, 9), xticks=(-8, -4, 0, 4, 8), yticks=(-8, -4, 0, 4, 8))
        axes.set_aspect("equal")
    return save(figure, folder / "annealing.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
