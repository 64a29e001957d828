"""Judges a prior: what it draws, whether it has learned by heart, how likely it finds images it has not seen.

    python benchmarks/priors.py --prior ct-256 --pictures out/       # a quarter of an hour on one core
    python benchmarks/priors.py --prior mri-256 --pictures out/
    python benchmarks/priors.py --prior run/ --train pack/train.h5 --val pack/val.h5 --test pack/test.h5 \
        --device cuda --samples 64 --images 48 --tolerance 1e-3

1. Samples: Heun's method along the probability flow, 2 steps + 1 evaluations each; `samples.png`, to be looked at.
2. Memorisation: the middle of each sample (96 x 96 pixels) against every window of all training slices and, as the
   reference, the middles of validation slices (other patients) against the same. The distance is sqrt(2 - 2 r), r the
   largest correlation coefficient after averaging 4 x 4 pixels, over all places and mirroring: 0 the same, 1.41
   unrelated. Samples much nearer than validation slices would be copies; training slices, mirrored, shifted and noised
   (sigma 0.02), show that a copy is found; one turned or zoomed, as half of the training crops were, less well.
   `neighbours.png` shows the nearest pairs.
3. Over-fitting: bits/dim (priors/sampling/likelihood.py) and denoising PSNR (range 2, whole images) of training,
   validation and test slices, one a patient as far as there are patients, with standard errors. An over-fitted prior
   finds training slices more likely; but patients differ more than that: compare with the error.

Magnitude images have phase zero under a complex prior. Needs the full sets ($SCANPRIOR_DATA), or the three sets.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from common import DATA
from rich.console import Console
from rich.table import Table
from scanprior.pretrained.load import load
from scanprior.priors.sampling.ode import flow_images
from scanprior.priors.score import NetworkPrior, from_channels, to_channels
from scanprior.priors.train import denoising_psnr
from scanprior.report.figures import sample_grid
from scanprior.workflows.images import ImageSets
from scanprior.workflows.likelihood import figures

SETS = ("train", "val", "test")
DEFAULTS = {"CT": ["ct/ct256_{}.h5"], "MR": ["mri/t1_{}.h5", "mri/ms_{}.h5"]}  # with the name of a set
WINDOWS = {"CT": (-1.0, 1.0), "MR": (0.0, 1.0)}  # network units
LEVELS = (0.02, 0.1, 0.5, 2.0)
PATCH, SHRINK = 96, 4  # pixels of a window; of which SHRINK x SHRINK are averaged before it is compared
SHOWN = 12  # pairs


def spread(images: ImageSets, count: int) -> list[int]:
    """`count` indices: patients in turn, evenly spaced among them, and within each evenly through the slices."""
    members = [np.flatnonzero(images.groups == patient) for patient in np.unique(images.groups)]
    rounds = -(-count // len(members))
    order = [int(own[len(own) * (2 * k + 1) // (2 * rounds)]) for k in range(rounds) for own in members]
    return [order[i] for i in np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)]


def squares(images: ImageSets, indices: Sequence[int], side: int) -> torch.Tensor:
    """Images (N, H, W) in network units, real or complex, filled up (with their least value) to `side`."""
    out = []
    for index in indices:
        image = torch.from_numpy(images[index])
        rows, columns = (max(0, side - n) for n in image.shape)
        fill = 0.0 if image.is_complex() else float(image.min())
        around = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        out.append(F.pad(image, around, value=fill)[:side, :side])
    return torch.stack(out)


def real(images: torch.Tensor) -> torch.Tensor:
    """Complex images by magnitude."""
    return images.abs() if images.is_complex() else images


def draw(prior: NetworkPrior, side: int, count: int, steps: int, batch: int, device: str) -> torch.Tensor:
    """Samples (count, H, W), of magnitude where complex."""
    out = []
    for first in range(0, count, batch):
        seeds = range(first, min(first + batch, count))
        out.append(from_channels(flow_images(prior, (side, side), seeds, 2 * steps + 1, device)).cpu())
    return real(torch.cat(out))


def patches(images: torch.Tensor) -> torch.Tensor:
    """The middles of images (N, H, W): (N, PATCH, PATCH)."""
    return patch_at(images, *((n - PATCH) // 2 for n in images.shape[1:]))


def patch_at(images: torch.Tensor, row: int, column: int) -> torch.Tensor:
    return images[..., row : row + PATCH, column : column + PATCH]


def shrunk(images: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(images[:, None], SHRINK)[:, 0]


def nearest(queries: torch.Tensor, pool: torch.Tensor) -> list[tuple[float, int, int, int, bool]]:
    """For each query (N, p, p) the nearest window of the pool (M, h, w): distance, image, row, column, mirrored."""
    h, w = pool.shape[1:]
    p = queries.shape[1]
    spectra = torch.fft.rfft2(pool)

    def windows(spectrum: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:  # sums over all windows
        product = spectrum * torch.fft.rfft2(kernel, s=(h, w)).conj()
        return torch.fft.irfft2(product, s=(h, w))[:, : h - p + 1, : w - p + 1]

    ones = torch.ones(p, p)
    energy = windows(torch.fft.rfft2(pool**2), ones) - windows(spectra, ones) ** 2 / p**2
    norm = energy.clamp_min(1e-3 * p**2).sqrt()  # nearly constant windows correlate with nothing
    found = []
    for query in queries:
        centred = query - query.mean()
        centred = centred / centred.norm().clamp_min(0.03 * p)
        r = torch.stack([windows(spectra, c) / norm for c in (centred, centred.flip(1))])  # (2, M, ...)
        mirrored, image, row, column = np.unravel_index(int(r.argmax()), r.shape)
        distance = float((2 - 2 * r.max()).clamp_min(0).sqrt())
        found.append((distance, int(image), int(row), int(column), bool(mirrored)))
    return found


def memorisation(
    samples: torch.Tensor, sets: dict[str, ImageSets], side: int, out: Path | None, window
) -> None:
    train, val = sets["train"], sets["val"]
    seen = real(squares(train, range(len(train)), side))
    copies = seen[spread(train, 16)].flip(2).roll((9, -21), (1, 2))
    copies = copies + 0.02 * torch.randn(copies.shape, generator=torch.Generator().manual_seed(0))
    queries = {
        "samples": samples,
        "validation slices": real(squares(val, spread(val, 64), side)),
        "copies of training slices": copies,
    }
    found = {name: nearest(shrunk(patches(images)), shrunk(seen)) for name, images in queries.items()}
    table = Table(title=f"distance to the nearest window of {len(train)} training slices")
    for name in ("middles of", "number", "least", "5 %", "median", "95 %"):
        table.add_column(name, justify="left" if name == "middles of" else "right")
    for name, rows in found.items():
        quantiles = np.quantile([row[0] for row in rows], (0, 0.05, 0.5, 0.95))
        table.add_row(name, str(len(rows)), *(f"{q:.3f}" for q in quantiles))
    Console().print(table)
    least = min(found["validation slices"])[0]
    below = sum(row[0] < least for row in found["samples"])
    print(f"{below} of {len(samples)} samples are nearer to a training slice than any validation slice is")
    if out is None:
        return
    pairs, labels = [], []
    for i in sorted(range(len(samples)), key=lambda i: found["samples"][i])[:SHOWN]:
        distance, image, row, column, mirrored = found["samples"][i]
        neighbour = patch_at(seen[image], SHRINK * row, SHRINK * column)
        gap = torch.full((PATCH, 3), window[1])
        pairs.append(torch.cat([patches(samples)[i], gap, neighbour.flip(1) if mirrored else neighbour], 1))
        labels.append(f"sample {i}, distance {distance:.2f}")
    title = "samples, and the training windows nearest to them"
    sample_grid(out / "neighbours.png", torch.stack(pairs).numpy(), window, title, labels)


def generalisation(
    args: argparse.Namespace, fast: NetworkPrior, sets: dict[str, ImageSets], side: int
) -> None:
    exact, card = load(args.prior)
    exact.for_inference(args.device, torch.float32)
    table = Table(title=f"{card.name}: slices seen and not seen in training")
    for name in ("set", "slices", "patients", "bits/dim", "± error", "NFE", "s / slice"):
        table.add_column(name, justify="left" if name == "set" else "right")
    for level in LEVELS:
        table.add_column(f"PSNR {level:g} [dB]", justify="right")
    for name, images in sets.items():
        chosen = spread(images, args.images)
        rows = list(figures(exact, images, chosen, args.tolerance, args.seed))
        bits = np.array([row.bits_per_dim for row in rows])
        error = f"{bits.std(ddof=1) / len(bits) ** 0.5:.3f}" if len(bits) > 1 else "-"
        x = to_channels(squares(images, spread(images, 4 * args.images), side), exact.channels)
        psnr = denoising_psnr(fast, x.to(args.device), LEVELS)
        table.add_row(
            name,
            str(len(chosen)),
            str(len(set(images.groups[chosen]))),
            f"{bits.mean():.3f}",
            error,
            f"{np.mean([row.nfe for row in rows]):.0f}",
            f"{np.mean([row.seconds for row in rows]):.1f}",
            *(f"{psnr[level]:.2f}" for level in LEVELS),
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prior", default="ct-256")
    for name in SETS:
        parser.add_argument(f"--{name}", type=Path, nargs="+", help="image sets")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20, help="of Heun's method")
    parser.add_argument("--batch", type=int, default=4, help="samples drawn at once")
    parser.add_argument(
        "--images", type=int, default=4, help="slices of each set for bits/dim, a fourth of PSNR's"
    )
    parser.add_argument("--tolerance", type=float, default=1e-2, help="of the likelihood's solver")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=Path, help="folder for samples.png and neighbours.png")
    args = parser.parse_args()
    prior, card = load(args.prior)
    prior.for_inference(args.device)
    shipped = {name: [DATA / path.format(name) for path in DEFAULTS[card.modality]] for name in SETS}
    sets = {name: ImageSets(getattr(args, name) or shipped[name], card) for name in SETS}
    side, window = max(card.matrix or (256,)), WINDOWS[card.modality]
    began = time.perf_counter()
    samples = draw(prior, side, args.samples, args.steps, args.batch, args.device)
    seconds = (time.perf_counter() - began) / args.samples
    print(f"{card.name}: {args.samples} samples of {2 * args.steps + 1} evaluations, {seconds:.1f} s each")
    if args.pictures is not None:
        args.pictures.mkdir(parents=True, exist_ok=True)
        title = f"{card.name}: samples, probability flow, {2 * args.steps + 1} evaluations"
        sample_grid(args.pictures / "samples.png", samples.numpy(), window, title)
    memorisation(samples, sets, side, args.pictures, window)
    generalisation(args, prior, sets, side)
