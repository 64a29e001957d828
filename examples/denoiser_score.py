"""A denoiser and a score are the same thing: Tweedie's formula on a slice of CT with the bundled prior.

Writes docs/denoiser-score.png: an image, the image with noise, the denoiser's mean, and the score, which is their
difference over σ². Prints the errors.
"""

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure
from pictures import DOCS, save
from scanprior import load_prior, read
from scanprior.formats.dicom import example_ct
from scanprior.priors.score import score
from scanprior.priors.sde import VE

SIGMA = 0.2


def main(folder: Path = DOCS, prior_name: str = "ct-256", size: int = 128) -> Path:
    prior, sde = load_prior(prior_name), VE()
    clean = torch.from_numpy(read(example_ct()).data / 1000)[:, None, :size, :size].float()
    noisy = clean + SIGMA * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mean = prior.denoise(noisy, SIGMA)
        s = score(prior, noisy, sde.time(torch.tensor(SIGMA)), sde)
    print(f"rms error: noisy {rms(noisy - clean):.3f}, denoised {rms(mean - clean):.3f} network units")
    print(f"|noisy + σ² score - denoised| at most {float((noisy + SIGMA**2 * s - mean).abs().max()):.1e}")

    figure = Figure(figsize=(10, 2.9))
    shown = {
        "image $x_0$": clean,
        f"$x = x_0 + {SIGMA:g}\\,z$": noisy,
        "denoiser $D(x, σ)$": mean,
        "score $(D - x)\\,/\\,σ^2$, grey: 0": s,
    }
    for axes, (name, picture) in zip(figure.subplots(1, 4), shown.items(), strict=True):
        low, high = (-3 / SIGMA, 3 / SIGMA) if picture is s else (-1, 0.6)
        axes.imshow(picture[0, 0].numpy(), cmap="gray", vmin=low, vmax=high)
        axes.set_title(name)
        axes.set_axis_off()
    return save(figure, folder / "denoiser-score.png")


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
