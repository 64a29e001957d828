"""The probability flow: from noise to images and back, on paths that do not cross.

Writes docs/flow-paths.png: the paths of a mixture on a line, over the density at each noise level. Prints the error of
encoding and decoding again, and the shares of the modes among the ends.
"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from pictures import BLUE, DOCS, ORANGE, save
from scanprior.priors.analytic import MixturePrior
from scanprior.priors.sampling.loop import log_snr_levels
from scanprior.priors.sampling.ode import Heun, decode, encode, flow
from scanprior.priors.sde import VE

TOP, BOTTOM = 20.0, 0.01


def main(folder: Path = DOCS, paths: int = 21, steps: int = 200, samples: int = 4000) -> Path:
    prior = MixturePrior(
        torch.tensor([0.2, 0.8]), torch.tensor([-4.0, 4.0]).view(2, 1, 1, 1), torch.tensor([0.5, 0.5])
    )
    sde = VE(sigma_min=BOTTOM, sigma_max=TOP)
    quantiles = (torch.arange(paths) + 0.5) / paths
    x = TOP * torch.special.ndtri(quantiles).view(-1, 1, 1, 1)
    levels, slope, track = log_snr_levels(steps + 1, TOP, BOTTOM), flow(prior), [x.flatten()]
    for sigma, s in pairwise(levels):
        x = Heun(1)(slope, x, sigma, s).x
        track.append(x.flatten())
    track = torch.stack(track).numpy()

    figure = Figure(figsize=(10, 4.2))
    axes = figure.subplots()
    dense = torch.linspace(-12, 12, 241)
    total = prior.stds**2 + torch.tensor(levels)[:, None, None] ** 2
    parts = (
        prior.weights * torch.exp(-0.5 * (dense[:, None] - prior.means.flatten()) ** 2 / total) / total.sqrt()
    )
    density = parts.sum(2)
    axes.pcolormesh(
        levels,
        dense.numpy(),
        (density / density.amax(1, keepdim=True)).T.numpy(),
        cmap="Greys",
        alpha=0.5,
        shading="auto",
        rasterized=True,
    )
    for path in track.T:
        axes.plot(levels, path, color=ORANGE if path[-1] < 0 else BLUE, linewidth=1.2)
    axes.set(
        xscale="log",
        xlim=(TOP, BOTTOM),
        ylim=(-12, 12),
        xlabel="noise level σ: noise on the left, images on the right",
        ylabel="x",
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_title("Paths of the probability flow, over the density of noisy images (grey)")

    z = torch.randn(samples, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    for top in (TOP, 10 * TOP):
        ends = decode(prior, z, VE(BOTTOM, top), Heun(100)).x
        print(f"from noise of {top:g}: {float((ends < 0).float().mean()):.1%} of {samples} ends at -4")
    back = decode(prior, encode(prior, ends[:200], sde, Heun(200)).x, sde, Heun(200)).x
    print(f"largest error after encoding and decoding {float((back - ends[:200]).abs().max()):.1e}")
    print(f"paths that cross: {int((np.diff(track, axis=1) <= 0).any(0).sum())}")
    return save(figure, folder / "flow-paths.png")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
